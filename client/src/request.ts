import { cancellable } from './cancel.js';
import type { Attempt, MessageStatusClientOptions } from './client.js';
import { MessageStatusError } from './errors.js';
import { parse, text } from './json.js';

/** Milliseconds after which a connection is considered dead. Gateways respond within 30 s. */
const NO_RESPONSE = 40_000;

export interface EndpointResponse {
  json: unknown;
  retryAfter: number | undefined;
}

/** A `POST` of these items (JSON), or a `GET` without items. */
export type SendRequest = (
  query: Record<string, string>,
  items: string[] | undefined,
  signal: AbortSignal | undefined,
) => Promise<EndpointResponse>;

/** HTTP requests with the user's token. A refused request is repeated once with another token. */
export function createSendRequest(options: MessageStatusClientOptions): SendRequest {
  const { token, onAttempt } = options;
  const base = `${options.url}`;
  // Only to fail early. React Native's URL adds a slash to the end, so its result is not used.
  new URL(base, globalThis.location?.href);

  let refreshes = 0;
  let isRefreshing = false;
  let refresh: Promise<string> | undefined;

  /** `refused` is the value of `refreshes` before the request that was refused, or undefined for a first request. */
  const authorization = async (refused: number | undefined) => {
    // One refresh serves all requests that were refused together.
    if (refused === refreshes) {
      refreshes++;
      isRefreshing = true;
      refresh = (async () => token({ refresh: true }))().finally(() => (isRefreshing = false));
    }
    const bearer = await (isRefreshing || refused !== undefined ? refresh : token({ refresh: false }));
    // `fetch` would report a line break as a failure of the network.
    if (!/^[\x21-\x7e]+$/.test(text(bearer) ?? '')) throw new TypeError('Not a bearer token');
    return `Bearer ${bearer}`;
  };

  const receive = async (url: string, init: RequestInit, signal: AbortSignal, attempt: Attempt) => {
    let retryAfter: number | undefined;
    const receiveText = async (signal: AbortSignal) => {
      // Browsers reject a call of `fetch` as a method of another object.
      const fetch = options.fetch ?? globalThis.fetch;
      const response = await fetch(url, { ...init, signal });
      attempt.status = response.status;
      const seconds = Number(response.headers.get('retry-after') ?? NaN);
      if (seconds >= 0) retryAfter = seconds;
      return response.text();
    };
    const body = await cancellable(signal, receiveText, NO_RESPONSE).catch((cause) => {
      throw new MessageStatusError(0, { title: `${cause}` }, undefined, cause);
    });
    // Undefined: a gateway's own response, or one that was cut off.
    const json = parse(body);
    const { status = 0 } = attempt;
    if (status !== 200 || json === undefined) throw new MessageStatusError(status, json, retryAfter);
    return { json, retryAfter };
  };

  return (query, items, signal) => {
    // React Native's URLSearchParams lacks most methods.
    const search = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
    const url = base + (search && (base.includes('?') ? '&' : '?') + search);
    // Cancels the token function as well, which gets no signal.
    return cancellable(signal, async (signal) => {
      for (let refused: number | undefined; ; ) {
        const before = refreshes;
        const attempt: Attempt = { messages: items?.length ?? 1 };
        try {
          const headers = { authorization: await authorization(refused), ...(items && { 'content-type': 'application/json' }) };
          const body = items ? `{"messages":[${items}]}` : null;
          return await receive(url, { method: items ? 'POST' : 'GET', headers, body }, signal, attempt);
        } catch (error) {
          attempt.error = error;
          // Gateways refuse a token with 401 or, after an authorizer, with 403.
          const isRefused = error instanceof MessageStatusError && (error.status === 401 || error.problem === 'forbidden');
          if (refused !== undefined || !isRefused) throw error;
          refused = before;
        } finally {
          if (!signal.aborted) onAttempt?.(attempt);
        }
      }
    });
  };
}
