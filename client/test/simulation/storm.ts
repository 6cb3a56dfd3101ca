// Retries of many messages while the endpoint fails: node build/simulation/storm.js [MODULE]
import { pathToFileURL } from 'node:url';
import { FakeClock } from '../support/clock.js';
import { endpoint, gateway, messages, networkFailure, problem, sent, url, type Reply } from '../support/endpoint.js';

/** Requests a second that the gateway lets through, and at once: the default of the template. */
const [RATE, BURST] = [20, 50];

const lib = (await import(process.argv[2] ? pathToFileURL(process.argv[2]).href : 'chime-message-status-client')) as typeof import('chime-message-status-client');
const user = (i: number) => `user${i}`;
const track = (fetch: typeof globalThis.fetch, i: number) => {
  const client = new lib.MessageStatusClient({ url, token: () => 't', fetch });
  const tracker = new lib.MessageTracker({ client, user: user(i) });
  for (const { channelArn, messageId } of messages(20)) tracker.track({ ChannelArn: channelArn, MessageId: messageId, Status: { Value: 'PENDING' } });
  return tracker;
};

async function withClock(run: (clock: FakeClock) => Promise<void>): Promise<void> {
  const clock = new FakeClock();
  clock.install();
  await run(clock);
  clock.uninstall();
}

for (const [name, failure] of [['429', problem('throttled', 1)], ['504', gateway(504)], ['reset', networkFailure]] as const) {
  await withClock(async (clock) => {
    const { fetch, requests } = endpoint(clock, ((request, signal) => (clock.now < 60_000 ? failure : sent)(request, signal)) as Reply);
    track(fetch, 0);
    await clock.advance(60_000);
    console.log(`20 pending messages, a minute of ${name}: ${requests.length} requests`);
  });
}

await withClock(async (clock) => {
  let tokens = BURST;
  let at = 0;
  let refused = 0;
  const { fetch, requests } = endpoint(clock, ((request, signal) => {
    tokens = Math.min(BURST, tokens + ((clock.now - at) * RATE) / 1000);
    at = clock.now;
    if (tokens >= 1) {
      tokens -= 1;
      return sent(request, signal);
    }
    refused += 1;
    return gateway(429)(request, signal);
  }) as Reply);
  // The first requests of all clients fail, as in an outage that ends.
  const failing: typeof globalThis.fetch = (input, init) => (clock.now < 1000 ? Promise.reject(new TypeError('reset')) : fetch(input, init));
  const trackers = Array.from({ length: 200 }, (_, i) => track(failing, i));
  const isDone = () => trackers.every((tracker) => messages(20).every(({ messageId }) => tracker.get(messageId)?.status === 'SENT'));
  while (!isDone() && clock.now < 600_000) await clock.advance(250);
  console.log(`200 such clients, ${RATE} requests a second and ${BURST} at once: ${clock.now / 1000} s, ${requests.length} requests, ${refused} refused`);
});
