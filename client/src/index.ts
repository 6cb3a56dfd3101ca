export { MessageStatusClient, MessageStatusTimeoutError } from './client.js';
export type {
  AskOptions, Message, MessageStatusClientOptions, MessageStatusResult, SettledOptions,
} from './client.js';
export { MessageStatusError } from './problem.js';
export type { FieldError, ProblemName } from './problem.js';
export { asOf, fromSocket, merge } from './merge.js';
export type { Known, MessageStatus, SocketMessage, Status, Update } from './merge.js';
