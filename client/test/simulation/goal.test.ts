// The goal of the tracker, with fewer messages than in RESULTS.md. Simulated time: any machine gives the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pollingEachSecond, tracker, websocketAlone } from './apps.js';
import { NETWORKS, PARAMETERS } from './parameters.js';
import { simulate } from './simulate.js';

for (const network of NETWORKS) {
  test(`tracker in a ${network.name} network: half the wrong-state seconds of polling, a fifth of its calls and Lambda time`, async () => {
    const polling = await simulate(pollingEachSecond, network, PARAMETERS, 500);
    const tracked = await simulate(tracker, network, PARAMETERS, 500);
    const alone = await simulate(websocketAlone, network, PARAMETERS, 500);
    assert.ok(tracked.wrongMs <= polling.wrongMs / 2, `${tracked.wrongMs} ${polling.wrongMs}`);
    assert.ok(tracked.chimeCalls <= polling.chimeCalls / 5, `${tracked.chimeCalls} ${polling.chimeCalls}`);
    assert.ok(tracked.lambdaMs <= polling.lambdaMs / 5, `${tracked.lambdaMs} ${polling.lambdaMs}`);
    assert.equal(tracked.falseNotSent, 0);
    assert.ok(tracked.wrongMs <= alone.wrongMs);
  });
}

test('a simulation gives the same numbers each time', async () => {
  const [network] = NETWORKS;
  assert.ok(network);
  assert.deepEqual(await simulate(tracker, network, PARAMETERS, 100), await simulate(tracker, network, PARAMETERS, 100));
});
