// The hooks, rendered on a server, and in React with effects but without a DOM.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createElement, StrictMode, type ReactNode } from 'react';
import { renderToString } from 'react-dom/server';
import { MessageStatusClient } from 'chime-message-status-client';
import { useMessageState, useMessageTracker } from 'chime-message-status-client/react';

declare const localStorage: never;

test('on a server the state is undefined, and nothing is requested, stored or left behind', () => {
  let requests = 0;
  const fetch: typeof globalThis.fetch = async () => { requests += 1; return Response.json({}); };
  const timers = process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length;
  function Page(): ReactNode {
    const client = new MessageStatusClient({ url: '/message-status', token: () => 't', fetch });
    const tracker = useMessageTracker({ client, user: 'alice', storage: () => localStorage });
    tracker.track({ channelArn: 'c', messageId: 'm1', status: 'PENDING' });
    return String(useMessageState(tracker, 'm1')?.status);
  }
  assert.equal(renderToString(createElement(StrictMode, null, createElement(Page))), 'undefined');
  assert.equal(requests, 0);
  assert.equal(process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length, timers);
});
