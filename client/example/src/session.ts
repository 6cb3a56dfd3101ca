import type { MessagingSession, MessagingSessionObserver } from 'amazon-chime-sdk-js';

/** Milliseconds in which a session that connects has started or given up. */
const MAX_CONNECTING = 15_000;

/**
 * Keeps a session open between `start` and `stop`, in any order and however fast. A session of
 * amazon-chime-sdk-js gives up after 10 seconds without a network, in some cases without a report, and
 * does not survive a stop that is followed by a start. So each start takes a new one.
 */
export function keepSession(create: () => MessagingSession, observer: MessagingSessionObserver) {
  let session: MessagingSession | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const close = () => {
    clearTimeout(timer);
    timer = undefined;
    const old = session;
    session = undefined;
    old?.removeObserver(observer);
    old?.stop();
    observer.messagingSessionDidStop?.(undefined as never);
  };
  const open = () => {
    const current = create();
    session = current;
    const retry = () => {
      if (session !== current) return;
      close();
      // Many users lose their sessions together.
      timer = setTimeout(open, 1000 + 4000 * Math.random());
    };
    const watch = () => {
      // A stop before the connection has no effect.
      if (session !== current) return current.stop();
      clearTimeout(timer);
      timer = setTimeout(retry, MAX_CONNECTING);
    };
    current.addObserver(observer);
    current.addObserver({
      messagingSessionDidStartConnecting: watch,
      messagingSessionDidStart: () => session === current && clearTimeout(timer),
      messagingSessionDidStop: retry,
    });
    watch();
    current.start().catch(retry);
  };
  return {
    start: () => void (session || timer || open()),
    stop: close,
  };
}
