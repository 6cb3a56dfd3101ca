// What npm publishes: sizes, entry points, files.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

async function size(source: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: root },
    bundle: true, minify: true, format: 'esm', target: 'es2022', write: false,
  });
  return gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length;
}

test('the client alone is below 3.2 kB minified and gzipped, everything but ./react below 6.5 kB', async (context) => {
  const client = await size("export { MessageStatusClient } from 'chime-message-status-client'");
  const all = await size("export * from 'chime-message-status-client'");
  context.diagnostic(`${client} and ${all} bytes`);
  assert.ok(client < 3200 && all < 6500, `${client} and ${all} bytes`);
});

test('import and require give the same names', async () => {
  const imported = await import('chime-message-status-client');
  const required = createRequire(import.meta.url)('chime-message-status-client');
  const names = [
    'MessageStatusClient', 'MessageStatusError', 'MessageStatusTimeoutError', 'MessageTracker',
    'answeredAsOf', 'merge', 'messageFromWebSocket',
  ];
  assert.deepEqual(Object.keys(imported).filter((name) => name !== 'module.exports').sort(), names);
  assert.deepEqual(Object.keys(required).sort(), names);
});

test('the package has its license and README, and code without dependencies', () => {
  const [packed] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' }));
  const files = packed.files.map(({ path }: { path: string }) => path);
  for (const path of ['LICENSE', 'README.md', 'package.json', 'dist/esm/index.js', 'dist/esm/index.d.ts', 'dist/cjs/index.js', 'dist/cjs/index.d.ts', 'dist/cjs/package.json', 'dist/esm/react.js', 'dist/cjs/react.d.ts', 'react/package.json', 'dist/esm/index.js.map']) {
    assert.ok(files.includes(path), path);
  }
  assert.ok(files.every((path: string) => /^(dist\/|react\/package\.json$|LICENSE$|README\.md$|package\.json$)/.test(path)));
  const manifest = createRequire(import.meta.url)('../../package.json');
  assert.equal(manifest.dependencies, undefined);
  assert.equal(createRequire(import.meta.url)('chime-message-status-client/package.json').name, 'chime-message-status-client');
});
