// The package promises to be small: what a page loads of it, minified and gzipped.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const LIMIT = 3000;
const { outputFiles } = await build({
  entryPoints: ['dist/index.js'],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  write: false,
});
const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
console.log(`${size} bytes minified and gzipped, of ${LIMIT}`);
process.exitCode = size < LIMIT ? 0 : 1;
