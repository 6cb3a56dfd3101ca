// Jest loads CommonJS, and its fake timers also replace performance.now.
const { MessageStatusClient } = require('chime-message-status-client');

test('Jest can require the client and wait with fake timers', async () => {
  jest.useFakeTimers();
  const statuses = ['PENDING', 'SENT'];
  const fetch = async () => Response.json({ results: [{ messageId: 'm1', status: statuses.shift() }] });
  const client = new MessageStatusClient({ url: 'https://api.example/message-status', token: () => 't', fetch });
  const result = client.waitForResult({ channelArn: 'c', messageId: 'm1' });
  await jest.advanceTimersByTimeAsync(10_000);
  expect((await result).status).toBe('SENT');
});
