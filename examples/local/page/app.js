// A user's chat app. It keeps two states of each own message: `alone` comes from the WebSocket alone,
// `tracked` from the tracker, which also calls the endpoint.
import { MessageStatusClient, MessageTracker, merge, messageFromWebSocket } from './client.js';
import { Session } from './session.js';

const SEND_TIMEOUT_MS = 10_000;

export class App {
  #settings;
  #user;
  #on;
  #messages = new Map();
  #session = new Session(() => this.#websocketUrl());
  #tracker;
  #requests = 0;
  /** The user's own texts. The tracker stores only statuses. */
  #texts = new Map();

  /**
   * `settings` returns the promise of the page's settings. `name` is the user's name.
   * `on.message` is called with each message that is new or has changed, and `on.connection` with
   * "open", "connecting" or "cut".
   */
  constructor(settings, name, on) {
    this.#settings = settings;
    this.#user = async () => (await settings()).users.find((user) => user.name === name);
    this.#on = on;
  }

  async start() {
    const { gateway } = await this.#settings();
    const client = new MessageStatusClient({
      url: `${gateway}/message-status`,
      token: async () => (await this.#user()).token,
      onAttempt: () => (this.#requests += 1),
    });
    const { arn } = await this.#user();
    const storage = () => sessionStorage;
    this.#tracker = new MessageTracker({ client, user: arn, storage, onChange: (state) => this.#changed(state.messageId) });
    this.#texts = new Map(JSON.parse(sessionStorage.getItem(`texts of ${arn}`) ?? '[]'));
    for (const { messageId } of this.#tracker.getAll()) this.#message(messageId, this.#texts.get(messageId) ?? '…', arn, true);
    // The page observes first, so it knows a message's text when the tracker reports its state.
    this.#session.addObserver({
      messagingSessionDidStartConnecting: () => this.#on.connection('connecting'),
      messagingSessionDidStart: () => this.#on.connection('open'),
      messagingSessionDidStop: () => this.#on.connection('cut'),
      messagingSessionDidReceiveMessage: (event) => this.#receive(event, arn),
    });
    this.#session.addObserver(this.#tracker.observer);
    this.connect();
  }

  connect() {
    this.#session.start();
  }

  /** Closes the WebSocket. The endpoint can still be called. */
  cut() {
    this.#session.stop();
  }

  /** Sends a message into the channel flow that `flow` describes. */
  async send(text, flow) {
    const { channelArn } = await this.#settings();
    const { arn } = await this.#user();
    const messageId = await this.#post(`/send?${new URLSearchParams(flow)}`, text);
    const { afterMs } = flow;
    const message = this.#message(messageId, text, arn, true);
    message.requests = this.#requests;
    if (flow.outcome !== 'PENDING') message.decidedAt = performance.now() + afterMs;
    this.#texts.set(messageId, text);
    sessionStorage.setItem(`texts of ${arn}`, JSON.stringify([...this.#texts].slice(-100)));
    // Chime has accepted the message, so it is pending.
    this.#tracker.track({ ChannelArn: channelArn, MessageId: messageId, Status: { Value: 'PENDING' } });
  }

  #websocketUrl() {
    return this.#post('/websocket-url');
  }

  async #post(path, body) {
    const { gateway } = await this.#settings();
    const { token } = await this.#user();
    const response = await fetch(gateway + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'text/plain' },
      body,
      signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return text;
  }

  #receive(event, arn) {
    const state = messageFromWebSocket(event);
    if (!state) return;
    const { Content, Sender } = JSON.parse(event.payload);
    const message = this.#message(state.messageId, Content, Sender.Arn, Sender.Arn === arn);
    message.alone = merge(message.alone, state);
    this.#on.message(message);
  }

  #changed(messageId) {
    const message = this.#messages.get(messageId);
    if (!message) return;
    message.tracked = this.#tracker.get(messageId) ?? message.tracked;
    if (!message.known && message.decidedAt !== undefined && message.tracked.status !== 'PENDING') {
      const seconds = Math.max(0, performance.now() - message.decidedAt) / 1000;
      message.known = { seconds, requests: this.#requests - message.requests };
    }
    this.#on.message(message);
  }

  /** The message with this id. Adds it if neither the response nor an event has named it yet. */
  #message(id, text, sender, own) {
    let message = this.#messages.get(id);
    if (!message) {
      const pending = { messageId: id, status: 'PENDING' };
      message = { id, text, sender, own, alone: pending, tracked: this.#tracker.get(id) ?? pending };
      this.#messages.set(id, message);
      this.#on.message(message);
    }
    return message;
  }
}
