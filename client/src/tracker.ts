import type { Message, MessageStatusClient } from './client.js';
import { guard } from './guard.js';
import { JITTER, LIFETIME, MAX_EARLY, OVERTAKES } from './limits.js';
import { answeredAsOf, isGone, isPending, merge, outcome, type MessageState, type MessageStatus } from './merge.js';
import { read, type ChimeResponse, type Reading, type WebSocketMessage } from './messages.js';
import { createPoller, now, type Next, type OnResult } from './poller.js';
import { isFailure, lastKnown, newLink, next } from './schedule.js';
import { createStore, isSame, mergeSnapshots, type Snapshot, type Stored, type TrackerStorage } from './storage.js';

export interface MessageTrackerOptions {
  client: Pick<MessageStatusClient, 'getMany'>;
  /** Any text that names the signed-in user, best the ARN. What is stored belongs to this user. */
  user: string;
  /**
   * Makes the tracker survive a reload. A function is called by the tracker and may throw, as
   * `() => localStorage` does on a server and where the browser forbids storage.
   */
  storage?: TrackerStorage | (() => TrackerStorage | undefined) | undefined;
  /** Called with each state that changed. What is stored when the tracker is created is not a change. */
  onChange?: ((state: MessageState) => void) | undefined;
}

export interface TrackOptions {
  /** The response is that of UpdateChannelMessage, so its status is that of the edit. */
  edit?: boolean | undefined;
}

/**
 * Tracks the status of messages: from the WebSocket, and from the endpoint when the WebSocket missed
 * it. Its methods need no `this`.
 */
export class MessageTracker {
  /** For `addObserver` of a session of amazon-chime-sdk-js. */
  readonly observer: {
    messagingSessionDidStartConnecting(): void;
    messagingSessionDidStart(): void;
    messagingSessionDidStop(): void;
    messagingSessionDidReceiveMessage(event: WebSocketMessage): void;
  };
  /**
   * Tracks a message that the user sent: the message itself, or the response of SendChannelMessage.
   * With `edit`, the response of UpdateChannelMessage. Other responses of Chime and of the endpoint
   * are accepted too; in lists, the messages of others only update what is tracked.
   */
  readonly track: (message: Message | MessageStatus | ChimeResponse, options?: TrackOptions) => void;
  /** Forgets a message, in all tabs. Events do not bring it back, `track` does. */
  readonly untrack: (messageId: string) => void;
  /** The state of a tracked message. It is the same object until it changes. */
  readonly get: (messageId: string) => MessageState | undefined;
  /** The states of all tracked messages. It is the same array until one changes. */
  readonly getAll: () => readonly MessageState[];
  /** Calls the listener with each state that changes, until the returned function is called. */
  readonly subscribe: (listener: (state: MessageState) => void) => () => void;
  /** Requests the status of all pending messages now. A running backoff or retry-after comes first. */
  readonly check: () => void;
  /** For React Native's AppState: false pauses the requests. */
  readonly setActive: (isActive: boolean) => void;
  /** For React Native's NetInfo: false pauses the requests, true repeats those that failed. */
  readonly setOnline: (isOnline: boolean) => void;
  /** Ends all requests and ignores events. What is known and stored stays. */
  readonly stop: () => void;
  /** Continues after `stop` or `clear`. A new tracker has started. */
  readonly start: () => void;
  /** For a logout: stops, and forgets all messages, also in the storage and in other tabs. */
  readonly clear: () => void;

  constructor({ client, user, storage, onChange }: MessageTrackerOptions) {
    const listeners = new Set<(state: MessageState) => void>();
    /** What this tracker and the storage know. */
    let known: Snapshot = new Map();
    /** Something is to be stored. */
    let isDirty = false;
    /** What was reported to listeners. */
    let shown = new Map<string, MessageState>();
    let all: readonly MessageState[] = [];
    /** Results can arrive over the WebSocket before the response to SendChannelMessage. */
    const early = new Map<string, MessageState>();
    /** Edits that this connection reported: when an event announced one whose response is still to come, or 0. */
    const edits = new Map<string, number>();

    let link = newLink;
    /** How often the WebSocket has started. */
    let starts = 0;
    /** Why the last request about a message failed. */
    const problems = new Map<string, string>();
    /** The last catch-up of a message after a reconnect. */
    const caughtUp = new Map<string, number>();
    /** What was known when the last request was made. */
    let requested: Snapshot = new Map();
    let isRunning = false;
    let isActive = true;
    let isOnline = true;

    /** A clock that is never the same twice, so that what happens in one millisecond keeps its order. */
    let time = -Infinity;
    const tick = () => (time = Math.max(now(), time + 0.001));

    // What is known

    /** The wall clock, but later than what is stored about these messages. */
    const later = (...ids: string[]) => Math.max(Date.now(), ...ids.map((id) => 1 + (known.get(id)?.seen ?? 0)));

    /** Returns whether the state has changed. */
    const set = (message: Message, news: MessageState, facts: Partial<Stored>, base?: MessageState): boolean => {
      const { messageId } = message;
      const before = known.get(messageId);
      const old = before?.state;
      const state = merge(base, news);
      const seen = later(messageId, '');
      const isPendingAgain = old && isPending(state) && !isPending(old);
      const stored = { ...(old && before), ...facts, message, state, since: old && !isPendingAgain ? before.since : seen, seen };
      isDirty ||= !isSame({ ...before, seen }, stored);
      known.set(messageId, stored);
      return !isSame(state, old);
    };

    const learn = ({ state, message, isConfirmed }: Reading, isLater = false) => {
      const { messageId } = state;
      const before = known.get(messageId);
      const remembered = early.get(messageId);
      const facts = isConfirmed ? { isConfirmed } : {};
      if (before?.state) {
        const { update, ...rest } = before.state;
        set(before.message, state, facts, isLater ? rest : before.state);
      } else if (message && !state.deleted) {
        early.delete(messageId);
        set(message, state, facts, remembered);
      } else {
        // What is lost costs a request.
        if (early.size >= MAX_EARLY) early.clear();
        early.set(messageId, merge(remembered, state));
      }
    };

    const forget = (messageId: string, at: number) => {
      known.set(messageId, { message: { channelArn: '', messageId }, since: at, seen: at });
      // Now, though the storage may answer later, or never.
      show();
      store(true);
    };

    /** Requests what is pending, and reports what has changed. */
    const show = () => {
      const before = shown;
      const changed: MessageState[] = [];
      shown = new Map();
      for (const [id, { state, message, since, again }] of known) {
        if (!state) continue;
        const isOpen = isPending(state);
        if (!isOpen) problems.delete(id);
        const problem = problems.get(id);
        const news = problem ? { ...state, problem } : state;
        const old = before.get(id);
        const visible = old && isSame(news, old) ? old : news;
        shown.set(id, visible);
        if (visible !== old) changed.push(visible);
        if (isRunning && (isOpen || again)) {
          // Of a message that was stored, only the wall clock knows since when it is pending. That clock can be set back.
          poller.add(id, message, tick() - Math.max(0, Date.now() - since));
        } else poller.remove(id);
      }
      for (const [id, state] of before) {
        if (shown.has(id)) continue;
        poller.remove(id);
        for (const facts of [caughtUp, edits, problems]) facts.delete(id);
        changed.push(state);
      }
      if (changed.length) all = [...shown.values()];
      for (const state of changed) for (const listener of [...listeners]) guard(() => listener(state));
      poller.update();
    };

    /** To be called after each change: writes once, then shows it. */
    const commit = () => {
      if (isDirty) {
        isDirty = false;
        store(true);
      }
      show();
    };

    // The WebSocket

    /** A WebSocket that flaps does not put off requests that are still to come. */
    const spreadTo = () => link.spreadTo > time ? link.spreadTo : time + JITTER * Math.random();

    const setLive = (isLive: boolean) => {
      if (isLive !== link.isLive) link = { ...link, isLive, since: tick(), spreadTo: spreadTo() };
      poller.update();
    };

    /** After a time in which events were missed. */
    const catchUp = () => {
      link = { ...link, started: tick(), spreadTo: spreadTo() };
      for (const [id, stored] of known) {
        if (stored.state && isGone(stored.state)) known.set(id, { again: true, ...stored });
      }
    };

    const onEvent = (reading: Reading) => {
      const { messageId, update } = reading.state;
      const before = known.get(messageId);
      // It was untracked.
      if (before && !before.state) return;
      const last = before?.state?.update;
      // A pending edit can have the date of the version before it. Then the order of arrival decides.
      const isLater = update?.at === last?.at && edits.has(messageId);
      if (update) {
        const isNew = last?.status !== 'PENDING' && update.at > (last?.at ?? -1);
        edits.set(messageId, isNew ? tick() : edits.get(messageId) ?? 0);
      }
      learn(reading, isLater);
    };

    /** The response to an edit has no date, so the edit is taken to be right after the last one. */
    const onEdit = (reading: Reading) => {
      const { messageId } = reading.state;
      const announced = edits.get(messageId);
      if (announced && link.isLive && now() - announced < OVERTAKES) {
        // An event about this edit arrived before the response.
        edits.set(messageId, 0);
        return;
      }
      const last = known.get(messageId)?.state?.update;
      learn({ ...reading, state: { messageId, status: 'SENT', update: { ...outcome(reading.state), at: (last?.at ?? -1) + 1 } } });
    };

    // Requests

    const getMany: MessageStatusClient['getMany'] = (messages, options) => {
      requested = new Map(known);
      return client.getMany(messages, options);
    };

    const nextOf: Next = (entry) => {
      const { messageId } = entry.message;
      if (!isActive || !isOnline || Date.now() - (known.get(messageId)?.since ?? 0) >= LIFETIME) return Infinity;
      return next(entry, link, caughtUp.get(messageId));
    };

    const onResult: OnResult<string> = (id, { problem, ...result }, entry, start) => {
      const { state, isConfirmed, again } = known.get(id) ?? {};
      const knownAt = lastKnown(entry);
      if (starts > 1 && knownAt < link.started && start >= link.spreadTo && !isFailure({ problem })) caughtUp.set(id, start);
      // Chime had it: Chime reported a status, the endpoint knows, or an edit of it is pending.
      const isGoneNow = problem?.problem === 'message-gone' ||
        (problem?.problem === 'message-not-found' && (isConfirmed || state?.status === 'SENT'));
      if (problem && !isGoneNow) {
        problems.set(id, problem.problem);
        return;
      }
      problems.delete(id);
      const response = problem ? { messageId: id, status: 'GONE' } : result as MessageStatus;
      const news = answeredAsOf(requested.get(id)?.state, response);
      const isNew = set(entry.message, news, { ...(!problem && { isConfirmed: true }), ...(again && { again: false }) }, state);
      // A live WebSocket would have reported it, so this one has probably died. Its next event disproves that.
      if (isNew && link.isLive && knownAt > link.since) setLive(false);
    };

    // Requests without a wait cost less Lambda time, and the pauses depend on whether the WebSocket is live.
    const poller = createPoller<string>(getMany, false, nextOf, onResult, commit);

    // The storage

    const key = `chime-message-status:${encodeURIComponent(user)}`;
    // Without a user, what is stored could reach the next one.
    const exchange = (stored: Snapshot, isWrite: boolean) => {
      known = mergeSnapshots(known, stored);
      // Only what is read at the start is not written.
      if (!isWrite) catchUp();
      show();
      return known;
    };
    const store = createStore(user ? storage : undefined, key, exchange);

    /** Another tab has written. */
    const onStorage = (event: Event) => {
      if ((event as StorageEvent).key === key) store(true);
    };

    const run = (value: boolean) => {
      isRunning = value;
      globalThis[`${value ? 'add' : 'remove'}EventListener`]?.('storage', onStorage);
      show();
    };

    this.observer = {
      messagingSessionDidStartConnecting: () => setLive(false),
      messagingSessionDidStop: () => setLive(false),
      messagingSessionDidStart: () => {
        starts++;
        edits.clear();
        setLive(true);
        catchUp();
        show();
      },
      messagingSessionDidReceiveMessage: (event) => {
        setLive(true);
        if (!isRunning) return;
        read(event, user).forEach(onEvent);
        commit();
      },
    };
    this.track = (message, { edit } = {}) => {
      for (const reading of read(message, user)) (edit ? onEdit : learn)(reading);
      commit();
    };
    this.untrack = (messageId) => forget(messageId, later(messageId, ''));
    this.get = (messageId) => shown.get(messageId);
    this.getAll = () => all;
    this.subscribe = (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    };
    this.check = () => {
      link = { ...link, started: tick(), spreadTo: time };
      caughtUp.clear();
      poller.update();
    };
    this.setActive = (value) => {
      isActive = value;
      poller.update();
    };
    this.setOnline = (value) => {
      if (value === isOnline) return;
      isOnline = value;
      poller[value ? 'online' : 'update']();
    };
    this.stop = () => run(false);
    this.start = () => {
      if (isRunning) return;
      catchUp();
      store(true);
      run(true);
    };
    this.clear = () => {
      run(false);
      early.clear();
      const at = later(...known.keys());
      known.clear();
      forget('', at);
    };

    store(false);
    run(true);
    // What was stored is not a change.
    if (onChange) listeners.add(onChange);
  }
}
