// The apps that are compared.
import { MessageStatusClient, MessageTracker, merge, messageFromWebSocket, type Message, type MessageState } from 'chime-message-status-client';
import type { App, StartApp } from './world.js';

const nothing = () => {};

/** Shows what the WebSocket reports, and never takes back a result. */
export const websocketAlone: StartApp = (world) => {
  const states = new Map<string, MessageState>();
  const hear = (state: MessageState | undefined) => {
    if (!state) return;
    const merged = merge(states.get(state.messageId), state);
    states.set(state.messageId, merged);
    world.show(state.messageId, merged.status);
  };
  return {
    onSent: ({ messageId }) => hear({ messageId, status: 'PENDING' }),
    onEvent: (event) => {
      hear(messageFromWebSocket(event));
      const { ChannelMessages = [] } = JSON.parse(event.payload) as { ChannelMessages?: { MessageId: string }[] };
      for (const { MessageId } of ChannelMessages) hear({ messageId: MessageId, status: 'SENT' });
    },
    onConnected: nothing,
    onDisconnected: nothing,
    onHistory: (history) => history.forEach(({ messageId, status }) => hear({ messageId, status })),
    stop: nothing,
  };
};

/** The logic of AWS's chat demo: the last event about a message wins. */
export const lastEventWins: StartApp = (world) => ({
  onSent: nothing,
  onEvent: (event) => {
    const state = messageFromWebSocket(event);
    if (state) world.show(state.messageId, state.status);
  },
  onConnected: nothing,
  onDisconnected: nothing,
  onHistory: nothing,
  stop: nothing,
});

/** Requests the status of each pending message every second. Does not use the WebSocket. */
export const pollingEachSecond: StartApp = (world) => {
  const client = new MessageStatusClient({ url: 'https://api.example/message-status', token: () => 't', fetch: world.fetch });
  let isStopped = false;
  const poll = (message: Message, since: number): void => {
    world.clock.at(world.clock.now + 1000, () => {
      if (isStopped || world.clock.now - since > world.parameters.pollForMs) return;
      client.get(message).then(
        ({ status }) => {
          if (isStopped) return;
          world.show(message.messageId, status);
          if (status === 'PENDING') poll(message, since);
        },
        (error) => {
          if (isStopped) return;
          if (/message-(gone|not-found)/.test(error.problem)) world.show(message.messageId, 'GONE');
          else poll(message, since);
        },
      );
    });
  };
  return {
    onSent: (message) => poll(message, world.clock.now),
    onEvent: nothing,
    onConnected: nothing,
    onDisconnected: nothing,
    onHistory: (history) => {
      for (const { messageId, channelArn, status } of history) {
        if (status === 'PENDING') poll({ messageId, channelArn }, world.clock.now);
      }
    },
    stop: () => (isStopped = true),
  };
};

/** The shipped tracker. */
export const tracker: StartApp = (world): App => {
  const client = new MessageStatusClient({ url: 'https://api.example/message-status', token: () => 't', fetch: world.fetch });
  const tracker = new MessageTracker({
    client,
    user: 'u',
    storage: {
      getItem: (key) => world.storage.get(key) ?? null,
      setItem: (key, value) => world.storage.set(key, value),
    },
    onChange: ({ messageId, status }) => world.show(messageId, status),
  });
  return {
    onSent: ({ channelArn, messageId }) => tracker.track({ ChannelArn: channelArn, MessageId: messageId, Status: { Value: 'PENDING' } }),
    onEvent: (event) => tracker.observer.messagingSessionDidReceiveMessage(event),
    onConnected: () => tracker.observer.messagingSessionDidStart(),
    onDisconnected: () => tracker.observer.messagingSessionDidStartConnecting(),
    onHistory: (history) => {
      const ChannelMessages = history.map(({ messageId, status }) => ({ MessageId: messageId, Status: { Value: status }, Sender: { Arn: 'u' } }));
      tracker.track({ ChannelArn: history[0]?.channelArn, ChannelMessages });
    },
    stop: () => tracker.stop(),
  };
};

export const APPS: [name: string, start: StartApp][] = [
  ['WebSocket alone', websocketAlone],
  ['Last event wins', lastEventWins],
  ['Polling each second', pollingEachSecond],
  ['MessageTracker', tracker],
];
