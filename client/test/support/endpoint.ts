// The endpoint as a `fetch`, on the fake clock.
import type { Message } from 'chime-message-status-client';
import type { FakeClock } from './clock.js';

export const url = 'https://api.example/message-status';
export const message: Message = {
  channelArn: 'arn:aws:chime:us-east-1:111122223333:app-instance/a/channel/c',
  messageId: 'm1',
};
export const messages = (count: number): Message[] =>
  Array.from({ length: count }, (_, i) => ({ ...message, messageId: `m${i}` }));

export interface Recorded {
  at: number;
  method: string;
  query: URLSearchParams;
  headers: Headers;
  /** The messages of the request. */
  ids: string[];
  body: string | undefined;
}

export type Reply = (request: Recorded, signal?: AbortSignal | null) => Promise<Response> | Response;

/** The status or the problem of each message. */
export const replyWith = (status: (id: string, request: Recorded) => string, headers: Record<string, string> = {}): Reply =>
  (request) => {
    const items = request.ids.map((messageId) => item(messageId, status(messageId, request)));
    if (request.method === 'POST') return Response.json({ results: items }, { headers });
    const [first] = items;
    return first && 'problem' in first
      ? Response.json(first.problem, { status: first.problem.status, headers })
      : Response.json(first, { headers });
  };

const item = (messageId: string, status: string) =>
  /^[A-Z]+$/.test(status) ? { messageId, status } : { messageId, problem: problemBody(status) };

const STATUS: Record<string, number> = {
  'invalid-request': 400, unauthenticated: 401, 'identity-not-mapped': 403, 'user-not-provisioned': 403,
  'message-not-found': 404, 'message-gone': 410, throttled: 429, misconfigured: 500, 'internal-error': 500,
  'upstream-failure': 502, 'upstream-unavailable': 503, 'upstream-timeout': 504,
};
const problemBody = (name: string) => ({
  type: `urn:problem-type:message-status:${name}`, title: name, status: STATUS[name] ?? 500, requestId: 'r1',
});

export const pending = (retryAfter?: number) =>
  replyWith(() => 'PENDING', retryAfter === undefined ? {} : { 'retry-after': `${retryAfter}` });
export const sent = replyWith(() => 'SENT');
/** A problem of the whole request. */
export const problem = (name: string, retryAfter?: number): Reply => () =>
  Response.json(problemBody(name), {
    status: STATUS[name] ?? 500,
    headers: retryAfter === undefined ? {} : { 'retry-after': `${retryAfter}` },
  });
/** A gateway's own response. */
export const gateway = (status: number, text = 'No', member = 'message'): Reply => () =>
  Response.json({ [member]: text }, { status });
export const networkFailure: Reply = () => {
  throw new TypeError('fetch failed');
};
/** No response ever. */
export const silence: Reply = (_, signal) =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));

/** A `fetch` that replies in this order, repeats the last reply, and records the requests. */
export function endpoint(clock: FakeClock | undefined, ...replies: Reply[]) {
  const requests: Recorded[] = [];
  let inFlight = 0;
  const state = { maxInFlight: 0 };
  const fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const { search } = new URL(`${input}`);
    const query = new URLSearchParams(search);
    const body = init.body ? `${init.body}` : undefined;
    const ids = body
      ? (JSON.parse(body).messages as Message[]).map(({ messageId }) => messageId)
      : [query.get('messageId') ?? ''];
    const request = { at: clock?.now ?? 0, method: init.method ?? 'GET', query, headers: new Headers(init.headers), ids, body };
    const reply = replies[Math.min(requests.length, replies.length - 1)] as Reply;
    requests.push(request);
    inFlight += 1;
    state.maxInFlight = Math.max(state.maxInFlight, inFlight);
    try {
      return await reply(request, init.signal);
    } finally {
      inFlight -= 1;
    }
  };
  return { fetch, requests, state };
}

/** Holds requests open as the function does, until a message is not pending or the wait is over. */
export const waiting = (clock: FakeClock, status: (id: string) => string, headers = { 'retry-after': '1' }): Reply =>
  async (request, signal) => {
    const end = clock.now + 1000 * Math.min(20, Number(request.query.get('wait') ?? 0));
    while (clock.now < end && request.ids.every((id) => status(id) === 'PENDING')) {
      await clock.sleep(100);
      if (signal?.aborted) throw signal.reason;
    }
    return replyWith(status, request.ids.some((id) => status(id) === 'PENDING') ? headers : {})(request);
  };
