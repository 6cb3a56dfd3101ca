// MessageTracker on a fake clock.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { MessageStatusClient, MessageTracker, type MessageState, type MessageTrackerOptions } from 'chime-message-status-client';
import { withBrowser } from '../support/browser.js';
import { FakeClock } from '../support/clock.js';
import { endpoint, message, messages, networkFailure, pending, problem, replyWith, sent, url, waiting, type Reply } from '../support/endpoint.js';

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
  const tracker = new MessageTracker({ client, onChange: (state) => changes.push(state), ...options });
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
    assert.ok(requests.length < 8, `${requests.length}`);
    tracker.stop();
  }
});

test('GONE is corrected by a later event', async () => {
  const { tracker, observer } = start([replyWith(() => 'message-gone')]);
  tracker.track(response());
  await clock.advance(900);
  for (const [type, expected] of [['PENDING_CREATE', 'GONE'], ['DENIED_CREATE', 'DENIED'], ['CREATE', 'SENT']] as const) {
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

test('responses of Chime and of the endpoint are accepted', async () => {
  const { tracker } = live(start([pending()]));
  const ChannelMessages = [
    { MessageId: 'a', Status: { Value: 'FAILED', Detail: 'unreachable' } },
    { MessageId: 'b', Status: { Value: 'PENDING' } },
    { MessageId: 'c' },
  ];
  tracker.track({ ChannelArn: channelArn, ChannelMessages });
  tracker.track({ ChannelMessage: { ChannelArn: channelArn, MessageId: 'd', Status: { Value: 'SENT' } } });
  tracker.track({ messageId: 'b', status: 'DENIED' });
  tracker.track({ ChannelArn: channelArn, MessageId: 'e' });
  assert.deepEqual(['a', 'b', 'c', 'd', 'e'].map((id) => tracker.get(id)?.status), ['FAILED', 'DENIED', 'SENT', 'SENT', 'PENDING']);
  assert.equal(tracker.get('a')?.detail, 'unreachable');
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
  assert.ok(store.values.get('chime-message-status')?.includes('"m1"'));
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
  assert.deepEqual(JSON.parse(store.values.get('chime-message-status') ?? '').map(({ state }: { state: MessageState }) => state.messageId).sort(), ['new', 'old']);
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
  const ids = JSON.parse(store.values.get('chime-message-status') ?? '').map(({ state }: { state: MessageState }) => state.messageId);
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
  const tracker = new MessageTracker({ client });
  tracker.track(response());
  await clock.advance(60_000);
  assert.equal(tracker.get('m1')?.status, 'SENT');
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
