/** The longest time that timers can count; with a longer one they fire at once. */
const LONGEST = 2 ** 31 - 1;

/**
 * Waits until `start` calls back or the signal fires. What `start` returns is called in either
 * case, so that nothing stays behind.
 */
export function until<T>(
  signal: AbortSignal | undefined,
  start: (resolve: (value: T) => void, reject: (reason: unknown) => void) => (() => void) | void,
): Promise<T> {
  let stop = () => {};
  let clean: (() => void) | void;
  return new Promise<T>((resolve, reject) => {
    signal?.throwIfAborted();
    stop = () => reject(signal?.reason);
    signal?.addEventListener('abort', stop);
    clean = start(resolve, reject);
  }).finally(() => {
    signal?.removeEventListener('abort', stop);
    clean?.();
  });
}

/** Waits so many milliseconds; with `orOnline` at most until the network is back. */
export function sleep(signal: AbortSignal, ms: number, orOnline: boolean): Promise<void> {
  return until(signal, (resolve) => {
    const done = () => resolve();
    const timer = setTimeout(done, Math.min(ms, LONGEST));
    // Node has no such events.
    if (orOnline) globalThis.addEventListener?.('online', done);
    return () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.('online', done);
    };
  });
}

/**
 * Runs `work` with a signal that fires with the one given, or by itself with `reason()` after so
 * many milliseconds.
 */
export async function within<T>(
  signal: AbortSignal | undefined,
  ms: number,
  reason: () => unknown,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const follow = () => controller.abort(signal?.reason);
  if (signal?.aborted) follow();
  signal?.addEventListener('abort', follow);
  const timer = ms > LONGEST ? undefined : setTimeout(() => controller.abort(reason()), ms);
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', follow);
  }
}
