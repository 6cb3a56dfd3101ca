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
  Sender?: { Arn?: string | undefined } | undefined;
  Redacted?: boolean | undefined;
  /** Chime leaves it out for messages of channels without a flow. */
  Status?: { Value?: string | undefined; Detail?: string | undefined } | undefined;
  LastUpdatedTimestamp?: Date | string | number | undefined;
  LastEditedTimestamp?: Date | string | number | undefined;
}

/** Responses of SendChannelMessage, UpdateChannelMessage, GetChannelMessage and ListChannelMessages. */
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
  /** The parameters of a request for its status, if it is the user's own and Chime keeps it. */
  message: Message | undefined;
  /** Chime itself reported the status. */
  isConfirmed: boolean;
}

/** The latest messages of a channel, with `prefetchOn: Connect`. */
const DETAILS = 'CHANNEL_DETAILS';
/** A message in a response of GetChannelMessage or ListChannelMessages, or in CHANNEL_DETAILS. */
const STORED = 'STORED';
const EVENT = /^(?:(PENDING|FAILED|DENIED)_)?(CREATE|UPDATE|REDACT|DELETE)_CHANNEL_MESSAGE$/;

/** The state that an event of the WebSocket reports, or undefined if it reports none. */
export function messageFromWebSocket(event: WebSocketMessage): MessageState | undefined {
  return event?.type === DETAILS ? undefined : read(event)[0]?.state;
}

/** Reads what an event of the WebSocket, or a response of Chime or the endpoint, says about messages. `user`: the ARN of the user. */
export function read(source: unknown, user?: string): Reading[] {
  const { type, payload } = members(source);
  if (payload === undefined) return readRecord(source, user);
  const record = typeof payload === 'string' ? parse(payload) : payload;
  const [, prefix, change] = EVENT.exec(`${type}`) ?? [];
  return change ? readMessage(members(record), user, change, prefix) : type === DETAILS ? readRecord(record, user) : [];
}

function readRecord(json: unknown, user?: string): Reading[] {
  const record = members(json);
  const { Channel, ChannelMessage, ChannelMessages = ChannelMessage && [ChannelMessage], SubChannelId } = record;
  // A whole message has a sender, the response of SendChannelMessage has not.
  if (!ChannelMessages) return readMessage(record, user, record.Sender ? STORED : undefined);
  const { ChannelArn = record.ChannelArn } = members(Channel);
  return list(ChannelMessages).flatMap((item) => readMessage({ ChannelArn, SubChannelId, ...members(item) }, user, STORED));
}

/** `kind`: the change that an event reports, or STORED, or undefined for a response without a whole message. */
function readMessage(record: Record<string, unknown>, user?: string, kind?: string, prefix?: string): Reading[] {
  const channelArn = text(record.ChannelArn ?? record.channelArn);
  const messageId = text(record.MessageId ?? record.messageId);
  const subChannelId = text(record.SubChannelId ?? record.subChannelId);
  // A deletion that is pending or refused changes nothing.
  if (!messageId || (kind === 'DELETE' && prefix)) return [];
  const isStored = kind === STORED;
  const isRedacted = isStored ? record.Redacted === true : kind === 'REDACT' && !prefix;
  const { Value = record.status, Detail = record.detail } = members(record.Status);
  const reported = record.problem ? undefined : text(Value);
  // A stored message without a status was not in a flow.
  const status = (isRedacted ? 'SENT' : isStored || !kind ? reported : prefix) ?? (kind ? 'SENT' : 'PENDING');
  const result = outcome({ status, detail: text(Detail) });
  // A stored message has the text of its last edit.
  const isEdit = kind === 'UPDATE' || (isStored && status === 'SENT' && !!record.LastEditedTimestamp);
  const state: MessageState = {
    messageId,
    // Only a message that was sent can be edited or redacted. A deletion does not change the status.
    ...(kind === 'DELETE' ? { status: 'PENDING', deleted: true } : isEdit || kind === 'REDACT' ? { status: 'SENT' } : result),
    ...(isEdit && { update: { ...result, at: time(record.LastUpdatedTimestamp) } }),
    ...(isRedacted && { redacted: true }),
  };
  // Only the sender gets a response without a whole message, or an event with a prefix.
  const isOwn = !kind || prefix || (user && members(record.Sender).Arn === user);
  return [{
    state,
    // Chime does not keep NON_PERSISTENT messages, so "not found" is not a result for them.
    message: isOwn && channelArn && record.Persistence !== 'NON_PERSISTENT' ? { channelArn, messageId, subChannelId } : undefined,
    isConfirmed: !!kind || reported !== undefined,
  }];
}

/** Milliseconds: of a Date (AWS SDK), an ISO string (WebSocket), or seconds (the API's JSON). */
function time(value: unknown): number {
  return new Date(typeof value === 'number' ? value * 1000 : (value as string)).getTime() || 0;
}
