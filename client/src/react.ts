import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { MessageTracker, type MessageState, type MessageTrackerOptions } from './index.js';

/**
 * A tracker that runs while the component is mounted. Another `user` makes another tracker, the other
 * options are those of the first rendering. `onChange` may be a new function each time.
 */
export function useMessageTracker(options: MessageTrackerOptions): MessageTracker {
  const onChange = useRef(options.onChange);
  const create = () => {
    const tracker = new MessageTracker({ ...options, onChange: (state) => onChange.current?.(state) });
    // React can render without mounting. Only the effect starts it.
    tracker.stop();
    return { tracker, user: options.user };
  };
  const [held, hold] = useState(create);
  let current = held;
  if (held.user !== options.user) {
    current = create();
    hold(current);
  }
  const { tracker } = current;
  useEffect(() => {
    onChange.current = options.onChange;
  });
  useEffect(() => {
    tracker.start();
    return tracker.stop;
  }, [tracker]);
  return tracker;
}

/** The state of a message, or undefined if it is not tracked, and on a server. */
export function useMessageState(tracker: MessageTracker, messageId: string | undefined): MessageState | undefined {
  const get = () => (messageId === undefined ? undefined : tracker.get(messageId));
  return useSyncExternalStore(tracker.subscribe, get, () => undefined);
}
