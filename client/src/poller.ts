import type { Message, MessageStatusClient, MessageStatusResult } from './client.js';
import { BATCH_SIZE, GATHER, MAX_WAIT, SHORT_WAIT } from './limits.js';
import { backoff, isFailure, MIN_PAUSE, waitPause, type Entry } from './schedule.js';

/** When to request the status of a message, or with `isShared`: when it may join a request for others. */
export type Next = (entry: Entry, isShared: boolean) => number;
/** Gets a result of a request that started at `start`. `before` is the entry before it. */
export type OnResult<K> = (key: K, result: MessageStatusResult, before: Entry, start: number) => void;

export interface Poller<K> {
  /** Has no effect if there is a message with this key. `added`: since when it is pending. */
  add(key: K, message: Message, added: number): void;
  remove(key: K): void;
  /** To be called when something else than a request changes the schedule. */
  update(): void;
  /** The network is back. */
  online(): void;
}

/** The monotonic clock. `Date` jumps when the user or the network sets the time. */
export const now = () => performance.now();

/**
 * Sends the requests that a schedule asks for: one at a time, up to 20 messages each, the longest
 * overdue first. If nothing in a response can be used, all messages share one backoff. Otherwise a
 * message that fails does not delay the others. With `waits`, the endpoint holds a request open until
 * there is a result. `onEnd` is called after the results of a request.
 */
export function createPoller<K>(
  getMany: MessageStatusClient['getMany'],
  waits: boolean,
  next: Next,
  onResult: OnResult<K>,
  onEnd?: () => void,
): Poller<K> {
  const entries = new Map<K, Entry>();
  /** The request in flight: its messages, and for how long it waits. */
  let asked = new Set<K>();
  let controller: AbortController | undefined;
  let wait = 0;
  let timeout: ReturnType<typeof setTimeout> | undefined;
  let timeoutAt = Infinity;
  /** Of all messages: failures in a row, and the end of their backoff. */
  let failures = 0;
  let resumeAt = 0;
  let isOffline = false;

  /** The messages that are not in the request in flight, the longest overdue first. */
  const schedule = (isShared: boolean) =>
    [...entries]
      .filter(([key]) => !asked.has(key))
      .map(([key, entry]) => [Math.max(resumeAt, next(entry, isShared)), key, entry] as const)
      .sort(([a], [b]) => a - b);
  const firstDue = () => schedule(false)[0]?.[0] ?? Infinity;

  /** Ends the request in flight. */
  const end = () => {
    controller?.abort();
    controller = undefined;
    asked.clear();
  };

  const update = () => {
    const due = globalThis.document?.hidden ? Infinity : firstDue();
    if (controller) {
      // A long wait is canceled if another message is due.
      if (wait <= SHORT_WAIT || due > now()) return;
      end();
    }
    if (due === timeoutAt) return;
    clearTimeout(timeout);
    timeoutAt = due;
    if (due < Infinity) timeout = setTimeout(start, Math.max(due - now(), GATHER));
  };

  const start = async () => {
    timeoutAt = Infinity;
    const begin = now();
    const batch = schedule(true).filter(([due]) => due <= begin + 1).slice(0, BATCH_SIZE);
    if (!batch.length) return update();
    asked = new Set(batch.map(([, key]) => key));
    const isNew = batch.some(([, , entry]) => begin - entry.added < SHORT_WAIT);
    // The wait ends when another message is due.
    wait = waits ? Math.max(0, Math.min(isNew ? SHORT_WAIT : MAX_WAIT, firstDue() - begin)) : 0;
    const current = (controller = new AbortController());
    const results = await getMany(batch.map(([, , entry]) => entry.message), { wait: wait / 1000, until: 'any', signal: current.signal })
      .catch((): MessageStatusResult[] => []);
    if (controller !== current) return;
    const ended = now();
    const jitter = Math.random();
    const retryAfter = 1000 * Math.max(0, ...results.map((result) => (result.problem ?? result).retryAfter ?? 0));
    // If nothing in the response can be used, it is probably the same for the other messages.
    failures = results.every(isFailure) ? failures + 1 : 0;
    resumeAt = failures && ended + Math.max(retryAfter, backoff(failures, jitter));
    isOffline = results[0]?.problem?.status === 0;
    batch.forEach(([, key, entry], i) => {
      const result = results[i];
      // It may have been removed in the meantime.
      if (!result || !asked.has(key)) return;
      const inARow = isFailure(result) ? entry.failures + 1 : 0;
      const pause = inARow ? backoff(inARow, jitter) : waits ? waitPause(ended - entry.added, jitter) : 0;
      entries.set(key, { ...entry, asked: begin, failures: inARow, pausedTo: ended + Math.max(retryAfter, MIN_PAUSE, pause) });
      onResult(key, result, entry, begin);
    });
    end();
    onEnd?.();
    update();
  };

  /** The network is back. A request that is in flight may hang in a dead connection. */
  const online = () => {
    if (isOffline || controller) resumeAt = now() + MIN_PAUSE;
    end();
    if (isOffline) for (const [key, entry] of entries) entries.set(key, { ...entry, asked: -Infinity, pausedTo: 0 });
    update();
  };

  /** React Native and Node have neither `document` nor these events. */
  const listen = (change: 'add' | 'remove') => {
    globalThis[`${change}EventListener`]?.('online', online);
    globalThis.document?.[`${change}EventListener`]?.('visibilitychange', update);
  };

  return {
    add(key, message, added) {
      if (entries.has(key)) return;
      if (!entries.size) listen('add');
      entries.set(key, { message, added, asked: -Infinity, failures: 0, pausedTo: added });
      update();
    },
    remove(key) {
      if (!entries.delete(key)) return;
      if (!entries.size) listen('remove');
      if (asked.delete(key) && !asked.size) end();
      update();
    },
    update,
    online,
  };
}
