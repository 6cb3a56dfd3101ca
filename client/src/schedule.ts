// When to request the status of a message: decisions only. Times are milliseconds on the clock of the
// poller, which drives them.
import type { Message } from './client.js';
import type { MessageStatusError } from './errors.js';

/** What is known about the requests for one message. */
export interface Entry {
  readonly message: Message;
  /** Since when the message is pending. */
  readonly added: number;
  /** Start of the last request, or -Infinity. */
  readonly asked: number;
  /** Failures in a row. */
  readonly failures: number;
  /** End of the pause after the last request. */
  readonly pausedTo: number;
}

/** What is known about the user's WebSocket. */
export interface Link {
  /** A live WebSocket reports results without requests. */
  readonly isLive: boolean;
  /** The last change of `isLive`. */
  readonly since: number;
  /** Events before this time may have been missed: the last start of the WebSocket or of the tracker, or `check()`. */
  readonly started: number;
  /** When the requests begin that a change of `isLive` or a start causes. It differs between clients, so that they do not all ask at once. */
  readonly spreadTo: number;
}

/** Minimum milliseconds between two requests for a message. */
export const MIN_PAUSE = 500;
/** Maximum milliseconds between two attempts after failures. */
const MAX_BACKOFF = 30_000;
/** `waitForResult`: a request includes messages that are due within this many milliseconds. */
const EARLY = 5000;
/** `waitForResult`: milliseconds until a pending message is requested again, before jitter, and their maximum. */
const WAIT_PAUSE = 2000;
const MAX_WAIT_PAUSE = 60_000;

/** Milliseconds after which most flows have decided. */
const FIRST = 600;
/** Milliseconds after which a live WebSocket should have reported a result. */
const GRACE = 3000;
/** Minimum milliseconds between two requests for a pending message while the WebSocket is down. */
const DOWN_PAUSE = 1200;
/** Pauses grow with the age of the message. */
const GROWTH = 0.65;
/** Maximum milliseconds between two requests. Keeps a message below 100 requests a day. */
const MAX_PAUSE = 3_600_000;
/** Minimum milliseconds between two catch-ups of a message. */
const CATCH_UP_PAUSE = 10_000;
/** Milliseconds after a reconnect in which a catch-up that fails is repeated without the longer pauses. */
const CATCH_UP_TIME = 300_000;

export const newLink: Link = { isLive: false, since: -Infinity, started: -Infinity, spreadTo: -Infinity };

/** When the message was last known to be pending. */
export function lastKnown({ added, asked, failures }: Entry): number {
  return failures ? added : Math.max(added, asked);
}

/** When the tracker requests the status of a pending message. `caughtUp`: its last catch-up. */
export function next(entry: Entry, link: Link, caughtUp = -Infinity): number {
  const { asked, pausedTo } = entry;
  let due = routine(entry, link);
  if (lastKnown(entry) < link.started && asked < link.started + CATCH_UP_TIME) {
    due = Math.min(due, Math.max(link.spreadTo, caughtUp + CATCH_UP_PAUSE));
  }
  return Math.max(pausedTo, due);
}

function routine({ added, asked }: Entry, { isLive, since, spreadTo }: Link): number {
  // A live WebSocket reports soon. What was pending when it was lost is requested with the others.
  const first = isLive ? Math.max(added, since) + GRACE
    : added > since ? added + FIRST
    : spreadTo;
  if (asked < 0) return first;
  // The longer it is pending already, the less likely is a result within the next seconds.
  const age = asked - added;
  const pause = Math.max(isLive ? GRACE : DOWN_PAUSE, age * GROWTH);
  return Math.max(first, asked + Math.min(MAX_PAUSE, pause));
}

/** When `waitForResult` requests the status, or may join a request for others. */
export function nextWait({ failures, pausedTo }: Entry, isShared: boolean): number {
  return isShared && !failures ? pausedTo - EARLY : pausedTo;
}

/** Milliseconds to pause after a request that waited for this message, which is pending for `age`. */
export function waitPause(age: number, jitter: number): number {
  return spread(Math.max(WAIT_PAUSE, age / 10), MAX_WAIT_PAUSE, jitter);
}

/** Whether the same request can succeed later. The app may get another token. */
export function isFailure({ problem }: { problem?: MessageStatusError | undefined }): boolean {
  return !!problem && (problem.retryable || problem.problem === 'token-error');
}

/** Milliseconds to pause after this many failures in a row. */
export function backoff(failures: number, jitter: number): number {
  return spread(MIN_PAUSE * 2 ** failures, MAX_BACKOFF, jitter);
}

function spread(ms: number, max: number, jitter: number): number {
  return Math.min(ms, max) * (0.5 + jitter / 2);
}
