// Random histories of a user: tabs, events that are lost, edits while the WebSocket is down, deletions, tokens that
// hang, reloads. In the end, each message has the status that Chime has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageStatusClient, MessageTracker } from 'chime-message-status-client';
import { random } from '../simulation/world.js';
import { FakeClock } from '../support/clock.js';
import { replyWith, url } from '../support/endpoint.js';

const HISTORIES = 300;
/** No history needs more than 40. */
const MAX_WRITES = 200;
const channelArn = 'arn:aws:chime:us-east-1:111122223333:app-instance/a/channel/c';

interface Truth {
  owner: string;
  status: string;
  edit: string | undefined;
  date: number;
  isDeleted: boolean;
}

async function history(seed: number): Promise<string[]> {
  const clock = new FakeClock();
  clock.install();
  const next = random(seed);
  const real = { random: Math.random, now: Date.now };
  Math.random = random(seed + 1);
  Date.now = () => 1_800_000_000_000 + clock.now;
  const values = new Map<string, string>();
  const messages = new Map<string, Truth>();
  const pick = <T>(items: T[]): T => items[Math.floor(next() * items.length)] as T;
  const faults: string[] = [];

  const known = (id: string) => {
    const { status, edit, isDeleted } = messages.get(id) as Truth;
    return isDeleted || status === 'DENIED' ? 'message-not-found' : edit ?? status;
  };
  const open = (owner: string) => {
    const window = new EventTarget();
    Object.assign(globalThis, { addEventListener: window.addEventListener.bind(window), removeEventListener: window.removeEventListener.bind(window) });
    const storage = {
      getItem: (key: string) => values.get(key) ?? null,
      setItem(key: string, newValue: string) {
        // Another tab can write between the reading and the writing.
        if (next() < 0.1) values.set(key, pick([...overwritten, newValue]));
        // Tabs that overwrite each other for ever are a fault, reported below.
        if (overwritten.push(newValue) > MAX_WRITES) return;
        values.set(key, newValue);
        for (const tab of tabs) if (tab.window !== window) clock.at(clock.now + 5, () => tab.window.dispatchEvent(Object.assign(new Event('storage'), { key, newValue })));
      },
    };
    const fetch: typeof globalThis.fetch = async (_, init) => {
      const ids = (JSON.parse(`${init?.body}`).messages as { messageId: string }[]).map(({ messageId }) => messageId);
      for (const id of ids) if (messages.get(id)?.owner !== owner) faults.push(`${owner} asks about ${id}`);
      await clock.sleep(50);
      if (next() < 0.2) throw new TypeError('reset');
      return replyWith(known)({ ids, method: 'POST' } as never);
    };
    const token = () => (next() < 0.05 ? new Promise<string>(() => {}) : 't');
    const tracker = new MessageTracker({ client: new MessageStatusClient({ url, token, fetch }), user: owner, storage });
    return { owner, window, tracker, isLive: false };
  };
  const overwritten: string[] = [];
  const tabs: ReturnType<typeof open>[] = [];
  for (const owner of ['alice', 'alice', 'bob']) tabs.push(open(owner));

  const tell = (type: string, id: string) => {
    const { owner, date } = messages.get(id) as Truth;
    for (const { owner: user, tracker, isLive } of tabs) {
      if (user !== owner || !isLive || next() < 0.3) continue;
      const payload = JSON.stringify({ ChannelArn: channelArn, MessageId: id, LastUpdatedTimestamp: new Date(1_700_000_000_000 + date).toISOString() });
      tracker.observer.messagingSessionDidReceiveMessage({ type: `${type}_CHANNEL_MESSAGE`, payload });
    }
  };
  const prefixed = (status: string, change: string) => (status === 'SENT' ? change : `${status}_${change}`);
  for (let step = 0; step < 30; step += 1) {
    const tab = pick(tabs);
    const own = [...messages].filter(([, { owner }]) => owner === tab.owner).map(([id]) => id);
    const id = own.length ? pick(own) : undefined;
    const truth = id ? messages.get(id) : undefined;
    const action = next();
    if (action < 0.3 || !id || !truth) {
      const fresh = `m${messages.size}`;
      messages.set(fresh, { owner: tab.owner, status: 'PENDING', edit: undefined, date: clock.now, isDeleted: false });
      tell('PENDING_CREATE', fresh);
      tab.tracker.track({ ChannelArn: channelArn, MessageId: fresh, Status: { Value: 'PENDING' } });
    } else if (action < 0.55 && truth.status === 'PENDING') {
      truth.status = pick(['SENT', 'SENT', 'FAILED', 'DENIED']);
      tell(prefixed(truth.status, 'CREATE'), id);
    } else if (action < 0.7 && truth.status === 'SENT' && truth.edit !== 'PENDING' && !truth.isDeleted) {
      Object.assign(truth, { edit: 'PENDING', date: clock.now });
      tell('PENDING_UPDATE', id);
      tab.tracker.track({ ChannelArn: channelArn, MessageId: id, Status: { Value: 'PENDING' } }, { edit: true });
    } else if (action < 0.8 && truth.edit === 'PENDING') {
      truth.edit = pick(['SENT', 'FAILED', 'DENIED']);
      tell(prefixed(truth.edit, 'UPDATE'), id);
    } else if (action < 0.84 && truth.status === 'SENT') {
      truth.isDeleted = true;
      tell('DELETE', id);
    } else if (action < 0.94) {
      tab.isLive = !tab.isLive;
      if (tab.isLive) tab.tracker.observer.messagingSessionDidStart();
      else if (next() < 0.7) tab.tracker.observer.messagingSessionDidStop();
    } else {
      tab.tracker.stop();
      tabs[tabs.indexOf(tab)] = open(tab.owner);
    }
    await clock.advance(next() < 0.5 ? 10 : 8000 * next());
  }
  // Everything is decided, and all reconnect.
  for (const truth of messages.values()) {
    if (truth.status === 'PENDING') truth.status = pick(['SENT', 'FAILED', 'DENIED']);
    if (truth.edit === 'PENDING') truth.edit = pick(['SENT', 'DENIED']);
  }
  for (const { tracker } of tabs) tracker.observer.messagingSessionDidStart();
  await clock.advance(600_000);
  for (const { owner, tracker } of tabs) {
    for (const [id, truth] of messages) {
      const state = tracker.get(id);
      if (truth.owner !== owner) {
        if (state) faults.push(`${owner} sees ${id}`);
        continue;
      }
      const wanted = truth.status === 'DENIED' ? ['DENIED', 'GONE'] : [truth.status];
      if (truth.isDeleted && truth.status === 'SENT') wanted.push('GONE');
      // A deletion ends the requests and leaves the status.
      if (state?.deleted) wanted.push('PENDING');
      if (!wanted.includes(`${state?.status}`)) faults.push(`${id}: ${state?.status}, not ${wanted}`);
      const edits = truth.isDeleted ? [truth.edit, 'GONE'] : [truth.edit];
      if (state?.update && !state.deleted && !edits.includes(state.update.status)) faults.push(`${id}: edit ${state.update.status}, not ${truth.edit}`);
    }
  }
  if (overwritten.length > MAX_WRITES) faults.push(`more than ${MAX_WRITES} writes`);
  for (const { tracker } of tabs) tracker.stop();
  clock.uninstall();
  Object.assign(Math, { random: real.random });
  Object.assign(Date, { now: real.now });
  Reflect.deleteProperty(globalThis, 'addEventListener');
  Reflect.deleteProperty(globalThis, 'removeEventListener');
  return faults;
}

test('random histories with tabs, users, edits and deletions end in the right state', async (context) => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= Number(process.env.HISTORIES ?? HISTORIES); seed += 1) {
    const faults = await history(seed);
    if (faults.length) wrong.push(`history ${seed}: ${faults.join('; ')}`);
  }
  context.diagnostic(`${wrong.length} of ${process.env.HISTORIES ?? HISTORIES} wrong`);
  assert.deepEqual(wrong.slice(0, 5), []);
});
