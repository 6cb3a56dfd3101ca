// The app in Chromium, against the local system: LOCAL_GATEWAY=target/debug/examples/local npm test
// With SCREENSHOTS=FOLDER it also takes pictures.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const LIMIT = { timeout: 90_000 };
let local;
let pageOfLocal;
let settings;
let server;
let browser;
let page;
/** The WebSocket of the last session. */
let last;
/** Bodies of the requests to the endpoint, and of those that send a message. */
let requests = [];
let sends = [];

before(async () => {
  server = await serve(0, () => pageOfLocal);
  const origin = `http://127.0.0.1:${server.address().port}`;
  local = spawn(process.env.LOCAL_GATEWAY, ['--port', '0', '--chime-port', '0', '--page-port', '0'], {
    env: { ...process.env, ALLOWED_ORIGINS: origin }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: local.stdout })) {
    pageOfLocal = /^See it in a browser: (.+)$/.exec(line)?.[1] ?? pageOfLocal;
    if (line.startsWith('Each response leaves a line here')) break;
  }
  local.stdout.resume();
  settings = await (await fetch(`${pageOfLocal}/settings.json`)).json();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  // amazon-chime-sdk-js rejects a promise that no code holds when a session is stopped while it connects.
  page.on('pageerror', (error) => `${error}`.includes('CloseEvent') || console.error(error));
  page.on('request', (request) => {
    if (request.method() !== 'POST') return;
    if (isStatusRequest(request)) requests.push(request.postData());
    else if (request.postData()?.includes('ClientRequestToken')) sends.push(request.postDataJSON());
  });
  await page.goto(origin);
}, LIMIT);

after(async () => {
  await browser?.close();
  local?.kill('SIGINT');
  if (local) await once(local, 'exit');
  server?.close();
  server?.closeAllConnections();
}, LIMIT);

const control = (action, body = {}) => fetch(`${settings.chime.http}/test/${action}`, { method: 'POST', body: JSON.stringify(body) });
const login = (name) => page.getByRole('button', { name: `Log in as ${name}` }).click();
const item = (text) => page.getByRole('listitem').filter({ hasText: text });
const shows = (text, words) => item(text).getByRole('status').getByText(words, { exact: true }).waitFor();
const flow = (hash) => page.evaluate((hash) => { location.hash = hash; }, hash);
async function send(text) {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
}
const isStatusRequest = (request) => request.method() === 'POST' && request.url().includes('/message-status');
/** The next WebSocket over which Chime has greeted the page. */
const session = () => new Promise((resolve) => page.on('websocket', (socket) =>
  socket.on('framereceived', ({ payload }) => `${payload}`.includes('SESSION_ESTABLISHED') && resolve(socket))));
const idOf = (socket) => new URL(socket.url()).searchParams.get('sessionId');
const picture = (name) => process.env.SCREENSHOTS && page.screenshot({ path: `${process.env.SCREENSHOTS}/example-${name}.png` });

test('with a live session no request is made; the status and the edit are shown', LIMIT, async () => {
  const connected = session();
  await login('Alice');
  last = await connected;
  await flow('outcome=SENT&afterMs=300');
  await send('hello');
  await shows('hello', 'sent');
  await flow('outcome=FAILED&afterMs=300');
  await item('hello').getByRole('button', { name: 'Edit' }).click();
  await shows('hello', 'sent, edit not sent');
  await flow('outcome=DENIED&afterMs=300');
  await send('rude');
  await shows('rude', 'not sent');
  assert.deepEqual(requests, []);
});

test('while the session is down the endpoint tells, also about an edit', LIMIT, async () => {
  await control('websockets-down');
  await flow('outcome=DENIED&afterMs=500');
  await send('lost');
  await shows('lost', 'probably not sent');
  await flow('outcome=PENDING');
  await item('hello').getByRole('button', { name: 'Edit' }).click();
  await shows('hello', 'sent, edit pending');
  await flow('outcome=SENT&afterMs=500');
  await item('hello').getByRole('button', { name: 'Edit' }).click();
  await shows('hello', 'sent, edit sent');
  assert.ok(requests.length > 0);
  await picture('down');
});

test('a session that gave up is replaced when the network is back', LIMIT, async () => {
  const connected = session();
  // Since the test before, connections are refused. amazon-chime-sdk-js gives up after 10 seconds; then the app takes another session.
  await page.waitForEvent('websocket', (socket) => idOf(socket) !== idOf(last));
  // The tracker requests "lost" once more when it is connected again.
  const caughtUp = page.waitForResponse((response) => isStatusRequest(response.request()));
  await control('websockets-up');
  last = await connected;
  await caughtUp;
  requests = [];
  await flow('outcome=SENT&afterMs=800');
  await send('late');
  await shows('late', 'sent');
  assert.deepEqual(requests, []);
});

test('a session that ended without a report is replaced', LIMIT, async () => {
  const connected = session();
  // amazon-chime-sdk-js reports no end if a reconnect is refused with this code.
  await control('refuse-websocket', { code: 4401 });
  await control('cut-websockets');
  assert.notEqual(idOf(await connected), idOf(last));
});

test('a message that could not be sent is sent again with the same token', LIMIT, async () => {
  await page.context().setOffline(true);
  await send('twice');
  // Shown when the AWS SDK has given up, so nothing but the button sends it again.
  await shows('twice', 'could not be sent');
  await page.context().setOffline(false);
  const before = sends.length;
  await item('twice').getByRole('button', { name: 'Send again' }).click();
  await shows('twice', 'sent');
  assert.equal(sends.length, before + 1);
  const tokens = sends.filter(({ Content }) => Content === 'twice').map(({ ClientRequestToken }) => ClientRequestToken);
  assert.ok(tokens.length > 1 && tokens.every((token) => token === tokens[0]), `${tokens}`);
  await picture('end');
});

test('the next user of the browser neither sees nor asks about the messages', LIMIT, async () => {
  await page.getByRole('button', { name: 'Log out' }).click();
  const stored = await page.evaluate(() => JSON.stringify(localStorage));
  assert.ok(!stored.includes('channelArn') || !stored.includes('SENT'), stored);
  requests = [];
  const connected = session();
  await login('Bob');
  await connected;
  await flow('outcome=SENT&afterMs=300');
  await send('hi');
  await shows('hi', 'sent');
  assert.equal(await page.getByRole('listitem').count(), 1);
  assert.deepEqual(requests, []);
});
