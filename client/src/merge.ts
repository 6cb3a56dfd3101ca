/** Chime's status of a message. Chime may add others. */
export type Status = 'SENT' | 'PENDING' | 'FAILED' | 'DENIED' | (string & {});

/** The endpoint's response about a message. */
export interface MessageStatus {
  messageId: string;
  status: Status;
  detail?: string;
  /** With `PENDING`: seconds after which to request it again. */
  retryAfter?: number;
}

/** The status of the last edit of a message. */
export interface Update {
  /** `GONE`: the edit was pending, and Chime no longer has the message. */
  status: Status | 'GONE';
  detail?: string;
  /** Chime's `LastUpdatedTimestamp` in milliseconds, or 0 if it is not known. */
  at: number;
}

/** What is known about a message. A response of the endpoint can be used as one. */
export interface MessageState {
  messageId: string;
  /**
   * The status of the message as it was created. Once it is `SENT`, all members see it, and it stays
   * `SENT`. `GONE`: it was pending and Chime no longer has it, so most likely it was denied. `SENT`,
   * `FAILED` and `DENIED` are final, `GONE` is a guess.
   */
  status: Status | 'GONE';
  detail?: string;
  update?: Update;
  /** Its content was redacted. */
  redacted?: boolean;
  /** It was deleted. `status` is the one before. */
  deleted?: boolean;
  /** Of a tracker: why the last request about it failed, as in `MessageStatusError`. */
  problem?: string;
}

type Dated = { status: Status; detail?: string | undefined; at?: number };

// From weak to strong. A status that is not listed ranks right above PENDING.
const MESSAGE = ['PENDING', 'FAILED', 'DENIED', 'SENT'];
// Of two results with the same date, FAILED or DENIED is later, because only a message that was sent can be edited.
const UPDATE = ['PENDING', 'SENT', 'FAILED', 'DENIED'];

/**
 * Combines what is known about a message with news. The order and repetitions do not matter, and a
 * late `PENDING` hides no result. The exception is `GONE`: any later news corrects it.
 */
export function merge(known: MessageState | undefined, news: MessageState): MessageState {
  const both = [known ?? news, news];
  // A deletion alone does not change the status.
  const message = known && news.deleted && news.status === 'PENDING' ? known : strongest(MESSAGE, both) as MessageState;
  const isSent = message.status === 'SENT';
  const update = strongest(UPDATE, [
    ...both.map((state) => state.update),
    // If the message is SENT, a FAILED or DENIED status belongs to an edit.
    ...both.filter(({ status }) => isSent && ['FAILED', 'DENIED'].includes(status)),
  ]);
  const redacted = known?.redacted || news.redacted;
  const deleted = known?.deleted || news.deleted;
  return {
    messageId: news.messageId,
    ...outcome(message),
    ...(update && { update: { ...outcome(update), at: update.at ?? 0 } }),
    ...(redacted && { redacted }),
    ...(deleted && { deleted }),
  };
}

/**
 * Assigns a response of the endpoint to the edit that was known when the request was made. Without
 * this, a response is taken to be older than any edit.
 */
export function answeredAsOf(known: MessageState | undefined, response: MessageStatus): MessageState {
  return known?.update
    ? { messageId: response.messageId, status: 'SENT', update: { ...outcome(response), at: known.update.at } }
    : { messageId: response.messageId, ...outcome(response) };
}

/** Whether the status, or that of the last edit, can still change. Statuses that Chime adds later can. */
export function isPending(state: MessageState): boolean {
  return has(state, (status) => !['GONE', 'SENT', 'FAILED', 'DENIED'].includes(status));
}

/** Whether the message, or its last edit, is believed to be lost. */
export function isGone(state: MessageState): boolean {
  return has(state, (status) => status === 'GONE');
}

function has({ deleted, status, update = { status } }: Pick<MessageState, 'deleted' | 'status'> & { update?: Dated }, test: (status: Status) => boolean): boolean {
  return !deleted && (test(status) || test(update.status));
}

/** Status and detail, and no other member. */
export function outcome({ status, detail }: Dated): { status: Status; detail?: string } {
  return { status, ...(detail && { detail }) };
}

/**
 * The latest state, then the one with the highest rank. The rest only makes the order total. `GONE` has
 * no rank: a later state replaces it, and it replaces what is not a result.
 */
function strongest(ranks: string[], states: (Dated | undefined)[]): Dated | undefined {
  const rank = ({ status }: Dated) => (ranks.includes(status) ? ranks.indexOf(status) : 0.5);
  return states.reduce((a, b) => {
    if (!a || !b) return a ?? b;
    const isGuess = (a.status === 'GONE' || b.status === 'GONE') && rank(a) < 1;
    const order = (a.at ?? 0) - (b.at ?? 0) || (isGuess ? -1 : rank(a) - rank(b));
    return order > 0 || (!order && JSON.stringify(outcome(a)) > JSON.stringify(outcome(b))) ? a : b;
  });
}
