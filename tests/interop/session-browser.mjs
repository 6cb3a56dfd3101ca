// The scenarios of session.mjs in Chromium, on a page of another origin, over plain HTTP with a
// WebSocketAdapter. session.py starts it with CLIENT (path of the client's index.js) and SETTINGS (URL).

import { once } from "node:events";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const settings = await (await fetch(process.env.SETTINGS)).json();
const { outputFiles } = await build({
  stdin: {
    contents: `
      import { DefaultWebSocketAdapter } from "amazon-chime-sdk-js";
      import * as client from ${JSON.stringify(process.env.CLIENT)};
      import { scenarios } from "./session.mjs";
      class PlainWebSocketAdapter extends DefaultWebSocketAdapter {
        create(url, ...rest) {
          super.create(url.replace(/^wss:/, "ws:"), ...rest);
        }
      }
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
  const script = request.url === "/page.js";
  response.writeHead(200, { "content-type": script ? "text/javascript" : "text/html" });
  response.end(script ? outputFiles[0].text : '<!doctype html><title>chat</title><script type="module" src="page.js"></script>');
});
await once(page.listen(0, "127.0.0.1"), "listening");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
let failed = 0;
let passed = 0;
try {
  const tab = await browser.newPage();
  await tab.goto(`http://127.0.0.1:${page.address().port}`);
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
  page.close();
}
console.log(`amazon-chime-sdk-js in Chromium: ${passed} passed, ${failed} failed`);
process.exit(passed > 0 && failed === 0 ? 0 : 1);
