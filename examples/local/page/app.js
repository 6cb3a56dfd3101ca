// A user's chat app, in two versions at once: `alone` is what it knows of a message from the
// websocket, `asked` what it knows when it also asks the endpoint.
import { MessageStatusClient, fromSocket, merge } from './client.js';

// Browsers open six connections to one server, and sending needs one, too.
const inTurn = turns(4);

export class App {
  #settings;
  #user;
  #client;
  #on;
  #messages = new Map();
  #socket;

  /**
   * `on.message` is called with each message that is new or of which more is known, `on.connection`
   * with whether the websocket is open.
   */
  constructor(settings, user, on) {
    this.#settings = settings;
    this.#user = user;
    this.#on = on;
    this.#client = new MessageStatusClient({
      url: `${settings.gateway}/message-status`,
      token: () => user.token,
    });
  }

  connect() {
    const socket = new WebSocket(`${this.#settings.websocket}/?token=${this.#user.token}`);
    this.#socket = socket;
    socket.onopen = () => {
      this.#on.connection(true);
      this.#catchUp();
    };
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onclose = () => {
      if (this.#socket === socket) this.cut();
    };
  }

  /** Closes the websocket. The endpoint is still there to be asked. */
  cut() {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#on.connection(false);
    for (const message of this.#pending()) this.#wait(message);
  }

  /** Sends a message into the flow that is described. */
  async send(text, flow) {
    const { gateway } = this.#settings;
    const socket = this.#socket;
    const open = socket?.readyState === WebSocket.OPEN;
    const response = await fetch(`${gateway}/send?${new URLSearchParams(flow)}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#user.token}`, 'content-type': 'text/plain' },
      body: text,
    });
    const answer = await response.text();
    if (!response.ok) throw new Error(answer);
    const message = this.#message(answer, text, this.#user.arn);
    // Unless one and the same websocket was open all the time, something may be missed.
    if (!open || this.#socket !== socket) this.#wait(message);
  }

  #hear({ Headers, Payload }) {
    const news = fromSocket({ type: Headers['x-amz-chime-event-type'], payload: Payload });
    if (!news) return;
    const { MessageId, Content, Sender } = JSON.parse(Payload);
    const message = this.#message(MessageId, Content, Sender.Arn);
    message.alone = merge(message.alone, news);
    this.#learn(message, news);
  }

  /** Waits for what becomes of a message, in one request after the other. */
  async #wait(message) {
    if (message.wait || !isPending(message)) return;
    message.wait = new AbortController();
    const { signal } = message.wait;
    while (!signal.aborted) {
      try {
        // After a while, others have their turn.
        const options = { signal, timeout: 20_000 };
        this.#learn(message, await inTurn(() => this.#client.settled(this.#name(message), options)));
      } catch (error) {
        if (!signal.aborted && error.name !== 'TimeoutError') this.#fail(message, error);
      }
    }
  }

  /** Asks once about all that may have been missed. What comes now, the websocket tells. */
  async #catchUp() {
    const pending = this.#pending();
    for (const message of pending) stopWaiting(message);
    try {
      const results = await this.#client.statuses(pending.map((message) => this.#name(message)));
      results.forEach((result, i) => {
        if (result.problem) this.#fail(pending[i], result.problem);
        else this.#learn(pending[i], result);
      });
    } catch {
      // The request failed, not the messages. `settled` does not give up so soon.
      for (const message of pending) this.#wait(message);
    }
  }

  #learn(message, news) {
    message.asked = merge(message.asked, news);
    message.trouble = undefined;
    if (!isPending(message)) stopWaiting(message);
    this.#on.message(message);
  }

  #fail(message, error) {
    // The message is our own, so it was denied: Chime keeps no denied message.
    if (error.problem === 'message-not-found') message.notKept = true;
    else message.trouble = error.message;
    stopWaiting(message);
    this.#on.message(message);
  }

  /** The message of this id, which is new when nobody has told of it yet. */
  #message(id, text, sender) {
    let message = this.#messages.get(id);
    if (!message) {
      const known = { messageId: id, status: 'PENDING' };
      message = { id, text, sender, own: sender === this.#user.arn, alone: known, asked: known };
      this.#messages.set(id, message);
      this.#on.message(message);
    }
    return message;
  }

  /** Only the sender of a message may ask about it. */
  #pending() {
    return [...this.#messages.values()].filter((message) => message.own && isPending(message));
  }

  #name({ id }) {
    return { channelArn: this.#settings.channelArn, messageId: id };
  }
}

const isPending = ({ asked, notKept }) => asked.status === 'PENDING' && !notKept;

function stopWaiting(message) {
  message.wait?.abort();
  message.wait = undefined;
}

/** Runs what it is given, so many at a time. */
function turns(most) {
  const next = [];
  let running = 0;
  return async (work) => {
    if (running === most) await new Promise((resolve) => next.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      if (next.length) next.shift()();
      else running -= 1;
    }
  };
}
