import type { MessageStatus, Status } from './merge.js';
import { MessageStatusError, fields, text } from './problem.js';
import { sleep, until, within } from './waiting.js';

/** Which message. */
export interface Message {
  channelArn: string;
  messageId: string;
  /** The sub-channel, in an elastic channel. */
  subChannelId?: string | undefined;
}

export interface MessageStatusClientOptions {
  /** Where the endpoint is, with its path: `https://…/message-status`. */
  url: string | URL;
  /**
   * Gives the bearer token. It is called for every request, so it should keep its token while that
   * is good; `refresh` says that the last one was refused.
   */
  token: (hint: { refresh: boolean }) => string | Promise<string>;
  /** What to use in place of the global `fetch`. */
  fetch?: typeof globalThis.fetch;
}

export interface AskOptions {
  /** Ends the asking; what was returned then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

export interface SettledOptions extends AskOptions {
  /** Milliseconds after which to give up with a {@link MessageStatusTimeoutError}. */
  timeout?: number | undefined;
}

/** What is said of one message among many. */
export type MessageStatusResult =
  | (MessageStatus & { problem?: undefined })
  | { messageId: string; problem: MessageStatusError; status?: undefined };

/** The message did not leave `PENDING` in time. */
export class MessageStatusTimeoutError extends Error {
  override readonly name = 'TimeoutError';
  /** The last answer, if there was one. */
  readonly last: MessageStatus | undefined;

  /** `cause` is the failure that came last, unless an answer came after it. */
  constructor(last: MessageStatus | undefined, cause?: unknown) {
    super('The message did not settle in time', { cause });
    this.last = last;
  }
}

/** Most messages of one request. */
const BATCH = 20;
/** The longest wait that an endpoint may be set up for, in seconds; it cuts this to its own. */
const WAIT = 25;
/** Milliseconds after which no gateway answers any more. */
const NO_ANSWER = 40_000;
/** Most milliseconds between two attempts. */
const LONGEST_PAUSE = 30_000;

/** Asks `chime-message-status`. */
export class MessageStatusClient {
  readonly #url: string;
  readonly #token: MessageStatusClientOptions['token'];
  readonly #fetch: typeof globalThis.fetch;

  constructor({ url, token, fetch }: MessageStatusClientOptions) {
    this.#url = new URL(url, globalThis.location?.href).href;
    this.#token = token;
    // Browsers do not let `fetch` be called as the method of another object.
    this.#fetch = fetch ?? ((...request) => globalThis.fetch(...request));
  }

  /** Asks once for the status of one message. */
  status(message: Message, { signal }: AskOptions = {}): Promise<MessageStatus> {
    return this.#status(message, 0, signal);
  }

  /** Asks once for the statuses of many messages. The results come in the order asked. */
  async statuses(
    messages: readonly Message[],
    { signal }: AskOptions = {},
  ): Promise<MessageStatusResult[]> {
    signal?.throwIfAborted();
    const keys = messages.map((message) => JSON.stringify(parameters(message)));
    const different = [...new Set(keys)];
    const found = new Map<string, MessageStatusResult>();
    // One after the other: all of them draw on the quota with which the user also sends.
    for (let start = 0; start < different.length; start += BATCH) {
      const batch = different.slice(start, start + BATCH);
      const body = `{"messages":[${batch}]}`;
      const answer = await this.#ask(this.#url, body, signal).catch((error) => {
        // The endpoint counts within its request, the caller within the list.
        for (const fault of error instanceof MessageStatusError ? error.errors : []) {
          fault.field = fault.field.replace(/\d+/, (i) => `${keys.indexOf(batch[+i] ?? '')}`);
        }
        throw error;
      });
      const { results } = fields(answer.json);
      batch.forEach((key, i) => {
        const result = fields(fields(results)[i]);
        const { problem } = result;
        const { messageId } = JSON.parse(key) as Message;
        found.set(
          key,
          problem
            ? { messageId, problem: new MessageStatusError(Number(fields(problem).status), problem) }
            : parsed(result),
        );
      });
    }
    return keys.map((key) => found.get(key) as MessageStatusResult);
  }

  /**
   * Waits until the message is no longer `PENDING`, through throttling, failures of the endpoint and
   * of the network, and being offline. Rejects at once with what waiting cannot cure.
   */
  settled(message: Message, { signal, timeout = Infinity }: SettledOptions = {}): Promise<MessageStatus> {
    const end = Date.now() + timeout;
    let last: MessageStatus | undefined;
    let failure: unknown;
    let failures = 0;
    const late = () => new MessageStatusTimeoutError(last, failure);
    return within(signal, timeout, late, async (signal) => {
      for (;;) {
        // A second is left for the endpoint's last word to arrive before the end.
        const wait = Math.max(0, Math.min(WAIT, Math.floor((end - Date.now()) / 1000) - 1));
        // A connection that died without a word looks like a slow one.
        const dead = () => new TypeError('No answer came');
        try {
          last = await within(signal, NO_ANSWER, dead, (signal) => this.#status(message, wait, signal));
          if (last.status !== 'PENDING') return last;
          failure = undefined;
          failures = 0;
          // A gateway that does CORS may hide the header. The endpoint says 1 to 4, too.
          await sleep(signal, 1000 * (last.retryAfter ?? 1 + 3 * Math.random()), false);
        } catch (error) {
          if (!passes(error)) throw error;
          failure = error;
          const answered = error instanceof MessageStatusError;
          // While the network is gone, the event of its return is worth more than an attempt.
          const offline = !answered && globalThis.navigator?.onLine === false;
          const backoff = offline ? LONGEST_PAUSE : Math.min(LONGEST_PAUSE, 1000 * 2 ** failures++);
          const told = answered ? 1000 * (error.retryAfter ?? 0) : 0;
          await sleep(signal, Math.max(told, backoff * (0.5 + Math.random() / 2)), !answered);
        }
      }
    });
  }

  async #status(message: Message, wait: number, signal?: AbortSignal): Promise<MessageStatus> {
    const url = new URL(this.#url);
    for (const [name, value] of Object.entries(parameters(message))) {
      url.searchParams.set(name, value);
    }
    if (wait) url.searchParams.set('wait', `${wait}`);
    const { json, retryAfter } = await this.#ask(url.href, undefined, signal);
    return { ...parsed(fields(json)), ...(retryAfter !== undefined && { retryAfter }) };
  }

  /** One request; a second one with another token when the first was refused. */
  #ask(url: string, body: string | undefined, signal?: AbortSignal): Promise<Answer> {
    // Around all of it, because a token may take long and knows of no signal.
    return until(signal, (resolve, reject) => {
      this.#exchange(url, body, signal).then(resolve, reject);
    });
  }

  async #exchange(url: string, body: string | undefined, signal?: AbortSignal): Promise<Answer> {
    for (let refresh = false; ; refresh = true) {
      const authorization = `Bearer ${await this.#token({ refresh })}`;
      const response = await this.#fetch(url, {
        ...(body && { method: 'POST', body }),
        headers: { authorization, ...(body && { 'content-type': 'application/json' }) },
        ...(signal && { signal }),
      });
      const json = parse(await response.text());
      if (response.status === 401 && !refresh) continue;
      const retryAfter = Number(response.headers.get('retry-after') ?? NaN);
      const answer = { json, ...(retryAfter >= 0 && { retryAfter }) };
      if (!response.ok) throw new MessageStatusError(response.status, json, answer.retryAfter);
      return answer;
    }
  }
}

interface Answer {
  json: unknown;
  retryAfter?: number;
}

/** The message's own parameters, and nothing else that the object may have: that would be refused. */
function parameters({ channelArn, messageId, subChannelId }: Message): Record<string, string> {
  return { channelArn, messageId, ...(subChannelId !== undefined && { subChannelId }) };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function parsed(result: Record<string, unknown>): MessageStatus {
  const messageId = text(result.messageId);
  const status: Status | undefined = text(result.status);
  const detail = text(result.detail);
  if (!messageId || !status) throw new MessageStatusError(200);
  return { messageId, status, ...(detail && { detail }) };
}

/** Whether waiting may cure it. `fetch` rejects with a `TypeError` when the network fails. */
function passes(error: unknown): boolean {
  return error instanceof MessageStatusError
    ? error.status === 429 || (error.status >= 500 && error.problem !== 'misconfigured')
    : error instanceof Error && error.name === 'TypeError';
}
