import type { Message } from './client.js';
import { list, members, text } from './errors.js';
import { outcome, type MessageState } from './merge.js';

/** A message of Chime's WebSocket, as amazon-chime-sdk-js passes it to observers. */
export interface WebSocketMessage {
  type: string;
  /** JSON, or the parsed value. */
  payload: unknown;
}

/** A message as Chime's API and WebSocket describe it. */
export interface ChimeMessage {
  ChannelArn?: string | undefined;
  MessageId?: string | undefined;
  SubChannelId?: string | undefined;
  Persistence?: string | undefined;
  /** Chime leaves it out for messages of channels without a flow. */
  Status?: { Value?: string | undefined; Detail?: string | undefined } | undefined;
  LastUpdatedTimestamp?: Date | string | number | undefined;
  LastEditedTimestamp?: Date | string | number | undefined;
}

/** Responses of SendChannelMessage, GetChannelMessage and ListChannelMessages. */
export type ChimeResponse =
  | ChimeMessage
  | { ChannelMessage?: ChimeMessage | undefined }
  | {
      ChannelArn?: string | undefined;
      SubChannelId?: string | undefined;
      ChannelMessages?: ChimeMessage[] | undefined;
    };

/** A message that something was read about. */
export interface Reading {
  state: MessageState;
  /** How to request its status, if the source says so. */
  message: Message | undefined;
  /** Chime itself said what the status is. */
  isConfirmed: boolean;
  /** Only the sender gets this kind of event. */
  isOwn: boolean;
  /** Chime keeps no copy, so "not found" says nothing about it. */
  isKept: boolean;
}

const EVENT = /^(?:(PENDING|FAILED|DENIED)_)?(CREATE|UPDATE|REDACT|DELETE)_CHANNEL_MESSAGE$/;

/** The state that an event of the WebSocket reports, or undefined if it reports none. */
export function messageFromWebSocket(event: WebSocketMessage): MessageState | undefined {
  return EVENT.test(event?.type) ? readWebSocket(event)[0]?.state : undefined;
}

/** All that an event of the WebSocket says about messages. Anything else than such an event says nothing. */
export function readWebSocket(event: WebSocketMessage): Reading[] {
  const { type, payload } = members(event);
  const record = members(typeof payload === 'string' ? parse(payload) : payload);
  if (type === 'CHANNEL_DETAILS') {
    const { ChannelArn } = members(record.Channel);
    return list(record.ChannelMessages).flatMap((item) => reading({ ChannelArn, ...members(item) }, stored));
  }
  const [, prefix, change] = EVENT.exec(`${type}`) ?? [];
  if (!change) return [];
  return reading(record, (record) => {
    const result = outcome({ status: prefix ?? 'SENT', detail: detailOf(record) });
    // Only a message that was sent can be changed.
    return change === 'CREATE'
      ? result
      : { status: 'SENT', update: { ...result, at: time(record.LastUpdatedTimestamp) } };
  }, { isOwn: prefix !== undefined });
}

/** All that a response says about messages: of Chime's API, or of the endpoint. */
export function readResponse(response: unknown): Reading[] {
  const body = members(response);
  const { ChannelArn, SubChannelId } = body;
  if (body.ChannelMessage) return reading(members(body.ChannelMessage), stored);
  if (body.ChannelMessages) {
    return list(body.ChannelMessages).flatMap((item) => reading({ ChannelArn, SubChannelId, ...members(item) }, stored));
  }
  if (body.results) return list(body.results).flatMap(readResponse);
  if (body.MessageId) {
    // Of SendChannelMessage. Its status is missing only if there is nothing to say yet.
    const status = valueOf(body);
    return reading(body, (record) => outcome({ status: status ?? 'PENDING', detail: detailOf(record) }), { isConfirmed: status !== undefined });
  }
  const { channelArn, messageId, subChannelId, status, detail, problem } = body;
  if (problem) return [];
  return reading(
    { ChannelArn: channelArn, MessageId: messageId, SubChannelId: subChannelId },
    () => outcome({ status: text(status) ?? 'PENDING', detail: text(detail) ?? '' }),
    { isConfirmed: text(status) !== undefined },
  );
}

/** A message that Chime has stored. */
function stored(record: Record<string, unknown>): Omit<MessageState, 'messageId'> {
  const state = outcome({ status: valueOf(record) ?? 'SENT', detail: detailOf(record) });
  // Its text shows the update of this date.
  return state.status === 'SENT' && record.LastEditedTimestamp
    ? { ...state, update: { status: 'SENT', at: time(record.LastUpdatedTimestamp) } }
    : state;
}

function reading(
  record: Record<string, unknown>,
  read: (record: Record<string, unknown>) => Omit<MessageState, 'messageId'>,
  { isOwn = false, isConfirmed = true } = {},
): Reading[] {
  const [channelArn, messageId, subChannelId] = [text(record.ChannelArn), text(record.MessageId), text(record.SubChannelId)];
  if (!messageId) return [];
  return [{
    state: { messageId, ...read(record) },
    message: channelArn ? { channelArn, messageId, ...(subChannelId && { subChannelId }) } : undefined,
    isConfirmed,
    isOwn,
    isKept: record.Persistence !== 'NON_PERSISTENT',
  }];
}

function valueOf(record: Record<string, unknown>): string | undefined {
  return text(members(record.Status).Value);
}

function detailOf(record: Record<string, unknown>): string {
  return text(members(record.Status).Detail) ?? '';
}

/** Milliseconds: of a Date (AWS SDK), an ISO string (WebSocket), or seconds (the API's JSON). */
function time(value: unknown): number {
  const ms = typeof value === 'number' ? value * 1000 : typeof value === 'string' ? Date.parse(value) : Number(value);
  return ms || 0;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
