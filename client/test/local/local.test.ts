// Against the project's own gateway, function and fake Chime for Chime, from Node and from a page in
// Chromium whose origin is another one than the gateway's.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { launch, start, type Local } from './support.js';

const LIMIT = { timeout: 60_000 };

let local: Local;
let pages: Server;
let browser: Browser;
let page: Page;

before(async () => {
  pages = createServer(async (request, response) => {
    const name = /^\/dist\/(\w+\.js)$/.exec(request.url ?? '')?.[1];
    if (!name) return void response.writeHead(200, { 'content-type': 'text/html' }).end('<title>chat</title>');
    const script = await readFile(new URL(`../../dist/${name}`, import.meta.url));
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
  });
  await once(pages.listen(0, '127.0.0.1'), 'listening');
  const origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
  // A short wait, so that there are times between requests.
  local = await start({ ALLOWED_ORIGINS: origin, MAX_WAIT_SECONDS: '2' });
  browser = await launch();
  page = await browser.newPage();
  await page.goto(origin);
}, LIMIT);

after(async () => {
  await browser?.close();
  local?.stop();
  pages?.close();
  pages?.closeAllConnections();
}, LIMIT);

async function send(outcome: string): Promise<string> {
  const response = await fetch(`${local.gateway}/send?${outcome}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${local.alice}` },
  });
  assert.equal(response.status, 201);
  return response.text();
}

/** What a front end does, told in one function that runs in Node and, as it is, in the page. */
type Tour = { url: string; alice: string; bob: string; channelArn: string; sent: string; denied: string; waiting: string };
async function tour(lib: typeof import('chime-message-status-client'), given: Tour) {
  const { url, alice, bob, channelArn } = given;
  const of = (token: string) => new lib.MessageStatusClient({ url, token: () => token });
  const of_alice = of(alice);
  const refusal = (promise: Promise<unknown>) =>
    promise.then(() => 'none', (error) => error.problem ?? `${error.name}: ${error.message}`);
  const sent = { channelArn, messageId: given.sent };
  const waiting = { channelArn, messageId: given.waiting };

  const first = await of_alice.status(waiting);
  const aborter = new AbortController();
  const aborted = refusal(of_alice.settled(waiting, { signal: aborter.signal }));
  setTimeout(() => aborter.abort(new Error('changed my mind')), 300);
  const settled = await of_alice.settled(sent, { timeout: 30_000 });
  const batch = await of_alice.statuses([sent, { channelArn, messageId: 'none' }, waiting, sent]);
  const late = await of_alice.settled(waiting, { timeout: 4000 }).catch((error) => [error.name, error.last?.status]);
  return {
    first: first.status,
    hasRetryAfter: first.retryAfter !== undefined,
    settled: settled.status,
    batch: batch.map((result) => result.status ?? result.problem?.problem),
    late,
    aborted: await aborted,
    asBob: await refusal(of(bob).status(sent)),
    malformed: await refusal(of_alice.settled({ channelArn, messageId: 'm/1' })),
    // The gateway's own answer. A page can read it because it has CORS headers, too.
    noToken: await refusal(of('').status(sent)),
    denied: await refusal(of_alice.settled({ channelArn, messageId: given.denied })),
  };
}

const expected = {
  first: 'PENDING',
  hasRetryAfter: true,
  settled: 'SENT',
  batch: ['SENT', 'message-not-found', 'PENDING', 'SENT'],
  late: ['TimeoutError', 'PENDING'],
  aborted: 'Error: changed my mind',
  asBob: 'message-not-found',
  malformed: 'invalid-request',
  noToken: 'unauthenticated',
  denied: 'message-not-found',
};

const given = async (): Promise<Tour> => ({
  url: `${local.gateway}/message-status`,
  alice: local.alice,
  bob: local.bob,
  channelArn: local.channelArn,
  sent: await send('outcome=SENT&afterMs=1500'),
  denied: await send('outcome=DENIED&afterMs=500'),
  waiting: await send('outcome=PENDING'),
});

test('Node: sent, pending, of others, many, aborted, without a token', LIMIT, async () => {
  assert.deepEqual(await tour(await import('chime-message-status-client'), await given()), expected);
});

test('Chromium, from another origin: sent, pending, of others, many, aborted, without a token', LIMIT, async () => {
  assert.deepEqual(await inPage(`(${tour})(lib, given)`, await given()), expected);
});

test('Chromium: the network goes and comes back in the middle of a wait', LIMIT, async () => {
  const messageId = await send('outcome=SENT&afterMs=4000');
  const first = page.waitForResponse((response) => response.url().includes(messageId));
  // Had it not heard of the return, its next attempt would come after 15 seconds at the earliest.
  await inPage(
    `window.settled = new lib.MessageStatusClient({ url: given.url, token: () => given.alice })
       .settled({ channelArn: given.channelArn, messageId: given.messageId }, { timeout: 14_000 }), 0`,
    { url: `${local.gateway}/message-status`, alice: local.alice, channelArn: local.channelArn, messageId },
  );
  assert.equal((await (await first).json()).status, 'PENDING');
  const failed = page.waitForEvent('requestfailed');
  await page.context().setOffline(true);
  await failed;
  assert.equal(await page.evaluate('navigator.onLine'), false);
  await page.context().setOffline(false);
  assert.equal((await page.evaluate('settled') as { status: string }).status, 'SENT');
});

/** Evaluates an expression in the page, with the package as `lib` and what is given as `given`. */
function inPage(expression: string, given: object): Promise<any> {
  return page.evaluate(
    `import('/dist/index.js').then(async (lib) => { const given = ${JSON.stringify(given)}; return ${expression}; })`,
  );
}
