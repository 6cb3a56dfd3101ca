import type { Message, MessageStatusClient, MessageStatusResult } from './client.js';
import { list, members, text } from './errors.js';
import { answeredAsOf, merge, type MessageState, type MessageStatus } from './merge.js';
import { readResponse, readWebSocket, type ChimeResponse, type Reading, type WebSocketMessage } from './messages.js';
import { Poller, now, type Poll } from './poller.js';

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
/** Most messages with a result that stay in the storage. */
const MAX_STORED = 200;
/** Most messages that are remembered in case they are tracked later. */
const MAX_UNTRACKED = 500;
/** Milliseconds over which requests are spread when the WebSocket is lost or back. */
const JITTER = 3000;
/** Milliseconds after which a live WebSocket should have reported a result. It doubles each time. */
const GRACE = 5000;
const MAX_GRACE = 300_000;

interface Entry {
  readonly poll: Poll;
  state: MessageState;
  /** Chime said that it is or was pending. */
  isConfirmed: boolean;
  isKept: boolean;
  isPolled: boolean;
  /** Requests while the WebSocket was live. */
  checks: number;
  /** The state when the request was made. */
  requested: MessageState;
  /** The connection that reported the last update. */
  connection: number;
}

/** The status of messages, from the WebSocket and, when that cannot know, from the endpoint. */
export class MessageTracker {
  readonly #client: MessageTrackerOptions['client'];
  readonly #storage: TrackerStorage | undefined;
  readonly #listeners = new Set<(state: MessageState) => void>();
  readonly #entries = new Map<string, Entry>();
  /** Results can arrive over the WebSocket before the response to SendChannelMessage. */
  readonly #untracked = new Map<string, MessageState>();
  readonly #poller: Poller;
  #isLive = false;
  #connection = 0;
  #isLoading = false;
  #isStopped = false;

  constructor({ client, storage, onChange }: MessageTrackerOptions) {
    this.#client = client;
    this.#storage = storage;
    if (onChange) this.#listeners.add(onChange);
    // A live WebSocket reports the results that come later.
    this.#poller = new Poller({ getMany: (...request) => this.#getMany(...request) }, () => !this.#isLive);
    this.#load();
  }

  /** For `addObserver` of a session of amazon-chime-sdk-js. */
  readonly observer = {
    messagingSessionDidStartConnecting: (): void => this.#setLive(false),
    messagingSessionDidStop: (): void => this.#setLive(false),
    messagingSessionDidStart: (): void => {
      this.#connection += 1;
      this.#setLive(true);
    },
    messagingSessionDidReceiveMessage: (event: WebSocketMessage): void => {
      this.#isLive = true;
      this.#read(readWebSocket(event), this.#connection, false);
    },
  };

  /**
   * Tracks a message that the user sent: the message itself, or the response of SendChannelMessage.
   * Other responses of Chime and of the endpoint are accepted too.
   */
  track(message: Message | MessageStatus | ChimeResponse): void {
    this.#read(readResponse(message), 0, true);
  }

  /** The state of a tracked message. It is the same object until it changes. */
  readonly get = (messageId: string): MessageState | undefined => this.#entries.get(messageId)?.state;

  /** Calls the listener with each state that changed, until the returned function is called. */
  readonly subscribe = (listener: (state: MessageState) => void): (() => void) => {
    // The same function may be subscribed twice.
    const own = (state: MessageState) => listener(state);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  };

  /** Ends all requests. What is stored stays. */
  stop(): void {
    this.#isStopped = true;
    for (const entry of this.#entries.values()) this.#schedule(entry);
  }

  /** Requests are spread over `jitter` milliseconds: many users lose their WebSockets together. */
  #setLive(isLive: boolean, jitter = JITTER): void {
    // While it is down, further attempts to connect change nothing.
    if (!isLive && !this.#isLive) return;
    this.#isLive = isLive;
    for (const entry of this.#entries.values()) {
      const due = now() + jitter * Math.random();
      entry.poll.due = isLive ? due : Math.min(due, entry.poll.due);
      entry.checks = 0;
    }
    this.#poller.update();
  }

  #getMany(...[messages, options]: Parameters<MessageStatusClient['getMany']>): Promise<MessageStatusResult[]> {
    for (const { messageId } of messages) {
      const entry = this.#entries.get(messageId);
      if (entry) entry.requested = entry.state;
    }
    return this.#client.getMany(messages, options);
  }

  /** `connection` is the WebSocket that reported this, or 0. */
  #read(readings: Reading[], connection: number, isTracked: boolean): void {
    this.#report(readings.map((reading) => {
      const { state } = reading;
      const known = this.#entries.get(state.messageId);
      const entry = known ?? this.#add(reading, isTracked);
      if (!entry) return undefined;
      entry.isConfirmed ||= reading.isConfirmed;
      entry.isKept &&= reading.isKept;
      // Chime may give a pending update the date of the message as it was. Then the order of arrival decides.
      const isTie = connection > 0 && connection === entry.connection && state.update?.at === entry.state.update?.at;
      if (state.update) entry.connection = connection;
      const { update, ...rest } = entry.state;
      const isNew = this.#set(entry, merge(isTie && state.update ? rest : entry.state, state));
      return isNew || !known ? entry : undefined;
    }));
  }

  /** Starts to track a message, or remembers what was read about it. */
  #add({ message, ...reading }: Reading, isTracked: boolean): Entry | undefined {
    const { messageId } = reading.state;
    const earlier = this.#untracked.get(messageId);
    const state = merge(earlier, reading.state);
    this.#untracked.delete(messageId);
    if (!message || !(isTracked || reading.isOwn)) {
      this.#untracked.set(messageId, state);
      const [oldest] = this.#untracked.keys();
      if (oldest && this.#untracked.size > MAX_UNTRACKED) this.#untracked.delete(oldest);
      return undefined;
    }
    const entry: Entry = {
      poll: {
        message,
        due: now() + (this.#isLive ? GRACE : 0),
        end: Infinity,
        onResult: (result) => this.#report([this.#onResult(entry, result)]),
        // The token function failed. The client reports that to `onAttempt`.
        onError: () => {},
      },
      state,
      requested: state,
      isConfirmed: false,
      isKept: true,
      isPolled: false,
      checks: 0,
      connection: 0,
    };
    this.#entries.set(messageId, entry);
    this.#schedule(entry);
    return entry;
  }

  #onResult(entry: Entry, result: MessageStatusResult): Entry | undefined {
    let isNew = false;
    if (result.problem?.retryable) return undefined;
    if (!result.problem) {
      entry.isConfirmed = true;
      isNew = this.#set(entry, merge(entry.state, answeredAsOf(entry.requested, result)));
    } else if (isGone(result.problem.problem, entry)) {
      isNew = this.#set(entry, { ...entry.state, status: 'GONE' });
    }
    if (this.#isLive || result.problem) entry.poll.due = now() + Math.min(MAX_GRACE, GRACE * 2 ** ++entry.checks);
    // A live WebSocket would have reported it, so this one has probably died. Its next event disproves that.
    if (isNew) this.#setLive(false, 0);
    return isNew ? entry : undefined;
  }

  #set(entry: Entry, state: MessageState): boolean {
    if (JSON.stringify(state) === JSON.stringify(entry.state)) return false;
    entry.state = state;
    this.#schedule(entry);
    return true;
  }

  /** Polls the messages without a result, and no others. */
  #schedule(entry: Entry): void {
    const isPolled = !this.#isStopped && isPending(entry.state);
    if (isPolled === entry.isPolled) return;
    entry.isPolled = isPolled;
    if (!isPolled) return this.#poller.remove(entry.poll);
    entry.poll.due = now() + (this.#isLive ? GRACE : 0);
    this.#poller.add(entry.poll);
  }

  #report(changed: (Entry | undefined)[]): void {
    const states = changed.flatMap((entry) => (entry ? [entry.state] : []));
    if (!states.length) return;
    this.#save();
    for (const listener of [...this.#listeners]) {
      for (const state of states) {
        try {
          listener(state);
        } catch (error) {
          // The session that calls the observer must not fail.
          (globalThis.reportError ?? console.error)(error);
        }
      }
    }
  }

  #save(): void {
    if (!this.#storage || this.#isLoading) return;
    const entries = [...this.#entries.values()];
    let surplus = entries.filter(({ state }) => !isPending(state)).length - MAX_STORED;
    const stored = entries.filter(({ state }) => isPending(state) || surplus-- <= 0);
    const value = JSON.stringify(
      stored.map(({ poll, state, isConfirmed, isKept }) => ({ message: poll.message, state, isConfirmed, isKept })),
    );
    void (async () => this.#storage?.setItem(KEY, value))().catch(() => {});
  }

  #load(): void {
    const restore = (json?: string | null): void => {
      this.#isLoading = false;
      let items: unknown[] = [];
      try {
        items = list(JSON.parse(json ?? '[]'));
      } catch {
        // Something else wrote it.
      }
      this.#read(items.flatMap(readStored), 0, true);
      // The WebSocket may connect and bring results first.
      for (const { poll } of this.#entries.values()) poll.due = Math.max(poll.due, now() + JITTER * Math.random());
      this.#poller.update();
    };
    try {
      const json = this.#storage?.getItem(KEY);
      if (typeof json !== 'object' || !json) return restore(json);
      this.#isLoading = true;
      json.then(restore, () => restore()).then(() => this.#save());
    } catch {
      // Browsers can forbid the storage. Then a reload loses the state.
    }
  }
}

function isPending({ status, update }: MessageState): boolean {
  return status === 'PENDING' || update?.status === 'PENDING';
}

function readStored(item: unknown): Reading[] {
  const { message, state, isConfirmed, isKept } = members(item);
  const { messageId, status } = members(state);
  if (!text(messageId) || !text(status) || !text(members(message).channelArn)) return [];
  return [{
    state: state as MessageState,
    message: message as Message,
    isConfirmed: isConfirmed === true,
    isKept: isKept !== false,
    isOwn: true,
  }];
}

/** Whether "not found" means that a message was pending and is no more. */
function isGone(problem: string, { state, isConfirmed, isKept }: Entry): boolean {
  const isNotFound = problem === 'message-gone' || (problem === 'message-not-found' && isConfirmed);
  return isNotFound && isKept && state.status === 'PENDING';
}
