import type { Message } from './client.js';
import { list, members, parse, text } from './json.js';
import { LIFETIME, MAX_RESULTS } from './limits.js';
import { isPending, merge, type MessageState } from './merge.js';

/** Where the tracker keeps its state: `localStorage`, React Native's AsyncStorage, or the like. */
export interface TrackerStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): unknown;
}

/** A message as it is stored. Times are of the wall clock, because they outlive the page. */
export interface Stored {
  readonly message: Message;
  /** Undefined: it is no longer tracked. */
  readonly state?: MessageState;
  /** Chime has reported a status of it. If Chime then does not find it, it is gone. */
  readonly isConfirmed?: boolean;
  /** It was gone when the WebSocket or the page started: whether it is still to be requested once more. */
  readonly again?: boolean;
  /** Since when it is tracked, or pending again, or not tracked. */
  readonly since: number;
  /** When its state was last reported. */
  readonly seen: number;
}

/** By message id. The id "" stands for all messages: what was tracked before is no longer tracked. */
export type Snapshot = Map<string, Stored>;

function parseSnapshot(json: string): Snapshot {
  const items = list(parse(json)).filter((item) => {
    const { message, state, since } = members(item);
    return text(members(message).messageId) !== undefined && (!state || text(members(state).status)) && Date.now() - (since as number) < LIFETIME;
  });
  return new Map((items as Stored[]).map((stored) => [stored.message.messageId, stored]));
}

/** Combines what two tabs know. The order does not matter, so all tabs end with the same. */
export function mergeSnapshots(a: Snapshot, b: Snapshot): Snapshot {
  const all = new Map(a);
  for (const [id, stored] of b) {
    all.set(id, mergeStored(a.get(id), stored));
  }
  const cleared = all.get('')?.since ?? 0;
  const isOpen = ({ state }: Stored) => state && isPending(state);
  const inOrder = [...all]
    .filter(([id, { since }]) => !id || since > cleared)
    .sort(([a, left], [b, right]) => left.since - right.since || (a < b ? -1 : 1));
  let surplus = inOrder.filter(([, stored]) => !isOpen(stored)).length - MAX_RESULTS;
  return new Map(inOrder.filter(([id, stored]) => !id || isOpen(stored) || surplus-- <= 0));
}

function mergeStored(a: Stored | undefined, b: Stored): Stored {
  if (!a?.state || !b.state) return a && (a.since > b.since || (a.since === b.since && !a.state)) ? a : b;
  // At the same time any order will do, if it is the same in all tabs. Otherwise they overwrite each other for ever.
  const [earlier, later] = a.seen < b.seen || (a.seen === b.seen && JSON.stringify(a) < JSON.stringify(b)) ? [a, b] : [b, a];
  const state = merge(earlier.state, later.state as MessageState);
  return { ...earlier, ...later, state, since: Math.max(a.since, b.since) };
}

export function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/**
 * Returns a function that reads the storage, passes what it has to `exchange`, and with `isWrite` writes
 * what that returns, if it differs. With an asynchronous storage, one exchange follows the other. If the storage
 * is full or forbidden, a reload loses the state.
 */
export function createStore(
  option: TrackerStorage | (() => TrackerStorage | undefined) | undefined,
  key: string,
  exchange: (stored: Snapshot, isWrite: boolean) => Snapshot,
): (isWrite: boolean) => void {
  let last: unknown;
  return (isWrite) => {
    last = after(last, () => {
      try {
        const storage = typeof option === 'function' ? option() : option;
        return after(storage?.getItem(key), (json) => {
          const theirs = json ?? '[]';
          const ours = JSON.stringify([...exchange(parseSnapshot(theirs), isWrite).values()]);
          return isWrite && ours !== theirs && storage?.setItem(key, ours);
        });
      } catch {
        // The browser forbids storage, or a server has none.
        return undefined;
      }
    });
  };
}

/** Continues with a value at once, and with that of a promise later. */
function after<T>(value: T | Promise<T>, next: (value: T) => unknown): unknown {
  const promise = value as Promise<T> | null | undefined;
  return promise?.then ? promise.then(next).catch(() => {}) : next(value as T);
}
