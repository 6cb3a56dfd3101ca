// Runs users until enough messages are sent, each app in the same world.
import { FakeClock } from '../support/clock.js';
import type { Network, Parameters } from './parameters.js';
import { World, random, type Counts, type StartApp } from './world.js';

export async function simulate(startApp: StartApp, network: Network, parameters: Parameters, messages: number): Promise<Counts> {
  const counts: Counts = { messages: 0, wrongMs: 0, chimeCalls: 0, lambdaMs: 0, requests: 0, throttles: 0, falseNotSent: 0 };
  const real = Math.random;
  const realDate = Date.now;
  for (let user = 1; counts.messages < messages; user += 1) {
    const clock = new FakeClock();
    clock.install();
    const window = new EventTarget();
    Object.assign(globalThis, {
      addEventListener: window.addEventListener.bind(window),
      removeEventListener: window.removeEventListener.bind(window),
    });
    // The client's own jitter must not change the world.
    Math.random = random(user * 7919);
    Date.now = () => 1_800_000_000_000 + clock.now;
    try {
      await new World(clock, network, parameters, counts, new Map(), window, startApp, user).run();
    } finally {
      clock.uninstall();
      Math.random = real;
      Date.now = realDate;
      Reflect.deleteProperty(globalThis, 'addEventListener');
      Reflect.deleteProperty(globalThis, 'removeEventListener');
    }
  }
  // Calls that send messages are not compared.
  counts.chimeCalls -= counts.messages;
  return counts;
}
