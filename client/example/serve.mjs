// Builds the app and serves it: node serve.mjs PORT PAGE. PAGE is the demo page of the local system, started with
// ALLOWED_ORIGINS=http://127.0.0.1:PORT cargo run --example local
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { readFile } from 'node:fs/promises';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('.', import.meta.url));

export async function serve(port, page) {
  const { outputFiles } = await build({
    entryPoints: [`${root}src/main.tsx`], bundle: true, write: false, format: 'esm', target: 'es2022', jsx: 'automatic',
    // amazon-chime-sdk-js expects webpack's `global`.
    define: { global: 'globalThis', 'process.env.NODE_ENV': '"development"' },
    // The client is a link into this repository, where it finds a React of its own.
    alias: { react: `${root}node_modules/react` },
    mainFields: ['browser', 'module', 'main'],
  });
  const server = createServer(async (request, response) => {
    const send = (type, body) => response.writeHead(200, { 'content-type': type }).end(body);
    if (request.url === '/main.js') return send('text/javascript', outputFiles[0].text);
    if (request.url === '/settings.json') return send('application/json', await (await fetch(`${await page()}/settings.json`)).text());
    return send('text/html', await readFile(`${root}index.html`));
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port = '8790', page = 'http://127.0.0.1:8789'] = process.argv.slice(2);
  await serve(Number(port), () => page);
  console.log(`http://127.0.0.1:${port}`);
}
