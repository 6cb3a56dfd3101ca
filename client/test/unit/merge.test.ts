import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answeredAsOf, merge, messageFromWebSocket, type MessageState } from 'chime-message-status-client';

const messageId = 'm1';
const [FIRST, SECOND] = ['2026-01-01T10:00:00.12Z', '2026-01-01T10:00:00.9Z'];

const event = (type: string, at = FIRST, Detail?: string): MessageState => {
  const payload = JSON.stringify({ MessageId: messageId, LastUpdatedTimestamp: at, Status: { Detail } });
  const known = messageFromWebSocket({ type: `${type}_CHANNEL_MESSAGE`, payload });
  assert.ok(known, type);
  return known;
};
const responded = (status: string, detail?: string): MessageState => ({ messageId, status, ...(detail && { detail }) });
const respondedAfter = (at: string, status: string) => answeredAsOf(event('PENDING_UPDATE', at), responded(status));
const all = (...reports: MessageState[]) => reports.reduce<MessageState | undefined>(merge, undefined);
/** What a page shows: the message's status, and its update's. */
const shown = (...reports: MessageState[]) => {
  const known = all(...reports);
  return known?.update ? [known.status, known.update.status] : [known?.status];
};

const words = ['PENDING', 'SENT', 'FAILED', 'DENIED'];
const prefixes = ['PENDING_', '', 'FAILED_', 'DENIED_'];
const reports: MessageState[] = [
  ...prefixes.map((prefix) => event(`${prefix}CREATE`)),
  ...prefixes.map((prefix) => event(`${prefix}UPDATE`, FIRST)),
  ...prefixes.map((prefix) => event(`${prefix}UPDATE`, SECOND)),
  ...[...words, 'HELD', 'RELEASED'].map((word) => responded(word)),
  ...['PENDING', 'SENT', 'FAILED', 'HELD'].map((word) => respondedAfter(FIRST, word)),
  responded('FAILED', 'one'),
  responded('FAILED', 'another'),
  event('FAILED_CREATE', FIRST, 'one'),
  event('DENIED_UPDATE', SECOND, 'why'),
];

function* permutations<T>(items: T[]): Generator<T[]> {
  if (items.length < 2) yield items;
  for (const [i, item] of items.entries()) {
    for (const rest of permutations(items.filter((_, j) => j !== i))) if (rest.length) yield [item, ...rest];
  }
}

function* choices<T>(items: T[], size: number): Generator<T[]> {
  if (size === 0) return yield [];
  for (const [i, item] of items.entries()) {
    for (const rest of choices(items.slice(i + 1), size - 1)) yield [item, ...rest];
  }
}

test('each order of the same reports gives the same state', () => {
  let sequences = 0;
  for (const size of [1, 2, 3, 4]) {
    for (const choice of choices(reports, size)) {
      const expected = JSON.stringify(all(...choice));
      for (const order of permutations(choice)) {
        sequences += 1;
        if (JSON.stringify(all(...order)) !== expected) assert.deepEqual(all(...order), all(...choice));
      }
    }
  }
  assert.ok(sequences > 300_000, `${sequences}`);
});

test('merge is associative', () => {
  for (const [a, b, c] of choices([...reports, ...reports], 3) as Generator<[MessageState, MessageState, MessageState]>) {
    const left = merge(merge(a, b), c);
    const right = merge(a, merge(b, c));
    if (JSON.stringify(left) !== JSON.stringify(right)) assert.deepEqual(left, right);
  }
});

test('a repeated report changes nothing', () => {
  for (const choice of [...choices(reports, 1), ...choices(reports, 2)]) {
    const known = all(...choice);
    for (const again of [...choice, known as MessageState]) assert.deepEqual(merge(known, again), known);
  }
});

test('a status never ranks lower after a report', () => {
  const height = (status?: string) => ['PENDING', 'FAILED', 'DENIED', 'SENT'].indexOf(status ?? 'PENDING');
  for (const [a, b] of choices([...reports, ...reports], 2) as Generator<[MessageState, MessageState]>) {
    const [before, after] = [all(a), all(a, b)];
    const down = height(after?.status) < height(before?.status);
    assert.ok(!down || !words.includes(after?.status ?? ''), `${before?.status} ${after?.status}`);
    assert.ok((after?.update?.at ?? 0) >= (before?.update?.at ?? 0));
  }
});

test('a late PENDING hides no result', () => {
  for (const pending of [responded('PENDING'), event('PENDING_CREATE', SECOND)]) {
    assert.deepEqual(shown(responded('SENT'), pending), ['SENT']);
    assert.deepEqual(shown(event('DENIED_CREATE'), pending), ['DENIED']);
    assert.deepEqual(shown(responded('FAILED'), pending), ['FAILED']);
    assert.deepEqual(shown(event('DENIED_UPDATE', FIRST), pending), ['SENT', 'DENIED']);
  }
  assert.deepEqual(shown(event('UPDATE', SECOND), event('PENDING_UPDATE', FIRST)), ['SENT', 'SENT']);
});

test('a message whose update is pending, failed or denied is still sent', () => {
  for (const [prefix, word] of [['PENDING_', 'PENDING'], ['FAILED_', 'FAILED'], ['DENIED_', 'DENIED']]) {
    assert.deepEqual(shown(event('CREATE'), event(`${prefix}UPDATE`)), ['SENT', word]);
    assert.deepEqual(shown(event(`${prefix}UPDATE`)), ['SENT', word]);
  }
});

test('the next update is pending again after any result of the previous one', () => {
  for (const prefix of prefixes) {
    const before = event(`${prefix}UPDATE`, FIRST);
    assert.deepEqual(shown(before, event('PENDING_UPDATE', SECOND)), ['SENT', 'PENDING']);
    assert.deepEqual(
      shown(before, event('PENDING_UPDATE', SECOND), event('UPDATE', SECOND)),
      ['SENT', 'SENT'],
    );
  }
});

test('a failed or denied report about a sent message is about an update', () => {
  assert.deepEqual(shown(event('CREATE'), responded('FAILED')), ['SENT', 'FAILED']);
  assert.deepEqual(shown(responded('DENIED'), responded('SENT')), ['SENT', 'DENIED']);
});

test('a response decides the update that was known when the request was made, and no later one', () => {
  const pending = event('PENDING_UPDATE', FIRST);
  assert.deepEqual(shown(pending, responded('SENT')), ['SENT', 'PENDING'], 'requested before');
  assert.deepEqual(shown(pending, answeredAsOf(pending, responded('SENT'))), ['SENT', 'SENT'], 'requested after');
  assert.deepEqual(shown(pending, answeredAsOf(pending, responded('FAILED'))), ['SENT', 'FAILED']);
  assert.deepEqual(
    shown(event('PENDING_UPDATE', SECOND), answeredAsOf(pending, responded('SENT'))),
    ['SENT', 'PENDING'],
  );
  assert.deepEqual(answeredAsOf(undefined, responded('SENT')), responded('SENT'));
  assert.deepEqual(answeredAsOf(event('CREATE'), responded('SENT')), responded('SENT'));
});

test('a status that Chime adds later ranks between PENDING and a result', () => {
  assert.deepEqual(shown(responded('HELD'), responded('PENDING')), ['HELD']);
  for (const verdict of ['SENT', 'FAILED', 'DENIED']) {
    assert.deepEqual(shown(responded('HELD'), responded(verdict)), [verdict]);
  }
});

test('a detail stays with its status', () => {
  assert.deepEqual(all(event('CREATE'), responded('FAILED', 'unreachable')), {
    messageId,
    status: 'SENT',
    update: { status: 'FAILED', detail: 'unreachable', at: 0 },
  });
  assert.equal(all(event('DENIED_CREATE', FIRST, 'rude'), responded('PENDING'))?.detail, 'rude');
});

test('other events of the WebSocket report nothing', () => {
  for (const type of ['CREATE_CHANNEL', 'X_CREATE_CHANNEL_MESSAGE', 'CREATE_CHANNEL_MESSAGES']) {
    assert.equal(messageFromWebSocket({ type, payload: '{' }), undefined);
  }
});

test('a payload is JSON or the parsed value, with a date or without', () => {
  const payload = { MessageId: messageId };
  for (const form of [payload, JSON.stringify(payload)]) {
    assert.deepEqual(messageFromWebSocket({ type: 'FAILED_UPDATE_CHANNEL_MESSAGE', payload: form }), {
      messageId,
      status: 'SENT',
      update: { status: 'FAILED', at: 0 },
    });
  }
});
