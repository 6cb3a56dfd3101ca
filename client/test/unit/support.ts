import { setImmediate } from 'node:timers/promises';
import { mock } from 'node:test';

export const message = { channelArn: 'arn:aws:chime:us-east-1:111122223333:app-instance/a/channel/c', messageId: 'm1' };
export const url = 'https://api.example/message-status';

export const sent = () => Response.json({ messageId: 'm1', status: 'SENT' });
export const pending = (retryAfter?: number) =>
  Response.json({ messageId: 'm1', status: 'PENDING' }, { headers: retry(retryAfter) });
export const problem = (status: number, name: string, retryAfter?: number) =>
  Response.json(
    { type: `urn:problem-type:message-status:${name}`, title: name, status, requestId: 'r1' },
    { status, headers: { 'content-type': 'application/problem+json', ...retry(retryAfter) } },
  );
export const gateway = (status: number, text: string) => Response.json({ message: text }, { status });
export const networkFailure = () => {
  throw new TypeError('fetch failed');
};
/** A request that nobody ever answers. */
export const silence = (signal?: AbortSignal | null) =>
  new Promise<Response>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));

const retry = (seconds?: number): Record<string, string> =>
  seconds === undefined ? {} : { 'retry-after': `${seconds}` };

type Answer = (signal?: AbortSignal | null) => Response | Promise<Response>;

/** A `fetch` that answers as told, the last way for ever, and remembers what it was asked and when. */
export function answering(...answers: Answer[]) {
  const asked: { url: URL; init: RequestInit; at: number }[] = [];
  const start = Date.now();
  const fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const answer = answers[Math.min(asked.length, answers.length - 1)];
    asked.push({ url: new URL(`${input}`), init, at: Date.now() - start });
    init.signal?.throwIfAborted();
    return (answer as Answer)(init.signal);
  };
  return { fetch, asked };
}

/** Lets the mocked clock run until the promise settles; fails after six hours of it. */
export async function run<T>(promise: Promise<T>): Promise<T> {
  let over = false;
  const done = () => void (over = true);
  promise.then(done, done);
  for (let step = 0; !over; step += 1) {
    if (step > 6 * 3600 * 10) throw new Error('It never settled');
    await tick(step === 0 ? 0 : 100);
  }
  return promise;
}

/** Lets so much time pass on the mocked clock. */
export async function tick(ms: number) {
  mock.timers.tick(ms);
  for (let turn = 0; turn < 3; turn += 1) await setImmediate();
}
