import { cancellable } from './cancel.js';
import { MessageStatusError } from './errors.js';
import { members, text } from './json.js';
import { BATCH_SIZE } from './limits.js';
import type { MessageStatus } from './merge.js';
import { createPoller, now } from './poller.js';
import { createSendRequest } from './request.js';
import { nextWait } from './schedule.js';
import type { TokenFunction } from './token.js';

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
  token: TokenFunction;
  /** Replaces the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Called after each attempt, for logs. `waitForResult` reports failures only here until it ends. */
  onAttempt?: ((attempt: Attempt) => void) | undefined;
}

/** One HTTP request, or the call of the token function before it. */
export interface Attempt {
  /** How many messages it is about. */
  messages: number;
  /** The HTTP status, if there was a response. */
  status?: number;
  /** Why it failed: a {@link MessageStatusError}. */
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
    super('Timeout', { cause });
    this.last = last;
  }
}

/** Client of `chime-message-status`. Its methods need no `this`. */
export class MessageStatusClient {
  /** Requests the status of one message once. */
  readonly get: (message: Message, options?: GetOptions) => Promise<MessageStatus>;
  /**
   * Requests the status of many messages once, 20 per request. The results are in the order of the
   * messages. If a request fails, the failure is the problem of each of its messages. After a failure
   * other than 400, it is also the problem of the messages that were not requested yet.
   */
  readonly getMany: (messages: readonly Message[], options?: GetManyOptions) => Promise<MessageStatusResult[]>;
  /**
   * Waits until the message is no longer `PENDING`, through throttles, failures and being offline.
   * Concurrent calls share their requests. Pauses while the page is hidden. Rejects at once with
   * problems that are not retryable.
   */
  readonly waitForResult: (message: Message, options?: WaitOptions) => Promise<MessageStatus>;

  constructor(options: MessageStatusClientOptions) {
    const request = createSendRequest(options);

    this.get = async (message, { wait, signal } = {}) => {
      const response = await request({ ...parameters(message), ...waiting(wait) }, undefined, signal);
      const result = read(response.json, message, response.retryAfter);
      if (result.problem) throw result.problem;
      return result;
    };

    this.getMany = async (messages, { wait, until, signal } = {}) => {
      const results: MessageStatusResult[] = [];
      let rest = [...messages.entries()];
      // One after the other, because sending messages uses the same quota of the user at Chime.
      while (rest.length) {
        let batch = rest.slice(0, BATCH_SIZE);
        try {
          const { json, retryAfter } = await request(waiting(wait, until), batch.map(([, message]) => parameters(message)), signal);
          const items = members(members(json).results);
          batch.forEach(([index, message], i) => (results[index] = read(items[i], message, retryAfter)));
        } catch (problem) {
          if (!(problem instanceof MessageStatusError)) throw problem;
          // One malformed message does not fail the others: they are requested again without it.
          const malformed = batch.filter((_, i) => problem.errors.some(({ field }) => `${field}`.startsWith(`messages[${i}]`)));
          if (malformed.length) batch = malformed;
          // After other failures, such as a throttle or a refused token, the next request would probably also fail.
          else if (problem.status !== 400) batch = rest;
          for (const [index, { messageId }] of batch) results[index] = { messageId, problem };
        }
        rest = rest.filter(([index]) => !results[index]);
      }
      return results;
    };

    type OnResult = (result: MessageStatusResult) => void;
    const poller = createPoller<OnResult>(this.getMany, true, nextWait, (onResult, result) => onResult(result));

    this.waitForResult = (message, { signal, timeout = Infinity } = {}) => {
      let last: MessageStatus | undefined;
      let failure: MessageStatusError | undefined;
      let onResult!: OnResult;
      const work = () => new Promise<MessageStatus>((resolve, reject) => {
        onResult = (result) => {
          failure = result.problem;
          if (!result.problem) {
            if (result.status !== 'PENDING') resolve(result);
            last = result;
          } else if (!result.problem.retryable) {
            // The endpoint knows only the statuses of one request, the client those of earlier requests.
            const isGone = last && result.problem.problem === 'message-not-found';
            reject(isGone ? MessageStatusError.of('message-gone', 410, result.problem) : result.problem);
          }
        };
        poller.add(onResult, message, now());
      });
      const late = () => new MessageStatusTimeoutError(last, failure);
      return cancellable(signal, work, timeout, late).finally(() => poller.remove(onResult));
    };
  }
}

/** The parameters of the message, without other members, because the endpoint rejects these. */
function parameters({ channelArn, messageId, subChannelId }: Message) {
  return { channelArn, messageId, subChannelId };
}

function waiting(wait = 0, until?: string) {
  return wait >= 1 ? { wait: Math.floor(wait), until } : {};
}

/** Reads the endpoint's response about a message. Any other response becomes a problem. */
function read(json: unknown, { messageId }: Message, retryAfter?: number): MessageStatusResult {
  const item = members(json);
  const status = text(item.status);
  const detail = text(item.detail);
  if (item.messageId !== messageId || !status) {
    const { problem = null } = item;
    return { messageId, problem: new MessageStatusError(Number(members(problem).status) || 200, problem, retryAfter) };
  }
  return { messageId, status, ...(detail && { detail }), ...(status === 'PENDING' && retryAfter && { retryAfter }) };
}
