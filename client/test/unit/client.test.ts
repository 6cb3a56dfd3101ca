import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { MessageStatusClient, MessageStatusError, type Message } from 'chime-message-status-client';
import { message } from './support.js';

interface Asked { method: string; url: URL; headers: IncomingMessage['headers']; body: string }

let asked: Asked[] = [];
let answer: (asked: Asked, response: ServerResponse) => void;
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const { method = '', headers } = request;
  const one = { method, url: new URL(request.url ?? '', url), headers, body };
  asked.push(one);
  answer(one, response);
});
let url: string;
before(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/Prod/message-status`;
});
beforeEach(() => { asked = []; });
after(() => { server.close(); server.closeAllConnections(); });

const json = (response: ServerResponse, status: number, body: unknown, headers = {}) =>
  response.writeHead(status, headers).end(JSON.stringify(body));
const client = (token: (hint: { refresh: boolean }) => string | Promise<string> = () => 'secret') =>
  new MessageStatusClient({ url, token });
const failure = async (promise: Promise<unknown>): Promise<MessageStatusError> => {
  const error = await promise.then(() => assert.fail('it did not reject'), (error) => error);
  assert.ok(error instanceof MessageStatusError, `${error}`);
  return error;
};
const messages = (n: number): Message[] => Array.from({ length: n }, (_, i) => ({ ...message, messageId: `m${i}` }));
const results = (asked: Asked, result = (messageId: string): unknown => ({ messageId, status: 'SENT' })) =>
  ({ results: (JSON.parse(asked.body).messages as Message[]).map(({ messageId }) => result(messageId)) });

test('one message is one GET with the message in the query and the token in its header', async () => {
  answer = (_, response) => json(response, 200, { messageId: 'm1', status: 'PENDING', detail: 'why' }, { 'retry-after': '3' });
  const status = await client().status({ ...message, subChannelId: 's/1&' });
  assert.deepEqual(status, { messageId: 'm1', status: 'PENDING', detail: 'why', retryAfter: 3 });
  assert.equal(asked.length, 1);
  const { method, url, headers } = asked[0] as Asked;
  assert.equal(method, 'GET');
  assert.equal(url.pathname, '/Prod/message-status');
  assert.deepEqual(Object.fromEntries(url.searchParams), { ...message, subChannelId: 's/1&' });
  assert.equal(headers.authorization, 'Bearer secret');
});

test('nothing is sent but what the endpoint knows', async () => {
  answer = (one, response) => json(response, 200, one.method === 'GET' ? { messageId: 'm1', status: 'SENT' } : results(one));
  const whole = { ...message, subChannelId: undefined, content: 'hello' };
  await client().status(whole);
  await client().statuses([whole]);
  assert.deepEqual(Object.fromEntries((asked[0] as Asked).url.searchParams), message);
  assert.deepEqual(JSON.parse((asked[1] as Asked).body), { messages: [message] });
  assert.equal(asked[1]?.headers['content-type'], 'application/json');
});

test('the token is asked for with every request, and once more after a 401', async () => {
  const hints: boolean[] = [];
  const token = async ({ refresh }: { refresh: boolean }) => {
    hints.push(refresh);
    return refresh ? 'new' : 'old';
  };
  answer = ({ headers }, response) =>
    headers.authorization === 'Bearer new'
      ? json(response, 200, { messageId: 'm1', status: 'SENT' })
      : json(response, 401, { message: 'The incoming token has expired' });
  assert.equal((await client(token).status(message)).status, 'SENT');
  await client(token).status(message);
  assert.deepEqual(hints, [false, true, false, true]);
  assert.equal(asked.length, 4);
});

test('a second 401 is the answer', async () => {
  answer = (_, response) => json(response, 401, { message: 'Unauthorized' });
  const error = await failure(client().status(message));
  assert.deepEqual([error.problem, error.status, error.title], ['unauthenticated', 401, 'Unauthorized']);
  assert.equal(asked.length, 2);
});

test('a problem comes with all that the endpoint says of it', async () => {
  const errors = [{ field: 'messageId', detail: 'It is required.' }];
  answer = (_, response) =>
    json(response, 400, {
      type: 'urn:problem-type:message-status:invalid-request',
      title: 'Invalid request', status: 400, detail: 'See errors.', requestId: 'r1', errors,
    });
  const error = await failure(client().status(message));
  assert.deepEqual(
    { ...error },
    {
      name: 'MessageStatusError', problem: 'invalid-request', status: 400, title: 'Invalid request',
      detail: 'See errors.', requestId: 'r1', errors, retryAfter: undefined,
    },
  );
  assert.equal(`${error}`, 'MessageStatusError: See errors.');
});

test('a throttle says when to come back', async () => {
  answer = (_, response) => json(response, 429, { type: 'urn:problem-type:message-status:throttled' }, { 'retry-after': '2' });
  assert.equal((await failure(client().status(message))).retryAfter, 2);
  answer = (_, response) => json(response, 429, {}, { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' });
  assert.equal((await failure(client().status(message))).retryAfter, undefined);
});

test('a problem that a later endpoint adds keeps its name', async () => {
  answer = (_, response) => json(response, 409, { type: 'urn:problem-type:message-status:in-doubt' });
  assert.equal((await failure(client().status(message))).problem, 'in-doubt');
});

test('what a gateway answers by itself has a name, too', async () => {
  for (const [status, name] of [
    [400, 'invalid-request'], [401, 'unauthenticated'], [403, 'forbidden'], [404, 'route-not-found'],
    [405, 'method-not-allowed'], [413, 'payload-too-large'], [415, 'unsupported-media-type'],
    [429, 'throttled'], [500, 'internal-error'], [502, 'upstream-failure'],
    [503, 'upstream-unavailable'], [504, 'upstream-timeout'], [418, 'unexpected-answer'],
  ] as const) {
    answer = (_, response) => json(response, status, { message: 'No' });
    const error = await failure(client().status(message));
    assert.deepEqual([error.problem, error.status, error.message], [name, status, 'No']);
    answer = (_, response) => response.writeHead(status).end('<h1>no</h1>');
    assert.equal((await failure(client().status(message))).title, `HTTP ${status}`);
  }
});

test('an answer that is none is an error, not a status', async () => {
  for (const body of ['', '<h1>Log in</h1>', 'null', '[]', '{"messageId":"m1"}', '{"status":"SENT"}', '{"messageId":"m1","status":2}']) {
    answer = (_, response) => response.writeHead(200).end(body);
    assert.equal((await failure(client().status(message))).problem, 'unexpected-answer', body);
  }
  for (const body of [{}, { results: 'm1' }, { results: [] }, { results: [{ messageId: 'm1' }] }]) {
    answer = (_, response) => json(response, 200, body);
    assert.equal((await failure(client().statuses([message]))).problem, 'unexpected-answer');
  }
});

test('many messages are asked for twenty at a time, and answered in the order asked', async () => {
  answer = (one, response) => json(response, 200, results(one));
  const many = messages(45);
  const found = await client().statuses(many);
  assert.deepEqual(found.map(({ messageId }) => messageId), many.map(({ messageId }) => messageId));
  assert.deepEqual(asked.map(({ body }) => JSON.parse(body).messages.length), [20, 20, 5]);
  assert.ok(asked.every(({ method }) => method === 'POST'));
});

test('a message is asked for once, and answered as often as it was asked for', async () => {
  answer = (one, response) => json(response, 200, results(one));
  const many = [...messages(20), ...messages(20).reverse()];
  const found = await client().statuses(many);
  assert.deepEqual(found.map(({ messageId }) => messageId), many.map(({ messageId }) => messageId));
  assert.equal(asked.length, 1);
});

test('messages of other channels and sub-channels are other messages', async () => {
  answer = (one, response) => json(response, 200, results(one));
  await client().statuses([message, { ...message, channelArn: 'other' }, { ...message, subChannelId: 's' }]);
  assert.equal(JSON.parse(asked[0]?.body ?? '').messages.length, 3);
});

test('one message\'s problem does not spoil the others', async () => {
  const type = 'urn:problem-type:message-status:message-not-found';
  answer = (one, response) =>
    json(response, 200, results(one, (messageId) =>
      messageId === 'm1' ? { messageId, problem: { type, title: 'Not found', status: 404 } } : { messageId, status: 'FAILED', detail: 'why' }));
  const [first, second] = await client().statuses(messages(2));
  assert.deepEqual(first, { messageId: 'm0', status: 'FAILED', detail: 'why' });
  assert.ok(second?.problem instanceof MessageStatusError);
  assert.deepEqual([second.messageId, second.problem.problem, second.problem.status], ['m1', 'message-not-found', 404]);
});

test('no messages are no request', async () => {
  assert.deepEqual(await client().statuses([]), []);
  assert.equal(asked.length, 0);
});

test('a fault in a message is told by its place in the list', async () => {
  answer = (one, response) =>
    JSON.parse(one.body).messages.length === 20
      ? json(response, 200, results(one))
      : json(response, 400, { errors: [{ field: 'messages[1].messageId', detail: 'It is malformed.' }, { field: 'body', detail: 'x' }] });
  const error = await failure(client().statuses([...messages(5), ...messages(22)]));
  assert.deepEqual(error.errors.map(({ field }) => field), ['messages[26].messageId', 'body']);
});

test('a failure of the network is passed on as it is', async () => {
  answer = (_, response) => response.destroy();
  await assert.rejects(client().status(message), TypeError);
});

test('an abort ends a request that is under way', async () => {
  const controller = new AbortController();
  const reason = new Error('no longer of interest');
  answer = () => controller.abort(reason);
  await assert.rejects(client().status(message, { signal: controller.signal }), reason);
});

test('a page may name the endpoint by its path alone', async () => {
  Object.defineProperty(globalThis, 'location', { value: new URL(url), configurable: true });
  answer = (_, response) => json(response, 200, { messageId: 'm1', status: 'SENT' });
  await new MessageStatusClient({ url: '/message-status', token: () => 't' }).status(message);
  Reflect.deleteProperty(globalThis, 'location');
  assert.equal(asked[0]?.url.pathname, '/message-status');
  assert.throws(() => new MessageStatusClient({ url: '/message-status', token: () => 't' }), TypeError);
});
