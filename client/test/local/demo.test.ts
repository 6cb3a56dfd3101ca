// The page of `cargo run --example local`, used in Chromium with nothing but a keyboard.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import type { Browser, Locator, Page, Request } from 'playwright-core';
import { launch, start, type Local } from './support.js';

const LIMIT = { timeout: 60_000 };
type Name = 'Alice' | 'Bob';
type Outcome = 'lets it pass' | 'denies it' | 'fails' | 'never decides';

let local: Local;
let browser: Browser;
let page: Page;
/** What Chromium complains about, broken policies included. */
let complaints: string[];
/** The requests to the gateway, preflights included. */
let requests: string[];

before(async () => {
  local = await start({});
  browser = await launch();
}, LIMIT);

after(async () => {
  await browser?.close();
  local?.stop();
}, LIMIT);

beforeEach(async () => {
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  complaints = [];
  requests = [];
  page.on('pageerror', (error) => complaints.push(`${error}`));
  page.on('console', (message) => complaints.push(`${message.text()} ${message.location().url}`));
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  network.on('Network.requestWillBeSent', ({ request }) => {
    const { origin, pathname } = new URL(request.url);
    if (origin === local.gateway) requests.push(`${request.method} ${pathname}`);
  });
  await page.goto(local.page);
  await page.evaluate(`
    announced = [];
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) for (const { data } of addedNodes) announced.push(data);
    }).observe(document.querySelector('[role=status]'), { childList: true });
  `);
  for (const name of ['Alice', 'Bob'] as const) await open(name, true);
}, LIMIT);

afterEach(async () => {
  // A denied message is not found, and Chromium notes every 404.
  const others = complaints.filter((text) => !/status of 404 .*\/message-status\?/.test(text));
  await page.close();
  assert.deepEqual(others, []);
}, LIMIT);

test('the page has the client as it is built', LIMIT, async () => {
  const built = await readFile(new URL('../client.js', import.meta.url), 'utf8');
  const served = await (await fetch(`${local.page}/client.js`)).text();
  assert.equal(served, built, 'npm run bundle, and copy build/client.js into examples/local/page/');
});

test('with its websocket cut, an app knows only what it asks', LIMIT, async () => {
  await flow('lets it pass', 0);
  await write('Bob', 'Is the table booked?');
  await shows('Bob', 'Is the table booked?', 'Sent', 'Sent');
  await hears('Alice', 'Is the table booked?');

  await toggle('Alice');
  await open('Alice', false);
  await flow('lets it pass', 2);
  const sent = page.waitForRequest(/\/send/);
  await write('Alice', 'Yes, for noon.');
  assert.equal(new URL((await sent).url()).search, '?outcome=SENT&afterMs=2000');
  await shows('Alice', 'Yes, for noon.', 'Pending', 'Sent');
  await hears('Bob', 'Yes, for noon.');

  await flow('denies it', 1);
  await write('Alice', 'Tell nobody that it is Carol’s birthday.');
  await shows('Alice', 'Tell nobody that it is Carol’s birthday.', 'Pending', 'Not sent');
  await flow('fails', 1);
  await write('Bob', 'Shall I bring a cake?');
  await shows('Bob', 'Shall I bring a cake?', 'Failed', 'Failed');
  const told = await announced();
  assert.deepEqual(told.filter((text) => text.startsWith('Alice, “Yes, for noon.”')), [
    'Alice, “Yes, for noon.”: Pending by the websocket alone, Pending with this endpoint.',
    'Alice, “Yes, for noon.”: Pending by the websocket alone, Sent with this endpoint.',
  ]);
  assert.ok(told.includes('Alice’s websocket is cut.'));
  assert.ok(told.includes('Bob hears from Alice: “Yes, for noon.”'));
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
});

test('after a reconnect, an app asks once for what it missed, and the websocket tells the rest', LIMIT, async () => {
  await toggle('Alice');
  await open('Alice', false);
  for (const [outcome, text] of [['lets it pass', 'one'], ['denies it', 'two'], ['fails', 'three']] as const) {
    await flow(outcome, 0);
    await write('Alice', text);
  }
  await shows('Alice', 'one', 'Pending', 'Sent');
  await shows('Alice', 'two', 'Pending', 'Not sent');
  await shows('Alice', 'three', 'Pending', 'Failed');
  await flow('never decides', 0);
  await write('Alice', 'four');
  await shows('Alice', 'four', 'Pending', 'Pending');

  assert.ok(!requests.includes('POST /message-status'));
  await toggle('Alice');
  await open('Alice', true);
  await flow('lets it pass', 1);
  await write('Alice', 'five');
  await shows('Alice', 'five', 'Sent', 'Sent');
  // So the websocket has told all that it tells.
  await shows('Alice', 'one', 'Pending', 'Sent');
  await shows('Alice', 'two', 'Pending', 'Not sent');
  await shows('Alice', 'three', 'Pending', 'Failed');
  await shows('Alice', 'four', 'Pending', 'Pending');
  assert.equal(requests.filter((request) => request === 'POST /message-status').length, 1);
});

test('with its websocket open, an app knows everything and asks nothing', LIMIT, async () => {
  for (const [outcome, word] of [['lets it pass', 'Sent'], ['denies it', 'Denied'], ['fails', 'Failed']] as const) {
    await flow(outcome, 1);
    await write('Bob', outcome);
    await shows('Bob', outcome, word, word);
  }
  await hears('Alice', 'lets it pass');
  assert.equal(await page.getByRole('region', { name: 'Alice' }).getByRole('listitem').count(), 1);
  assert.deepEqual([...new Set(requests)].sort(), ['OPTIONS /send', 'POST /send']);
});

test('while it waits for many messages, an app can send more', LIMIT, async () => {
  const asking = new Set<Request>();
  let most = 0;
  page.on('request', (request) => {
    if (request.url().includes('/message-status?')) most = Math.max(most, asking.add(request).size);
  });
  for (const end of ['requestfinished', 'requestfailed'] as const) {
    page.on(end as 'requestfinished', (request) => asking.delete(request));
  }
  await toggle('Alice');
  await open('Alice', false);
  await flow('never decides', 0);
  for (const text of ['one', 'two', 'three', 'four', 'five', 'six', 'seven']) {
    await write('Alice', text);
    await shows('Alice', text, 'Pending', 'Pending');
  }
  // Chromium opens six connections to one server.
  assert.equal(most, 4);
});

test('what others write while a websocket is cut, it never tells', LIMIT, async () => {
  await flow('lets it pass', 0);
  await toggle('Bob');
  await open('Bob', false);
  await write('Alice', 'missed');
  await shows('Alice', 'missed', 'Sent', 'Sent');
  await toggle('Bob');
  await open('Bob', true);
  await write('Alice', 'heard');
  await hears('Bob', 'heard');
  assert.equal(await message('Bob', 'missed').count(), 0);
});

test('the page asks from another origin, and Chromium asks first whether it may', LIMIT, async () => {
  await toggle('Alice');
  await open('Alice', false);
  await flow('lets it pass', 0);
  const answered = page.waitForResponse((response) => response.url().startsWith(`${local.gateway}/message-status?`));
  await write('Alice', 'across');
  await shows('Alice', 'across', 'Pending', 'Sent');
  assert.notEqual(new URL(local.page).origin, local.gateway);
  const headers = await (await answered).allHeaders();
  assert.equal(headers['access-control-allow-origin'], new URL(local.page).origin);
  assert.deepEqual([...new Set(requests)].sort(), [
    'GET /message-status', 'OPTIONS /message-status', 'OPTIONS /send', 'POST /send',
  ]);
});

test('a page of an origin that is not allowed may neither send nor ask', LIMIT, async () => {
  for (const path of ['/send', '/message-status']) {
    const preflight = await fetch(local.gateway + path, {
      method: 'OPTIONS',
      headers: { origin: 'http://127.0.0.1:1', 'access-control-request-method': 'POST' },
    });
    assert.equal(preflight.headers.get('access-control-allow-origin'), null);
  }
});

test('on a phone nothing is wider than the screen', LIMIT, async () => {
  await page.setViewportSize({ width: 400, height: 800 });
  await toggle('Alice');
  await open('Alice', false);
  await flow('denies it', 0);
  await write('Alice', `A_word_that_does_not_end_${'_'.repeat(150)}`);
  await shows('Alice', 'A_word_that_does_not_end', 'Pending', 'Not sent');
  for (const width of [400, 320]) {
    await page.setViewportSize({ width, height: 800 });
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
    const scrolling = `[...document.querySelectorAll('ol, .text')].filter((box) => box.scrollWidth > box.clientWidth)`;
    assert.equal(await page.evaluate(`${scrolling}.length`), 0);
  }
});

/** What the page has told to those who do not see it. */
const announced = () => page.evaluate('announced') as Promise<string[]>;

/** Goes on with Tab until this has the focus. */
async function tabTo(target: Locator): Promise<void> {
  for (let i = 0; i < 40; i += 1) {
    if (await target.evaluate((element) => element === element.ownerDocument.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`Tab does not lead to ${target}`);
}

async function flow(outcome: Outcome, seconds: number): Promise<void> {
  await tabTo(page.locator('[name=outcome]:checked'));
  for (let i = 0; i < 4 && !(await page.getByRole('radio', { name: outcome }).isChecked()); i += 1) {
    await page.keyboard.press('ArrowRight');
  }
  assert.ok(await page.getByRole('radio', { name: outcome }).isChecked());
  if (outcome === 'never decides') return;
  await tabTo(page.getByRole('slider', { name: 'Delay' }));
  await page.keyboard.press('Home');
  for (let i = 0; i < seconds; i += 1) await page.keyboard.press('ArrowRight');
  assert.equal(await page.locator('output').textContent(), `${seconds} s`);
}

async function write(name: Name, text: string): Promise<void> {
  await tabTo(page.getByRole('textbox', { name: `Message from ${name}` }));
  await page.keyboard.type(text);
  await page.keyboard.press('Enter');
}

const websocket = (name: Name) => page.getByRole('switch', { name: `${name}’s websocket` });

async function toggle(name: Name): Promise<void> {
  await tabTo(websocket(name));
  await page.keyboard.press('Space');
}

/** Waits until the websocket is open, or cut. */
async function open(name: Name, open: boolean): Promise<void> {
  const state = page.getByRole('region', { name }).locator('.state');
  await state.getByText(open ? 'open' : 'cut', { exact: true }).waitFor();
  assert.equal(await websocket(name).isChecked(), open);
}

const message = (name: Name, text: string) =>
  page.getByRole('region', { name }).getByRole('listitem').filter({ has: page.locator('.text', { hasText: text }) });

/** Waits until a user's own message is shown like this, without the endpoint and with it. */
async function shows(name: Name, text: string, alone: string, asked: string): Promise<void> {
  await message(name, text).getByText(new RegExp(`^${asked}$`)).last().waitFor();
  assert.deepEqual(await message(name, text).getByRole('definition').allTextContents(), [alone, asked]);
}

/** Waits until a user sees what the other one wrote. */
async function hears(name: Name, text: string): Promise<void> {
  await message(name, text).waitFor();
}
