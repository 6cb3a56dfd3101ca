// The package with only the globals of React Native 0.72: no document, an incomplete URL and AbortSignal.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { message } from '../support/endpoint.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What react-native/Libraries/Blob/URL.js and the package abort-controller do. */
class PoorURL {
  constructor(readonly href: string) {}
  get searchParams(): never { throw new Error('not implemented'); }
}
class PoorSearchParams {
  constructor(readonly params: Record<string, string>) {}
  toString(): string {
    return Object.entries(this.params).map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
  }
}
class PoorSignal {
  aborted = false;
  readonly listeners = new Set<() => void>();
  addEventListener(_: string, listener: () => void): void { this.listeners.add(listener); }
  removeEventListener(_: string, listener: () => void): void { this.listeners.delete(listener); }
}
class PoorController {
  readonly signal = new PoorSignal();
  abort(): void {
    this.signal.aborted = true;
    for (const listener of [...this.signal.listeners]) listener();
  }
}

async function load(fetch: unknown): Promise<typeof import('chime-message-status-client')> {
  const { outputFiles } = await build({
    stdin: { contents: "module.exports = require('chime-message-status-client')", resolveDir: root },
    bundle: true, format: 'cjs', target: 'es2020', write: false,
  });
  const module = { exports: {} };
  const context = createContext({
    module, fetch, setTimeout, clearTimeout, performance: { now: () => performance.now() },
    URL: PoorURL, URLSearchParams: PoorSearchParams, AbortController: PoorController, console,
  });
  runInContext(outputFiles[0]?.text ?? '', context);
  return module.exports as typeof import('chime-message-status-client');
}

const response = (body: unknown) => ({ status: 200, headers: { get: () => null }, text: async () => JSON.stringify(body) });

test('React Native: get, waitForResult and the tracker with an asynchronous storage', async () => {
  const urls: string[] = [];
  const { MessageStatusClient, MessageTracker } = await load(async (url: string, init: { body: string | null }) => {
    urls.push(url);
    const item = { messageId: 'm1', status: 'SENT' };
    return response(init.body ? { results: [item] } : item);
  });
  const client = new MessageStatusClient({ url: 'https://api.example/message-status', token: () => 't' });
  assert.equal((await client.get(message)).status, 'SENT');
  assert.equal((await client.waitForResult(message, { timeout: 10_000 })).status, 'SENT');
  assert.ok(urls[0]?.startsWith('https://api.example/message-status?channelArn=arn%3Aaws%3Achime'));
  const stored = new Map<string, string>();
  const storage = {
    getItem: async (key: string) => stored.get(key) ?? null,
    setItem: async (key: string, value: string) => void stored.set(key, value),
  };
  const status = await new Promise<string>((resolve) => {
    const tracker = new MessageTracker({ user: 'u', client, storage, onChange: ({ status }) => status === 'PENDING' || resolve(status) });
    tracker.track(message);
  });
  assert.equal(status, 'SENT');
});

test('React Native: an abort rejects with an AbortError, though its signals have no reason', async () => {
  const { MessageStatusClient } = await load(() => new Promise(() => {}));
  const client = new MessageStatusClient({ url: 'https://api.example/message-status', token: () => 't' });
  const controller = new PoorController();
  const waiting = client.waitForResult(message, { signal: controller.signal as unknown as AbortSignal });
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
  await assert.rejects(client.get(message, { signal: controller.signal as unknown as AbortSignal }), { name: 'AbortError' });
});
