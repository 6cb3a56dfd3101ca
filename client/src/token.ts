import { cancellable } from './cancel.js';
import { MessageStatusError } from './errors.js';
import { text } from './json.js';
import { NO_TOKEN } from './limits.js';

/** Returns the bearer token, or a promise of it. */
export type TokenFunction = (hint: { refresh: boolean }) => string | Promise<string>;

/** A bearer token, and the number of refreshes before it. */
export interface Token {
  bearer: string;
  age: number;
}

/**
 * Calls the token function of the app. `refused` is the token that the endpoint refused. One refresh
 * serves all requests that were refused together, and the requests that start while it runs.
 */
export function createTokenSource(token: TokenFunction): (signal: AbortSignal, refused?: Token) => Promise<Token> {
  let age = 0;
  let isRefreshing = false;
  let last: Promise<Token>;

  const call = async (refresh: boolean, signal?: AbortSignal): Promise<Token> => {
    const current = age;
    try {
      const bearer = text(await cancellable(signal, async () => token({ refresh }), NO_TOKEN));
      // `fetch` would report a token with a line break as a failure of the network.
      if (bearer && /^[\x21-\x7e]+$/.test(bearer)) return { bearer, age: current };
      throw new TypeError('No token without "Bearer " (Amplify: .toString())');
    } catch (cause) {
      throw MessageStatusError.of('token-error', 0, cause);
    }
  };

  return (signal, refused) => {
    if (refused?.age === age) {
      age += 1;
      isRefreshing = true;
      last = call(true).finally(() => (isRefreshing = false));
    }
    return refused || isRefreshing ? last : call(false, signal);
  };
}
