import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { MessageStatusClient, MessageStatusError, MessageStatusTimeoutError } from 'chime-message-status-client';
import { answering, gateway, message, networkFailure, pending, problem, run, sent, silence, tick, url } from './support.js';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 }));
afterEach(() => mock.reset());

const client = (fetch: typeof globalThis.fetch) => new MessageStatusClient({ url, token: () => 't', fetch });
const waits = (asked: { url: URL }[]) => asked.map(({ url }) => url.searchParams.get('wait'));

test('it asks for the longest wait, and returns what is no longer pending', async () => {
  const { fetch, asked } = answering(sent);
  assert.deepEqual(await run(client(fetch).settled(message)), { messageId: 'm1', status: 'SENT' });
  assert.deepEqual(waits(asked), ['25']);
});

test('a word that Chime adds later is no longer pending', async () => {
  const { fetch } = answering(() => Response.json({ messageId: 'm1', status: 'HELD' }));
  assert.equal((await run(client(fetch).settled(message))).status, 'HELD');
});

test('after PENDING it asks again when the endpoint said', async () => {
  const { fetch, asked } = answering(() => pending(4), () => pending(2), sent);
  await run(client(fetch).settled(message));
  assert.deepEqual(asked.map(({ at }) => at), [0, 4000, 6000]);
});

test('after PENDING without a retry-after it asks again after 1 to 4 seconds', async () => {
  for (const [random, at] of [[0, 1000], [1, 4000]] as const) {
    mock.method(Math, 'random', () => random);
    const { fetch, asked } = answering(() => pending(), sent);
    await run(client(fetch).settled(message));
    assert.equal(asked[1]?.at, at);
  }
});

test('after a throttle or an unavailable endpoint it asks again when that said', async () => {
  for (const answer of [() => problem(429, 'throttled', 7), () => problem(503, 'upstream-unavailable', 7)]) {
    const { fetch, asked } = answering(answer, sent);
    await run(client(fetch).settled(message));
    assert.deepEqual(asked.map(({ at }) => at), [0, 7000]);
  }
});

test('it lives through failures, whoever answers with them', async () => {
  const { fetch } = answering(
    networkFailure,
    () => problem(500, 'internal-error'),
    () => problem(502, 'upstream-failure'),
    () => problem(504, 'upstream-timeout'),
    () => gateway(503, 'Service Unavailable'),
    () => gateway(429, 'Too Many Requests'),
    () => new Response('<h1>Bad gateway</h1>', { status: 502 }),
    sent,
  );
  assert.equal((await run(client(fetch).settled(message))).status, 'SENT');
});

test('pauses after failures grow to half a minute, with jitter, and begin anew after an answer', async () => {
  for (const [random, expected] of [
    [0, [500, 1000, 2000, 4000, 8000, 15000, 15000]],
    [1, [1000, 2000, 4000, 8000, 16000, 30000, 30000]],
  ] as const) {
    mock.method(Math, 'random', () => random);
    const failures = Array(7).fill(networkFailure);
    const { fetch, asked } = answering(...failures, () => pending(1), networkFailure, sent);
    await run(client(fetch).settled(message));
    const pauses = asked.map(({ at }, i) => at - (asked[i - 1]?.at ?? 0)).slice(1);
    assert.deepEqual(pauses, [...expected, 1000, expected[0]]);
  }
});

test('a long row of refusals is met with longer pauses than the shortest that were told', async () => {
  mock.method(Math, 'random', () => 1);
  const { fetch, asked } = answering(...Array(5).fill(() => problem(429, 'throttled', 1)), sent);
  await run(client(fetch).settled(message));
  assert.deepEqual(asked.map(({ at }) => at), [0, 1000, 3000, 7000, 15000, 31000]);
});

test('what waiting cannot cure is rejected at once', async () => {
  for (const [status, name] of [
    [400, 'invalid-request'], [401, 'unauthenticated'], [403, 'identity-not-mapped'],
    [403, 'user-not-provisioned'], [404, 'message-not-found'], [404, 'route-not-found'],
    [405, 'method-not-allowed'], [413, 'payload-too-large'], [415, 'unsupported-media-type'],
    [500, 'misconfigured'],
  ] as const) {
    const { fetch, asked } = answering(() => problem(status, name));
    const error = await run(client(fetch).settled(message).catch((error) => error));
    assert.ok(error instanceof MessageStatusError, name);
    assert.equal(error.problem, name);
    assert.equal(asked.length, status === 401 ? 2 : 1);
    assert.equal(asked.at(-1)?.at, 0);
  }
});

test('an answer that is none is rejected at once', async () => {
  for (const answer of [() => new Response('<h1>Log in</h1>'), () => Response.json({ status: 1 }), () => Response.json(null)]) {
    const error = await run(client(answering(answer).fetch).settled(message).catch((error) => error));
    assert.equal(error.problem, 'unexpected-answer');
  }
});

test('a token that runs out in mid-wait is refreshed', async () => {
  const hints: boolean[] = [];
  const { fetch, asked } = answering(() => pending(1), () => gateway(401, 'Unauthorized'), sent);
  const client = new MessageStatusClient({
    url, fetch,
    token: ({ refresh }) => { hints.push(refresh); return `t${hints.length}`; },
  });
  assert.equal((await run(client.settled(message))).status, 'SENT');
  assert.deepEqual(hints, [false, false, true]);
  assert.equal(new Headers(asked[2]?.init.headers).get('authorization'), 'Bearer t3');
});

test('a token that cannot be had is the application\'s own failure', async () => {
  const gone = new Error('logged out');
  const client = new MessageStatusClient({ url, token: async () => { throw gone; }, fetch: answering(sent).fetch });
  await assert.rejects(run(client.settled(message)), gone);
});

test('a token that fails with the network is asked for again', async () => {
  let asked = 0;
  const token = () => { asked += 1; return asked === 1 ? networkFailure() : 't'; };
  const client = new MessageStatusClient({ url, token, fetch: answering(sent).fetch });
  assert.equal((await run(client.settled(message))).status, 'SENT');
});

test('after the time it rejects with the last answer', async () => {
  const { fetch, asked } = answering(() => pending(2));
  const error = await run(client(fetch).settled(message, { timeout: 5500 }).catch((error) => error));
  assert.ok(error instanceof MessageStatusTimeoutError);
  assert.equal(error.name, 'TimeoutError');
  assert.deepEqual(error.last, { messageId: 'm1', status: 'PENDING', retryAfter: 2 });
  assert.equal(error.cause, undefined);
  assert.deepEqual(waits(asked), ['4', '2', null], 'the endpoint answers before the end');
});

test('after the time it rejects with the last failure, and the last answer before it', async () => {
  const { fetch } = answering(() => pending(1), networkFailure);
  const error = await run(client(fetch).settled(message, { timeout: 5000 }).catch((error) => error));
  assert.equal(error.last.status, 'PENDING');
  assert.equal(error.cause.message, 'fetch failed');
});

test('a failure that an answer followed is no cause', async () => {
  const { fetch } = answering(networkFailure, () => pending(1));
  const error = await run(client(fetch).settled(message, { timeout: 5000 }).catch((error) => error));
  assert.equal(error.cause, undefined);
});

test('less than two seconds before the end it asks without a wait', async () => {
  const { fetch, asked } = answering(sent);
  await run(client(fetch).settled(message, { timeout: 1900 }));
  assert.deepEqual(waits(asked), [null]);
});

test('a time that no timer can count is no end', async () => {
  for (const timeout of [Infinity, 2 ** 32]) {
    const { fetch } = answering(() => pending(3), sent);
    assert.equal((await run(client(fetch).settled(message, { timeout }))).status, 'SENT');
  }
});

test('a retry-after that no timer can count does not make it hurry', async () => {
  const { fetch, asked } = answering(() => pending(1e12));
  await run(client(fetch).settled(message, { timeout: 60_000 }).catch(() => {}));
  assert.equal(asked.length, 1);
});

test('a connection that died without a word is given up', async () => {
  const { fetch, asked } = answering(silence, sent);
  assert.equal((await run(client(fetch).settled(message))).status, 'SENT');
  assert.ok((asked[1]?.at ?? 0) > 40_000 && (asked[1]?.at ?? 0) < 42_000, `${asked[1]?.at}`);
});

test('it ends with the signal\'s reason wherever it is, and leaves nothing behind', async () => {
  const window = events();
  const reason = new Error('the page is gone');
  const hangs = () => new Promise<never>(() => {});
  for (const [where, options] of Object.entries({
    'in a request': { token: () => 't', fetch: answering(silence).fetch },
    'in a request whose fetch knows no signal': { token: () => 't', fetch: hangs },
    'for a token': { token: hangs, fetch: answering(sent).fetch },
    'between requests': { token: () => 't', fetch: answering(() => pending(5)).fetch },
    'after a failure': { token: () => 't', fetch: answering(networkFailure).fetch },
  })) {
    const [set, cleared] = [mock.method(globalThis, 'setTimeout'), mock.method(globalThis, 'clearTimeout')];
    const controller = new AbortController();
    const { signal } = controller;
    const settled = new MessageStatusClient({ url, ...options }).settled(message, { signal, timeout: 60_000 });
    await tick(10);
    assert.equal(getEventListeners(signal, 'abort').length, 1, where);
    controller.abort(reason);
    await assert.rejects(run(settled), reason, where);
    assert.equal(getEventListeners(signal, 'abort').length, 0, where);
    assert.equal(getEventListeners(window, 'online').length, 0, where);
    const left = set.mock.calls.filter(({ result }) => !cleared.mock.calls.some(({ arguments: [timer] }) => timer === result));
    assert.equal(left.length, 0, where);
    set.mock.restore();
    cleared.mock.restore();
  }
  window.close();
});

test('it leaves nothing behind when it is done, either', async () => {
  const window = events();
  const { signal } = new AbortController();
  await run(client(answering(networkFailure, () => pending(1), sent).fetch).settled(message, { signal, timeout: 60_000 }));
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  assert.equal(getEventListeners(window, 'online').length, 0);
  window.close();
});

test('asking once leaves nothing behind', async () => {
  const { signal } = new AbortController();
  await client(answering(sent).fetch).status(message, { signal });
  await client(answering(networkFailure).fetch).status(message, { signal }).catch(() => {});
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('a signal that has fired already asks nothing', async () => {
  const { fetch, asked } = answering(sent);
  const reason = new Error('no');
  const signal = AbortSignal.abort(reason);
  await assert.rejects(client(fetch).settled(message, { signal }), reason);
  await assert.rejects(client(fetch).status(message, { signal }), reason);
  await assert.rejects(client(fetch).statuses([message], { signal }), reason);
  assert.equal(asked.length, 0);
});

test('offline it waits for the network, and asks as soon as that is back', async () => {
  const window = events({ onLine: false });
  const { fetch, asked } = answering(networkFailure, sent);
  const settled = client(fetch).settled(message);
  await tick(10_000);
  assert.equal(asked.length, 1, 'it does not knock at a closed door');
  window.dispatchEvent(new Event('online'));
  assert.equal((await run(settled)).status, 'SENT');
  assert.equal(asked[1]?.at, 10_000);
  window.close();
});

test('a browser that is wrong about being offline is not believed for ever', async () => {
  const window = events({ onLine: false });
  const { fetch, asked } = answering(networkFailure, sent);
  assert.equal((await run(client(fetch).settled(message))).status, 'SENT');
  assert.ok((asked[1]?.at ?? 0) >= 15_000 && (asked[1]?.at ?? 0) <= 30_000);
  window.close();
});

test('the network\'s return is no reason to ask sooner than the endpoint said', async () => {
  const window = events();
  const { fetch, asked } = answering(() => problem(429, 'throttled', 9), () => pending(9), sent);
  const settled = client(fetch).settled(message);
  await tick(0);
  for (let second = 0; second < 17; second += 1) {
    await tick(1000);
    window.dispatchEvent(new Event('online'));
  }
  await run(settled);
  assert.deepEqual(asked.map(({ at }) => at), [0, 9000, 18000]);
  window.close();
});

/** What a browser has and Node has not. */
function events(navigator: { onLine: boolean } = { onLine: true }) {
  const target = new EventTarget();
  const names = ['addEventListener', 'removeEventListener', 'navigator'] as const;
  const before = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
  const values = [target.addEventListener.bind(target), target.removeEventListener.bind(target), navigator];
  names.forEach((name, i) => Object.defineProperty(globalThis, name, { value: values[i], configurable: true }));
  return Object.assign(target, {
    close() {
      names.forEach((name, i) => {
        Reflect.deleteProperty(globalThis, name);
        if (before[i]) Object.defineProperty(globalThis, name, before[i]);
      });
    },
  });
}
