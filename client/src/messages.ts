import type { Message } from './client.js';
import { list, members, parse, text } from './json.js';
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

/** What a source says about one message. */
export interface Reading {
  state: MessageState;
  /** The parameters of a request for its status, if the source contains them. */
  message: Message | undefined;
  /** Chime itself reported the status. */
  isConfirmed: boolean;
  /** Only the sender gets this kind of event, and Chime keeps the message. */
  isOwn: boolean;
}

/** The latest messages of a channel, with `prefetchOn: Connect`. */
const DETAILS = 'CHANNEL_DETAILS';
const EVENT = /^(?:(PENDING|FAILED|DENIED)_)?(CREATE|UPDATE|REDACT|DELETE)_CHANNEL_MESSAGE$/;

/** The state that an event of the WebSocket reports, or undefined if it reports none. */
export function messageFromWebSocket(event: WebSocketMessage): MessageState | undefined {
  return event?.type === DETAILS ? undefined : read(event)[0]?.state;
}

/** Reads what an event of the WebSocket, or a response of Chime or the endpoint, says about messages. */
export function read(source: unknown): Reading[] {
  const { type, payload } = members(source);
  if (payload === undefined) return readRecord(source);
  const record = typeof payload === 'string' ? parse(payload) : payload;
  const [event, prefix, change] = EVENT.exec(`${type}`) ?? [];
  if (event) return readMessage(members(record), prefix ?? 'SENT', change !== 'CREATE', prefix !== undefined);
  return type === DETAILS ? readRecord(record) : [];
}

function readRecord(json: unknown): Reading[] {
  const record = members(json);
  const { Channel, ChannelMessage, ChannelMessages = ChannelMessage && [ChannelMessage], results } = record;
  const common = { ChannelArn: members(Channel).ChannelArn ?? record.ChannelArn, SubChannelId: record.SubChannelId };
  if (ChannelMessages) {
    return list(ChannelMessages).flatMap((item) => {
      const message: Record<string, unknown> = { ...common, ...members(item) };
      // A message without a status was not in a flow. A stored message has the text of its last update.
      const status = statusOf(message) ?? 'SENT';
      return readMessage(message, status, status === 'SENT' && !!message.LastEditedTimestamp);
    });
  }
  return results ? list(results).flatMap(readRecord) : readMessage(record, statusOf(record));
}

function statusOf({ Status, status, problem }: Record<string, unknown>): string | undefined {
  return problem ? undefined : text(members(Status).Value ?? status);
}

function readMessage(
  record: Record<string, unknown>,
  status: string | undefined,
  isUpdate = false,
  isOwn = false,
): Reading[] {
  const channelArn = text(record.ChannelArn ?? record.channelArn);
  const messageId = text(record.MessageId ?? record.messageId);
  const subChannelId = text(record.SubChannelId ?? record.subChannelId);
  if (!messageId) return [];
  const result = outcome({
    status: status ?? 'PENDING',
    detail: text(members(record.Status).Detail ?? record.detail) ?? '',
  });
  return [{
    // Only a message that was sent can be updated.
    state: isUpdate
      ? { messageId, status: 'SENT', update: { ...result, at: time(record.LastUpdatedTimestamp) } }
      : { messageId, ...result },
    message: channelArn ? { channelArn, messageId, subChannelId } : undefined,
    isConfirmed: status !== undefined,
    isOwn: isOwn && record.Persistence !== 'NON_PERSISTENT',
  }];
}

/** Milliseconds: of a Date (AWS SDK), an ISO string (WebSocket), or seconds (the API's JSON). */
function time(value: unknown): number {
  return (typeof value === 'number' ? value * 1000 : typeof value === 'string' ? Date.parse(value) : Number(value)) || 0;
}
