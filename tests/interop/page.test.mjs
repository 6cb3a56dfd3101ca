// The demo page, used in Chromium with only a keyboard.
//
//   LOCAL_GATEWAY=target/debug/examples/local CLIENT_BUNDLE=client/build/client.js node --test page.test.mjs
//
// With SCREENSHOTS=FOLDER it also takes the pictures.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { get } from "node:http";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { launch, start } from "./example.mjs";

const LIMIT = { timeout: 120_000 };
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let local;
let browser;
let page;
/** Errors and console messages in Chromium. They include violations of the content security policy. */
let complaints;
/** The requests to the gateway, preflights included. */
let requests;

before(async () => {
  local = await start();
  browser = await launch();
}, LIMIT);

after(async () => {
  await browser?.close();
  await local?.stop();
}, LIMIT);

beforeEach(() => visit(), LIMIT);

afterEach(async () => {
  await page.context().close();
  assert.deepEqual(complaints, []);
}, LIMIT);

async function visit(options = {}) {
  await page?.context().close();
  page = await browser.newPage({ viewport: { width: 1280, height: 800 }, ...options });
  page.setDefaultTimeout(60_000);
  complaints = [];
  requests = [];
  page.on("pageerror", (error) => complaints.push(`${error}`));
  page.on("console", (message) => complaints.push(`${message.text()} ${message.location().url}`));
  const network = await page.context().newCDPSession(page);
  await network.send("Network.enable");
  network.on("Network.requestWillBeSent", ({ request }) => {
    const { origin, pathname } = new URL(request.url);
    if (origin === local.gateway) requests.push(`${request.method} ${pathname}`);
  });
  await page.goto(local.page);
  for (const name of ["Alice", "Bob"]) await connection(name, "open");
  await page.evaluate(`
    announced = { Alice: [], Bob: [] };
    for (const name of ['Alice', 'Bob']) {
      new MutationObserver((changes) => {
        for (const { addedNodes } of changes) for (const node of addedNodes) announced[name].push(node.textContent);
      }).observe(document.querySelector('[aria-label=' + name + '] [role=status]'), { childList: true });
    }
  `);
}

test("the page has the client as it is built", LIMIT, async () => {
  const built = await readFile(process.env.CLIENT_BUNDLE, "utf8");
  const served = await (await fetch(`${local.page}/client.js`)).text();
  assert.equal(served, built, "npm run bundle in client/, and copy build/client.js into examples/local/page/");
});

test("while a WebSocket is cut, only the endpoint knows statuses", LIMIT, async () => {
  await chooseFlow("lets it pass", 0);
  await write("Bob", "Is the table booked?");
  await shows("Bob", "Is the table booked?", "Sent", "Sent");
  await receives("Alice", "Is the table booked?");

  await toggle("Alice");
  await connection("Alice", "cut");
  await chooseFlow("lets it pass", 2);
  const sent = page.waitForRequest(/\/send/);
  await write("Alice", "Yes, for noon.");
  assert.equal(new URL((await sent).url()).search, "?outcome=SENT&afterMs=2000");
  await shows("Alice", "Yes, for noon.", "Pending", "Sent");
  await receives("Bob", "Yes, for noon.");

  await chooseFlow("denies it", 1);
  await write("Alice", "It is Carol’s birthday. Do not tell her.");
  await shows("Alice", "It is Carol’s birthday", "Pending", "Probably not sent");
  await chooseFlow("fails", 1);
  await write("Bob", "Shall I bring a cake?");
  await shows("Bob", "Shall I bring a cake?", "Failed", "Failed");

  const { Alice, Bob } = await page.evaluate("announced");
  assert.deepEqual(Alice.filter((text) => text.startsWith("“Yes, for noon.”")), [
    "“Yes, for noon.”: Pending by the WebSocket alone, Pending with this endpoint.",
    "“Yes, for noon.”: Pending by the WebSocket alone, Sent with this endpoint.",
  ]);
  assert.ok(Alice.includes("Alice’s WebSocket is cut."));
  assert.ok(Bob.includes("Alice wrote to Bob: “Yes, for noon.”"));
  if (process.env.SCREENSHOTS) await screenshots();
});

test("after a reconnect the endpoint reports what was missed, the WebSocket the rest", LIMIT, async () => {
  await toggle("Alice");
  await connection("Alice", "cut");
  for (const [outcome, text] of [["lets it pass", "one"], ["denies it", "two"], ["fails", "three"], ["never decides", "four"]]) {
    await chooseFlow(outcome, 0);
    await write("Alice", text);
  }
  await toggle("Alice");
  await connection("Alice", "open");
  await shows("Alice", "one", "Pending", "Sent");
  await shows("Alice", "two", "Pending", "Probably not sent");
  await shows("Alice", "three", "Pending", "Failed");
  await shows("Alice", "four", "Pending", "Pending");
  assert.ok(requests.includes("POST /message-status"));
  assert.ok(!requests.includes("GET /message-status"), "messages share requests");
  await chooseFlow("lets it pass", 1);
  await write("Alice", "five");
  await shows("Alice", "five", "Sent", "Sent");
});

test("with an open WebSocket the app does not call the endpoint", LIMIT, async () => {
  for (const [outcome, word] of [["lets it pass", "Sent"], ["denies it", "Denied"], ["fails", "Failed"]]) {
    await chooseFlow(outcome, 1);
    await write("Bob", outcome);
    await shows("Bob", outcome, word, word);
  }
  await receives("Alice", "lets it pass");
  assert.equal(await region("Alice").getByRole("listitem").count(), 1, "refused messages reach their sender only");
  assert.ok(!requests.includes("POST /message-status"));
});

test("pending messages do not delay a message that Chime has decided", LIMIT, async () => {
  // A request that waits as long as the endpoint allows. It begins before any other wait.
  const headers = { authorization: `Bearer ${local.alice}` };
  const sent = await fetch(`${local.gateway}/send?outcome=PENDING`, { method: "POST", headers });
  const query = new URLSearchParams({ channelArn: local.channelArn, messageId: await sent.text(), wait: "20" });
  const wholeWait = fetch(`${local.gateway}/message-status?${query}`, { headers });

  await toggle("Alice");
  await connection("Alice", "cut");
  await chooseFlow("never decides");
  for (const text of ["one", "two", "three", "four", "five", "six", "seven"]) await write("Alice", text);
  await chooseFlow("lets it pass", 1);
  await write("Alice", "decided");
  const first = await Promise.race([
    shows("Alice", "decided", "Pending", "Sent").then(() => "the decided message"),
    wholeWait.then(() => "a whole wait"),
  ]);
  assert.equal(first, "the decided message");
  for (const text of ["one", "seven"]) await shows("Alice", text, "Pending", "Pending");
  await wholeWait;
});

test("events that occur while a WebSocket is cut are not sent again", LIMIT, async () => {
  await chooseFlow("lets it pass", 0);
  await toggle("Bob");
  await connection("Bob", "cut");
  await write("Alice", "missed");
  await shows("Alice", "missed", "Sent", "Sent");
  await toggle("Bob");
  await connection("Bob", "open");
  await write("Alice", "received");
  await receives("Bob", "received");
  assert.equal(await message("Bob", "missed").count(), 0);
});

test("a server that restarts: the text stays, and the page recovers", LIMIT, async () => {
  await chooseFlow("lets it pass", 0);
  await local.stop();
  for (const name of ["Alice", "Bob"]) await connection(name, "connecting");
  await type("Alice", "Are you there?");
  await region("Alice").getByText("Your message was not sent: the server cannot be reached.").first().waitFor();
  const text = textbox("Alice");
  assert.equal(await text.inputValue(), "Are you there?");
  assert.equal(await text.getAttribute("aria-invalid"), "true");
  await audit("a failed send");

  local = await start({}, local);
  for (const name of ["Alice", "Bob"]) await connection(name, "open");
  await tabTo(text);
  await page.keyboard.press("Enter");
  await shows("Alice", "Are you there?", "Sent", "Sent");
  assert.equal(await text.inputValue(), "");
  assert.equal(await text.getAttribute("aria-invalid"), null);
  await receives("Bob", "Are you there?");
  // Chromium reports each refused connection.
  complaints = complaints.filter((text) => !/ERR_CONNECTION_|WebSocket connection to|ERR_EMPTY_RESPONSE/.test(text));
});

test("new messages do not interrupt reading", LIMIT, async () => {
  await chooseFlow("lets it pass", 0);
  for (const text of ["one", "two", "three", "four", "five", "six"]) {
    await write("Alice", text);
    await shows("Alice", text, "Sent", "Sent");
  }
  const list = region("Alice").getByRole("list");
  const top = () => list.evaluate((list) => list.scrollTop);
  assert.ok(await list.evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight < 24), "it follows");
  const newer = region("Alice").getByRole("button", { name: "New message" });
  await tabTo(list);
  await page.keyboard.press("Home");
  await page.waitForFunction(() => document.querySelector("[aria-label=Alice] ol").scrollTop === 0);
  await write("Bob", "seven");
  await receives("Alice", "seven");
  assert.equal(await top(), 0);
  await tabTo(newer);
  await page.keyboard.press("Enter");
  await newer.waitFor({ state: "hidden" });
  assert.ok(await top() > 0);
});

test("one button shows it: the message is pending for the WebSocket alone and sent with the endpoint", LIMIT, async () => {
  await tabTo(page.getByRole("button", { name: "Show me" }));
  await page.keyboard.press("Enter");
  await shows("Alice", "Can you see this?", "Pending", "Sent");
  await message("Alice", "Can you see this?").getByText(/^Known \d\.\d s after the decision, \d requests?\.$/).waitFor();
  await connection("Alice", "open");
});

test("a pending message survives a reload", LIMIT, async () => {
  assert.ok(await region("Alice").getByText("No messages yet").isVisible());
  await toggle("Alice");
  await connection("Alice", "cut");
  await chooseFlow("lets it pass", 3);
  await write("Alice", "before the reload");
  assert.ok(!await region("Alice").getByText("No messages yet").isVisible());
  await page.reload();
  await message("Alice", "before the reload").getByRole("definition").last().getByText("Sent", { exact: true }).waitFor();
});

test("a foreign host name is refused, by the page and by the gateway", LIMIT, async () => {
  const statusOf = (url, host) => new Promise((resolve, reject) => {
    get(url, { headers: { host } }, (response) => resolve(response.resume().statusCode)).on("error", reject);
  });
  for (const path of ["/", "/settings.json"]) {
    assert.equal(await statusOf(local.page + path, "evil.example:80"), 421);
    assert.equal(await statusOf(local.page + path, new URL(local.page).host), 200);
  }
  assert.equal(await statusOf(`${local.gateway}/message-status`, "evil.example"), 421);
  assert.equal(await statusOf(`${local.gateway}/message-status`, "localhost"), 401);
});

test("the page calls another origin, with a preflight", LIMIT, async () => {
  await toggle("Alice");
  await connection("Alice", "cut");
  await chooseFlow("lets it pass", 0);
  const response = page.waitForResponse((response) => response.url().startsWith(`${local.gateway}/message-status`));
  await write("Alice", "across");
  await shows("Alice", "across", "Pending", "Sent");
  assert.notEqual(new URL(local.page).origin, local.gateway);
  const headers = await (await response).allHeaders();
  assert.equal(headers["access-control-allow-origin"], new URL(local.page).origin);
  assert.ok(requests.includes("OPTIONS /message-status"));
});

test("pages of other origins can neither send nor read statuses", LIMIT, async () => {
  for (const path of ["/send", "/websocket-url", "/message-status"]) {
    const preflight = await fetch(local.gateway + path, {
      method: "OPTIONS",
      headers: { origin: "http://127.0.0.1:1", "access-control-request-method": "POST" },
    });
    assert.equal(preflight.headers.get("access-control-allow-origin"), null);
  }
});

test("each user has one live region, and the page has landmarks", LIMIT, async () => {
  for (const role of ["banner", "main", "contentinfo"]) assert.equal(await page.getByRole(role).count(), 1, role);
  for (const name of ["Alice", "Bob"]) {
    assert.equal(await region(name).locator("[role=status], [role=alert], [role=log], [aria-live]").count(), 1);
  }
  assert.equal(await page.locator("[role=status], [role=alert], [role=log], [aria-live]").count(), 3, "and one for the steps of the demo");
});

for (const [name, options] of [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["forced colors", { forcedColors: "active" }],
]) {
  test(`with ${name}: axe has no findings, and nothing is wider than the screen`, LIMIT, async () => {
    await visit(options);
    await toggle("Alice");
    await connection("Alice", "cut");
    await chooseFlow("denies it", 0);
    await write("Alice", `A_word_that_does_not_end_${"_".repeat(150)}`);
    await shows("Alice", "A_word_that_does_not_end", "Pending", "Probably not sent");
    await chooseFlow("lets it pass", 0);
    await write("Bob", "hello");
    await shows("Bob", "hello", "Sent", "Sent");
    for (const width of [1280, 390, 320]) {
      await page.setViewportSize({ width, height: 800 });
      assert.equal(await page.evaluate("document.documentElement.scrollWidth"), width);
      const wide = `[...document.querySelectorAll('ol, .text, .head, .write')].filter((box) => box.scrollWidth > box.clientWidth)`;
      assert.equal(await page.evaluate(`${wide}.length`), 0);
      await audit(`${name}, ${width} px`);
    }
    // On and off, chosen and not chosen, and each status must look different, also with forced colors.
    const color = (selector, pseudo) =>
      page.evaluate(([selector, pseudo]) => getComputedStyle(document.querySelector(selector), pseudo).backgroundColor, [selector, pseudo]);
    assert.notEqual(await color(".choices :checked + span"), await color(".choices :not(:checked) + span"));
    assert.notEqual(await color(".switch input", "::before"), await color(".switch input"));
    assert.notEqual(await color("dd", "::before"), await color("li"));
  });
}

/** Fails with axe's findings, if there are any. */
async function audit(name) {
  await page.evaluate(axe);
  const findings = await page.evaluate(`axe.run(document).then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary).join('; ')))`);
  assert.deepEqual(findings, [], name);
}

async function screenshots() {
  const folder = process.env.SCREENSHOTS;
  await page.screenshot({ path: `${folder}/demo.png` });
  for (const [name, media] of [
    ["light", {}], ["dark", { colorScheme: "dark" }], ["forced", { colorScheme: "light", forcedColors: "active" }],
  ]) {
    await page.emulateMedia(media);
    for (const width of [1280, 390, 320]) {
      await page.setViewportSize({ width, height: 800 });
      await page.screenshot({ path: `${folder}/${name}-${width}.png`, fullPage: true });
    }
  }
}

/** Presses Tab until this has the focus. */
async function tabTo(target) {
  for (let i = 0; i < 40; i += 1) {
    if (await target.evaluate((element) => element === element.ownerDocument.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`Tab does not lead to ${target}`);
}

async function chooseFlow(outcome, seconds) {
  await tabTo(page.locator("[name=outcome]:checked"));
  const radio = page.getByRole("radio", { name: outcome });
  for (let i = 0; i < 4 && !(await radio.isChecked()); i += 1) await page.keyboard.press("ArrowRight");
  assert.ok(await radio.isChecked());
  if (outcome === "never decides") return;
  await tabTo(page.getByRole("slider", { name: "Delay" }));
  await page.keyboard.press("Home");
  for (let i = 0; i < seconds; i += 1) await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator("output").textContent(), `${seconds} s`);
}

const region = (name) => page.getByRole("region", { name });
const textbox = (name) => region(name).getByRole("textbox", { name: `Message from ${name}` });

async function type(name, text) {
  await tabTo(textbox(name));
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

/** Sends a message. The field is empty once Chime has it. */
async function write(name, text) {
  await type(name, text);
  await page.waitForFunction((name) => !document.querySelector(`[aria-label="Message from ${name}"]`).value, name);
}

async function toggle(name) {
  await tabTo(page.getByRole("switch", { name: `${name}’s WebSocket` }));
  await page.keyboard.press("Space");
}

/** Waits until the WebSocket is open, connecting or cut. */
async function connection(name, state) {
  await region(name).locator(".state").getByText(state, { exact: true }).waitFor();
  assert.equal(await page.getByRole("switch", { name: `${name}’s WebSocket` }).isChecked(), state !== "cut");
}

const message = (name, text) =>
  region(name).getByRole("listitem").filter({ has: page.locator(".text", { hasText: text }) });

/** Waits until an own message has these statuses, by the WebSocket alone and with the endpoint. */
async function shows(name, text, alone, tracked) {
  const statuses = message(name, text).getByRole("definition");
  await statuses.last().getByText(tracked, { exact: true }).waitFor();
  assert.equal(await statuses.first().textContent(), alone);
}

/** Waits until a user sees what the other one wrote. */
async function receives(name, text) {
  await message(name, text).waitFor();
}
