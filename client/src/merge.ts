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

/** The status of the last update of a message. */
export interface Update {
  status: Status;
  detail?: string;
  /** Chime's `LastUpdatedTimestamp` in milliseconds, or 0 if it is not known. */
  at: number;
}

/** What is known about a message. A response of the endpoint can be used as one. */
export interface MessageState {
  messageId: string;
  /**
   * The status of the message as it was created. Once it is `SENT`, all members see it, and it stays
   * `SENT`. `GONE`: it was pending and Chime no longer has it, so most likely it was denied.
   */
  status: Status | 'GONE';
  detail?: string;
  update?: Update;
}

type Dated = { status: Status; detail?: string; at?: number };

// From weak to strong. A status that is not listed ranks right above PENDING.
const MESSAGE = ['PENDING', 'GONE', 'FAILED', 'DENIED', 'SENT'];
// Of two results with the same date, FAILED or DENIED is later, because only a message that was sent can be updated.
const UPDATE = ['PENDING', 'SENT', 'FAILED', 'DENIED'];

/**
 * Combines two states of a message. The order and repetitions do not matter, and a late `PENDING`
 * hides no result.
 */
export function merge(known: MessageState | undefined, news: MessageState): MessageState {
  const both = [known ?? news, news];
  const message = strongest(MESSAGE, both) as MessageState;
  const isSent = message.status === 'SENT';
  const update = strongest(UPDATE, [
    ...both.map((state) => state.update),
    // If the message is SENT, a FAILED or DENIED status belongs to an update.
    ...both.filter(({ status }) => isSent && (status === 'FAILED' || status === 'DENIED')),
  ]);
  return {
    messageId: news.messageId,
    ...outcome(message),
    ...(update && { update: { ...outcome(update), at: update.at ?? 0 } }),
  };
}

/**
 * Assigns a response of the endpoint to the update that was known when the request was made. Without
 * this, a response is taken to be older than any update.
 */
export function answeredAsOf(known: MessageState | undefined, response: MessageStatus): MessageState {
  return known?.update
    ? { messageId: response.messageId, status: 'SENT', update: { ...outcome(response), at: known.update.at } }
    : { messageId: response.messageId, ...outcome(response) };
}

/** Status and detail, and no other member. */
export function outcome({ status, detail }: Dated): { status: Status; detail?: string } {
  return { status, ...(detail && { detail }) };
}

/** The latest state, then the one with the highest rank. The rest of the key only makes the order total. */
function strongest(ranks: string[], states: (Dated | undefined)[]): Dated | undefined {
  const key = ({ status, detail, at }: Dated) =>
    [at ?? 0, ranks.includes(status) ? ranks.indexOf(status) : 0.5, status, detail ?? ''] as const;
  return states.reduce((a, b) => {
    if (!a || !b) return a ?? b;
    const [left, right] = [key(a), key(b)];
    const i = left.findIndex((value, i) => value !== right[i]);
    return i < 0 || (left[i] as string) > (right[i] as string) ? a : b;
  }, undefined);
}
