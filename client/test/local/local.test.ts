// Against the project's own gateway, function and stand-in for Chime, from Node and from a page in
// Chromium whose origin is another one than the gateway's.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { chromium, type Browser, type Page } from 'playwright-core';

const LIMIT = { timeout: 60_000 };
const channelArn =
  'arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21/channel/chat-general';

let gateway: string;
let local: ChildProcess;
const tokens = { ALICE: '', BOB: '' };
let pages: Server;
let browser: Browser;
let page: Page;

before(async () => {
  const program = process.env.LOCAL_GATEWAY;
  assert.ok(program, 'LOCAL_GATEWAY is the path of target/debug/examples/local');
  pages = createServer(async (request, response) => {
    const name = /^\/dist\/(\w+\.js)$/.exec(request.url ?? '')?.[1];
    if (!name) return void response.writeHead(200, { 'content-type': 'text/html' }).end('<title>chat</title>');
    const script = await readFile(new URL(`../../dist/${name}`, import.meta.url));
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
  });
  await once(pages.listen(0, '127.0.0.1'), 'listening');
  const origin = `http://127.0.0.1:${port(pages)}`;

  const [own, chime] = await freePorts();
  gateway = `http://127.0.0.1:${own}`;
  local = spawn(program, ['--port', `${own}`, '--chime-port', `${chime}`], {
    // A short wait, so that there are times between requests.
    env: { ...process.env, ALLOWED_ORIGINS: origin, MAX_WAIT_SECONDS: '2' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // Also when this is stopped half-way. Chromium is stopped by its driver.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      local.kill('SIGINT');
      process.exit(1);
    });
  }
  const output = createInterface({ input: local.stdout as NodeJS.ReadableStream });
  for await (const line of output) {
    const [, who, token] = /^(ALICE|BOB)=(.+)$/.exec(line) ?? [];
    if (who) tokens[who as 'ALICE' | 'BOB'] = token as string;
    if (tokens.ALICE && tokens.BOB) break;
  }
  assert.ok(tokens.BOB, 'the gateway did not start');
  // What it says later has to go somewhere.
  local.stdout?.resume();

  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
  page = await browser.newPage();
  await page.goto(origin);
}, LIMIT);

after(async () => {
  await browser?.close();
  local?.kill('SIGINT');
  pages?.close();
  pages?.closeAllConnections();
}, LIMIT);

const port = (server: Server) => (server.address() as AddressInfo).port;

async function freePorts(): Promise<number[]> {
  const servers = [createServer(), createServer()];
  await Promise.all(servers.map((server) => once(server.listen(0, '127.0.0.1'), 'listening')));
  const ports = servers.map(port);
  for (const server of servers) server.close();
  return ports;
}

async function send(outcome: string): Promise<string> {
  const response = await fetch(`${gateway}/send?${outcome}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokens.ALICE}` },
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
    // The local gateway's 401 has no CORS headers, which is what many gateways do: a page cannot
    // read it, and Node can.
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
  denied: 'message-not-found',
};

const given = async (): Promise<Tour> => ({
  url: `${gateway}/message-status`,
  alice: tokens.ALICE,
  bob: tokens.BOB,
  channelArn,
  sent: await send('outcome=SENT&afterMs=1500'),
  denied: await send('outcome=DENIED&afterMs=500'),
  waiting: await send('outcome=PENDING'),
});

test('Node: sent, pending, of others, many, aborted, without a token', LIMIT, async () => {
  const { noToken, ...rest } = await tour(await import('chime-message-status-client'), await given());
  assert.deepEqual(rest, expected);
  assert.equal(noToken, 'unauthenticated');
});

test('Chromium, from another origin: sent, pending, of others, many, aborted, without a token', LIMIT, async () => {
  const { noToken, ...rest } = await inPage(`(${tour})(lib, given)`, await given());
  assert.deepEqual(rest, expected);
  assert.match(noToken, /^TypeError/);
});

test('Chromium: the network goes and comes back in the middle of a wait', LIMIT, async () => {
  const messageId = await send('outcome=SENT&afterMs=4000');
  const first = page.waitForResponse((response) => response.url().includes(messageId));
  // Had it not heard of the return, its next attempt would come after 15 seconds at the earliest.
  await inPage(
    `window.settled = new lib.MessageStatusClient({ url: given.url, token: () => given.alice })
       .settled({ channelArn: given.channelArn, messageId: given.messageId }, { timeout: 14_000 }), 0`,
    { url: `${gateway}/message-status`, alice: tokens.ALICE, channelArn, messageId },
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
