import type { Message, MessageStatusClient, MessageStatusResult } from './client.js';

/** One message whose status is polled. */
export interface Poll {
  readonly message: Message;
  /** When to request it next, on the clock of `now()`. */
  due: number;
  /** Called when a request for it starts. */
  onRequest?(): void;
  /** Gets each result. The poller has set `due`; `onResult` may change that, or remove the poll. */
  onResult(result: MessageStatusResult): void;

  /** When it was added. */
  since?: number;
  /** Failures in a row. */
  failures?: number;
  isOffline?: boolean;
}

export interface Poller {
  /** False if the message is polled already. */
  add(poll: Poll, due: number): boolean;
  remove(poll: Poll): void;
  /** To be called after a change of `due`. */
  update(): void;
}

/** The monotonic clock. `Date` jumps when the user or the network sets the time. */
export const now = () => performance.now();

/** Maximum number of messages in one request. */
export const BATCH_SIZE = 20;
/** Milliseconds in which messages are gathered for one request. */
const GATHER = 50;
/** Minimum milliseconds between two requests for a message. */
const MIN_PAUSE = 500;
/** Maximum milliseconds between two attempts after failures, unless retry-after is longer. */
const MAX_PAUSE = 30_000;
/** Maximum milliseconds of a retry-after. */
const MAX_RETRY_AFTER = 3_600_000;
/** Milliseconds until a pending message is requested again, before jitter. */
const PENDING_PAUSE = 2000;
/** Maximum milliseconds of that pause, unless the endpoint's retry-after is longer. */
const MAX_PENDING_PAUSE = 60_000;
/** A request includes messages that are due within this many milliseconds. */
const EARLY = 5000;
/** Maximum milliseconds of a wait for new messages. Others often follow soon, and are requested after it. */
const SHORT_WAIT = 3000;
/** Milliseconds of the longest wait that an endpoint can allow. It cuts waits to its own maximum. */
const MAX_WAIT = 25_000;

/**
 * Polls messages in shared requests: one request at a time, up to 20 messages each, the longest
 * overdue first. Each message has its own backoff, so a failing message does not delay the others.
 * With `waits`, the endpoint holds a request open until there is a result.
 */
export function createPoller(
  client: Pick<MessageStatusClient, 'getMany'>,
  waits: boolean,
): Poller {
  const polls = new Set<Poll>();
  let request: { batch: Poll[]; wait: number; controller: AbortController } | undefined;
  let timeout: ReturnType<typeof setTimeout> | undefined;
  let timeoutAt = Infinity;

  const overdue = (early = 0) =>
    [...polls].filter(({ due, failures }) => due <= now() + (failures ? 0 : early)).sort((a, b) => a.due - b.due);

  const cancel = (due: number) => {
    request?.batch.forEach((poll) => (poll.due = due));
    request?.controller.abort();
    request = undefined;
  };

  const update = () => {
    if (request) {
      const { batch, wait } = request;
      // A long wait is canceled if another message is due.
      if (wait <= SHORT_WAIT || overdue().every((poll) => batch.includes(poll))) return;
      cancel(now());
    }
    const next = globalThis.document?.hidden ? Infinity : Math.min(...[...polls].map(({ due }) => due));
    if (next < timeoutAt || next === Infinity) {
      clearTimeout(timeout);
      timeoutAt = next;
      if (next < Infinity) timeout = setTimeout(start, Math.max(next - now(), GATHER));
    }
  };

  const start = async () => {
    timeoutAt = Infinity;
    if (!overdue().length) return update();
    const batch = overdue(EARLY).slice(0, BATCH_SIZE);
    // The wait ends when another message is due.
    const limits = [...polls].filter((poll) => !batch.includes(poll)).map(({ due }) => due - now());
    const isNew = batch.some(({ since = 0 }) => now() - since < SHORT_WAIT);
    const wait = waits ? Math.max(0, Math.min(isNew ? SHORT_WAIT : MAX_WAIT, ...limits)) : 0;
    const current = { batch, wait, controller: new AbortController() };
    request = current;
    const messages = batch.map((poll) => {
      poll.onRequest?.();
      return poll.message;
    });
    const results = await client
      .getMany(messages, { wait: wait / 1000, until: 'any', signal: current.controller.signal })
      // An error of the token function is not retryable.
      .catch((problem): MessageStatusResult[] => messages.map(({ messageId }) => ({ messageId, problem })));
    if (request !== current) return;
    // The request is over. With a wait of 0, `update` in `onResult` does not cancel it.
    current.wait = 0;
    const isEarly = results.some(({ status, problem }) => (problem ? !problem.retryable : status !== 'PENDING'));
    batch.forEach((poll, i) => {
      const result = results[i] as MessageStatusResult;
      poll.due = now() + pause(poll, result, isEarly);
      if (polls.has(poll)) poll.onResult(result);
    });
    request = undefined;
    update();
  };

  /** The network is back. A request that is in flight may hang in a dead connection. */
  const onOnline = () => {
    const due = now() + MIN_PAUSE;
    cancel(due);
    for (const poll of polls) {
      if (poll.isOffline) poll.due = Math.min(poll.due, due);
    }
    update();
  };

  /** React Native and Node have neither `document` nor these events. */
  const listen = (method: 'addEventListener' | 'removeEventListener') => {
    globalThis[method]?.('online', onOnline);
    globalThis.document?.[method]?.('visibilitychange', update);
  };

  return {
    add(poll, due) {
      if (polls.has(poll)) return false;
      if (!polls.size) listen('addEventListener');
      poll.due = due;
      poll.since = now();
      polls.add(poll);
      update();
      return true;
    },
    remove(poll) {
      if (polls.delete(poll) && !polls.size) listen('removeEventListener');
      if (!request?.batch.some((poll) => polls.has(poll))) cancel(0);
      update();
    },
    update,
  };
}

/** Milliseconds until the next request for a message. */
function pause(poll: Poll, result: MessageStatusResult, isEarly: boolean): number {
  const { problem } = result;
  const retryAfter = Math.min(MAX_RETRY_AFTER, 1000 * ((problem ?? result).retryAfter ?? 0));
  poll.isOffline = problem?.status === 0;
  poll.failures = problem ? (poll.failures ?? 0) + 1 : 0;
  // The response came early because of another message, so its retry-after does not apply.
  if (!problem && isEarly) return MIN_PAUSE;
  const ms = problem
    ? Math.min(MAX_PAUSE, MIN_PAUSE * 2 ** poll.failures)
    // A message that is pending for long is not decided within seconds.
    : Math.max(PENDING_PAUSE, Math.min(MAX_PENDING_PAUSE, (now() - (poll.since ?? 0)) / 10));
  return Math.max(MIN_PAUSE, retryAfter, ms * (0.5 + Math.random() / 2));
}
