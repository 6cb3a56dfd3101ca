/** The longest time that timers accept. With a longer one they fire at once. */
const MAX_TIMER = 2 ** 31 - 1;

/** `setTimeout`, but a time that is too long for it never ends. */
export function timer(run: () => void, ms: number): ReturnType<typeof setTimeout> | undefined {
  return ms > MAX_TIMER ? undefined : setTimeout(run, ms);
}

/** Why a signal was aborted. React Native's signals have no `reason`. */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? Object.assign(new Error('The operation was aborted'), { name: 'AbortError' });
}

/**
 * Runs `work` until it ends, the signal is aborted, or the time is over. Rejects at once in the last
 * two cases, even if `work` ignores the signal that it gets.
 */
export function cancellable<T>(
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
  ms = Infinity,
): Promise<T> {
  if (signal?.aborted) return Promise.reject(abortReason(signal));
  const controller = new AbortController();
  let clean = () => {};
  return new Promise<T>((resolve, reject) => {
    const stop = (reason: unknown) => {
      reject(reason);
      controller.abort(reason);
    };
    const onAbort = () => signal && stop(abortReason(signal));
    const timeout = timer(() => stop(new Error(`no response in ${ms} ms`)), ms);
    signal?.addEventListener('abort', onAbort);
    clean = () => {
      clearTimeout(timeout);
      signal?.removeEventListener('abort', onAbort);
    };
    work(controller.signal).then(resolve, reject);
  }).finally(() => clean());
}
