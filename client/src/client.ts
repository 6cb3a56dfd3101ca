import { abortReason, cancellable, timer } from './cancel.js';
import { MessageStatusError, gone, list, members, text } from './errors.js';
import type { MessageStatus } from './merge.js';
import { BATCH_SIZE, Poller, now, type Poll } from './poller.js';

/** A message of the user. */
export interface Message {
  channelArn: string;
  messageId: string;
  /** The sub-channel, in an elastic channel. */
  subChannelId?: string | undefined;
}

export interface MessageStatusClientOptions {
  /** The endpoint with its path: `https://…/message-status`. */
  url: string | URL;
  /**
   * Returns the bearer token. It is called for every request, so it should cache the token.
   * `refresh` is true after the last token was refused.
   */
  token: (hint: { refresh: boolean }) => string | Promise<string>;
  /** Replaces the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Called after each attempt, for logs. `waitForResult` reports failures only here until it ends. */
  onAttempt?: ((attempt: Attempt) => void) | undefined;
}

/** One HTTP request, or the call of the token function before it. */
export interface Attempt {
  method: 'GET' | 'POST';
  /** How many messages it is about. */
  messages: number;
  /** The HTTP status, if there was a response. */
  status?: number;
  /** Why it failed: a {@link MessageStatusError}, or what the token function threw. */
  error?: unknown;
}

export interface RequestOptions {
  /** Cancels the request. The promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

export interface GetOptions extends RequestOptions {
  /** Seconds that the endpoint may wait for the result. */
  wait?: number | undefined;
}

export interface GetManyOptions extends GetOptions {
  /** With `wait`: respond when all messages have a result (the default), or when any has. */
  until?: 'any' | 'all' | undefined;
}

export interface WaitOptions extends RequestOptions {
  /** Milliseconds after which to reject with a {@link MessageStatusTimeoutError}. */
  timeout?: number | undefined;
}

/** The result for one message of many. */
export type MessageStatusResult =
  | (MessageStatus & { problem?: undefined })
  | { messageId: string; problem: MessageStatusError; status?: undefined };

/** The message was still `PENDING` when the time was over. */
export class MessageStatusTimeoutError extends Error {
  override readonly name = 'TimeoutError';
  /** The last status, if there was one. */
  readonly last: MessageStatus | undefined;

  /** `cause` is the last failure, unless a status came after it. */
  constructor(last: MessageStatus | undefined, cause?: unknown) {
    super('The message has no result yet', { cause });
    this.last = last;
  }
}

/** Milliseconds after which a connection is considered dead. Gateways respond within 30 s. */
const NO_RESPONSE = 40_000;

interface Response {
  json: unknown;
  retryAfter: number | undefined;
}

/** Client of `chime-message-status`. */
export class MessageStatusClient {
  readonly #url: string;
  readonly #token: MessageStatusClientOptions['token'];
  readonly #fetch: typeof globalThis.fetch;
  readonly #onAttempt: MessageStatusClientOptions['onAttempt'];
  readonly #poller: Poller;
  #refresh: Promise<string> | undefined;
  #isRefreshing = false;
  #refreshes = 0;

  constructor({ url, token, fetch, onAttempt }: MessageStatusClientOptions) {
    this.#url = `${url}`;
    // Only to fail early. React Native's URL adds a slash to the end, so its result is not used.
    new URL(this.#url, globalThis.location?.href);
    this.#token = token;
    // Browsers do not let `fetch` be called as the method of another object.
    this.#fetch = fetch ?? ((...request) => globalThis.fetch(...request));
    this.#onAttempt = onAttempt;
    this.#poller = new Poller(this, () => true);
  }

  /** Requests the status of one message once. */
  async get(message: Message, { wait, signal }: GetOptions = {}): Promise<MessageStatus> {
    const { json, retryAfter } = await this.#request({ ...parameters(message), ...waiting(wait) }, undefined, signal);
    return status(json, retryAfter);
  }

  /**
   * Requests the status of many messages once, 20 per request. The results are in the order of the
   * messages. If a request fails, the failure is the problem of each of its messages.
   */
  async getMany(
    messages: readonly Message[],
    { wait, until, signal }: GetManyOptions = {},
  ): Promise<MessageStatusResult[]> {
    const keys = messages.map((message) => JSON.stringify(parameters(message)));
    const results = new Map<string, MessageStatusResult>();
    let rest = [...new Set(keys)];
    // One after the other: they share the user's quota at Chime with sending.
    while (rest.length) {
      let batch = rest.slice(0, BATCH_SIZE);
      try {
        const { json, retryAfter } = await this.#request(waiting(wait, until), batch, signal);
        const found = list(members(json).results);
        batch.forEach((key, i) => results.set(key, result(key, members(found[i]), retryAfter)));
      } catch (problem) {
        if (!(problem instanceof MessageStatusError)) throw problem;
        // One malformed message does not fail the others: they are requested again without it.
        const malformed = batch.filter((_, i) => problem.errors.some(({ field }) => field.startsWith(`messages[${i}]`)));
        for (const error of problem.errors) {
          error.field = error.field.replace(/^messages\[(\d+)/, (_, i) => `messages[${keys.indexOf(batch[i] ?? '')}`);
        }
        if (malformed.length) batch = malformed;
        // A throttle or an invalid token would refuse the next request too.
        else if (problem.status !== 400) batch = rest;
        for (const key of batch) results.set(key, { messageId: (JSON.parse(key) as Message).messageId, problem });
      }
      rest = rest.filter((key) => !results.has(key));
    }
    return keys.map((key) => results.get(key) as MessageStatusResult);
  }

  /**
   * Waits until the message is no longer `PENDING`, through throttles, failures and being offline.
   * Concurrent calls share their requests. Pauses while the page is hidden. Rejects at once with
   * problems that are not retryable.
   */
  waitForResult(message: Message, { signal, timeout = Infinity }: WaitOptions = {}): Promise<MessageStatus> {
    let clean = () => {};
    const wait = () => new Promise<MessageStatus>((resolve, reject) => {
      let last: MessageStatus | undefined;
      let failure: MessageStatusError | undefined;
      const start = now();
      const poll: Poll = {
        message,
        due: start,
        end: start + timeout,
        onResult(result) {
          failure = result.problem;
          if (!result.problem) {
            last = result;
            if (result.status !== 'PENDING') resolve(result);
          } else if (!result.problem.retryable) {
            // The endpoint sees `message-gone` within one request, the client across requests.
            const isGone = last && result.problem.problem === 'message-not-found';
            reject(isGone ? gone(result.problem) : result.problem);
          }
        },
        onError: reject,
      };
      const stop = timer(() => reject(new MessageStatusTimeoutError(last, failure)), timeout);
      clean = () => {
        clearTimeout(stop);
        this.#poller.remove(poll);
      };
      this.#poller.add(poll);
    });
    return cancellable(signal, wait).finally(() => clean());
  }

  /** One request. It is repeated once with another token if it was refused. */
  #request(query: Record<string, string>, batch?: string[], signal?: AbortSignal): Promise<Response> {
    // Around all of it, because the token function knows no signal.
    return cancellable(signal, async (signal) => {
      const attempt: Attempt = { method: batch ? 'POST' : 'GET', messages: batch?.length ?? 1 };
      for (let refused: number | undefined; ; ) {
        const refreshes = this.#refreshes;
        try {
          const response = await this.#fetchJson(await this.#bearer(refused), query, batch, signal, attempt);
          this.#onAttempt?.({ ...attempt });
          return response;
        } catch (error) {
          if (signal.aborted) throw error;
          this.#onAttempt?.({ ...attempt, error });
          if (refused !== undefined || !isRefused(error)) throw error;
          refused = refreshes;
        }
      }
    });
  }

  /** `refused` is how many refreshes there were before the request that was refused. */
  async #bearer(refused?: number): Promise<string> {
    if (refused === this.#refreshes) {
      this.#refreshes += 1;
      this.#isRefreshing = true;
      this.#refresh = (async () => this.#token({ refresh: true }))().finally(() => {
        this.#isRefreshing = false;
      });
    }
    const token = await (this.#isRefreshing || refused !== undefined ? this.#refresh : this.#token({ refresh: false }));
    // `fetch` would report a line break as a failure of the network.
    if (!/^[\x21-\x7e]+$/.test(text(token) ?? '')) throw new TypeError('token() did not return a bearer token');
    return token as string;
  }

  async #fetchJson(
    token: string,
    query: Record<string, string>,
    batch: string[] | undefined,
    signal: AbortSignal,
    attempt: Attempt,
  ): Promise<Response> {
    // React Native's URLSearchParams lacks most methods.
    const search = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
    const url = search ? `${this.#url}${this.#url.includes('?') ? '&' : '?'}${search}` : this.#url;
    const authorization = `Bearer ${token}`;
    const init: RequestInit = batch
      ? { method: 'POST', headers: { authorization, 'content-type': 'application/json' }, body: `{"messages":[${batch}]}` }
      : { headers: { authorization } };
    let status = 0;
    let retryAfter: number | undefined;
    let body: string;
    try {
      body = await cancellable(signal, async (signal) => {
        const response = await this.#fetch(url, { ...init, signal });
        status = attempt.status = response.status;
        const seconds = Number(response.headers.get('retry-after') ?? NaN);
        if (seconds >= 0) retryAfter = seconds;
        return response.text();
      }, NO_RESPONSE);
    } catch (cause) {
      if (signal.aborted) throw abortReason(signal);
      throw new MessageStatusError(0, { title: `No response: ${(cause as Error)?.message ?? cause}` }, undefined, cause);
    }
    let json: unknown;
    try {
      json = JSON.parse(body);
    } catch {
      // A gateway's own response, or one that was cut off.
    }
    if (status !== 200 || json === undefined) throw new MessageStatusError(status, json, retryAfter);
    return { json, retryAfter };
  }
}

/** The parameters of the message. The endpoint refuses what else the object may have. */
function parameters({ channelArn, messageId, subChannelId }: Message): Record<string, string> {
  return { channelArn, messageId, ...(subChannelId !== undefined && { subChannelId }) };
}

function waiting(wait = 0, until?: string): Record<string, string> {
  return wait >= 1 ? { wait: `${Math.floor(wait)}`, ...(until && { until }) } : {};
}

/** One item of a batch. It may be damaged without the others being so. */
function result(key: string, item: Record<string, unknown>, retryAfter?: number): MessageStatusResult {
  const { messageId } = JSON.parse(key) as Message;
  try {
    const { problem } = item;
    if (problem) throw new MessageStatusError(Number(members(problem).status) || 500, problem, retryAfter);
    return status({ ...item, messageId }, retryAfter);
  } catch (problem) {
    return { messageId, problem: problem as MessageStatusError };
  }
}

function status(json: unknown, retryAfter?: number): MessageStatus {
  const { messageId, status, detail } = members(json);
  if (!text(messageId) || !text(status)) throw new MessageStatusError(200, json ?? null);
  return {
    messageId: messageId as string,
    status: status as string,
    ...(text(detail) && { detail: detail as string }),
    ...(status === 'PENDING' && retryAfter !== undefined && { retryAfter }),
  };
}

/** Whether another token may help. Gateways refuse with 401 or, after an authorizer, with 403. */
function isRefused(error: unknown): boolean {
  return error instanceof MessageStatusError && (error.status === 401 || error.problem === 'forbidden');
}
