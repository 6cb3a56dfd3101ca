import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answeredAsOf as asOf, merge, messageFromWebSocket as fromSocket, type MessageState as Known } from 'chime-message-status-client';

const messageId = 'm1';
const [FIRST, SECOND] = ['2026-01-01T10:00:00.12Z', '2026-01-01T10:00:00.9Z'];

const heard = (type: string, at = FIRST, Detail?: string): Known => {
  const payload = JSON.stringify({ MessageId: messageId, LastUpdatedTimestamp: at, Status: { Detail } });
  const known = fromSocket({ type: `${type}_CHANNEL_MESSAGE`, payload });
  assert.ok(known, type);
  return known;
};
const said = (status: string, detail?: string): Known => ({ messageId, status, ...(detail && { detail }) });
const saidAfter = (at: string, status: string) => asOf(heard('PENDING_UPDATE', at), said(status));
const all = (...news: Known[]) => news.reduce<Known | undefined>(merge, undefined);
/** What a page shows: the message's status, and its update's. */
const shown = (...news: Known[]) => {
  const known = all(...news);
  return known?.update ? [known.status, known.update.status] : [known?.status];
};

const words = ['PENDING', 'SENT', 'FAILED', 'DENIED'];
const prefixes = ['PENDING_', '', 'FAILED_', 'DENIED_'];
const news: Known[] = [
  ...prefixes.map((prefix) => heard(`${prefix}CREATE`)),
  ...prefixes.map((prefix) => heard(`${prefix}UPDATE`, FIRST)),
  ...prefixes.map((prefix) => heard(`${prefix}UPDATE`, SECOND)),
  ...[...words, 'HELD', 'RELEASED'].map((word) => said(word)),
  ...['PENDING', 'SENT', 'FAILED', 'HELD'].map((word) => saidAfter(FIRST, word)),
  said('FAILED', 'one'),
  said('FAILED', 'another'),
  heard('FAILED_CREATE', FIRST, 'one'),
  heard('DENIED_UPDATE', SECOND, 'why'),
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

test('whatever is heard, in whatever order, comes to the same', () => {
  let sequences = 0;
  for (const size of [1, 2, 3, 4]) {
    for (const choice of choices(news, size)) {
      const expected = JSON.stringify(all(...choice));
      for (const order of permutations(choice)) {
        sequences += 1;
        if (JSON.stringify(all(...order)) !== expected) assert.deepEqual(all(...order), all(...choice));
      }
    }
  }
  assert.ok(sequences > 300_000, `${sequences}`);
});

test('what was merged in one place merges with what was merged in another', () => {
  for (const [a, b, c] of choices([...news, ...news], 3) as Generator<[Known, Known, Known]>) {
    const left = merge(merge(a, b), c);
    const right = merge(a, merge(b, c));
    if (JSON.stringify(left) !== JSON.stringify(right)) assert.deepEqual(left, right);
  }
});

test('hearing it again changes nothing', () => {
  for (const choice of [...choices(news, 1), ...choices(news, 2)]) {
    const known = all(...choice);
    for (const again of [...choice, known as Known]) assert.deepEqual(merge(known, again), known);
  }
});

test('no message goes backwards', () => {
  const height = (status?: string) => ['PENDING', 'FAILED', 'DENIED', 'SENT'].indexOf(status ?? 'PENDING');
  for (const [a, b] of choices([...news, ...news], 2) as Generator<[Known, Known]>) {
    const [before, after] = [all(a), all(a, b)];
    const down = height(after?.status) < height(before?.status);
    assert.ok(!down || !words.includes(after?.status ?? ''), `${before?.status} ${after?.status}`);
    assert.ok((after?.update?.at ?? 0) >= (before?.update?.at ?? 0));
  }
});

test('a late PENDING hides no verdict', () => {
  for (const pending of [said('PENDING'), heard('PENDING_CREATE', SECOND)]) {
    assert.deepEqual(shown(said('SENT'), pending), ['SENT']);
    assert.deepEqual(shown(heard('DENIED_CREATE'), pending), ['DENIED']);
    assert.deepEqual(shown(said('FAILED'), pending), ['FAILED']);
    assert.deepEqual(shown(heard('DENIED_UPDATE', FIRST), pending), ['SENT', 'DENIED']);
  }
  assert.deepEqual(shown(heard('UPDATE', SECOND), heard('PENDING_UPDATE', FIRST)), ['SENT', 'SENT']);
});

test('a message whose update is pending, failed or denied is still sent', () => {
  for (const [prefix, word] of [['PENDING_', 'PENDING'], ['FAILED_', 'FAILED'], ['DENIED_', 'DENIED']]) {
    assert.deepEqual(shown(heard('CREATE'), heard(`${prefix}UPDATE`)), ['SENT', word]);
    assert.deepEqual(shown(heard(`${prefix}UPDATE`)), ['SENT', word]);
  }
});

test('the next update is pending again, whatever became of the one before', () => {
  for (const prefix of prefixes) {
    const before = heard(`${prefix}UPDATE`, FIRST);
    assert.deepEqual(shown(before, heard('PENDING_UPDATE', SECOND)), ['SENT', 'PENDING']);
    assert.deepEqual(
      shown(before, heard('PENDING_UPDATE', SECOND), heard('UPDATE', SECOND)),
      ['SENT', 'SENT'],
    );
  }
});

test('a refusal of a message that is sent is the refusal of an update', () => {
  assert.deepEqual(shown(heard('CREATE'), said('FAILED')), ['SENT', 'FAILED']);
  assert.deepEqual(shown(said('DENIED'), said('SENT')), ['SENT', 'DENIED']);
});

test('an answer decides the update that was known when it was asked for, and no later one', () => {
  const pending = heard('PENDING_UPDATE', FIRST);
  assert.deepEqual(shown(pending, said('SENT')), ['SENT', 'PENDING'], 'asked before');
  assert.deepEqual(shown(pending, asOf(pending, said('SENT'))), ['SENT', 'SENT'], 'asked after');
  assert.deepEqual(shown(pending, asOf(pending, said('FAILED'))), ['SENT', 'FAILED']);
  assert.deepEqual(
    shown(heard('PENDING_UPDATE', SECOND), asOf(pending, said('SENT'))),
    ['SENT', 'PENDING'],
  );
  assert.deepEqual(asOf(undefined, said('SENT')), said('SENT'));
  assert.deepEqual(asOf(heard('CREATE'), said('SENT')), said('SENT'));
});

test('a word that Chime adds later is undecided: more than PENDING, less than a verdict', () => {
  assert.deepEqual(shown(said('HELD'), said('PENDING')), ['HELD']);
  for (const verdict of ['SENT', 'FAILED', 'DENIED']) {
    assert.deepEqual(shown(said('HELD'), said(verdict)), [verdict]);
  }
});

test('details stay with their words', () => {
  assert.deepEqual(all(heard('CREATE'), said('FAILED', 'unreachable')), {
    messageId,
    status: 'SENT',
    update: { status: 'FAILED', detail: 'unreachable', at: 0 },
  });
  assert.equal(all(heard('DENIED_CREATE', FIRST, 'rude'), said('PENDING'))?.detail, 'rude');
});

test('other events of the websocket say nothing', () => {
  for (const type of ['DELETE_CHANNEL_MESSAGE', 'CREATE_CHANNEL', 'X_CREATE_CHANNEL_MESSAGE', 'CREATE_CHANNEL_MESSAGES']) {
    assert.equal(fromSocket({ type, payload: '{' }), undefined);
  }
});

test('a payload may be JSON or what it stands for, with a date or without', () => {
  const payload = { MessageId: messageId };
  for (const form of [payload, JSON.stringify(payload)]) {
    assert.deepEqual(fromSocket({ type: 'FAILED_UPDATE_CHANNEL_MESSAGE', payload: form }), {
      messageId,
      status: 'SENT',
      update: { status: 'FAILED', at: 0 },
    });
  }
});
