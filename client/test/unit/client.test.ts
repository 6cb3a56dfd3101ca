// `get` and `getMany` against a real HTTP server.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import { after, before, beforeEach, mock, test } from 'node:test';
import { MessageStatusClient, MessageStatusError, type Attempt, type Message } from 'chime-message-status-client';
import { message, messages } from '../support/endpoint.js';

interface Recorded { method: string; url: URL; headers: IncomingMessage['headers']; body: string }

let requests: Recorded[] = [];
let respond: (request: Recorded, response: ServerResponse) => void;
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const { method = '', headers } = request;
  const recorded = { method, url: new URL(request.url ?? '', url), headers, body };
  requests.push(recorded);
  respond(recorded, response);
});
let url: string;
before(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/Prod/message-status`;
});
beforeEach(() => { requests = []; });
after(() => { server.close(); server.closeAllConnections(); });

const json = (response: ServerResponse, status: number, body: unknown, headers = {}) =>
  response.writeHead(status, headers).end(JSON.stringify(body));
const type = (name: string) => `urn:problem-type:message-status:${name}`;
const client = (token: (hint: { refresh: boolean }) => string | Promise<string> = () => 'secret') =>
  new MessageStatusClient({ url, token });
const failure = async (promise: Promise<unknown>): Promise<MessageStatusError> => {
  const error = await promise.then(() => assert.fail('it did not reject'), (error) => error);
  assert.ok(error instanceof MessageStatusError, `${error}`);
  return error;
};
const idsOf = ({ body }: Recorded) => (JSON.parse(body).messages as Message[]).map(({ messageId }) => messageId);
const results = (request: Recorded, result = (messageId: string): unknown => ({ messageId, status: 'SENT' })) =>
  ({ results: idsOf(request).map(result) });

test('get: one GET with the message in the query and the token in its header', async () => {
  respond = (_, response) => json(response, 200, { messageId: 'm1', status: 'PENDING', detail: 'why' }, { 'retry-after': '3' });
  const status = await client().get({ ...message, subChannelId: 's/1& é' }, { wait: 20.9 });
  assert.deepEqual(status, { messageId: 'm1', status: 'PENDING', detail: 'why', retryAfter: 3 });
  assert.equal(requests.length, 1);
  const { method, url, headers } = requests[0] as Recorded;
  assert.deepEqual([method, url.pathname, headers.authorization], ['GET', '/Prod/message-status', 'Bearer secret']);
  assert.deepEqual(Object.fromEntries(url.searchParams), { ...message, subChannelId: 's/1& é', wait: '20' });
});

test('get and getMany send no members that the endpoint does not know', async () => {
  respond = (request, response) =>
    json(response, 200, request.method === 'GET' ? { messageId: 'm1', status: 'SENT' } : results(request));
  const whole = { ...message, subChannelId: undefined, content: 'hello' };
  await client().get(whole);
  await client().getMany([whole]);
  assert.deepEqual(Object.fromEntries(requests[0]?.url.searchParams ?? []), message);
  assert.deepEqual(JSON.parse(requests[1]?.body ?? ''), { messages: [message] });
  assert.equal(requests[1]?.headers['content-type'], 'application/json');
});

test('options with the value undefined have no effect', async () => {
  respond = (_, response) => json(response, 200, { messageId: 'm1', status: 'SENT' });
  const client = new MessageStatusClient({ url, token: () => 't', fetch: undefined, onAttempt: undefined });
  assert.equal((await client.get(message, { wait: undefined, signal: undefined })).status, 'SENT');
});

test('a url with a query keeps it', async () => {
  respond = (_, response) => json(response, 200, { messageId: 'm1', status: 'SENT' });
  await new MessageStatusClient({ url: new URL(`${url}?stage=a`), token: () => 't' }).get(message);
  assert.deepEqual(Object.fromEntries(requests[0]?.url.searchParams ?? []), { stage: 'a', ...message });
});

test('a page may pass only the path of the endpoint, and so may the server that renders it', async () => {
  Object.defineProperty(globalThis, 'location', { value: new URL(url), configurable: true });
  const fetched: string[] = [];
  const fetch: typeof globalThis.fetch = async (input) => {
    fetched.push(`${input}`);
    return Response.json({ messageId: 'm1', status: 'SENT' });
  };
  await new MessageStatusClient({ url: '/message-status', token: () => 't', fetch }).get(message);
  Reflect.deleteProperty(globalThis, 'location');
  assert.ok(fetched[0]?.startsWith('/message-status?channelArn='));
  new MessageStatusClient({ url: '/message-status', token: () => 't' });
  assert.throws(() => new MessageStatusClient({ url: 'https://', token: () => 't' }), TypeError);
});

test('the token is requested for every request, and once more after a 401', async () => {
  const hints: boolean[] = [];
  const token = async ({ refresh }: { refresh: boolean }) => {
    hints.push(refresh);
    return refresh ? 'new' : 'old';
  };
  respond = ({ headers }, response) =>
    headers.authorization === 'Bearer new'
      ? json(response, 200, { messageId: 'm1', status: 'SENT' })
      : json(response, 401, { message: 'The incoming token has expired' });
  assert.equal((await client(token).get(message)).status, 'SENT');
  assert.deepEqual(hints, [false, true]);
  assert.equal(requests.length, 2);
});

test('a 403 of a gateway refreshes the token, a 403 of the endpoint does not', async () => {
  for (const [body, expected] of [
    [{ Message: 'User is not authorized to access this resource' }, ['forbidden', 2]],
    [{ type: type('identity-not-mapped') }, ['identity-not-mapped', 1]],
    [{ type: type('user-not-provisioned') }, ['user-not-provisioned', 1]],
  ] as const) {
    requests = [];
    respond = (_, response) => json(response, 403, body);
    assert.deepEqual([(await failure(client().get(message))).problem, requests.length], expected);
  }
});

test('a second 401 is final', async () => {
  respond = (_, response) => json(response, 401, { message: 'Unauthorized' });
  const error = await failure(client().get(message));
  assert.deepEqual([error.problem, error.status, error.message, error.retryable], ['unauthenticated', 401, 'Unauthorized', false]);
  assert.equal(requests.length, 2);
});

test('one refresh serves all requests that were refused together', async () => {
  let refreshes = 0;
  const token = async ({ refresh }: { refresh: boolean }) => {
    if (refresh) refreshes += 1;
    return refresh ? 'new' : 'old';
  };
  const held: (() => void)[] = [];
  respond = ({ headers }, response) => {
    const reply = () =>
      headers.authorization === 'Bearer new'
        ? json(response, 200, { messageId: 'm1', status: 'SENT' })
        : json(response, 401, {});
    // The last refusals arrive when the refresh is over.
    if (held.push(reply) === 30) for (const reply of held.splice(0, 15)) reply();
    else if (headers.authorization === 'Bearer new') for (const reply of held.splice(0)) reply();
  };
  const shared = client(token);
  const statuses = await Promise.all(Array.from({ length: 30 }, () => shared.get(message)));
  assert.equal(statuses.length, 30);
  assert.equal(refreshes, 1);
});

test('a token function that throws or rejects with anything at all is a token-error with the cause', async () => {
  const thrown = [new TypeError('logged out'), 'logged out', 0, null, undefined, Symbol('no'), Object.create(null), { message: 5 }];
  for (const cause of thrown) {
    for (const token of [() => { throw cause; }, async () => { throw cause; }]) {
      const error = await failure(client(token).get(message));
      assert.deepEqual([error.problem, error.status, error.retryable], ['token-error', 0, false]);
      assert.equal(error.cause, cause);
      const [first, second] = await client(token).getMany(messages(2));
      assert.deepEqual([first?.problem?.problem, second?.problem?.problem], ['token-error', 'token-error']);
    }
  }
  assert.equal(requests.length, 0);
});

test('what is not a bearer token is a token-error whose cause says what to return', async () => {
  for (const token of ['a\nb', '', 'a b', 'Bearer abc', 'tökén', undefined, null, 1, { jwtToken: 'abc' }]) {
    const error = await failure(client(() => token as string).get(message));
    assert.equal(error.problem, 'token-error', `${token}`);
    assert.match(`${error.cause}`, /without "Bearer ".*\.toString\(\)/);
  }
  assert.equal(requests.length, 0);
});

test('an error has all members of the problem', async () => {
  const errors = [{ field: 'messageId', detail: 'It is required.' }];
  respond = (_, response) =>
    json(response, 400, { type: type('invalid-request'), title: 'Invalid request', status: 400, detail: 'See errors.', requestId: 'r1', errors });
  const error = await failure(client().get(message));
  assert.deepEqual(
    { ...error },
    { name: 'MessageStatusError', problem: 'invalid-request', status: 400, retryable: false, requestId: 'r1', errors, retryAfter: undefined },
  );
  assert.equal(`${error}`, 'MessageStatusError: See errors.');
});

test('retry-after is read in seconds, and ignored as a date', async () => {
  respond = (_, response) => json(response, 429, { type: type('throttled') }, { 'retry-after': '2' });
  assert.equal((await failure(client().get(message))).retryAfter, 2);
  respond = (_, response) => json(response, 429, {}, { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' });
  assert.equal((await failure(client().get(message))).retryAfter, undefined);
});

test('a problem that a later endpoint adds keeps its name', async () => {
  respond = (_, response) => json(response, 409, { type: type('in-doubt') });
  assert.equal((await failure(client().get(message))).problem, 'in-doubt');
});

test('responses of gateways also have problem names, and their text is the message', async () => {
  for (const [status, name, retryable] of [
    [400, 'invalid-request', false], [401, 'unauthenticated', false], [403, 'forbidden', false],
    [404, 'route-not-found', false], [408, 'unexpected-response', true], [418, 'unexpected-response', false],
    [425, 'unexpected-response', true], [429, 'throttled', true], [500, 'internal-error', true],
    [502, 'upstream-failure', true], [503, 'upstream-unavailable', true], [504, 'upstream-timeout', true],
  ] as const) {
    for (const member of ['message', 'Message']) {
      respond = (_, response) => json(response, status, { [member]: 'No' });
      const error = await failure(client().get(message));
      assert.deepEqual([error.problem, error.status, error.retryable, error.message], [name, status, retryable, 'No']);
    }
    respond = (_, response) => response.writeHead(status).end('<h1>no</h1>');
    assert.equal((await failure(client().get(message))).message, `HTTP ${status}`);
  }
});

test('misconfigured is a 500 that is not retryable', async () => {
  respond = (_, response) => json(response, 500, { type: type('misconfigured') });
  assert.equal((await failure(client().get(message))).retryable, false);
});

test('a 200 that is not a status is an error; only one that is not JSON is retryable', async () => {
  for (const [body, retryable] of [
    ['', true], ['<h1>Log in</h1>', true], ['{"messageId":"m1","stat', true],
    ['null', false], ['[]', false], ['{"messageId":"m1"}', false], ['{"status":"SENT"}', false],
    ['{"messageId":"m2","status":"SENT"}', false], ['{"messageId":"m1","status":2}', false],
  ] as const) {
    respond = (_, response) => response.writeHead(200).end(body);
    const error = await failure(client().get(message));
    assert.deepEqual([error.problem, error.retryable], ['unexpected-response', retryable], body);
  }
  for (const body of [{}, { results: 'm1' }, { results: [] }, { results: [null] }, { results: [{ messageId: 'm1' }] }]) {
    respond = (_, response) => json(response, 200, body);
    const [result] = await client().getMany([message]);
    assert.equal(result?.problem?.problem, 'unexpected-response');
  }
});

test('a failure of the network is a retryable problem with the cause', async () => {
  respond = (_, response) => response.destroy();
  const error = await failure(client().get(message));
  assert.deepEqual([error.problem, error.status, error.retryable], ['network-error', 0, true]);
  assert.ok(error.cause instanceof TypeError);
});

test('a response that breaks off is a failure of the network', async () => {
  respond = (_, response) => {
    response.writeHead(200, { 'content-length': 1000 }).write('{"messageId":"m1",');
    setTimeout(() => response.destroy(), 20);
  };
  assert.equal((await failure(client().get(message))).problem, 'network-error');
});

test('an abort ends a request that is in flight', async () => {
  const controller = new AbortController();
  const reason = new Error('no longer of interest');
  respond = () => controller.abort(reason);
  await assert.rejects(client().get(message, { signal: controller.signal }), reason);
});

test('onAttempt gets each attempt', async () => {
  const attempts: Attempt[] = [];
  const replies = [401, 200, 429];
  respond = (_, response) => json(response, replies.shift() ?? 200, { messageId: 'm1', status: 'SENT' });
  const observed = new MessageStatusClient({ url, token: () => 't', onAttempt: (attempt) => attempts.push(attempt) });
  await observed.get(message);
  await observed.getMany(messages(2));
  assert.deepEqual(
    attempts.map(({ messages, status, error }) => [messages, status, (error as MessageStatusError)?.problem]),
    [[1, 401, 'unauthenticated'], [1, 200, undefined], [2, 429, 'throttled']],
  );
});

test('onAttempt gets the error of the token function', async () => {
  const attempts: Attempt[] = [];
  const observed = new MessageStatusClient({ url, token: () => { throw new Error('logged out'); }, onAttempt: (attempt) => attempts.push(attempt) });
  const error = await failure(observed.get(message));
  assert.deepEqual(attempts, [{ messages: 1, error }]);
});

test('an onAttempt that throws or rejects is reported and changes nothing', async () => {
  const report = mock.method(console, 'error', () => {});
  respond = (_, response) => json(response, 200, { messageId: 'm1', status: 'SENT' });
  for (const onAttempt of [() => { throw new Error('a bug'); }, async () => { throw new Error('a bug'); }]) {
    const observed = new MessageStatusClient({ url, token: () => 't', onAttempt });
    assert.equal((await observed.get(message)).status, 'SENT');
  }
  assert.equal(report.mock.callCount(), 2);
  report.mock.restore();
});

test('redirects are refused, also by a fetch that follows them', async () => {
  respond = ({ url }, response) => url.pathname.startsWith('/login')
    ? json(response, 200, { messageId: 'm1', status: 'SENT' })
    : response.writeHead(302, { location: '/login' }).end();
  const followed: typeof fetch = (input, init) => fetch(input, { ...init, redirect: 'follow' });
  for (const option of [undefined, followed]) {
    const client = new MessageStatusClient({ url, token: () => 't', fetch: option });
    assert.equal((await failure(client.get(message))).problem, 'network-error');
  }
  respond = (_, response) => json(response, 200, { messageId: 'm1', status: 'SENT' });
  const odd = url.replace('http://127.0.0.1', 'HTTP://127.0.0.1') + '/';
  assert.equal((await new MessageStatusClient({ url: odd, token: () => 't', fetch: followed }).get(message)).status, 'SENT');
});

test('MessageStatusError.is is true for an error of another copy of the package', async () => {
  const { MessageStatusError: Other } = createRequire(import.meta.url)('chime-message-status-client') as typeof import('chime-message-status-client');
  const error = new Other(429);
  assert.ok(!(error instanceof MessageStatusError) && MessageStatusError.is(error) && Other.is(error));
  for (const other of [undefined, null, 'x', new Error('x'), {}]) assert.equal(MessageStatusError.is(other), false);
});

test('methods need no this, so a proxy such as that of Vue does not break them', async () => {
  respond = (_, response) => json(response, 200, { messageId: 'm1', status: 'SENT' });
  const { get } = new Proxy(client(), {});
  assert.equal((await get(message)).status, 'SENT');
});

test('getMany: twenty messages per request, results in order', async () => {
  respond = (request, response) => json(response, 200, results(request));
  const many = messages(45);
  const found = await client().getMany(many);
  assert.deepEqual(found.map(({ messageId }) => messageId), many.map(({ messageId }) => messageId));
  assert.deepEqual(requests.map((request) => idsOf(request).length), [20, 20, 5]);
  assert.ok(requests.every(({ method, url }) => method === 'POST' && url.search === ''));
});

test('getMany: wait and until are sent, until only with wait', async () => {
  respond = (request, response) => json(response, 200, results(request));
  await client().getMany([message], { wait: 5, until: 'any' });
  await client().getMany([message], { wait: 5 });
  await client().getMany([message], { until: 'any' });
  assert.deepEqual(requests.map(({ url }) => url.search), ['?wait=5&until=any', '?wait=5', '']);
});

test('getMany: the problem of one message does not affect the others', async () => {
  respond = (request, response) =>
    json(response, 200, results(request, (messageId) =>
      messageId === 'm1'
        ? { messageId, problem: { type: type('message-not-found'), title: 'Not found', status: 404 } }
        : { messageId, status: 'FAILED', detail: 'why' }));
  const [first, second] = await client().getMany(messages(2));
  assert.deepEqual(first, { messageId: 'm0', status: 'FAILED', detail: 'why' });
  assert.deepEqual([second?.messageId, second?.problem?.problem, second?.problem?.status], ['m1', 'message-not-found', 404]);
});

test('getMany: retry-after is kept for what is pending or throttled', async () => {
  respond = (request, response) =>
    json(response, 200, results(request, (messageId) =>
      messageId === 'm0' ? { messageId, status: 'SENT' }
        : messageId === 'm1' ? { messageId, status: 'PENDING' }
          : { messageId, problem: { type: type('throttled'), status: 429 } }), { 'retry-after': '4' });
  const [decided, pending, throttled] = await client().getMany(messages(3));
  assert.deepEqual(decided, { messageId: 'm0', status: 'SENT' });
  assert.deepEqual(pending, { messageId: 'm1', status: 'PENDING', retryAfter: 4 });
  assert.equal(throttled?.problem?.retryAfter, 4);
});

test('getMany: results of earlier requests are kept when a later one fails', async () => {
  respond = (request, response) =>
    requests.length === 3
      ? json(response, 429, { type: type('throttled') }, { 'retry-after': '2' })
      : json(response, 200, results(request));
  const found = await client().getMany(messages(70));
  assert.equal(requests.length, 3, 'after a throttle no more requests are made');
  assert.deepEqual(found.map(({ status, problem }) => status ?? problem?.problem),
    [...Array(40).fill('SENT'), ...Array(30).fill('throttled')]);
  assert.equal(found[69]?.problem?.retryAfter, 2);
});

test('getMany: a malformed message does not fail the others', async () => {
  respond = (request, response) => {
    const at = idsOf(request).indexOf('m7');
    const errors = [{ field: `messages[${at}].channelArn`, detail: 'It is in another app instance.' }];
    return at < 0 ? json(response, 200, results(request)) : json(response, 400, { type: type('invalid-request'), errors });
  };
  const found = await client().getMany(messages(25));
  assert.deepEqual(found.flatMap(({ problem }, i) => (problem ? [[i, problem.problem]] : [])), [[7, 'invalid-request']]);
});

test('getMany: no messages, no request', async () => {
  assert.deepEqual(await client().getMany([]), []);
  assert.equal(requests.length, 0);
});
