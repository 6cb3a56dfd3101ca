// The built client against the local gateway, the function and the fake Chime, from Node and from a page
// of another origin in Chromium.
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
    const script = await readFile(new URL(`../../dist/esm/${name}`, import.meta.url));
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
  });
  await once(pages.listen(0, '127.0.0.1'), 'listening');
  const origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
  // A short wait, so there are pauses between requests.
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

/** The same function runs in Node and, as it is, in the page. */
type Tour = { url: string; alice: string; bob: string; channelArn: string; sent: string; denied: string; waiting: string };
async function tour(lib: typeof import('chime-message-status-client'), given: Tour) {
  const { url, alice, bob, channelArn } = given;
  const clientOf = (token: string) => new lib.MessageStatusClient({ url, token: () => token });
  const client = clientOf(alice);
  const problem = (promise: Promise<unknown>) =>
    promise.then(() => 'none', (error) => error.problem ?? `${error.name}: ${error.message}`);
  const sent = { channelArn, messageId: given.sent };
  const denied = { channelArn, messageId: given.denied };
  const waiting = { channelArn, messageId: given.waiting };

  const first = await client.get(waiting);
  const aborter = new AbortController();
  const aborted = problem(client.waitForResult(waiting, { signal: aborter.signal }));
  setTimeout(() => aborter.abort(new Error('changed my mind')), 300);
  const result = await client.waitForResult(sent, { timeout: 30_000 });
  const batch = await client.getMany([sent, { channelArn, messageId: 'none' }, waiting, sent]);
  const any = await client.getMany([waiting, sent], { wait: 2, until: 'any' });
  const late = await client.waitForResult(waiting, { timeout: 4000 }).catch((error) => [error.name, error.last?.status]);
  return {
    first: first.status,
    hasRetryAfter: first.retryAfter !== undefined,
    result: result.status,
    batch: batch.map((result) => result.status ?? result.problem?.problem),
    any: any.map((result) => result.status),
    late,
    aborted: await aborted,
    asBob: await problem(clientOf(bob).get(sent)),
    malformed: await problem(client.waitForResult({ channelArn, messageId: 'm/1' })),
    // The response of the gateway itself. A page can read it because it has CORS headers.
    invalidToken: await problem(clientOf('not-a-token').get(sent)),
    denied: await problem(client.waitForResult(denied)),
  };
}

const expected = {
  first: 'PENDING',
  hasRetryAfter: true,
  result: 'SENT',
  batch: ['SENT', 'message-not-found', 'PENDING', 'SENT'],
  any: ['PENDING', 'SENT'],
  late: ['TimeoutError', 'PENDING'],
  aborted: 'Error: changed my mind',
  asBob: 'message-not-found',
  malformed: 'invalid-request',
  invalidToken: 'unauthenticated',
  denied: 'message-not-found',
};

const given = async (): Promise<Tour> => ({
  url: `${local.gateway}/message-status`,
  alice: local.alice,
  bob: local.bob,
  channelArn: local.channelArn,
  sent: await send('outcome=SENT&afterMs=1500'),
  denied: await send('outcome=DENIED&afterMs=0'),
  waiting: await send('outcome=PENDING'),
});

test('in Node the client reads results, problems, batches, timeouts and aborts', LIMIT, async () => {
  assert.deepEqual(await tour(await import('chime-message-status-client'), await given()), expected);
});

test('in Chromium, from another origin, the client reads the same', LIMIT, async () => {
  assert.deepEqual(await inPage(`(${tour})(lib, given)`, await given()), expected);
});

test('in Chromium a wait survives the loss and the return of the network', LIMIT, async () => {
  const messageId = await send('outcome=SENT&afterMs=4000');
  const first = page.waitForResponse((response) => response.url().startsWith(`${local.gateway}/message-status`));
  await inPage(
    `window.result = new lib.MessageStatusClient({ url: given.url, token: () => given.alice })
       .waitForResult({ channelArn: given.channelArn, messageId: given.messageId }, { timeout: 30_000 }), 0`,
    { url: `${local.gateway}/message-status`, alice: local.alice, channelArn: local.channelArn, messageId },
  );
  await first;
  const failed = page.waitForEvent('requestfailed');
  await page.context().setOffline(true);
  await failed;
  assert.equal(await page.evaluate('navigator.onLine'), false);
  await page.context().setOffline(false);
  assert.equal((await page.evaluate('result') as { status: string }).status, 'SENT');
});

/** Evaluates an expression in the page, with the package as `lib` and what is given as `given`. */
function inPage(expression: string, given: object): Promise<any> {
  return page.evaluate(
    `import('/dist/index.js').then(async (lib) => { const given = ${JSON.stringify(given)}; return ${expression}; })`,
  );
}
