// The scenarios of session.mjs in Node: over TLS with the session as it is, and over plain HTTP with a
// WebSocketAdapter.
//
//   LOCAL_GATEWAY=target/debug/examples/local CLIENT=client/dist/esm/index.js node session-node.mjs

import { Agent } from "node:https";
import { resolve } from "node:path";
import WebSocket from "ws";
import { start } from "./example.mjs";
import { PlainWebSocketAdapter } from "./plain-websocket.mjs";
import { scenarios } from "./session.mjs";

const client = await import(resolve(process.env.CLIENT));
const local = await start();
const settings = await (await fetch(`${local.page}/settings.json`)).json();
const { http, https, ca } = settings.chime;

// Node 20 has no WebSocket. This one trusts the fake Chime's certificate.
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { ca });
  }
};

// After a 4401 on a reconnect, the session rejects a promise that no code holds.
const rejections = [];
process.on("unhandledRejection", (reason) => rejections.push(reason));

let failed = 0;
let passed = 0;
for (const [name, place] of [
  ["TLS", { endpoint: https, handler: { httpsAgent: new Agent({ ca }) } }],
  ["plain", { endpoint: http, adapter: (logger) => new PlainWebSocketAdapter(logger) }],
]) {
  for (const [title, run] of Object.entries(scenarios)) {
    rejections.length = 0;
    try {
      await run({ client, settings, ...place });
      const others = rejections.filter(({ code }) => code !== 4401);
      if (others.length) throw others[0];
      passed += 1;
      console.log(`ok      ${name}: ${title}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}: ${title}\n`, error);
    }
  }
}
await local.stop();
console.log(`amazon-chime-sdk-js in Node: ${passed} passed, ${failed} failed`);
process.exit(passed > 0 && failed === 0 ? 0 : 1);
