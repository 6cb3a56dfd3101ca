// The local gateway with the fake Chime and the demo page, and a Chromium to look at it.
// LOCAL_GATEWAY is the path of target/debug/examples/local.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/** Starts everything on free ports, or where `before` listened. */
export async function start(variables = {}, before) {
  const port = (url) => (url ? new URL(url).port : "0");
  const ports = ["--port", port(before?.gateway), "--chime-port", port(before?.chime), "--page-port", port(before?.page)];
  const process_ = spawn(process.env.LOCAL_GATEWAY, ports, {
    env: { ...process.env, ...variables },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(process_, "exit");
  const stop = async () => {
    process_.kill("SIGINT");
    await exited;
  };
  let guide = "";
  for await (const line of createInterface({ input: process_.stdout })) {
    guide += `${line}\n`;
    if (line.startsWith("Each response leaves a line here")) break;
  }
  process_.stdout.resume();
  const read = (pattern) => {
    const value = pattern.exec(guide)?.[1];
    assert.ok(value, `${pattern} is not in:\n${guide}`);
    return value;
  };
  return {
    gateway: read(/^The gateway is ([^,]+),/m),
    chime: read(/the fake Chime (\S+)\. /),
    page: read(/^See it in a browser: (.+)$/m),
    channelArn: read(/-d channelArn=(\S+)/),
    alice: read(/^ALICE=(.+)$/m),
    stop,
  };
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
}
