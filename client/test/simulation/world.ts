// One user's app, network, channel flow and endpoint, on a fake clock.
import type { Message } from 'chime-message-status-client';
import type { FakeClock } from '../support/clock.js';
import type { Network, Parameters } from './parameters.js';

export type Truth = 'PENDING' | 'SENT' | 'FAILED' | 'DENIED';

/** A message, what Chime knows about it, and what the app shows. */
export interface Sent {
  message: Message;
  sentAt: number;
  decidedAt: number;
  outcome: Truth;
  /** Undefined until the app has the response of SendChannelMessage. */
  shown: string | undefined;
  wrongSince: number | undefined;
}

export interface Counts {
  messages: number;
  wrongMs: number;
  chimeCalls: number;
  lambdaMs: number;
  requests: number;
  throttles: number;
  /** Times that "not sent" was shown for a message that was delivered. */
  falseNotSent: number;
}

/** What an app does. A reload ends it and starts another one. */
export interface App {
  onSent(message: Message): void;
  onEvent(event: { type: string; payload: string }): void;
  onConnected(): void;
  onDisconnected(): void;
  /** ListChannelMessages after a reload: all messages of the user that Chime still has. */
  onHistory(messages: { messageId: string; channelArn: string; status: string }[]): void;
  stop(): void;
}

export type StartApp = (world: World) => App;

/** Numbers from a seed, so that each run and each strategy gets the same world. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class World {
  readonly sent = new Map<string, Sent>();
  readonly #random: () => number;
  /** Separate, so requests do not change the world. */
  readonly #endpointRandom: () => number;
  readonly #calls: number[] = [];
  #isOnline = true;
  #isConnected = false;
  /** Events of an earlier connection are lost. */
  #connection = 0;
  #isDead = false;
  #app: App | undefined;
  readonly #pendingFetches = new Set<() => void>();

  constructor(
    readonly clock: FakeClock,
    readonly network: Network,
    readonly parameters: Parameters,
    readonly counts: Counts,
    readonly storage: Map<string, string>,
    private readonly window: EventTarget,
    private readonly startApp: StartApp,
    seed: number,
  ) {
    this.#random = random(seed);
    this.#endpointRandom = random(seed + 1_000_003);
  }

  /** Runs a session of the user from the page load to its end. */
  async run(): Promise<void> {
    const { clock, parameters } = this;
    const end = clock.now + parameters.sessionMs;
    this.#app = this.startApp(this);
    this.#connect();
    this.#planFaults(clock.now, end);
    this.#planMessages(clock.now, end);
    await clock.advance(end - clock.now);
    this.#app.stop();
    for (const sent of this.sent.values()) this.#account(sent);
    // Requests that are still in progress also count.
    this.#app = undefined;
    await clock.advance(60_000);
  }

  /** The app shows another status. */
  show(messageId: string, status: string): void {
    const sent = this.sent.get(messageId);
    if (!sent || sent.shown === status) return;
    this.#account(sent);
    sent.shown = status;
    if (sent.outcome === 'SENT' && ['FAILED', 'DENIED', 'GONE'].includes(status)) this.counts.falseNotSent += 1;
    this.#watch(sent);
  }

  truth(sent: Sent): Truth {
    return this.clock.now >= sent.decidedAt ? sent.outcome : 'PENDING';
  }

  /** Adds the time since the app began to show a wrong status. */
  #account(sent: Sent): void {
    if (sent.wrongSince !== undefined) this.counts.wrongMs += this.clock.now - sent.wrongSince;
    sent.wrongSince = undefined;
  }

  #watch(sent: Sent): void {
    if (sent.shown === undefined) return;
    const truth = this.truth(sent);
    // Chime does not keep denied messages, so "gone" is all that can be known about them.
    const isRight = sent.shown === truth || (truth === 'DENIED' && sent.shown === 'GONE');
    sent.wrongSince = isRight ? undefined : this.clock.now;
  }

  // The network

  #planFaults(start: number, end: number): void {
    const { clock, network } = this;
    const kinds = Object.entries(network.faultsPerHour).filter(([, rate]) => rate > 0);
    const total = kinds.reduce((sum, [, rate]) => sum + rate, 0);
    let at = start;
    for (;;) {
      at += this.#exponential(3_600_000 / total);
      if (at >= end) return;
      let pick = this.#random() * total;
      const kind = kinds.find(([, rate]) => (pick -= rate) < 0)?.[0] ?? 'cut';
      const reconnect = 500 + this.#exponential(network.reconnectMs);
      const duration = 1000 + this.#exponential(kind === 'silent' ? network.silentMs : network.offlineMs);
      clock.at(at, () => this.#app && this.#fault(kind, duration, reconnect));
      at += duration + reconnect + 1000;
    }
  }

  #fault(kind: string, duration: number, reconnect: number): void {
    const { clock } = this;
    if (kind === 'reload') {
      this.#app?.stop();
      this.#disconnect();
      for (const sent of this.sent.values()) {
        // The user sees no messages while the page loads.
        this.#account(sent);
        sent.shown = undefined;
      }
      clock.at(clock.now + 1500, () => this.#load());
      clock.at(clock.now + 1500 + reconnect, () => this.#connect());
    } else if (kind === 'silent') {
      this.#isDead = true;
      clock.at(clock.now + duration, () => this.#app?.onDisconnected());
      clock.at(clock.now + duration + reconnect, () => this.#connect());
    } else {
      const isOffline = kind === 'offline';
      this.#disconnect();
      this.#app?.onDisconnected();
      if (isOffline) {
        this.#isOnline = false;
        for (const fail of this.#pendingFetches) fail();
        const isReported = this.#random() < this.parameters.onlineEventShare;
        clock.at(clock.now + duration, () => {
          this.#isOnline = true;
          if (isReported) this.window.dispatchEvent(new Event('online'));
        });
      }
      clock.at(clock.now + (isOffline ? duration : 0) + reconnect, () => this.#connect());
    }
  }

  #disconnect(): void {
    this.#isConnected = false;
    this.#connection += 1;
  }

  #connect(): void {
    if (!this.#app) return;
    this.#connection += 1;
    this.#isConnected = true;
    this.#isDead = false;
    this.#app.onConnected();
    if (!this.parameters.prefetch) return;
    const stored = [...this.sent.values()].filter((sent) => this.truth(sent) === 'SENT').slice(-20);
    const ChannelMessages = stored.map(({ message }) => ({ MessageId: message.messageId, Status: { Value: 'SENT' } }));
    this.#deliver('CHANNEL_DETAILS', { Channel: { ChannelArn: CHANNEL }, ChannelMessages }, this.parameters.eventMs);
  }

  #load(): void {
    if (!this.#app) return;
    this.#app = this.startApp(this);
    const history = [...this.sent.values()].filter((sent) => this.truth(sent) !== 'DENIED');
    for (const sent of history) this.show(sent.message.messageId, this.truth(sent));
    this.#app.onHistory(history.map((sent) => ({ ...sent.message, status: this.truth(sent) })));
  }

  #deliver(type: string, record: object, delay: number): void {
    const connection = this.#connection;
    if (!this.#isConnected || this.#isDead) return;
    this.clock.at(this.clock.now + delay, () => {
      if (this.#app && !this.#isDead && connection === this.#connection) this.#app.onEvent({ type, payload: JSON.stringify(record) });
    });
  }

  // The user and the flow

  #planMessages(start: number, end: number): void {
    let at = start + 2000;
    for (;;) {
      // Users write several messages in a row, then pause.
      at += this.#random() < this.parameters.burstShare ? 1000 + this.#exponential(1500) : this.#exponential(this.parameters.messageEveryMs);
      if (at >= end - 1000) return;
      const decided = this.#decision();
      this.clock.at(at, () => this.#send(decided));
    }
  }

  #decision(): { delay: number; outcome: Truth } {
    const { flow } = this.parameters;
    const kind = this.#random();
    const gauss = Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random());
    const quick = Math.min(60_000, Math.max(100, flow.medianMs * Math.exp(flow.sigma * gauss)));
    const slow = 1000 + 59_000 * this.#random();
    const delay = kind < flow.neverShare ? Infinity : kind < flow.neverShare + flow.slowShare ? slow : quick;
    const pick = this.#random();
    const outcome = pick < flow.deniedShare ? 'DENIED' : pick < flow.deniedShare + flow.failedShare ? 'FAILED' : 'SENT';
    return { delay, outcome };
  }

  #send({ delay, outcome }: { delay: number; outcome: Truth }): void {
    const { clock, parameters } = this;
    // Without a network or a page nothing can be sent.
    if (!this.#isOnline || !this.#app) return;
    const app = this.#app;
    const message = { channelArn: CHANNEL, messageId: `m${this.counts.messages++}` };
    const sent: Sent = { message, sentAt: clock.now, decidedAt: clock.now + delay, outcome, shown: undefined, wrongSince: undefined };
    this.sent.set(message.messageId, sent);
    this.#call();
    const record = { ChannelArn: CHANNEL, MessageId: message.messageId };
    const event = (type: string, ms: number) => {
      this.#deliver(type, record, ms);
      if (this.#random() < parameters.duplicateShare) this.#deliver(type, record, ms + 1000 * this.#random());
    };
    const late = this.#random() < parameters.lateShare ? 3000 * this.#random() : 0;
    event('PENDING_CREATE_CHANNEL_MESSAGE', parameters.eventMs + late);
    clock.at(clock.now + parameters.roundTripMs, () => {
      if (app !== this.#app) return;
      this.show(message.messageId, 'PENDING');
      app.onSent(message);
    });
    if (delay < Infinity) {
      clock.at(sent.decidedAt, () => {
        if (sent.wrongSince === undefined) this.#watch(sent);
        event(`${outcome === 'SENT' ? '' : `${outcome}_`}CREATE_CHANNEL_MESSAGE`, parameters.eventMs);
      });
    }
  }

  // The endpoint

  /** A `fetch` that reaches the function, which calls Chime. */
  readonly fetch: typeof globalThis.fetch = (input, init = {}) => {
    const { clock, parameters } = this;
    return new Promise((resolve, reject) => {
      const fail = () => reject(new TypeError('fetch failed'));
      if (!this.#isOnline) return void clock.at(clock.now + 10, fail);
      const finish = () => this.#pendingFetches.delete(fail);
      this.#pendingFetches.add(fail);
      init.signal?.addEventListener('abort', () => (finish(), reject(init.signal?.reason)));
      clock.at(clock.now + parameters.roundTripMs / 2, () => {
        void this.#invoke(new URL(`${input}`).searchParams, init.body ? `${init.body}` : undefined).then((response) => {
          clock.at(clock.now + parameters.roundTripMs / 2, () => (finish(), resolve(response)));
        });
      });
    });
  };

  async #invoke(query: URLSearchParams, body: string | undefined): Promise<Response> {
    const { clock, parameters } = this;
    const start = clock.now;
    this.counts.requests += 1;
    await clock.sleep(parameters.overheadMs);
    const ids: string[] = body
      ? (JSON.parse(body).messages as Message[]).map(({ messageId }) => messageId)
      : [query.get('messageId') ?? ''];
    const end = start + 1000 * Math.min(20, Number(query.get('wait') ?? 0));
    const results = new Map<string, string>();
    const wasPending = new Set<string>();
    const recent: number[] = [];
    const polls = ids.map((id) => ({ id, at: clock.now, count: 0 }));
    let until = Math.max(end, start);
    let retryAfter = false;
    while (polls.length) {
      polls.sort((a, b) => a.at - b.at);
      const poll = polls[0] as (typeof polls)[0];
      // Not more calls in any second than the function guarantees.
      const free = recent.length < parameters.callsPerSecond ? clock.now : (recent.at(-parameters.callsPerSecond) as number) + 1000;
      const at = Math.max(clock.now, poll.at, free);
      if (poll.count > 0 && at > until) break;
      if (at > clock.now) await clock.sleep(at - clock.now);
      recent.push(clock.now);
      polls.shift();
      const isThrottled = !this.#call();
      await clock.sleep(parameters.chimeMs / Math.min(4, ids.length));
      const sent = this.sent.get(poll.id);
      const truth = sent ? this.truth(sent) : 'DENIED';
      if (isThrottled) {
        this.counts.throttles += 1;
        retryAfter = true;
        results.set(poll.id, 'throttled');
      } else if (truth === 'DENIED') {
        results.set(poll.id, wasPending.has(poll.id) ? 'message-gone' : 'message-not-found');
      } else {
        results.set(poll.id, truth);
      }
      if (truth === 'PENDING' || isThrottled) {
        if (truth === 'PENDING') wasPending.add(poll.id);
        const interval = INTERVALS[Math.min(poll.count, INTERVALS.length - 1)] as number;
        if (clock.now < end) polls.push({ id: poll.id, at: clock.now + interval * (0.9 + 0.2 * this.#endpointRandom()), count: poll.count + 1 });
      } else {
        until = Math.min(until, clock.now + 250);
      }
    }
    this.counts.lambdaMs += clock.now - start;
    const isOpen = [...results.values()].some((result) => result === 'PENDING' || result === 'throttled');
    const headers = isOpen ? { 'retry-after': `${retryAfter ? 2 : 1 + Math.floor(3 * this.#endpointRandom())}` } : {};
    return respond(ids, results, body !== undefined, headers);
  }

  /** A request of the user to Chime. False if it exceeds the quota. */
  #call(): boolean {
    const { clock, parameters } = this;
    while (this.#calls[0] !== undefined && this.#calls[0] <= clock.now - 1000) this.#calls.shift();
    this.counts.chimeCalls += 1;
    if (this.#calls.length >= parameters.quotaPerSecond) return false;
    this.#calls.push(clock.now);
    return true;
  }

  #exponential(mean: number): number {
    return -mean * Math.log(1 - this.#endpointRandom());
  }
}

const CHANNEL = 'arn:aws:chime:us-east-1:111122223333:app-instance/a/channel/c';
/** The poll intervals of the function, in milliseconds. */
const INTERVALS = [200, 200, 300, 400, 600, 800, 1200, 1800, 2200, 2500, 2800, 3100];
const STATUS: Record<string, number> = { 'message-not-found': 404, 'message-gone': 410, throttled: 429 };

function respond(ids: string[], results: Map<string, string>, isBatch: boolean, headers: Record<string, string>): Response {
  const items = ids.map((messageId) => {
    const result = results.get(messageId) ?? 'PENDING';
    const status = STATUS[result];
    return status
      ? { messageId, problem: { type: `urn:problem-type:message-status:${result}`, title: result, status } }
      : { messageId, status: result };
  });
  const [first] = items;
  const body = isBatch ? { results: items } : (first?.problem ?? first);
  const status = isBatch ? 200 : (first?.problem?.status ?? 200);
  // Not a real Response: its `text()` needs more than promises, and the clock is fake.
  return {
    ok: status === 200,
    status,
    headers: { get: (name: string) => headers[name] ?? null },
    text: async () => JSON.stringify(body),
  } as unknown as Response;
}
