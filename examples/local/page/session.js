// The session of the page. It calls observers as DefaultMessagingSession of amazon-chime-sdk-js does,
// which a real front end uses. That one signs URLs with AWS credentials. This one gets signed URLs from a
// back end, and reconnects until it is stopped.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;

export class Session {
  #url;
  #observers = new Set();
  #isStarted = false;
  #socket;
  #timer;
  #failures = 0;

  /** `url` returns the promise of a signed URL, for one connection. */
  constructor(url) {
    this.#url = url;
  }

  addObserver(observer) {
    this.#observers.add(observer);
  }

  start() {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#connect(false);
  }

  stop() {
    this.#isStarted = false;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#tell('messagingSessionDidStop', { code: 1000 });
  }

  async #connect(isReconnect) {
    this.#tell('messagingSessionDidStartConnecting', isReconnect);
    const url = await this.#url().catch(() => undefined);
    if (!this.#isStarted || this.#socket) return;
    if (!url) return this.#retry();
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#receive(JSON.parse(data));
    };
    socket.onclose = () => {
      if (this.#socket === socket) this.#retry();
    };
  }

  #retry() {
    this.#socket = undefined;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(true), pause * (0.5 + Math.random() / 2));
    if (this.#failures === 1) this.#tell('messagingSessionDidStartConnecting', true);
  }

  #receive({ Headers: headers, Payload: payload = null }) {
    const type = headers['x-amz-chime-event-type'];
    if (type === 'SESSION_ESTABLISHED') {
      this.#failures = 0;
      this.#tell('messagingSessionDidStart');
    }
    this.#tell('messagingSessionDidReceiveMessage', { type, headers, payload });
  }

  #tell(event, argument) {
    for (const observer of this.#observers) observer[event]?.(argument);
  }
}
