export { MessageStatusClient, MessageStatusTimeoutError } from './client.js';
export type {
  Attempt, GetManyOptions, GetOptions, Message, MessageStatusClientOptions, MessageStatusResult, RequestOptions, WaitOptions,
} from './client.js';
export { MessageStatusError } from './errors.js';
export type { FieldError, ProblemName } from './errors.js';
export { answeredAsOf, merge } from './merge.js';
export type { MessageState, MessageStatus, Status, Update } from './merge.js';
export { messageFromWebSocket } from './messages.js';
export type { ChimeMessage, ChimeResponse, WebSocketMessage } from './messages.js';
export type { TrackerStorage } from './storage.js';
export type { TokenFunction } from './token.js';
export { MessageTracker } from './tracker.js';
export type { MessageTrackerOptions, TrackOptions } from './tracker.js';
