// MessageTracker on a fake clock.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { MessageStatusClient, MessageTracker, type MessageState, type MessageTrackerOptions } from 'chime-message-status-client';
import { withBrowser } from '../support/browser.js';
import { FakeClock } from '../support/clock.js';
import { endpoint, gateway, message, messages, networkFailure, pending, problem, replyWith, sent, url, waiting, type Reply } from '../support/endpoint.js';

let clock: FakeClock;
beforeEach(() => {
  clock = new FakeClock();
  clock.install();
});
afterEach(() => {
  clock.uninstall();
  mock.reset();
});

const { channelArn } = message;
const user = 'arn:aws:chime:us-east-1:111122223333:app-instance/a/user/alice';
const KEY = `chime-message-status:${encodeURIComponent(user)}`;
const event = (type: string, record: object = {}) => ({
  type: `${type}_CHANNEL_MESSAGE`,
  headers: {},
  payload: JSON.stringify({ ChannelArn: channelArn, MessageId: 'm1', LastUpdatedTimestamp: '2026-01-01T10:00:00.120Z', ...record }),
});
const response = (MessageId = 'm1', Value = 'PENDING') => ({ ChannelArn: channelArn, MessageId, Status: { Value } });

function start(replies: Reply[], options: Partial<MessageTrackerOptions> = {}) {
  const { fetch, requests, state } = endpoint(clock, ...replies);
  const client = new MessageStatusClient({ url, token: () => 't', fetch });
  const changes: MessageState[] = [];
  const tracker = new MessageTracker({ client, user, onChange: (state) => changes.push(state), ...options });
  return { client, tracker, observer: tracker.observer, requests, changes, state };
}
const live = (options: ReturnType<typeof start>) => {
  options.observer.messagingSessionDidStartConnecting();
  options.observer.messagingSessionDidStart();
  return options;
};
/** A storage like localStorage. */
const storage = (values = new Map<string, string>()) => ({
  values,
  getItem: (key: string) => values.get(key) ?? null,
  setItem: (key: string, value: string) => void values.set(key, value),
});

test('while the WebSocket is live it makes no requests', async () => {
  const { tracker, observer, requests, changes } = live(start([sent]));
  tracker.track(response());
  await clock.advance(500);
  observer.messagingSessionDidReceiveMessage(event('CREATE'));
  await clock.advance(3_600_000);
  assert.equal(requests.length, 0);
  assert.deepEqual(changes, [{ messageId: 'm1', status: 'PENDING' }, { messageId: 'm1', status: 'SENT' }]);
});

test('while the WebSocket is down it makes requests, with growing pauses', async () => {
  const { tracker, observer, requests, state } = live(start([replyWith(() => (clock.now > 20_000 ? 'SENT' : 'PENDING'), { 'retry-after': '1' })]));
  observer.messagingSessionDidStop();
  tracker.track(response());
  await clock.advance(30_000);
  assert.deepEqual(tracker.get('m1'), { messageId: 'm1', status: 'SENT' });
  const pauses = requests.map(({ at }, i) => at - (requests[i - 1]?.at ?? 0)).slice(1);
  assert.ok(pauses.every((ms, i) => ms >= Math.max(1000, (requests[i]?.at ?? 0) / 2 - 50)), `${pauses}`);
  assert.ok(requests.length > 4 && requests.length < 12, `${requests.length}`);
  assert.equal(state.maxInFlight, 1);
});

test('without any event of a session the WebSocket counts as down', async () => {
  const { tracker } = start([sent]);
  tracker.track(message);
  await clock.advance(900);
  assert.equal(tracker.get('m1')?.status, 'SENT');
});

test('when the WebSocket is lost or back, requests begin after a jittered pause of at most 3 seconds', async () => {
  for (const [random, at] of [[0, 50], [0.1, 300], [0.5, 1500], [0.999, 2997]] as const) {
    for (const change of ['messagingSessionDidStop', 'messagingSessionDidStartConnecting', 'messagingSessionDidStart'] as const) {
      mock.method(Math, 'random', () => random);
      const { tracker, observer, requests } = live(start([sent]));
      tracker.track(response());
      const from = clock.now;
      observer[change]();
      await clock.advance(4000);
      assert.ok(Math.abs((requests[0]?.at ?? 0) - from - at) < 2, `${change} ${requests[0]?.at} ${from + at}`);
    }
  }
});

test('attempts to reconnect do not put off the request', async () => {
  const { tracker, observer } = live(start([sent]));
  tracker.track(response());
  observer.messagingSessionDidStop();
  for (let second = 0; second < 5; second += 1) {
    observer.messagingSessionDidStartConnecting();
    await clock.advance(1000);
  }
  assert.equal(tracker.get('m1')?.status, 'SENT');
});

test('after a reconnect it requests all pending messages once, and then relies on the WebSocket', async () => {
  const { tracker, observer, requests, state } = live(start([replyWith((id) => (id === 'm7' ? 'SENT' : 'PENDING'))]));
  for (const { messageId } of messages(45)) tracker.track(response(messageId));
  observer.messagingSessionDidStartConnecting();
  observer.messagingSessionDidStart();
  await clock.advance(4200);
  assert.deepEqual(new Set(requests.flatMap(({ ids }) => ids)).size, 45);
  assert.equal(tracker.get('m7')?.status, 'SENT');
  assert.equal(state.maxInFlight, 1);
  assert.ok(requests.every(({ query }) => !query.has('wait')));
});

test('what the WebSocket reports during the pause is not requested', async () => {
  const { tracker, observer, requests } = live(start([sent]));
  for (const { messageId } of messages(3)) tracker.track(response(messageId));
  observer.messagingSessionDidStart();
  const ChannelMessages = messages(3).map(({ messageId }) => ({ MessageId: messageId, Status: { Value: 'SENT' } }));
  observer.messagingSessionDidReceiveMessage({ type: 'CHANNEL_DETAILS', payload: JSON.stringify({ Channel: { ChannelArn: channelArn }, ChannelMessages }) });
  await clock.advance(60_000);
  assert.equal(requests.length, 0);
  assert.deepEqual(messages(3).map(({ messageId }) => tracker.get(messageId)?.status), ['SENT', 'SENT', 'SENT']);
});

test('a request is aborted when the WebSocket reports the result first', async () => {
  let aborted = false;
  const { tracker, observer } = start([(_, signal) => new Promise((_, reject) => {
    signal?.addEventListener('abort', () => { aborted = true; reject(signal.reason); });
  })]);
  tracker.track(response());
  await clock.advance(1000);
  observer.messagingSessionDidReceiveMessage(event('DENIED_CREATE', { Status: { Detail: 'rude' } }));
  await clock.advance(0);
  assert.ok(aborted);
  assert.deepEqual(tracker.get('m1'), { messageId: 'm1', status: 'DENIED', detail: 'rude' });
  assert.equal(clock.timers, 0);
});

test('a WebSocket that died silently is detected by a message that stays pending', async () => {
  const { tracker, observer, requests } = live(start([waiting(clock, (id) => (id === 'm1' || clock.now > 9000 ? 'SENT' : 'PENDING'))]));
  tracker.track(response('m1'));
  await clock.advance(5100);
  assert.equal(tracker.get('m1')?.status, 'SENT');
  // From now on the WebSocket counts as down.
  tracker.track(response('m2'));
  await clock.advance(7000);
  assert.equal(tracker.get('m2')?.status, 'SENT');
  // Until it delivers an event.
  observer.messagingSessionDidReceiveMessage(event('CREATE', { MessageId: 'x' }));
  const before = requests.length;
  tracker.track(response('m3'));
  await clock.advance(2000);
  assert.equal(requests.length, before);
});

test('a message that the flow holds for long costs few requests', async () => {
  const { tracker, requests } = live(start([pending(1)]));
  tracker.track(response());
  await clock.advance(3_600_000);
  assert.ok(requests.length > 10 && requests.length < 25, `${requests.length}`);
});

test('not found: GONE if Chime reported it as pending, otherwise still pending', async () => {
  for (const [tracked, name, expected] of [
    [response(), 'message-not-found', 'GONE'],
    [message, 'message-not-found', 'PENDING'],
    [message, 'message-gone', 'GONE'],
    [{ ...message, status: 'PENDING' }, 'message-not-found', 'GONE'],
  ] as const) {
    const { tracker, requests } = start([replyWith(() => name)]);
    tracker.track(tracked);
    await clock.advance(60_000);
    assert.equal(tracker.get('m1')?.status, expected);
    assert.ok(requests.length < 12, `${requests.length}`);
    tracker.stop();
  }
});

test('GONE is corrected by a later event', async () => {
  const { tracker, observer } = start([replyWith(() => 'message-gone')]);
  tracker.track(response());
  await clock.advance(900);
  for (const [type, expected] of [['PENDING_CREATE', 'PENDING'], ['DENIED_CREATE', 'DENIED'], ['CREATE', 'SENT']] as const) {
    observer.messagingSessionDidReceiveMessage(event(type));
    assert.equal(tracker.get('m1')?.status, expected);
  }
});

test('a sent message whose edit is not found stays sent', async () => {
  const { tracker, observer } = start([replyWith(() => 'message-not-found')]);
  observer.messagingSessionDidReceiveMessage(event('PENDING_UPDATE'));
  await clock.advance(60_000);
  assert.equal(tracker.get('m1')?.status, 'SENT');
});

test('a result that came before the response to SendChannelMessage is not lost', async () => {
  const { tracker, observer, requests } = live(start([pending()]));
  observer.messagingSessionDidReceiveMessage(event('CREATE'));
  assert.equal(tracker.get('m1'), undefined, 'messages of others are not tracked');
  tracker.track(response());
  assert.equal(tracker.get('m1')?.status, 'SENT');
  await clock.advance(600_000);
  assert.equal(requests.length, 0);
});

test('events that only the sender gets are tracked without track()', async () => {
  const { tracker, observer, requests } = live(start([sent]));
  observer.messagingSessionDidReceiveMessage(event('PENDING_CREATE', { SubChannelId: 's' }));
  observer.messagingSessionDidStop();
  await clock.advance(4000);
  assert.equal(tracker.get('m1')?.status, 'SENT');
  assert.deepEqual(JSON.parse(requests[0]?.body ?? '').messages, [{ channelArn, messageId: 'm1', subChannelId: 's' }]);
  observer.messagingSessionDidReceiveMessage(event('PENDING_CREATE', { MessageId: 'm2', Persistence: 'NON_PERSISTENT' }));
  assert.equal(tracker.get('m2'), undefined, 'not found is not a result for a message that Chime does not keep');
});

test('responses of Chime and of the endpoint are accepted; of lists, only the messages of the user', () => {
  const { tracker } = live(start([pending()]));
  const Sender = { Arn: user };
  const ChannelMessages = [
    { MessageId: 'a', Status: { Value: 'FAILED', Detail: 'unreachable' }, Sender },
    { MessageId: 'b', Status: { Value: 'PENDING' }, Sender },
    { MessageId: 'c', Sender },
    { MessageId: 'other', Status: { Value: 'SENT' }, Sender: { Arn: 'bob' } },
  ];
  tracker.track({ ChannelArn: channelArn, ChannelMessages });
  tracker.track({ ChannelMessage: { ChannelArn: channelArn, MessageId: 'd', Status: { Value: 'SENT' }, Sender } });
  tracker.track({ messageId: 'b', status: 'DENIED' });
  tracker.track({ ChannelArn: channelArn, MessageId: 'e' });
  assert.deepEqual(['a', 'b', 'c', 'd', 'e', 'other'].map((id) => tracker.get(id)?.status), ['FAILED', 'DENIED', 'SENT', 'SENT', 'PENDING', undefined]);
  assert.equal(tracker.get('a')?.detail, 'unreachable');
  assert.equal(tracker.getAll().length, 5);
  tracker.track({ ChannelArn: channelArn, ChannelMessages: [{ MessageId: 'e', Status: { Value: 'SENT' } }] });
  assert.equal(tracker.get('e')?.status, 'SENT', 'what is tracked is updated');
});

test('an edit that is pending when the WebSocket is lost is requested, and the response belongs to it', async () => {
  const { tracker, observer } = live(start([replyWith(() => 'DENIED')]));
  tracker.track(response('m1', 'SENT'));
  observer.messagingSessionDidReceiveMessage(event('PENDING_UPDATE'));
  observer.messagingSessionDidStop();
  await clock.advance(4000);
  assert.deepEqual(tracker.get('m1'), { messageId: 'm1', status: 'SENT', update: { status: 'DENIED', at: Date.UTC(2026, 0, 1, 10, 0, 0, 120) } });
});

test('on one connection the order of arrival decides between updates of one date', () => {
  const { tracker, observer } = live(start([pending()]));
  const hear = (...types: string[]) => {
    for (const type of types) observer.messagingSessionDidReceiveMessage(event(type));
    return tracker.get('m1')?.update?.status;
  };
  assert.equal(hear('PENDING_UPDATE', 'DENIED_UPDATE'), 'DENIED');
  assert.equal(hear('PENDING_UPDATE'), 'PENDING');
  assert.equal(hear('FAILED_UPDATE'), 'FAILED');
  // What another connection repeats does not replace it.
  observer.messagingSessionDidStart();
  assert.equal(hear('PENDING_UPDATE'), 'FAILED');
});

test('broken payloads never throw into the observer and change nothing', async () => {
  const { observer, changes, requests } = live(start([sent]));
  const payloads = [null, undefined, '', '{', 'null', '[]', '1', '"x"', '{}', '{"MessageId":1}', '{"MessageId":""}', '{"MessageId":null,"Status":1}'];
  const types = ['CREATE_CHANNEL_MESSAGE', 'PENDING_UPDATE_CHANNEL_MESSAGE', 'DENIED_CREATE_CHANNEL_MESSAGE', 'CHANNEL_DETAILS', 'SESSION_ESTABLISHED', 'X', '', null, undefined];
  for (const type of types) {
    for (const payload of payloads) observer.messagingSessionDidReceiveMessage({ type, payload } as never);
  }
  for (const payload of ['{"ChannelMessages":5}', '{"ChannelMessages":[null,1,"x",{}]}', '{"Channel":1,"ChannelMessages":[{"MessageId":"m1"}]}']) {
    observer.messagingSessionDidReceiveMessage({ type: 'CHANNEL_DETAILS', payload });
  }
  for (const event of [null, undefined, 1, 'x', {}]) observer.messagingSessionDidReceiveMessage(event as never);
  await clock.advance(60_000);
  assert.deepEqual([changes, requests.length], [[], 0]);
});

test('payloads with odd members never throw and give a status', async () => {
  const { observer, tracker } = live(start([sent]));
  for (const odd of [{ Status: 'x' }, { Status: null }, { Status: { Value: 1, Detail: {} } }, { LastUpdatedTimestamp: {} }, { LastUpdatedTimestamp: 'x' }, { ChannelArn: 1 }, { SubChannelId: null }]) {
    for (const type of ['PENDING_CREATE', 'PENDING_UPDATE', 'CREATE', 'UPDATE', 'REDACT', 'DELETE']) {
      observer.messagingSessionDidReceiveMessage(event(type, odd));
    }
  }
  assert.equal(tracker.get('m1')?.status, 'SENT');
});

test('a listener that throws disturbs neither the observer nor other listeners', async () => {
  const report = mock.method(console, 'error', () => {});
  const { tracker, observer, changes } = live(start([sent], { onChange: () => { throw new Error('a bug of the app'); } }));
  tracker.subscribe((state) => changes.push(state));
  observer.messagingSessionDidReceiveMessage(event('PENDING_CREATE'));
  assert.deepEqual(changes, [{ messageId: 'm1', status: 'PENDING' }]);
  await Promise.resolve();
  assert.equal(report.mock.callCount(), 1);
});

test('get returns the same object until it changes, and subscribe returns the function that unsubscribes', async () => {
  const { tracker, observer } = live(start([sent]));
  const { get, subscribe } = tracker;
  const heard: string[] = [];
  const end = subscribe(({ status }) => heard.push(status));
  tracker.track(response());
  const before = get('m1');
  observer.messagingSessionDidReceiveMessage(event('PENDING_CREATE'));
  assert.equal(get('m1'), before);
  observer.messagingSessionDidReceiveMessage(event('CREATE'));
  assert.notEqual(get('m1'), before);
  end();
  observer.messagingSessionDidReceiveMessage(event('DENIED_UPDATE'));
  assert.deepEqual(heard, ['PENDING', 'SENT']);
});

test('it writes to the storage at once, and continues after a reload', async () => {
  const store = storage();
  const before = live(start([pending()], { storage: store }));
  before.tracker.track({ ...response(), SubChannelId: 's' });
  before.tracker.track(response('m2', 'FAILED'));
  assert.ok(store.values.get(KEY)?.includes('"m1"'));
  before.tracker.stop();
  const after = start([replyWith(() => 'message-not-found')], { storage: store });
  assert.deepEqual(['m1', 'm2'].map((id) => after.tracker.get(id)?.status), ['PENDING', 'FAILED']);
  await clock.advance(3200);
  assert.deepEqual(JSON.parse(after.requests[0]?.body ?? '').messages, [{ channelArn, messageId: 'm1', subChannelId: 's' }]);
  assert.equal(after.tracker.get('m1')?.status, 'GONE', 'it still knows that the message was pending');
  assert.equal(start([sent], { storage: store }).tracker.get('m1')?.status, 'GONE');
});

test('an asynchronous storage is read before it is written', async () => {
  const store = storage();
  start([pending()], { storage: store }).tracker.track(response('old'));
  const slow = {
    getItem: (key: string) => clock.sleep(500).then(() => store.getItem(key)),
    setItem: async (key: string, value: string) => store.setItem(key, value),
  };
  const { tracker } = start([pending()], { storage: slow });
  tracker.track(response('new'));
  await clock.advance(1000);
  assert.deepEqual(['old', 'new'].map((id) => tracker.get(id)?.status), ['PENDING', 'PENDING']);
  assert.deepEqual(JSON.parse(store.values.get(KEY) ?? '').map(({ state }: { state: MessageState }) => state.messageId).sort(), ['new', 'old']);
});

test('a broken, full or forbidden storage changes nothing else', async () => {
  const fails = () => { throw new Error('forbidden'); };
  const rejects = () => Promise.reject(new Error('forbidden'));
  const contents = ['', '{', 'null', '1', '{}', '[null,1,{},{"state":{}},{"state":{"messageId":"m1","status":"SENT"}}]'];
  for (const broken of [
    { getItem: fails, setItem: fails },
    { getItem: rejects, setItem: rejects },
    ...contents.map((content) => ({ getItem: () => content, setItem: fails })),
  ]) {
    const { tracker } = start([sent], { storage: broken });
    await clock.advance(0);
    tracker.track(response());
    await clock.advance(5000);
    assert.equal(tracker.get('m1')?.status, 'SENT');
  }
});

test('the storage keeps all pending messages and the last 200 results', () => {
  const store = storage();
  const { tracker } = live(start([pending()], { storage: store }));
  tracker.track(response('pending'));
  for (const { messageId } of messages(300)) tracker.track(response(messageId, 'SENT'));
  const ids = JSON.parse(store.values.get(KEY) ?? '').map(({ state }: { state: MessageState }) => state.messageId);
  assert.deepEqual([ids.length, ids.includes('pending'), ids.includes('m0'), ids.includes('m299')], [201, true, false, true]);
});

test('while the page is hidden it makes no requests, and continues when it is shown', async () => {
  const browser = withBrowser();
  const { tracker, requests } = start([sent]);
  browser.show(false);
  tracker.track(response());
  await clock.advance(86_400_000);
  assert.equal(requests.length, 0);
  browser.show(true);
  await clock.advance(100);
  assert.equal(tracker.get('m1')?.status, 'SENT');
  assert.equal(browser.listeners(), 0);
  browser.close();
});

test('after throttles and network failures it continues, and gets the result', async () => {
  const browser = withBrowser();
  const { tracker } = start([problem('throttled', 2), networkFailure, networkFailure, networkFailure, networkFailure, sent]);
  tracker.track(response());
  await clock.advance(11_000);
  browser.online();
  await clock.advance(5000);
  browser.online();
  await clock.advance(600);
  assert.equal(tracker.get('m1')?.status, 'SENT');
  browser.close();
});

test('a token function that fails does not end the tracking', async () => {
  let calls = 0;
  const { fetch } = endpoint(clock, sent);
  const client = new MessageStatusClient({ url, fetch, token: () => { if (!calls++) throw new Error('logged out'); return 't'; } });
  const tracker = new MessageTracker({ client, user });
  tracker.track(response());
  await clock.advance(60_000);
  assert.equal(tracker.get('m1')?.status, 'SENT');
});

test('20 pending messages and a minute of failures cost at most 10 requests', async () => {
  for (const reply of [problem('throttled', 1), gateway(504), networkFailure, replyWith(() => 'throttled'), replyWith(() => 'upstream-timeout')]) {
    for (const isLive of [false, true]) {
      const from = clock.now;
      const tracking = start([(request, signal) => (clock.now - from < 60_000 ? reply : sent)(request, signal)]);
      if (isLive) live(tracking);
      for (const [i, { messageId }] of messages(20).entries()) {
        tracking.tracker.track(response(messageId));
        await clock.advance(i < 10 ? 0 : 1000);
      }
      await clock.advance(50_000);
      assert.ok(tracking.requests.length <= 10, `${tracking.requests.length}`);
      await clock.advance(300_000);
      assert.equal(tracking.tracker.get('m19')?.status, 'SENT');
    }
  }
});

test('a message that stays pending costs at most 100 requests a day, whatever the responses, and none after 48 hours', async () => {
  let date = 1_800_000_000_000;
  mock.method(Date, 'now', () => date + clock.now);
  const mixed: Reply = (request, signal) => (Math.random() < 0.5 ? pending(1) : problem('throttled'))(request, signal);
  for (const reply of [pending(1), problem('throttled'), networkFailure, replyWith(() => 'message-not-found'), gateway(401), mixed, pending()]) {
    for (const isLive of [false, true]) {
      const tracking = start([reply]);
      if (isLive) live(tracking);
      // Younger messages must not make the old one more expensive.
      tracking.tracker.track({ ...message, messageId: 'old' });
      for (let hour = 0; hour < 24; hour += 1) {
        tracking.tracker.track({ ...message, messageId: `h${hour}` });
        await clock.advance(3_600_000);
      }
      const asked = tracking.requests.filter(({ ids }) => ids.includes('old')).length / (reply === gateway(401) ? 2 : 1);
      assert.ok(asked <= 100 && asked > 10, `${asked}`);
      await clock.advance(24 * 3_600_000);
      const before = tracking.requests.filter(({ ids }) => ids.includes('old')).length;
      await clock.advance(48 * 3_600_000);
      assert.equal(tracking.requests.filter(({ ids }) => ids.includes('old')).length, before);
      tracking.tracker.stop();
    }
  }
});

test('48 hours count by the wall clock, which goes on while the device sleeps', async () => {
  let date = 1_800_000_000_000;
  mock.method(Date, 'now', () => date);
  const { tracker, requests } = start([pending(1)]);
  tracker.track(response());
  await clock.advance(3_600_000);
  date += 48 * 3_600_000;
  const before = requests.length;
  tracker.check();
  await clock.advance(3_600_000);
  assert.equal(requests.length, before);
});

test('after a reconnect 45 pending messages are requested at once, however old they are and when they were last requested', async () => {
  mock.method(Math, 'random', () => 0.999);
  const { tracker, observer, requests } = live(start([pending()]));
  for (const { messageId } of messages(45)) tracker.track(response(messageId));
  await clock.advance(7_200_000);
  observer.messagingSessionDidStop();
  await clock.advance(5000);
  const from = requests.length;
  const at = clock.now;
  observer.messagingSessionDidStart();
  await clock.advance(3000);
  assert.equal(requests.length, from + 1);
  await clock.advance(200);
  assert.equal(new Set(requests.slice(from).flatMap(({ ids }) => ids)).size, 45);
  assert.ok((requests.at(-1)?.at ?? 0) - at < 3200);
});

test('after a reconnect a running retry-after and backoff come first', async () => {
  for (const reply of [problem('throttled', 20), pending(20)]) {
    const { tracker, observer, requests } = live(start([reply, sent]));
    tracker.track(response());
    await clock.advance(3100);
    assert.equal(requests.length, 1);
    observer.messagingSessionDidStop();
    observer.messagingSessionDidStart();
    await clock.advance(19_000);
    assert.equal(requests.length, 1);
    await clock.advance(4000);
    assert.equal(requests.length, 2);
  }
});

test('a WebSocket that flaps causes a catch-up of a message at most every 10 seconds', async () => {
  for (const random of [0, 0.5, 0.999]) {
    mock.method(Math, 'random', () => random);
    const { tracker, observer, requests } = start([pending()]);
    tracker.track(response());
    await clock.advance(1_800_000);
    observer.messagingSessionDidStart();
    await clock.advance(600_000);
    const before = requests.length;
    for (let second = 0; second < 120; second += 1) {
      observer.messagingSessionDidStartConnecting();
      await clock.advance(500);
      observer.messagingSessionDidStart();
      await clock.advance(500);
    }
    const asked = requests.length - before;
    assert.ok(asked >= 9 && asked <= 13, `${asked}`);
  }
});

test('a catch-up that fails is repeated with the backoff, not with the pauses of an old message', async () => {
  let isFailing = false;
  const { tracker, observer } = live(start([(request, signal) => (isFailing ? networkFailure : clock.now > 7_300_000 ? sent : pending())(request, signal)]));
  tracker.track(response());
  await clock.advance(7_250_000);
  observer.messagingSessionDidStop();
  isFailing = true;
  observer.messagingSessionDidStart();
  await clock.advance(60_000);
  isFailing = false;
  await clock.advance(31_000);
  assert.equal(tracker.get('m1')?.status, 'SENT');
});

test('check requests now what is pending', async () => {
  const { tracker, requests } = live(start([pending()]));
  tracker.track(response());
  tracker.track(response('m2', 'SENT'));
  tracker.check();
  await clock.advance(100);
  assert.deepEqual(requests.map(({ ids }) => ids), [['m1']]);
  await clock.advance(60_000);
  const before = requests.length;
  tracker.check();
  await clock.advance(100);
  assert.equal(requests.length, before + 1);
});

test('setActive and setOnline pause the requests', async () => {
  for (const set of ['setActive', 'setOnline'] as const) {
    const { tracker, requests } = start([networkFailure, sent]);
    tracker.track(response());
    await clock.advance(700);
    tracker[set](false);
    await clock.advance(3_600_000);
    assert.equal(requests.length, 1);
    tracker[set](true);
    await clock.advance(600);
    assert.equal(tracker.get('m1')?.status, 'SENT');
  }
});

test('an edit that was sent while the WebSocket was down is tracked', async () => {
  const { tracker, observer, requests } = live(start([replyWith(() => 'DENIED')]));
  tracker.track(response('m1', 'SENT'));
  observer.messagingSessionDidReceiveMessage(event('UPDATE'));
  observer.messagingSessionDidStop();
  tracker.track(response(), { edit: true });
  assert.deepEqual(tracker.get('m1')?.update?.status, 'PENDING');
  await clock.advance(4000);
  assert.deepEqual([tracker.get('m1')?.status, tracker.get('m1')?.update?.status, requests.length], ['SENT', 'DENIED', 1]);
});

test('a response to an edit that arrives after the events of the edit changes nothing', async () => {
  for (const events of [['PENDING_UPDATE'], ['UPDATE'], ['PENDING_UPDATE', 'UPDATE'], ['PENDING_UPDATE', 'DENIED_UPDATE']]) {
    const { tracker, observer, requests } = live(start([pending()]));
    tracker.track(response('m1', 'SENT'));
    for (const type of events) observer.messagingSessionDidReceiveMessage(event(type));
    const before = tracker.get('m1');
    tracker.track(response(), { edit: true });
    assert.equal(tracker.get('m1'), before);
    observer.messagingSessionDidReceiveMessage(event('UPDATE'));
    await clock.advance(2000);
    assert.notEqual(tracker.get('m1')?.update?.status, 'PENDING');
    assert.equal(requests.length, 0);
    // The next edit is another one.
    observer.messagingSessionDidStop();
    tracker.track(response(), { edit: true });
    assert.equal(tracker.get('m1')?.update?.status, 'PENDING');
    tracker.stop();
  }
});

test('a pending edit of a message that is not found is GONE, and costs no more requests', async () => {
  const { tracker, observer, requests } = live(start([replyWith(() => 'message-not-found')]));
  tracker.track(response('m1', 'SENT'));
  observer.messagingSessionDidReceiveMessage(event('PENDING_UPDATE'));
  await clock.advance(86_400_000);
  assert.deepEqual([tracker.get('m1')?.status, tracker.get('m1')?.update?.status, requests.length], ['SENT', 'GONE', 1]);
});

test('a deletion ends the requests and leaves the status', async () => {
  const { tracker, observer, requests } = live(start([pending()]));
  tracker.track(response('m1', 'SENT'));
  observer.messagingSessionDidReceiveMessage(event('PENDING_UPDATE'));
  observer.messagingSessionDidReceiveMessage(event('DELETE'));
  await clock.advance(86_400_000);
  const state = tracker.get('m1');
  assert.deepEqual([state?.status, state?.update?.status, state?.deleted, requests.length], ['SENT', 'PENDING', true, 0]);
  observer.messagingSessionDidReceiveMessage(event('REDACT'));
  assert.equal(tracker.get('m1')?.redacted, true);
});

test('GONE is requested once more after the next reconnect or reload, and a response corrects it', async () => {
  const store = storage();
  const reply = { status: 'message-not-found' };
  const first = live(start([replyWith(() => reply.status)], { storage: store }));
  first.tracker.track(response('a'));
  first.tracker.track(response('b'));
  await clock.advance(3100);
  assert.deepEqual(['a', 'b'].map((id) => first.tracker.get(id)?.status), ['GONE', 'GONE']);
  first.tracker.untrack('b');
  const before = first.requests.length;
  await clock.advance(3_600_000);
  assert.equal(first.requests.length, before);
  for (const expected of [1, 1]) {
    first.observer.messagingSessionDidStop();
    first.observer.messagingSessionDidStart();
    await clock.advance(20_000);
    assert.equal(first.requests.length, before + expected);
  }
  first.tracker.track(response('c'));
  await clock.advance(3100);
  first.tracker.stop();
  reply.status = 'PENDING';
  const second = start([replyWith(() => reply.status)], { storage: store });
  await clock.advance(1000);
  assert.deepEqual(['a', 'c'].map((id) => second.tracker.get(id)?.status), ['GONE', 'PENDING']);
});

test('a status that Chime adds later is not final', async () => {
  const { tracker } = start([replyWith(() => (clock.now < 5000 ? 'HELD' : 'SENT'))]);
  tracker.track(response());
  await clock.advance(2000);
  assert.equal(tracker.get('m1')?.status, 'HELD');
  await clock.advance(10_000);
  assert.equal(tracker.get('m1')?.status, 'SENT');
});

test('the state says why the last request failed, until one succeeds', async () => {
  const token = { value: '' };
  const { fetch } = endpoint(clock, problem('throttled', 2), pending(1), sent);
  const client = new MessageStatusClient({ url, fetch, token: () => token.value });
  const changes: (string | undefined)[] = [];
  const tracker = new MessageTracker({ client, user, onChange: ({ status, problem }) => changes.push(problem ?? status) });
  tracker.track(response());
  await clock.advance(1000);
  token.value = 't';
  await clock.advance(60_000);
  assert.deepEqual(changes, ['PENDING', 'token-error', 'throttled', 'PENDING', 'SENT']);
});

test('a token function that hangs once does not stop the tracker', async () => {
  let calls = 0;
  const { fetch } = endpoint(clock, sent);
  const client = new MessageStatusClient({ url, fetch, token: () => (calls++ ? 't' : new Promise<string>(() => {})) });
  const tracker = new MessageTracker({ client, user });
  tracker.track(response());
  await clock.advance(50_000);
  assert.equal(tracker.get('m1')?.status, 'SENT');
});

test('onChange does not fire inside the constructor', () => {
  const store = storage();
  start([pending()], { storage: store }).tracker.track(response());
  const { changes, tracker } = start([pending()], { storage: store });
  assert.deepEqual([changes, tracker.get('m1')?.status], [[], 'PENDING']);
});

test('the storage belongs to a user: the next one neither sees nor requests the messages', async () => {
  const store = storage();
  const alice = start([pending()], { storage: store });
  alice.tracker.track(response());
  alice.tracker.stop();
  const bob = start([replyWith(() => 'message-not-found')], { storage: store, user: 'bob/ü' });
  await clock.advance(60_000);
  assert.deepEqual([bob.tracker.getAll(), bob.requests.length], [[], 0]);
  bob.tracker.track(response('m2'));
  assert.deepEqual([...store.values.keys()], [KEY, 'chime-message-status:bob%2F%C3%BC']);
  const again = start([sent], { storage: store });
  await clock.advance(1000);
  assert.equal(again.tracker.get('m1')?.status, 'SENT');
});

/** The tabs of a browser: each write is reported to the others. */
function tabs(count: number) {
  const values = new Map<string, string>();
  const windows = Array.from({ length: count }, () => new EventTarget());
  const open = (i: number, options: Partial<MessageTrackerOptions> = {}) => {
    const own = windows[i] as EventTarget;
    Object.assign(globalThis, { addEventListener: own.addEventListener.bind(own), removeEventListener: own.removeEventListener.bind(own) });
    const store = {
      getItem: (key: string) => values.get(key) ?? null,
      setItem(key: string, newValue: string) {
        values.set(key, newValue);
        for (const window of windows) if (window !== own) queueMicrotask(() => window.dispatchEvent(Object.assign(new Event('storage'), { key, newValue })));
      },
    };
    return start([pending()], { storage: store, ...options });
  };
  const close = () => {
    Reflect.deleteProperty(globalThis, 'addEventListener');
    Reflect.deleteProperty(globalThis, 'removeEventListener');
  };
  return { values, open, close };
}

test('two tabs lose nothing, and what is untracked or cleared in one stays so in the other', async () => {
  const { values, open, close } = tabs(3);
  const [a, b] = [open(0), open(1)];
  a.tracker.track(response('a1'));
  b.tracker.track(response('b1'));
  await clock.advance(0);
  assert.deepEqual(b.tracker.getAll(), a.tracker.getAll());
  assert.equal(a.tracker.getAll().length, 2);
  // Another tab that knew nothing of them overwrites.
  const empty = '[]';
  values.set(KEY, empty);
  a.tracker.track(response('a2'));
  await clock.advance(0);
  assert.equal(open(2).tracker.getAll().length, 3);
  a.tracker.untrack('b1');
  await clock.advance(0);
  assert.equal(b.tracker.get('b1'), undefined);
  b.observer.messagingSessionDidReceiveMessage(event('PENDING_CREATE', { MessageId: 'b1' }));
  b.tracker.track(response('b2'));
  await clock.advance(0);
  assert.deepEqual(a.tracker.getAll().map(({ messageId }) => messageId), ['a1', 'a2', 'b2']);
  a.tracker.clear();
  await clock.advance(0);
  assert.deepEqual([a.tracker.getAll(), b.tracker.getAll()], [[], []]);
  assert.ok(!values.get(KEY)?.includes('b2'));
  b.tracker.track(response('b1'));
  assert.equal(b.tracker.get('b1')?.status, 'PENDING', 'track brings it back');
  close();
});

test('tabs whose last requests ended differently do not overwrite each other without end', async () => {
  const { open, close } = tabs(2);
  const replies = [networkFailure, replyWith(() => 'message-not-found')] as const;
  for (const [i, reply] of replies.entries()) {
    const { fetch } = endpoint(clock, reply);
    open(i, { client: new MessageStatusClient({ url, token: () => 't', fetch }) }).tracker.track(response());
  }
  await clock.advance(60_000);
  close();
});

test('entries that are older than 48 hours are dropped when they are read', () => {
  const store = storage();
  start([pending()], { storage: store }).tracker.track(response());
  mock.method(Date, 'now', () => new Date().getTime() + 48 * 3_600_000);
  assert.deepEqual(start([pending()], { storage: store }).tracker.getAll(), []);
});

test('one change writes once, what others wrote is not stored, and results beyond 200 are forgotten', async () => {
  const store = storage();
  let writes = 0;
  const counting = { ...store, setItem: (key: string, value: string) => { writes += 1; store.setItem(key, value); } };
  const { tracker, observer, changes } = live(start([replyWith(() => 'SENT')], { storage: counting }));
  const Sender = { Arn: user };
  tracker.track({ ChannelArn: channelArn, ChannelMessages: messages(50).map(({ messageId }) => ({ MessageId: messageId, Status: { Value: 'PENDING' }, Sender })) });
  assert.deepEqual([writes, changes.length], [1, 50]);
  for (let i = 0; i < 1000; i += 1) observer.messagingSessionDidReceiveMessage(event('CREATE', { MessageId: `x${i}`, Sender: { Arn: 'bob' } }));
  assert.equal(writes, 1);
  await clock.advance(3500);
  assert.ok(writes > 1 && writes <= 4, `one for each response: ${writes}`);
  for (const { messageId } of messages(300)) tracker.track(response(messageId, 'SENT'));
  assert.equal(tracker.getAll().length, 200);
});

test('a storage function that throws leaves the tracker without storage', async () => {
  const { tracker } = start([sent], { storage: () => { throw new Error('forbidden'); } });
  tracker.track(response());
  await clock.advance(1000);
  assert.equal(tracker.get('m1')?.status, 'SENT');
});

test('untrack and clear work at once, whatever the storage does', async () => {
  const never = () => new Promise<null>(() => {});
  for (const getItem of [() => { throw new Error('forbidden'); }, never, () => Promise.reject(new Error('broken'))]) {
    const { tracker, requests } = start([sent], { storage: { getItem, setItem() {} } });
    for (const id of ['m1', 'm2', 'm3']) tracker.track(response(id));
    const ids = () => tracker.getAll().map(({ messageId }) => messageId);
    await clock.advance(620);
    assert.equal(requests.length, 1, 'the request is in flight');
    tracker.untrack('m1');
    assert.deepEqual(ids(), ['m2', 'm3']);
    await clock.advance(1000);
    assert.deepEqual(ids(), ['m2', 'm3'], 'the response does not bring it back');
    tracker.clear();
    assert.deepEqual(ids(), []);
  }
});

test('stop ignores events, start resumes, clear forgets', async () => {
  const store = storage();
  const { tracker, observer, requests } = live(start([pending()], { storage: store }));
  tracker.track(response());
  tracker.stop();
  observer.messagingSessionDidReceiveMessage(event('CREATE'));
  observer.messagingSessionDidReceiveMessage(event('PENDING_CREATE', { MessageId: 'm2' }));
  await clock.advance(600_000);
  assert.deepEqual([tracker.getAll().map(({ status }) => status), requests.length, clock.timers], [['PENDING'], 0, 0]);
  tracker.start();
  tracker.start();
  await clock.advance(3100);
  assert.equal(requests.length, 1);
  tracker.clear();
  await clock.advance(600_000);
  assert.deepEqual([tracker.getAll(), requests.length, clock.timers], [[], 1, 0]);
  assert.deepEqual(start([pending()], { storage: store }).tracker.getAll(), []);
});

test('getAll returns the same array until a change', () => {
  const { tracker } = live(start([pending()]));
  tracker.track(response());
  const before = tracker.getAll();
  tracker.track(response());
  assert.equal(tracker.getAll(), before);
  tracker.track(response('m2'));
  assert.notEqual(tracker.getAll(), before);
});

test('methods need no this, so a proxy such as that of Vue does not break them', () => {
  const { tracker } = live(start([pending()]));
  const proxy = new Proxy(tracker, {});
  proxy.track(response());
  assert.equal(proxy.get('m1')?.status, 'PENDING');
  proxy.stop();
});

test('stop ends requests and timers', async () => {
  const { tracker, observer, requests } = start([pending()]);
  tracker.track(response());
  await clock.advance(100);
  tracker.stop();
  const before = requests.length;
  tracker.track(response('m2'));
  observer.messagingSessionDidReceiveMessage(event('PENDING_UPDATE'));
  await clock.advance(600_000);
  assert.equal(requests.length, before);
  assert.equal(clock.timers, 0);
});
