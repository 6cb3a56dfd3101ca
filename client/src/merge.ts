/** Chime's word for a message; one that Chime adds later is undecided, as far as we know. */
export type Status = 'SENT' | 'PENDING' | 'FAILED' | 'DENIED' | (string & {});

/** What the endpoint says of a message. */
export interface MessageStatus {
  messageId: string;
  status: Status;
  detail?: string;
  /** Seconds after which it is worth asking again. */
  retryAfter?: number;
}

/** What became of the last update of a message that was sent. */
export interface Update {
  status: Status;
  detail?: string;
  /** Chime's `LastUpdatedTimestamp` in milliseconds; 0 for one that nobody has dated. */
  at: number;
}

/** What is known of a message, from wherever. An answer of the endpoint is one, too. */
export interface Known {
  messageId: string;
  /** What became of the message when it was sent. Once it is `SENT`, all members see it, for good. */
  status: Status;
  detail?: string;
  update?: Update;
}

/** A message of Chime's websocket, as the Amazon Chime SDK for JavaScript hands it to observers. */
export interface SocketMessage {
  type: string;
  /** JSON, or what it stands for. */
  payload: unknown;
}

type Word = { status: Status; detail?: string; at?: number };

// What outranks what, upwards; words that are not in it come right after PENDING.
const MESSAGE = ['PENDING', 'FAILED', 'DENIED', 'SENT'];
// Of two verdicts with one date the refusal is the later one: a message that is not sent cannot be
// updated.
const UPDATE = ['PENDING', 'SENT', 'FAILED', 'DENIED'];

/**
 * Both together. The order does not matter, neither do repetitions, and no verdict is lost to what
 * comes late.
 */
export function merge(known: Known | undefined, heard: Known): Known {
  const both = [known ?? heard, heard];
  const message = greatest(MESSAGE, both) as Known;
  const sent = message.status === 'SENT';
  const update = greatest(UPDATE, [
    ...both.map((one) => one.update),
    // A message that was sent was not refused: what was refused is an update.
    ...both.filter(({ status }) => sent && (status === 'FAILED' || status === 'DENIED')),
  ]);
  return {
    messageId: heard.messageId,
    ...word(message),
    ...(update && { update: { ...word(update), at: update.at ?? 0 } }),
  };
}

/**
 * An answer of the endpoint, given to a question that was asked when this was known. It concerns the
 * update that was known then; without this, it is taken to be older than any update.
 */
export function asOf(known: Known | undefined, answer: MessageStatus): Known {
  return known?.update
    ? { messageId: answer.messageId, status: 'SENT', update: { ...word(answer), at: known.update.at } }
    : answer;
}

/** What the websocket says of a message; nothing when it speaks of something else. */
export function fromSocket({ type, payload }: SocketMessage): Known | undefined {
  const event = /^(?:(PENDING|FAILED|DENIED)_)?(CREATE|UPDATE)_CHANNEL_MESSAGE$/.exec(type);
  if (!event) return undefined;
  const record = (typeof payload === 'string' ? JSON.parse(payload) : payload) as {
    MessageId: string;
    LastUpdatedTimestamp?: string;
    Status?: { Detail?: string };
  };
  const messageId = record.MessageId;
  const said = word({ status: event[1] ?? 'SENT', detail: record.Status?.Detail ?? '' });
  return event[2] === 'CREATE'
    ? { messageId, ...said }
    : {
        messageId,
        status: 'SENT',
        update: { ...said, at: Date.parse(record.LastUpdatedTimestamp ?? '') || 0 },
      };
}

function word({ status, detail }: Word): { status: Status; detail?: string } {
  return { status, ...(detail && { detail }) };
}

/** The greatest by date, then rank. What comes after that only makes the order total. */
function greatest(order: string[], words: (Word | undefined)[]): Word | undefined {
  const key = ({ status, detail, at }: Word) =>
    [at ?? 0, order.includes(status) ? order.indexOf(status) : 0.5, status, detail ?? ''] as const;
  return words.reduce((a, b) => {
    if (!a || !b) return a ?? b;
    const [left, right] = [key(a), key(b)];
    const i = left.findIndex((value, i) => value !== right[i]);
    return i < 0 || (left[i] as string) > (right[i] as string) ? a : b;
  }, undefined);
}
