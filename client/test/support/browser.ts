// Globals that browsers have and Node lacks.
import { getEventListeners } from 'node:events';

export function withBrowser() {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { hidden: false, visibilityState: 'visible' });
  const values = {
    document,
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
  };
  const before = Object.keys(values).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
  for (const [name, value] of Object.entries(values)) Object.defineProperty(globalThis, name, { value, configurable: true });
  return {
    window,
    online: () => window.dispatchEvent(new Event('online')),
    show(isVisible: boolean) {
      document.hidden = !isVisible;
      document.visibilityState = isVisible ? 'visible' : 'hidden';
      document.dispatchEvent(new Event('visibilitychange'));
    },
    listeners: () => getEventListeners(window, 'online').length + getEventListeners(document, 'visibilitychange').length,
    close() {
      for (const [name, descriptor] of before) {
        Reflect.deleteProperty(globalThis, name);
        if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      }
    },
  };
}
