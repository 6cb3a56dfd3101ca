// Each order of each plausible history, with duplicates and losses, ends in the right state.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answeredAsOf, merge, messageFromWebSocket, type MessageState } from 'chime-message-status-client';

type Result = 'SENT' | 'FAILED' | 'DENIED';
/** The report of a source. It can depend on what was known at that time. */
type Report = (known: MessageState | undefined) => MessageState;

interface History {
  reports: Report[];
  expected: { status: string; update?: string };
  /** The reports without which the end cannot be known. */
  decisive: number[];
}

const messageId = 'm1';
const date = (second: number) => `2026-01-01T10:00:0${second}.5Z`;
const websocket = (type: string, second: number): Report => () => {
  const state = messageFromWebSocket({ type: `${type}_CHANNEL_MESSAGE`, payload: JSON.stringify({ MessageId: messageId, LastUpdatedTimestamp: date(second) }) });
  assert.ok(state);
  return state;
};
const endpoint = (status: string): Report => () => ({ messageId, status });
/** A response to a request that was made when this was known. */
const endpointAfter = (earlier: Report, status: string): Report => () => answeredAsOf(earlier(undefined), { messageId, status });
const type = (result: Result, change: string) => (result === 'SENT' ? change : `${result}_${change}`);

function* histories(): Generator<History> {
  const results: Result[] = ['SENT', 'FAILED', 'DENIED'];
  const pending = [websocket('PENDING_CREATE', 0), endpoint('PENDING')];
  for (const first of results) {
    const created = [...pending, websocket(type(first, 'CREATE'), 0)];
    // A denied message is not kept, so the endpoint does not report it.
    if (first !== 'DENIED') created.push(endpoint(first));
    yield { reports: created, expected: { status: first }, decisive: first === 'DENIED' ? [2] : [2, 3] };
    if (first !== 'SENT') continue;
    const sent = [websocket('PENDING_CREATE', 0), websocket('CREATE', 0)];
    for (const second of results) {
      const asked = websocket('PENDING_UPDATE', 1);
      const once = [...sent, asked, websocket(type(second, 'UPDATE'), 1)];
      yield { reports: [...once, endpointAfter(asked, second)], expected: { status: 'SENT', update: second }, decisive: [3, 4] };
      for (const third of results) {
        const again = websocket('PENDING_UPDATE', 2);
        yield {
          reports: [...once, again, websocket(type(third, 'UPDATE'), 2)],
          expected: { status: 'SENT', update: third },
          decisive: [5],
        };
      }
    }
  }
}

function* permutations<T>(items: T[]): Generator<T[]> {
  if (!items.length) return yield [];
  for (const [i, item] of items.entries()) {
    for (const rest of permutations(items.filter((_, j) => j !== i))) yield [item, ...rest];
  }
}

/** Each choice of reports that contains a decisive one, and each of these with one report twice. */
function* choices({ reports, decisive }: History): Generator<Report[]> {
  for (let mask = 1; mask < 2 ** reports.length; mask += 1) {
    if (!decisive.some((i) => mask & (1 << i))) continue;
    const chosen = reports.filter((_, i) => mask & (1 << i));
    yield chosen;
    if (chosen.length < 6) for (const twice of chosen) yield [...chosen, twice];
  }
}

test('each order of each plausible history ends in the right state, with duplicates and losses', (context) => {
  let runs = 0;
  for (const history of histories()) {
    for (const choice of choices(history)) {
      for (const order of permutations(choice)) {
        runs += 1;
        const end = order.reduce<MessageState | undefined>((known, report) => merge(known, report(known)), undefined);
        if (end?.status !== history.expected.status || end.update?.status !== history.expected.update) {
          assert.deepEqual({ status: end?.status, update: end?.update?.status }, history.expected, `${order.length} reports`);
        }
      }
    }
  }
  context.diagnostic(`${runs} runs`);
  assert.ok(runs > 50_000, `${runs}`);
});
