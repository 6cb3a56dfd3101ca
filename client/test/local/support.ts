// The local gateway with the function and the fake Chime, and a Chromium to call them from.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { chromium, type Browser } from 'playwright-core';

/** The addresses and tokens that the local gateway prints when it starts. */
export interface Local {
  gateway: string;
  channelArn: string;
  alice: string;
  bob: string;
  stop(): void;
}

/** Starts everything with these variables. */
export async function start(variables: Record<string, string>): Promise<Local> {
  const program = process.env.LOCAL_GATEWAY;
  assert.ok(program, 'LOCAL_GATEWAY is the path of target/debug/examples/local');
  const local = spawn(program, ['--port', '0', '--chime-port', '0', '--page-port', '0'], {
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = () => void local.kill('SIGINT');
  // Also when the test is stopped early. Chromium is stopped by its driver.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      stop();
      process.exit(1);
    });
  }
  let guide = '';
  for await (const line of createInterface({ input: local.stdout })) {
    guide += `${line}\n`;
    if (line.startsWith('Each response leaves a line here')) break;
  }
  local.stdout.resume();
  const said = (pattern: RegExp) => {
    const value = pattern.exec(guide)?.[1];
    if (!value) stop();
    assert.ok(value, `${pattern} is not in the gateway's output:\n${guide}`);
    return value;
  };
  return {
    gateway: said(/^The gateway is ([^,]+),/m),
    channelArn: said(/-d channelArn=(\S+)/),
    alice: said(/^ALICE=(.+)$/m),
    bob: said(/^BOB=(.+)$/m),
    stop,
  };
}

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
}
