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
let requests = [];

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
  page.setDefaultTimeout(25_000);
  // amazon-chime-sdk-js rejects a promise that no code holds when a session is stopped while it connects.
  page.on('pageerror', (error) => `${error}`.includes('CloseEvent') || console.error(error));
  page.on('request', (request) => request.method() === 'POST' && request.url().includes('/message-status') && requests.push(request.postData()));
  await page.goto(origin);
}, LIMIT);

after(async () => {
  await browser?.close();
  local?.kill('SIGINT');
  if (local) await once(local, 'exit');
  server?.close();
  server?.closeAllConnections();
}, LIMIT);

const control = (action) => fetch(`${settings.chime.http}/test/${action}`, { method: 'POST', body: '{}' });
const login = (name) => page.getByRole('button', { name: `Log in as ${name}` }).click();
const item = (text) => page.getByRole('listitem').filter({ hasText: text });
const shows = (text, words) => item(text).getByRole('status').getByText(words, { exact: true }).waitFor();
const flow = (hash) => page.evaluate((hash) => { location.hash = hash; }, hash);
async function send(text) {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
}
const picture = (name) => process.env.SCREENSHOTS && page.screenshot({ path: `${process.env.SCREENSHOTS}/example-${name}.png` });

test('with a live session no request is made; the status and the edit are shown', LIMIT, async () => {
  await login('Alice');
  await flow('outcome=SENT&afterMs=300');
  await send('hello');
  await shows('hello', 'sent');
  await flow('outcome=FAILED&afterMs=300');
  await item('hello').getByRole('button', { name: 'Edit' }).click();
  await shows('hello', 'sent, edit not sent');
  await flow('outcome=DENIED&afterMs=300');
  await send('rude');
  await shows('rude', 'not sent');
});

test('while the session is down the endpoint tells, also about an edit', LIMIT, async () => {
  await control('websockets-down');
  await flow('outcome=DENIED&afterMs=500');
  await send('lost');
  await shows('lost', 'probably not sent');
  await flow('outcome=SENT&afterMs=500');
  await item('hello').getByRole('button', { name: 'Edit' }).click();
  await shows('hello', 'sent, edit pending');
  await shows('hello', 'sent, edit sent');
  assert.ok(requests.length > 0);
  await picture('down');
});

test('a session that gave up is replaced when the network is back', LIMIT, async () => {
  // amazon-chime-sdk-js gives up after 10 seconds; the last event about "late" comes over the new session.
  await new Promise((resolve) => setTimeout(resolve, 12_000));
  const connected = page.waitForEvent('websocket');
  await control('websockets-up');
  await connected;
  await page.waitForTimeout(4000);
  requests = [];
  await flow('outcome=SENT&afterMs=800');
  await send('late');
  await shows('late', 'sent');
  assert.deepEqual(requests, []);
});

test('a message that could not be sent is sent again with the same token', LIMIT, async () => {
  await page.context().setOffline(true);
  await send('twice');
  const retry = item('twice').getByRole('button', { name: 'Send again' });
  await retry.waitFor();
  await page.context().setOffline(false);
  await retry.click();
  await shows('twice', 'sent');
  await picture('end');
});

test('the next user of the browser neither sees nor asks about the messages', LIMIT, async () => {
  await page.getByRole('button', { name: 'Log out' }).click();
  const stored = await page.evaluate(() => JSON.stringify(localStorage));
  assert.ok(!stored.includes('channelArn') || !stored.includes('SENT'), stored);
  requests = [];
  await login('Bob');
  await flow('outcome=SENT&afterMs=300');
  await send('hi');
  await shows('hi', 'sent');
  assert.equal(await page.getByRole('listitem').count(), 1);
  assert.deepEqual(requests, []);
});
