// The scenarios of session.mjs in Node: over TLS with the session as it is, and over plain HTTP with a
// WebSocketAdapter. session.py starts it with CLIENT (path of the client's index.js) and SETTINGS (URL).

import { Agent } from "node:https";
import { DefaultWebSocketAdapter } from "amazon-chime-sdk-js";
import WebSocket from "ws";
import { scenarios } from "./session.mjs";

const client = await import(process.env.CLIENT);
const settings = await (await fetch(process.env.SETTINGS)).json();
const { http, https, ca } = settings.chime;

// Node 20 has no WebSocket. This one trusts the fake Chime's certificate.
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { ca });
  }
};

/** The session writes `wss` into its URLs; this is the documented way to another scheme. */
class PlainWebSocketAdapter extends DefaultWebSocketAdapter {
  create(url, ...rest) {
    super.create(url.replace(/^wss:/, "ws:"), ...rest);
  }
}

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
console.log(`amazon-chime-sdk-js in Node: ${passed} passed, ${failed} failed`);
process.exit(passed > 0 && failed === 0 ? 0 : 1);
