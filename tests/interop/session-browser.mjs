// The scenarios of session.mjs in Chromium, on a page of another origin, over plain HTTP with a
// WebSocketAdapter.
//
//   LOCAL_GATEWAY=target/debug/examples/local CLIENT=client/dist/esm/index.js node session-browser.mjs

import { once } from "node:events";
import { createServer } from "node:http";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { launch, start } from "./example.mjs";

const { outputFiles } = await build({
  stdin: {
    contents: `
      import * as client from ${JSON.stringify(resolve(process.env.CLIENT))};
      import { PlainWebSocketAdapter } from "./plain-websocket.mjs";
      import { scenarios } from "./session.mjs";
      window.titles = Object.keys(scenarios);
      window.run = (title, settings) => scenarios[title]({
        client,
        settings,
        endpoint: settings.chime.http,
        adapter: (logger) => new PlainWebSocketAdapter(logger),
      });`,
    resolveDir: fileURLToPath(new URL(".", import.meta.url)),
  },
  bundle: true,
  write: false,
  format: "esm",
  // amazon-chime-sdk-js expects webpack's `global`, and the AWS SDK's modules even for `require`.
  define: { global: "globalThis" },
  mainFields: ["browser", "module", "main"],
});
const page = createServer((request, response) => {
  const isScript = request.url === "/page.js";
  response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
  response.end(isScript ? outputFiles[0].text : '<!doctype html><title>chat</title><script type="module" src="page.js"></script>');
});
await once(page.listen(0, "127.0.0.1"), "listening");
const origin = `http://127.0.0.1:${page.address().port}`;
const local = await start({ ALLOWED_ORIGINS: origin });
const settings = await (await fetch(`${local.page}/settings.json`)).json();
const browser = await launch();

let failed = 0;
let passed = 0;
try {
  const tab = await browser.newPage();
  await tab.goto(origin);
  await tab.waitForFunction("window.run");
  for (const title of await tab.evaluate("titles")) {
    try {
      await tab.evaluate(([title, settings]) => window.run(title, settings), [title, settings]);
      passed += 1;
      console.log(`ok      ${title}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${title}\n`, error);
    }
  }
} finally {
  await browser.close();
  await local.stop();
}
console.log(`amazon-chime-sdk-js in Chromium: ${passed} passed, ${failed} failed`);
process.exit(passed > 0 && failed === 0 ? 0 : 1);
