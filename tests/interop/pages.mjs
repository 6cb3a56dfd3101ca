// Runs the code of docs/frontends/browser.md against the local gateway: node pages.mjs MODULE GATEWAY ALICE BOB CHANNEL
import assert from "node:assert/strict";
import { createServer } from "node:http";

const [module, gateway, alice, bob, channelArn] = process.argv.slice(2);
const page = await import(module);

async function send(query) {
  const headers = { authorization: `Bearer ${alice}` };
  const sent = await fetch(`${gateway}/send?${query}`, { method: "POST", headers });
  assert.equal(sent.status, 201);
  return { channelArn, messageId: await sent.text() };
}

const asAlice = () => Promise.resolve(alice);

// One message.
const sent = await send("outcome=SENT&afterMs=0");
assert.deepEqual(await page.messageStatus(gateway, alice, sent), {
  messageId: sent.messageId,
  status: "SENT",
  retryAfter: undefined,
});
const pending = await send("outcome=PENDING");
const now = await page.messageStatus(gateway, alice, pending);
assert.equal(now.status, "PENDING");
assert.ok(now.retryAfter >= 1);

// The result, after several requests.
const slow = await send("outcome=DENIED&afterMs=1500&detail=no");
const rounds = [];
const counting = () => (rounds.push(1), asAlice());
const failed = await send("outcome=FAILED&afterMs=2500&detail=why");
const result = await page.waitForResult(gateway, counting, failed, { wait: 1 });
assert.equal(result.status, "FAILED");
assert.equal(result.detail, "why");
assert.ok(rounds.length > 1, "it made several requests");
await assert.rejects(page.waitForResult(gateway, asAlice, slow), { problem: "message-not-found", status: 404 });

// Canceled, while it waits for the response and while it pauses.
for (const wait of [20, 0]) {
  const controller = new AbortController();
  const waiting = page.waitForResult(gateway, asAlice, pending, { wait, signal: controller.signal });
  setTimeout(() => controller.abort(), 300);
  await assert.rejects(waiting, { name: "AbortError" });
}
await assert.rejects(page.waitForResult(gateway, asAlice, pending, { signal: AbortSignal.timeout(300) }), { name: "TimeoutError" });

// Transient failures: of Chime, of the network, and a response from another server.
const port = await new Promise((resolve) => {
  const server = createServer((_, response) => response.end("<html>Sign in to the WLAN</html>"));
  server.listen(0, "127.0.0.1", () => resolve(server.address().port));
  server.unref();
});
const failing = await send("outcome=ServiceFailureException");
for (const [api, message] of [
  [gateway, failing],
  ["http://127.0.0.1:1", pending],
  [`http://127.0.0.1:${port}`, pending],
]) {
  const requests = [];
  const token = () => (requests.push(1), asAlice());
  const signal = AbortSignal.timeout(2500);
  await assert.rejects(page.waitForResult(api, token, message, { wait: 0, signal }), { name: "TimeoutError" });
  assert.ok(requests.length > 1, api);
}

// After a reconnect, more messages than one request takes.
const many = Array.from({ length: 21 }, () => sent);
many[20] = { channelArn, messageId: "no-such-message" };
const results = [];
await page.catchUp(gateway, asAlice, many, (message, result) => results.push([message, result]), { wait: 0 });
assert.equal(results.length, 21);
assert.ok(results.slice(0, 20).every(([, result]) => result.status === "SENT"));
assert.equal(results[20][0].messageId, "no-such-message");
assert.ok(results[20][1].problem.type.endsWith(":message-not-found"));

// Problems, the function's and the gateway's.
await assert.rejects(page.messageStatus(gateway, bob, sent), { problem: "message-not-found" });
const misspelt = { ...sent, subChannelID: "x" };
await assert.rejects(page.messageStatus(gateway, alice, misspelt), (error) => {
  assert.equal(error.problem, "invalid-request");
  assert.equal(error.errors[0].field, "subChannelID");
  assert.ok(error.requestId);
  return error instanceof page.MessageStatusError;
});
await assert.rejects(page.messageStatus(gateway, "nobody", sent), {
  status: 401,
  problem: undefined,
  message: "Unauthorized",
});
const throttled = await send("outcome=ThrottledClientException");
await assert.rejects(page.messageStatus(gateway, alice, throttled), (error) => {
  assert.equal(error.problem, "throttled");
  return error.retryAfter >= 1;
});
