// A clock that tests move: it replaces setTimeout, clearTimeout and performance.now.
import { setImmediate } from 'node:timers/promises';

interface Timer {
  at: number;
  order: number;
  run: () => void;
}

const noop = () => {};

export class FakeClock {
  #now = 0;
  #order = 0;
  /** A binary heap, because simulations have many timers. */
  readonly #heap: Timer[] = [];
  readonly #real = { setTimeout, clearTimeout, now: performance.now };

  install(): void {
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms = 0) => this.at(this.#now + (ms > 2 ** 31 - 1 ? 1 : Math.max(ms, 1)), run),
      clearTimeout: (timer?: Timer) => {
        if (timer) timer.run = noop;
      },
    });
    performance.now = () => this.#now;
  }

  uninstall(): void {
    Object.assign(globalThis, { setTimeout: this.#real.setTimeout, clearTimeout: this.#real.clearTimeout });
    performance.now = this.#real.now;
  }

  get now(): number {
    return this.#now;
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#heap.filter(({ run }) => run !== noop).length;
  }

  /** Runs a function at a time. */
  at(at: number, run: () => void): Timer {
    const timer = { at, order: this.#order++, run };
    const heap = this.#heap;
    let i = heap.push(timer) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (isBefore(heap[parent] as Timer, timer)) break;
      heap[i] = heap[parent] as Timer;
      heap[(i = parent)] = timer;
    }
    return timer;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.at(this.#now + ms, resolve));
  }

  /** Lets time pass, and lets promises settle after each timer. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#heap[0]; next && next.at <= end; next = this.#heap[0]) {
      this.#pop();
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await settle();
    }
    this.#now = end;
  }

  /** Lets time pass until the promise settles. Fails after six simulated hours. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    promise.then(() => (isSettled = true), () => (isSettled = true));
    const end = this.#now + 6 * 3_600_000;
    await settle();
    while (!isSettled) {
      const next = this.#heap[0];
      if (!next || next.at > end) throw new Error('It does not settle');
      await this.advance(Math.max(0, next.at - this.#now));
    }
    return promise;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Timer;
    if (!heap.length) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Timer, heap[child] as Timer)) child += 1;
      if (isBefore(last, heap[child] as Timer)) break;
      heap[i] = heap[child] as Timer;
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** `setImmediate` runs after all promises that can settle now. */
async function settle(): Promise<void> {
  await setImmediate();
}
