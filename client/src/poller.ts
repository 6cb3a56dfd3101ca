import { timer } from './cancel.js';
import type { Message, MessageStatusClient, MessageStatusResult } from './client.js';

/** One message whose status is polled. */
export interface Poll {
  readonly message: Message;
  /** When to request it next, on the clock of `now()`. */
  due: number;
  /** When the interest in it ends. */
  readonly end: number;
  /** Its status, or a problem. Poller has set `due`; `onResult` may change that or remove the poll. */
  onResult(result: MessageStatusResult): void;
  /** What the token function threw. */
  onError(error: unknown): void;
}

/** The monotonic clock. `Date` jumps when the user or the network sets the time. */
export const now = () => performance.now();

/** Most messages of one request. */
export const BATCH_SIZE = 20;
/** Milliseconds in which messages are gathered for one request. */
const GATHER = 50;
/** Least milliseconds between two requests for a message. */
const MIN_PAUSE = 500;
/** Most milliseconds between two attempts after failures. */
const MAX_PAUSE = 30_000;
/** Most milliseconds between two requests for a message that stays pending. */
const MAX_PENDING_PAUSE = 60_000;
/** The longest wait that an endpoint can be set up for. The endpoint cuts it to its own limit. */
const MAX_WAIT = 25_000;
/** The wait while messages are new, because more messages often follow and would have to wait too. */
const SHORT_WAIT = 3000;

interface State {
  readonly since: number;
  failures: number;
  requested: boolean;
  offline: boolean;
}

/**
 * Polls messages in shared requests: one request at a time, up to 20 messages each, the longest
 * overdue first. Each message has its own backoff, so a failing message does not delay the others.
 */
export class Poller {
  readonly #client: Pick<MessageStatusClient, 'getMany'>;
  readonly #mayWait: () => boolean;
  readonly #polls = new Map<Poll, State>();
  #request: { polls: Poll[]; wait: number; cancel: (due: number) => void } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;

  /** `mayWait` says whether the endpoint may hold the next request open until there is a result. */
  constructor(client: Pick<MessageStatusClient, 'getMany'>, mayWait: () => boolean) {
    this.#client = client;
    this.#mayWait = mayWait;
  }

  add(poll: Poll): void {
    if (!this.#polls.size) listen('addEventListener', this.#onOnline, this.update);
    this.#polls.set(poll, { since: now(), failures: 0, requested: false, offline: false });
    this.update();
  }

  remove(poll: Poll): void {
    if (!this.#polls.delete(poll)) return;
    if (!this.#polls.size) listen('removeEventListener', this.#onOnline, this.update);
    if (!this.#request?.polls.some((poll) => this.#polls.has(poll))) this.#request?.cancel(0);
    this.update();
  }

  /** Call it after changing `due`. */
  readonly update = (): void => {
    const request = this.#request;
    if (request) {
      // A new message is not kept waiting by a long wait for others.
      const isOverdue = [...this.#polls.keys()].some((poll) => poll.due <= now() && !request.polls.includes(poll));
      if (isOverdue && request.wait > SHORT_WAIT) request.cancel(now());
      return;
    }
    const at = isHidden() ? Infinity : Math.min(...[...this.#polls.keys()].map(({ due }) => due));
    if (at === Infinity || at < this.#timerAt) {
      clearTimeout(this.#timer);
      this.#timerAt = at;
      if (at < Infinity) this.#timer = timer(this.#start, Math.max(at - now(), GATHER));
    }
  };

  readonly #start = (): void => {
    this.#timerAt = Infinity;
    const due = [...this.#polls.keys()].filter((poll) => poll.due <= now()).sort((a, b) => a.due - b.due);
    if (due.length) void this.#poll(due);
    else this.update();
  };

  async #poll(due: Poll[]): Promise<void> {
    const polls = due.slice(0, BATCH_SIZE);
    const wait = this.#mayWait() ? this.#wait(polls, due.length > BATCH_SIZE) : 0;
    const controller = new AbortController();
    const request = {
      polls,
      wait,
      cancel: (due: number) => {
        this.#request = undefined;
        for (const poll of polls) poll.due = due;
        controller.abort();
        this.update();
      },
    };
    this.#request = request;
    for (const poll of polls) this.#state(poll).requested = true;
    let results: MessageStatusResult[] | undefined;
    let failure: unknown;
    try {
      results = await this.#client.getMany(
        polls.map(({ message }) => message),
        { wait: Math.floor(wait / 1000), until: 'any', signal: controller.signal },
      );
    } catch (error) {
      failure = error;
    }
    if (this.#request !== request) return;
    // It is over. Without this, a poll that `onResult` makes due would cancel it.
    request.wait = 0;
    const isDecided = results?.some((result) => result.status !== 'PENDING' && !result.problem?.retryable);
    for (const [i, poll] of polls.entries()) {
      if (!this.#polls.has(poll)) continue;
      const result = results?.[i];
      if (!result) {
        poll.due = now() + MAX_PAUSE;
        poll.onError(failure);
        continue;
      }
      poll.due = now() + this.#pause(this.#state(poll), result, isDecided);
      poll.onResult(result);
    }
    this.#request = undefined;
    this.update();
  }

  #state(poll: Poll): State {
    return this.#polls.get(poll) as State;
  }

  #wait(polls: Poll[], hasMore: boolean): number {
    const isNew = polls.some((poll) => !this.#state(poll).requested);
    const others = [...this.#polls.keys()].filter((poll) => !polls.includes(poll) && poll.due > now());
    return Math.max(
      0,
      Math.min(
        hasMore || isNew ? SHORT_WAIT : MAX_WAIT,
        ...others.map(({ due }) => due - now()),
        // A second is left for the response to arrive before the end.
        ...polls.map(({ end }) => end - now() - 1000),
      ),
    );
  }

  /** Milliseconds until the next request for a message. */
  #pause(state: State, { retryAfter, problem }: MessageStatusResult & { retryAfter?: number }, isDecided = false): number {
    const requested = 1000 * (problem?.retryAfter ?? retryAfter ?? 0);
    state.offline = problem?.status === 0;
    if (problem) {
      const backoff = Math.min(MAX_PAUSE, 1000 * 2 ** state.failures++);
      // Offline, the browser's event is worth more than another attempt.
      const isOffline = state.offline && globalThis.navigator?.onLine === false;
      return Math.max(MIN_PAUSE, requested, (isOffline ? MAX_PAUSE : backoff) * (0.5 + Math.random() / 2));
    }
    state.failures = 0;
    // The response came early because of another message, so its retry-after does not apply.
    if (isDecided) return MIN_PAUSE;
    const age = Math.min(MAX_PENDING_PAUSE, (now() - state.since) / 10);
    // Some gateways hide the header. The endpoint responds with 1 to 4.
    return Math.max(MIN_PAUSE, requested || 1000 + 3000 * Math.random(), age);
  }

  /** The network is back. A request that is in flight may be hanging in a dead connection. */
  readonly #onOnline = (): void => {
    for (const [poll, { offline }] of this.#polls) {
      if (offline) poll.due = Math.min(poll.due, now() + MIN_PAUSE);
    }
    if (this.#request) this.#request.cancel(now() + MIN_PAUSE);
    else this.update();
  };
}

/** React Native and Node have neither `document` nor these events. */
function listen(method: 'addEventListener' | 'removeEventListener', onOnline: () => void, onVisible: () => void): void {
  globalThis[method]?.('online', onOnline);
  globalThis.document?.[method]?.('visibilitychange', onVisible);
}

function isHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}
