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

test('a redaction implies that the message was sent, a deletion implies nothing', () => {
  const stateOf = (type: string) => messageFromWebSocket({ type: `${type}_CHANNEL_MESSAGE`, payload: '{"MessageId":"m1"}' });
  assert.deepEqual(stateOf('REDACT'), { messageId: 'm1', status: 'SENT', redacted: true });
  assert.deepEqual(stateOf('DELETE'), { messageId: 'm1', status: 'PENDING', deleted: true });
  for (const prefix of ['PENDING_', 'FAILED_', 'DENIED_']) {
    assert.deepEqual(stateOf(`${prefix}REDACT`), { messageId: 'm1', status: 'SENT' });
    assert.equal(stateOf(`${prefix}DELETE`), undefined);
  }
});

test('a stored message: the text is that of the last edit, and it may be redacted', () => {
  const tracker = new MessageTracker({ user: 'u', client: { getMany: async () => [] } });
  const ChannelMessage = { ChannelArn: 'c', MessageId: 'm1', LastUpdatedTimestamp: new Date(at), Sender: { Arn: 'u' } };
  tracker.track({ ChannelMessage });
  assert.deepEqual(tracker.get('m1'), { messageId: 'm1', status: 'SENT' });
  tracker.track({ ChannelMessage: { ...ChannelMessage, LastEditedTimestamp: new Date(at) } });
  assert.deepEqual(tracker.get('m1')?.update, { status: 'SENT', at });
  tracker.track({ ChannelMessage: { ...ChannelMessage, Redacted: true } });
  assert.equal(tracker.get('m1')?.redacted, true);
});
