// Compiles and renders the code of docs/frontends/react.md.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { transform } from 'esbuild';
import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { MessageTracker } from 'chime-message-status-client';

test('the code of react.md shows the state of a message', async () => {
  const page = await readFile(new URL('../../../docs/frontends/react.md', import.meta.url), 'utf8');
  const blocks = [...page.matchAll(/^```jsx\n(.*?)^```$/gms)].map(([, code]) => code);
  const { code } = await transform(blocks.join('\n'), { loader: 'jsx', jsx: 'automatic' });
  await writeFile(new URL('dist/react.mjs', import.meta.url), code);
  const { MessageStatus } = await import('./dist/react.mjs');
  const tracker = new MessageTracker({ client: { getMany: async () => [] } });
  const show = (messageId) => renderToStaticMarkup(createElement(MessageStatus, { tracker, messageId }));
  tracker.track({ ChannelArn: 'c', MessageId: 'm1', Status: { Value: 'DENIED' } });
  assert.equal(show('m1'), '<span role="status">not sent</span>');
  assert.equal(show('m2'), '<span role="status">pending</span>');
  tracker.stop();
});
