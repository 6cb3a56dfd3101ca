// `waitForResult` on a fake clock.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { MessageStatusClient, MessageStatusError, MessageStatusTimeoutError, type Attempt, type MessageStatusClientOptions } from 'chime-message-status-client';
import { withBrowser } from '../support/browser.js';
import { FakeClock } from '../support/clock.js';
import { endpoint, gateway, message, messages, networkFailure, pending, problem, replyWith, sent, silence, url, waiting, type Reply } from '../support/endpoint.js';

let clock: FakeClock;
beforeEach(() => {
  clock = new FakeClock();
  clock.install();
});
afterEach(() => {
  clock.uninstall();
  mock.reset();
});

function start(...replies: Reply[]) {
  const { fetch, requests, state } = endpoint(clock, ...replies);
  const attempts: Attempt[] = [];
  const make = (options: Partial<MessageStatusClientOptions> = {}) =>
    new MessageStatusClient({ url, token: () => 't', fetch, onAttempt: (attempt) => attempts.push(attempt), ...options });
  return { client: make(), make, requests, attempts, state };
}
const times = (requests: { at: number }[]) => requests.map(({ at }) => Math.round(at));
const pauses = (requests: { at: number }[]) => times(requests).map((at, i, all) => at - (all[i - 1] ?? 0)).slice(1);
const outcome = (promise: Promise<unknown>): Promise<any> => promise.catch((error) => error);

test('it lets the endpoint wait until any message has a result', async () => {
  const { client, requests } = start(pending(4), sent);
  assert.deepEqual(await clock.run(client.waitForResult(message)), { messageId: 'm1', status: 'SENT' });
  assert.deepEqual(requests.map(({ method, query }) => [method, `${query}`]), [
    ['POST', 'wait=3&until=any'], ['POST', 'wait=25&until=any'],
  ]);
});

test('a status that Chime adds later is a result', async () => {
  const { client } = start(replyWith(() => 'HELD'));
  assert.equal((await clock.run(client.waitForResult(message))).status, 'HELD');
});

test('concurrent calls share their requests, 20 messages in each, one at a time', async () => {
  const { client, requests, state } = start(sent);
  const results = Promise.all(messages(45).map((message) => client.waitForResult(message)));
  assert.deepEqual((await clock.run(results)).map(({ messageId }) => messageId), messages(45).map(({ messageId }) => messageId));
  assert.deepEqual(requests.map(({ ids }) => ids.length), [20, 20, 5]);
  assert.equal(state.maxInFlight, 1);
});

test('each message is reported when it has a result, whatever the others do', async () => {
  const decided: Record<string, number> = { m0: 700, m1: 5000, m2: 5100, m4: 30_000 };
  const { client, requests } = start(waiting(clock, (id) => (clock.now >= (decided[id] ?? Infinity) ? 'SENT' : 'PENDING')));
  const reported: Record<string, number> = {};
  for (const message of messages(5)) {
    void client.waitForResult(message).then(({ messageId }) => (reported[messageId] = clock.now));
  }
  await clock.advance(60_000);
  assert.deepEqual(Object.keys(reported).sort(), ['m0', 'm1', 'm2', 'm4']);
  for (const [id, at] of Object.entries(reported)) {
    // At most one pause between two requests.
    assert.ok(at - (decided[id] as number) <= 2500, `${id} ${at}`);
  }
  assert.ok(requests.length < 12, `${requests.length}`);
});

test('with more messages than one request takes, undecided ones delay no others', async () => {
  const { client } = start(waiting(clock, (id) => (id === 'm39' && clock.now > 3000 ? 'SENT' : 'PENDING')));
  const all = messages(40).map((message) => client.waitForResult(message));
  await clock.run(all[39] as Promise<unknown>);
  assert.ok(clock.now < 12_000, `${clock.now}`);
});

test('a new message does not wait for the end of a long request', async () => {
  const { client, requests } = start(waiting(clock, (id) => (id === 'm2' ? 'SENT' : 'PENDING')));
  void outcome(client.waitForResult(message));
  await clock.advance(15_000);
  assert.equal(requests.at(-1)?.query.get('wait'), '25');
  await clock.run(client.waitForResult({ ...message, messageId: 'm2' }));
  assert.ok(clock.now < 15_200, `${clock.now}`);
  assert.deepEqual(requests.at(-1)?.ids.sort(), ['m1', 'm2']);
});

test('messages that are added one after the other share requests', async () => {
  const { client, requests, state } = start(waiting(clock, () => 'PENDING'));
  for (const message of messages(20)) {
    void outcome(client.waitForResult(message));
    await clock.advance(1000);
  }
  assert.ok(requests.length <= 10, `${requests.length}`);
  assert.equal(state.maxInFlight, 1);
});

test('the problem of one message rejects only its call', async () => {
  const { client } = start(replyWith((id) => (id === 'm1' ? 'invalid-request' : 'SENT')));
  const [first, second] = messages(2).map((message) => outcome(client.waitForResult(message)));
  assert.equal((await clock.run(first as Promise<any>)).status, 'SENT');
  assert.equal((await clock.run(second as Promise<any>)).problem, 'invalid-request');
});

test('a message with a transient problem does not delay the others', async () => {
  const { client, requests } = start(replyWith((id) => (id === 'm0' ? 'upstream-failure' : clock.now > 20_000 ? 'SENT' : 'PENDING'), { 'retry-after': '1' }));
  const [failing, other] = messages(2).map((message) => client.waitForResult(message));
  void outcome(failing as Promise<unknown>);
  await clock.run(other as Promise<unknown>);
  assert.ok(clock.now < 23_000, `${clock.now}`);
  assert.ok(requests.filter(({ ids }) => ids.includes('m0')).length < 8);
});

test('after PENDING it pauses for retry-after, and for at least half a second', async () => {
  const { client, requests } = start(pending(4), pending(2), pending(0), sent);
  await clock.run(client.waitForResult(message));
  assert.deepEqual(pauses(requests).map((ms) => ms >= 500), [true, true, true]);
  const [first, second, third] = pauses(requests) as [number, number, number];
  assert.ok(first >= 4000 && second >= 2000 && third >= 500, `${first} ${second} ${third}`);
});

test('after PENDING without retry-after it pauses for 1 to 2 seconds', async () => {
  for (const [random, at] of [[0, 1000], [1, 2000]] as const) {
    mock.method(Math, 'random', () => random);
    const { client, requests } = start(pending(), sent);
    await clock.run(client.waitForResult(message));
    assert.deepEqual(pauses(requests), [at]);
  }
});

test('with retry-after 0 it pauses for at least half a second', async () => {
  for (const reply of [pending(0), problem('throttled', 0), problem('upstream-unavailable', 0)]) {
    const { client, requests } = start(reply);
    await clock.run(outcome(client.waitForResult(message, { timeout: 10_000 })));
    assert.ok(requests.length > 1 && pauses(requests).every((ms) => ms >= 500), `${pauses(requests)}`);
  }
});

test('with a retry-after that is too long for a timer it makes no further request', async () => {
  const { client, requests } = start(pending(1e12));
  await clock.run(outcome(client.waitForResult(message, { timeout: 60_000 })));
  assert.equal(requests.length, 1);
});

test('after throttled or upstream-unavailable it pauses for retry-after', async () => {
  for (const reply of [problem('throttled', 7), problem('upstream-unavailable', 7)]) {
    const { client, requests } = start(reply, sent);
    await clock.run(client.waitForResult(message));
    assert.deepEqual(pauses(requests), [7000]);
  }
});

test('it continues after every kind of transient failure', async () => {
  const { client, attempts } = start(
    networkFailure,
    problem('internal-error'), problem('upstream-failure'), problem('upstream-timeout'),
    gateway(503), gateway(429), gateway(408), gateway(425),
    () => new Response('<h1>Bad gateway</h1>', { status: 502 }),
    () => new Response('{"results":[{"messageId":"m1","sta'),
    sent,
  );
  assert.equal((await clock.run(client.waitForResult(message))).status, 'SENT');
  assert.deepEqual(attempts.map(({ error }) => error instanceof MessageStatusError), [...Array(10).fill(true), false]);
});

test('pauses after failures grow to 30 seconds, with jitter, and start again after a response', async () => {
  for (const [random, expected] of [
    [0, [500, 1000, 2000, 4000, 8000, 15000, 15000]],
    [1, [1000, 2000, 4000, 8000, 16000, 30000, 30000]],
  ] as const) {
    mock.method(Math, 'random', () => random);
    const { client, requests } = start(...Array(7).fill(networkFailure), pending(20), networkFailure, sent);
    await clock.run(client.waitForResult(message));
    assert.deepEqual(pauses(requests), [...expected, 20_000, expected[0]]);
  }
});

test('what is not retryable rejects at once', async () => {
  for (const name of ['invalid-request', 'unauthenticated', 'identity-not-mapped', 'user-not-provisioned', 'misconfigured'] as const) {
    const { client, requests } = start(problem(name));
    const error = await clock.run(outcome(client.waitForResult(message)));
    assert.ok(error instanceof MessageStatusError);
    assert.deepEqual([error.problem, error.retryable, requests.length], [name, false, name === 'unauthenticated' ? 2 : 1]);
  }
  const { client } = start(() => Response.json({ results: [{}] }));
  assert.equal((await clock.run(outcome(client.waitForResult(message)))).problem, 'unexpected-response');
});

test('not found is "gone" only if the message was pending before', async () => {
  for (const [replies, expected] of [
    [[replyWith(() => 'message-not-found')], 'message-not-found'],
    [[replyWith(() => 'message-gone')], 'message-gone'],
    [[pending(1), networkFailure, replyWith(() => 'message-not-found')], 'message-gone'],
    [[networkFailure, replyWith(() => 'message-not-found')], 'message-not-found'],
  ] as const) {
    const { client } = start(...replies);
    const error = await clock.run(outcome(client.waitForResult(message)));
    assert.deepEqual([error.problem, error.retryable], [expected, false]);
    if (expected === 'message-gone') assert.equal(error.status, 410);
  }
});

test('a token that expires while it waits is refreshed', async () => {
  const hints: boolean[] = [];
  const { make, requests } = start(pending(1), gateway(401), sent);
  const client = make({ token: ({ refresh }) => { hints.push(refresh); return `t${hints.length}`; } });
  assert.equal((await clock.run(client.waitForResult(message))).status, 'SENT');
  assert.deepEqual(hints, [false, false, true]);
  assert.equal(requests[2]?.headers.get('authorization'), 'Bearer t3');
});

test('30 waits with an expired token refresh it once', async () => {
  let refreshes = 0;
  const { make } = start((request) => (request.headers.get('authorization') === 'Bearer new' ? sent(request) : gateway(401)(request)));
  const client = make({ token: async ({ refresh }) => (refresh ? (refreshes++, 'new') : refreshes ? 'new' : 'old') });
  await clock.run(Promise.all(messages(30).map((message) => client.waitForResult(message))));
  assert.equal(refreshes, 1);
});

test('a token function that throws is not retried', async () => {
  for (const cause of [new TypeError('undefined is not a function'), 'logged out', undefined]) {
    let calls = 0;
    const { make } = start(sent);
    const client = make({ token: () => { calls += 1; throw cause; } });
    const error = await clock.run(outcome(client.waitForResult(message)));
    assert.deepEqual([error.problem, error.cause, calls], ['token-error', cause, 1]);
  }
});

test('a token function that hangs is given up after 30 seconds, and called again for the next request', async () => {
  for (const refresh of [false, true]) {
    const { make } = start(refresh ? gateway(401) : sent, sent);
    let isHanging = true;
    const client = make({ token: (hint) => (isHanging && hint.refresh === refresh ? new Promise<string>(() => {}) : 't') });
    const from = clock.now;
    const error = await clock.run(outcome(client.waitForResult(message)));
    assert.equal(error.problem, 'token-error');
    assert.ok(clock.now - from >= 30_000 && clock.now - from < 30_200, `${clock.now - from}`);
    isHanging = false;
    assert.equal((await clock.run(client.waitForResult(message))).status, 'SENT');
  }
});

test('without wait a connection without a response is given up after 15 seconds', async () => {
  const { client } = start(silence);
  for (const request of [() => client.get(message), () => client.getMany([message]).then(([result]) => { throw result?.problem; })]) {
    const from = clock.now;
    const error = await clock.run(outcome(request()));
    assert.equal(error.problem, 'network-error');
    assert.equal(Math.round(clock.now - from), 15_000);
  }
});

test('messages that fail together are requested again together, with one backoff', async () => {
  for (const reply of [problem('throttled', 1), gateway(504), networkFailure, replyWith(() => 'upstream-timeout')]) {
    const { client, requests } = start((request, signal) => (clock.now < 60_000 ? reply(request, signal) : sent(request, signal)));
    // Some are added while the backoff runs.
    const results = messages(20).map(async (message, i) => {
      await clock.sleep(i < 10 ? 0 : 1000 * i);
      return client.waitForResult(message);
    });
    await clock.run(Promise.all(results));
    const during = requests.filter(({ at }) => at < 60_000).length;
    assert.ok(during <= 10, `${during}`);
    clock.uninstall();
    clock = new FakeClock();
    clock.install();
  }
});

test('a failure that only onAttempt shows: a response without CORS headers', async () => {
  const { client, attempts } = start(networkFailure);
  await clock.run(outcome(client.waitForResult(message, { timeout: 20_000 })));
  assert.ok(attempts.length >= 4);
  assert.ok(attempts.every(({ error }) => (error as MessageStatusError).problem === 'network-error'));
});

test('after the timeout it rejects with the last status', async () => {
  const { client } = start(pending(2));
  const error = await clock.run(outcome(client.waitForResult(message, { timeout: 5500 })));
  assert.ok(error instanceof MessageStatusTimeoutError);
  assert.deepEqual([error.name, error.last, error.cause, Math.round(clock.now)],
    ['TimeoutError', { messageId: 'm1', status: 'PENDING', retryAfter: 2 }, undefined, 5500]);
});

test('after the timeout it rejects with the last failure and the status before it', async () => {
  const { client } = start(pending(1), networkFailure);
  const error = await clock.run(outcome(client.waitForResult(message, { timeout: 5000 })));
  assert.deepEqual([error.last.status, error.cause.problem], ['PENDING', 'network-error']);
});

test('a failure before the last status is not the cause', async () => {
  const { client } = start(networkFailure, pending(1));
  const error = await clock.run(outcome(client.waitForResult(message, { timeout: 5000 })));
  assert.equal(error.cause, undefined);
});

test('a timeout that is too long for a timer has no effect', async () => {
  for (const timeout of [Infinity, 2 ** 32, undefined]) {
    const { client } = start(pending(3), sent);
    assert.equal((await clock.run(client.waitForResult(message, { timeout }))).status, 'SENT');
  }
});

test('a jump of the wall clock changes nothing', async () => {
  const counts: number[] = [];
  mock.method(Math, 'random', () => 0.5);
  for (const jump of [0, 3_600_000, -3_600_000]) {
    clock.uninstall();
    clock = new FakeClock();
    clock.install();
    let date = 1_800_000_000_000;
    mock.method(Date, 'now', () => date + clock.now);
    const { client, requests } = start(waiting(clock, () => 'PENDING'));
    const result = outcome(client.waitForResult(message, { timeout: 300_000 }));
    await clock.advance(60_000);
    date += jump;
    await clock.run(result);
    assert.equal(Math.round(clock.now), 300_000);
    counts.push(requests.length);
  }
  assert.ok(new Set(counts).size === 1 && (counts[0] ?? 99) < 20, `${counts}`);
});

test('a message that is pending for hours is requested less often', async () => {
  const { client, requests } = start(waiting(clock, () => 'PENDING'));
  void outcome(client.waitForResult(message));
  await clock.advance(3_600_000);
  const before = requests.length;
  await clock.advance(3_600_000);
  assert.ok(requests.length - before < 100, `${requests.length - before}`);
});

test('a connection without a response is replaced after 40 seconds', async () => {
  const { client, requests } = start(silence, sent);
  assert.equal((await clock.run(client.waitForResult(message))).status, 'SENT');
  assert.ok(times(requests)[1] as number > 40_000 && (times(requests)[1] as number) < 42_000, `${times(requests)}`);
});

test('an abort rejects with the reason of the signal in every phase, and leaves no listeners or timers', async () => {
  const browser = withBrowser();
  const reason = new Error('the page is closed');
  const hangs = () => new Promise<never>(() => {});
  for (const [where, options] of Object.entries<Partial<MessageStatusClientOptions>>({
    'in a request': { fetch: endpoint(clock, silence).fetch },
    'in a request whose fetch ignores signals': { fetch: hangs },
    'in the token function': { token: hangs },
    'between requests': { fetch: endpoint(clock, pending(5)).fetch },
    'after a failure': { fetch: endpoint(clock, networkFailure).fetch },
  })) {
    const controller = new AbortController();
    const { signal } = controller;
    const result = outcome(start(sent).make(options).waitForResult(message, { signal, timeout: 60_000 }));
    await clock.advance(100);
    assert.equal(getEventListeners(signal, 'abort').length, 1, where);
    assert.equal(getEventListeners(browser.window, 'online').length, 1, where);
    controller.abort(reason);
    assert.equal(await clock.run(result), reason, where);
    await clock.advance(0);
    assert.equal(getEventListeners(signal, 'abort').length, 0, where);
    assert.equal(browser.listeners(), 0, where);
    assert.equal(clock.timers, 0, where);
  }
  browser.close();
});

test('after a result, waitForResult and get leave no listeners or timers', async () => {
  const browser = withBrowser();
  const { signal } = new AbortController();
  const { client } = start(networkFailure, pending(1), sent);
  await clock.run(client.waitForResult(message, { signal, timeout: 60_000 }));
  await clock.run(client.get(message, { signal }));
  assert.deepEqual([getEventListeners(signal, 'abort').length, browser.listeners(), clock.timers], [0, 0, 0]);
  browser.close();
});

test('a signal that is aborted already makes no request', async () => {
  const { client, requests } = start(sent);
  const reason = new Error('no');
  const signal = AbortSignal.abort(reason);
  for (const run of [
    () => client.waitForResult(message, { signal }),
    () => client.get(message, { signal }),
    () => client.getMany([message], { signal }),
  ]) {
    assert.equal(await clock.run(outcome(run())), reason);
  }
  assert.equal(requests.length, 0);
});

test('a shared request is aborted when its last caller aborts', async () => {
  let aborted = 0;
  const { client } = start((request, signal) => {
    signal?.addEventListener('abort', () => (aborted += 1));
    return silence(request, signal);
  });
  const controllers = [new AbortController(), new AbortController()];
  const results = controllers.map(({ signal }, i) => outcome(client.waitForResult({ ...message, messageId: `m${i}` }, { signal })));
  await clock.advance(100);
  controllers[0]?.abort();
  await clock.run(results[0] as Promise<unknown>);
  assert.equal(aborted, 0);
  controllers[1]?.abort();
  await clock.run(results[1] as Promise<unknown>);
  assert.equal(aborted, 1);
});

test('when the network is back, it retries at once, but not sooner than after half a second', async () => {
  const browser = withBrowser();
  mock.method(Math, 'random', () => 1);
  const { client, requests } = start(...Array(5).fill(networkFailure), sent);
  const result = client.waitForResult(message);
  await clock.advance(16_000);
  assert.equal(requests.length, 5);
  browser.online();
  await clock.run(result);
  assert.ok(clock.now <= 16_600, `${clock.now}`);
  assert.ok(pauses(requests).every((ms) => ms >= 500));
  browser.close();
});

test('when the network is back, a request that hangs is replaced', async () => {
  const browser = withBrowser();
  const { client } = start(silence, sent);
  const result = client.waitForResult(message);
  await clock.advance(10_000);
  browser.online();
  assert.equal((await clock.run(result)).status, 'SENT');
  assert.ok(clock.now <= 10_600, `${clock.now}`);
  browser.close();
});

test('when the network is back, it still pauses for retry-after', async () => {
  const browser = withBrowser();
  const { client, requests } = start(problem('throttled', 9), pending(9), sent);
  const result = client.waitForResult(message);
  for (let second = 0; second < 18; second += 1) {
    await clock.advance(1000);
    browser.online();
  }
  await clock.run(result);
  assert.ok(pauses(requests).every((ms) => ms >= 9000), `${pauses(requests)}`);
  browser.close();
});

test('while the page is hidden it makes no new requests', async () => {
  const browser = withBrowser();
  const { client, requests } = start(waiting(clock, () => (clock.now > 3_600_000 ? 'SENT' : 'PENDING')));
  const result = client.waitForResult(message);
  await clock.advance(10_000);
  browser.show(false);
  await clock.advance(30_000);
  const before = requests.length;
  await clock.advance(3 * 86_400_000);
  assert.equal(requests.length, before);
  browser.show(true);
  const at = clock.now;
  assert.equal((await clock.run(result)).status, 'SENT');
  assert.ok(clock.now - at < 200, `${clock.now - at}`);
  browser.close();
});
