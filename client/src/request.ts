import { cancellable } from './cancel.js';
import type { Attempt, MessageStatusClientOptions } from './client.js';
import { MessageStatusError } from './errors.js';
import { guard } from './guard.js';
import { parse } from './json.js';
import { MAX_RETRY_AFTER, NO_RESPONSE, NO_RESPONSE_TO_WAIT } from './limits.js';
import { createTokenSource, type Token } from './token.js';

export interface EndpointResponse {
  json: unknown;
  retryAfter: number | undefined;
}

/** A `POST` of these messages, or a `GET` without them. */
export type SendRequest = (
  query: Record<string, string | number | undefined>,
  messages: object[] | undefined,
  signal: AbortSignal | undefined,
) => Promise<EndpointResponse>;

/** HTTP requests with the user's token. A refused request is repeated once with another token. */
export function createSendRequest(options: MessageStatusClientOptions): SendRequest {
  const base = `${options.url}`;
  // Only to fail early. A server that renders the page may pass the path alone, as a page may.
  const { href } = new URL(base, globalThis.location?.href ?? 'http://server');
  const tokenFor = createTokenSource(options.token);

  return (query, messages, signal) => cancellable(signal, async (signal) => {
    // JSON leaves out what is undefined.
    const search = `${new URLSearchParams(JSON.parse(JSON.stringify(query)))}`;
    const url = base + (search && (base.includes('?') ? '&' : '?') + search);
    for (let refused: Token | undefined; ; ) {
      const attempt: Attempt = { messages: messages?.length ?? 1 };
      try {
        const token = await tokenFor(signal, refused);
        const headers = { authorization: `Bearer ${token.bearer}`, ...(messages && { 'content-type': 'application/json' }) };
        const body = messages ? JSON.stringify({ messages }) : null;
        const receive = async (signal: AbortSignal) => {
          // Browsers reject a call of `fetch` as a method of another object.
          const fetch = options.fetch ?? globalThis.fetch;
          const response = await fetch(url, { method: messages ? 'POST' : 'GET', headers, body, redirect: 'error', signal });
          // React Native ignores the option and follows redirects.
          if (response.url && place(response.url) !== place(href)) throw new TypeError('Redirected');
          attempt.status = response.status;
          return [response, await response.text()] as const;
        };
        const [response, text] = await cancellable(signal, receive, query.wait ? NO_RESPONSE_TO_WAIT : NO_RESPONSE).catch((cause) => {
          throw MessageStatusError.of('network-error', 0, cause);
        });
        // It can also be a date.
        const retryAfter = Math.min(MAX_RETRY_AFTER, Number(response.headers.get('retry-after'))) || undefined;
        // Undefined: a gateway's own response, or one that was cut off.
        const json = parse(text);
        if (response.status === 200 && json !== undefined) return { json, retryAfter };
        const error = new MessageStatusError(response.status, json, retryAfter);
        // Gateways refuse a token with 401 or, after an authorizer, with 403.
        if (refused || (error.status !== 401 && error.problem !== 'forbidden')) throw error;
        attempt.error = error;
        refused = token;
      } catch (error) {
        attempt.error = error;
        throw error;
      } finally {
        if (!signal.aborted) guard(() => options.onAttempt?.(attempt));
      }
    }
  });
}

/** The URL without its query. React Native's URL adds a slash to the end. */
function place(url: string): string | undefined {
  return url.split(/[?#]/)[0]?.replace(/\/$/, '').toLowerCase();
}
