// The page of `cargo run --example local`, used in Chromium with nothing but a keyboard.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import type { Browser, Locator, Page } from 'playwright-core';
import { launch, start, type Local } from './support.js';

const LIMIT = { timeout: 60_000 };
type Name = 'Alice' | 'Bob';
type Outcome = 'lets it pass' | 'denies it' | 'fails' | 'never decides';

let local: Local;
let browser: Browser;
let page: Page;
/** What Chromium complains about, broken policies included. */
let complaints: string[];
/** The requests to the gateway, with `PREFLIGHT` for those that Chromium makes by itself. */
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
  network.on('Network.requestWillBeSent', ({ request, type }) => {
    const { origin, pathname } = new URL(request.url);
    if (origin === local.gateway) {
      requests.push(`${type === 'Preflight' ? 'PREFLIGHT' : request.method} ${pathname}`);
    }
  });
  await page.goto(local.page);
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
  await write('Alice', 'Yes, for noon.');
  await shows('Alice', 'Yes, for noon.', 'Pending', 'Pending');
  await shows('Alice', 'Yes, for noon.', 'Pending', 'Sent');
  await hears('Bob', 'Yes, for noon.');

  await flow('denies it', 1);
  await write('Alice', 'Tell nobody that it is Carol’s birthday.');
  await shows('Alice', 'Tell nobody that it is Carol’s birthday.', 'Pending', 'Not sent');
  await flow('fails', 1);
  await write('Bob', 'Shall I bring a cake?');
  await shows('Bob', 'Shall I bring a cake?', 'Failed', 'Failed');
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
});

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
  page.getByRole('region', { name }).getByRole('listitem').filter({ hasText: text });

/** Waits until a user's own message is shown like this, without the endpoint and with it. */
async function shows(name: Name, text: string, alone: string, asked: string): Promise<void> {
  await message(name, text).getByText(new RegExp(`^${asked}$`)).last().waitFor();
  assert.deepEqual(await message(name, text).getByRole('definition').allTextContents(), [alone, asked]);
}

/** Waits until a user sees what the other one wrote. */
async function hears(name: Name, text: string): Promise<void> {
  await message(name, text).waitFor();
}
