import type { Message, MessageStatusClient, MessageStatusResult } from './client.js';
import { list, members, parse, text } from './json.js';
import { answeredAsOf, merge, type MessageState, type MessageStatus } from './merge.js';
import { read, type ChimeResponse, type Reading, type WebSocketMessage } from './messages.js';
import { createPoller, now, type Poll, type Poller } from './poller.js';

/** Where the tracker keeps its state: `localStorage`, React Native's AsyncStorage, or the like. */
export interface TrackerStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): unknown;
}

export interface MessageTrackerOptions {
  client: Pick<MessageStatusClient, 'getMany'>;
  /** Makes the tracker survive a reload. It must belong to one user. */
  storage?: TrackerStorage | undefined;
  /** Called with each state that changed. */
  onChange?: ((state: MessageState) => void) | undefined;
}

/** The key in the storage. */
const KEY = 'chime-message-status';
/** Maximum number of messages with a result in the storage. */
const MAX_STORED = 200;
/** Maximum number of messages that are remembered in case they are tracked later. */
const MAX_UNTRACKED = 500;
/** Milliseconds over which requests are spread when the WebSocket is lost or back. */
const JITTER = 3000;
/** Milliseconds after which most flows have decided. */
const FIRST = 600;
/** Milliseconds after which a live WebSocket should have reported a result. */
const GRACE = 3000;
/** Maximum milliseconds between two requests for a message, with a WebSocket and without. */
const MAX_PAUSE_LIVE = 300_000;
const MAX_PAUSE = 60_000;

interface Entry {
  readonly poll: Poll;
  state?: MessageState | undefined;
  /** Chime has reported a status of it. If Chime then does not find it, it is gone. */
  isConfirmed: boolean;
  /** It was pending while the WebSocket was live, so the WebSocket should report the result. */
  isWatched: boolean;
  /** When to request it again at the earliest, however often the WebSocket is lost. */
  earliest: number;
  /** The state when the request was made. */
  requested?: MessageState | undefined;
  /** The WebSocket connection that reported the last update. */
  connection?: number | undefined;
}

/** Tracks the status of messages: from the WebSocket, and from the endpoint when the WebSocket missed it. */
export class MessageTracker {
  readonly #storage: TrackerStorage | undefined;
  readonly #poller: Poller;
  readonly #listeners = new Set<(state: MessageState) => void>();
  readonly #entries = new Map<string, Entry>();
  /** Results can arrive over the WebSocket before the response to SendChannelMessage. */
  readonly #untracked = new Map<string, MessageState>();
  /** A live WebSocket reports results without requests. */
  #isLive = false;
  #connection = 0;
  #isLoading = false;
  #isStopped = false;

  constructor({ client, storage, onChange }: MessageTrackerOptions) {
    this.#storage = storage;
    // Requests without a wait cost less Lambda time, and the pauses depend on whether the WebSocket is live.
    this.#poller = createPoller(client, false);
    if (onChange) this.#listeners.add(onChange);
    this.#load();
  }

  /** For `addObserver` of a session of amazon-chime-sdk-js. */
  readonly observer = {
    messagingSessionDidStartConnecting: (): void => this.#setLive(false),
    messagingSessionDidStop: (): void => this.#setLive(false),
    messagingSessionDidStart: (): void => {
      this.#connection++;
      this.#setLive(true);
    },
    messagingSessionDidReceiveMessage: (event: WebSocketMessage): void => {
      this.#isLive = true;
      this.#read(read(event), false, this.#connection);
    },
  };

  /**
   * Tracks a message that the user sent: the message itself, or the response of SendChannelMessage.
   * Other responses of Chime and of the endpoint are accepted too.
   */
  track(message: Message | MessageStatus | ChimeResponse): void {
    this.#read(read(message), true);
  }

  /** The state of a tracked message. It is the same object until it changes. */
  readonly get = (messageId: string): MessageState | undefined => this.#entries.get(messageId)?.state;

  /** Calls the listener with each state that changes, until the returned function is called. */
  readonly subscribe = (listener: (state: MessageState) => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** Ends all requests. What is stored stays. */
  stop(): void {
    this.#isStopped = true;
    for (const { poll } of this.#entries.values()) this.#poller.remove(poll);
  }

  #setLive(isLive: boolean): void {
    // While the WebSocket is down, further attempts to connect change nothing.
    if (!isLive && !this.#isLive) return;
    this.#isLive = isLive;
    for (const entry of this.#entries.values()) {
      // Many users lose their WebSockets together.
      const due = Math.max(now() + JITTER * Math.random(), entry.earliest);
      entry.poll.due = isLive ? due : Math.min(due, entry.poll.due);
      entry.isWatched = false;
    }
    this.#poller.update();
  }

  /** `connection` is the WebSocket that reported this. */
  #read(readings: Reading[], isTracked: boolean, connection?: number): void {
    for (const { state, message, isConfirmed, isOwn } of readings) {
      const { messageId, update } = state;
      let entry = this.#entries.get(messageId);
      if (!entry && message && (isTracked || isOwn)) {
        entry = this.#add(message);
        const earlier = this.#untracked.get(messageId);
        if (earlier) this.#set(entry, earlier);
      }
      if (!entry) {
        this.#untracked.set(messageId, merge(this.#untracked.get(messageId), state));
        const [oldest] = this.#untracked.keys();
        if (oldest && this.#untracked.size > MAX_UNTRACKED) this.#untracked.delete(oldest);
        continue;
      }
      entry.isConfirmed ||= isConfirmed;
      const { update: known, ...rest } = entry.state ?? state;
      // A pending update can have the date of the version before it. Then the order of arrival decides.
      const isLater = update && connection && connection === entry.connection && update.at === known?.at;
      if (update) entry.connection = connection;
      this.#set(entry, merge(isLater ? rest : entry.state, state));
    }
  }

  #add(message: Message): Entry {
    const entry: Entry = {
      isConfirmed: false,
      isWatched: false,
      earliest: 0,
      poll: {
        message,
        due: Infinity,
        onRequest: () => (entry.requested = entry.state),
        onResult: (result) => this.#onResult(entry, result),
      },
    };
    this.#entries.set(message.messageId, entry);
    return entry;
  }

  #onResult(entry: Entry, { problem, ...result }: MessageStatusResult): void {
    const { state, poll } = entry;
    // The poller has set the next attempt.
    if (problem?.retryable || !state) return;
    let news: MessageState | undefined;
    if (!problem) {
      entry.isConfirmed = true;
      news = merge(state, answeredAsOf(entry.requested, result as MessageStatus));
    } else if (problem.problem === 'message-gone' || (problem.problem === 'message-not-found' && entry.isConfirmed)) {
      news = merge(state, { messageId: state.messageId, status: 'GONE' });
    }
    const { isWatched } = entry;
    // The longer it is pending already, the less likely is a result within the next seconds.
    const age = now() - (poll.since ?? 0);
    entry.earliest = now() + Math.min(MAX_PAUSE, age / 2);
    entry.isWatched = this.#isLive;
    poll.due = this.#isLive || problem
      ? now() + Math.min(MAX_PAUSE_LIVE, Math.max(GRACE, age))
      : Math.max(poll.due, entry.earliest);
    // A live WebSocket would have reported it, so this one has probably died. Its next event disproves that.
    if (news && this.#set(entry, news) && isWatched) this.#setLive(false);
  }

  #set(entry: Entry, state: MessageState): boolean {
    if (JSON.stringify(state) === JSON.stringify(entry.state)) return false;
    entry.state = state;
    if (!isPending(entry)) this.#poller.remove(entry.poll);
    else if (!this.#isStopped && this.#poller.add(entry.poll, now() + (this.#isLive ? GRACE : FIRST))) {
      entry.isWatched = this.#isLive;
    }
    this.#save();
    for (const listener of this.#listeners) {
      try {
        listener(state);
      } catch (error) {
        // The session that calls the observer must not fail.
        (globalThis.reportError ?? console.error)(error);
      }
    }
    return true;
  }

  #save(): void {
    if (this.#isLoading) return;
    const entries = [...this.#entries.values()];
    let surplus = entries.filter((entry) => !isPending(entry)).length - MAX_STORED;
    const stored = entries.filter((entry) => isPending(entry) || surplus-- <= 0);
    const items = stored.map(({ poll: { message }, state, isConfirmed }) => ({ message, state, isConfirmed }));
    // If the storage is full or forbidden, a reload loses the state.
    (async () => this.#storage?.setItem(KEY, JSON.stringify(items)))().catch(() => {});
  }

  #load(): void {
    const restore = (json: unknown) => {
      this.#isLoading = false;
      this.#read(list(parse(`${json}`)).filter(isReading), true);
    };
    try {
      const json = this.#storage?.getItem(KEY);
      // React Native's storage is asynchronous.
      this.#isLoading = json instanceof Object;
      if (json instanceof Object) json.then(restore, restore).then(() => this.#save());
      else restore(json);
    } catch {
      // The browser forbids storage.
    }
  }
}

function isPending({ state }: Entry): boolean {
  return state?.status === 'PENDING' || state?.update?.status === 'PENDING';
}

function isReading(item: unknown): item is Reading {
  const { messageId, status } = members(members(item).state);
  return !!(text(messageId) && text(status));
}
