/** The longest time that timers accept. With a longer one they fire at once. */
const MAX_TIMER = 2 ** 31 - 1;

/**
 * Runs `work` until it ends, the signal is aborted, or the time is over. Rejects at once in the last
 * two cases, even if `work` ignores the signal that it gets.
 */
export function cancellable<T>(
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
  ms = Infinity,
  late = (): unknown => new Error('Timeout'),
): Promise<T> {
  const controller = new AbortController();
  return new Promise<T>((resolve, reject) => {
    const end = () => {
      clearTimeout(timeout);
      signal?.removeEventListener('abort', onAbort);
    };
    const stop = (reason: unknown) => {
      end();
      reject(reason);
      controller.abort(reason);
    };
    // React Native's signals have no reason.
    const onAbort = () => stop(signal?.reason ?? Object.assign(new Error('Aborted'), { name: 'AbortError' }));
    const timeout = ms <= MAX_TIMER ? setTimeout(() => stop(late()), ms) : undefined;
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort);
    work(controller.signal).finally(end).then(resolve, reject);
  });
}
