// States that follow from events and responses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageTracker, messageFromWebSocket } from 'chime-message-status-client';

const at = Date.UTC(2026, 0, 1, 10, 0, 0, 123);

test('dates keep their milliseconds: a Date of the AWS SDK, an ISO string, seconds', () => {
  for (const LastUpdatedTimestamp of [new Date(at), new Date(at).toISOString(), at / 1000]) {
    const state = messageFromWebSocket({ type: 'UPDATE_CHANNEL_MESSAGE', payload: { MessageId: 'm1', LastUpdatedTimestamp } });
    assert.equal(state?.update?.at, at, `${LastUpdatedTimestamp}`);
  }
});

test('a message that was redacted or deleted was sent', () => {
  for (const change of ['REDACT', 'DELETE']) {
    for (const [prefix, status] of [['', 'SENT'], ['PENDING_', 'PENDING'], ['FAILED_', 'FAILED'], ['DENIED_', 'DENIED']] as const) {
      const state = messageFromWebSocket({ type: `${prefix}${change}_CHANNEL_MESSAGE`, payload: '{"MessageId":"m1"}' });
      assert.deepEqual(state, { messageId: 'm1', status: 'SENT', update: { status, at: 0 } });
    }
  }
});

test('the text of a stored message is that of its last edit', () => {
  const tracker = new MessageTracker({ client: { getMany: async () => [] } });
  const ChannelMessage = { ChannelArn: 'c', MessageId: 'm1', LastUpdatedTimestamp: new Date(at) };
  tracker.track({ ChannelMessage });
  assert.deepEqual(tracker.get('m1'), { messageId: 'm1', status: 'SENT' });
  tracker.track({ ChannelMessage: { ...ChannelMessage, LastEditedTimestamp: new Date(at) } });
  assert.deepEqual(tracker.get('m1')?.update, { status: 'SENT', at });
});
