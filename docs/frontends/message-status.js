export class MessageStatusError extends Error {
  constructor(response, body) {
    super(body.title ?? body.message ?? body.Message ?? `HTTP ${response.status}`);
    this.status = response.status;
    // The last part of `type`. A gateway's own responses have no type, or another one.
    this.problem = /^urn:problem-type:message-status:(.+)/.exec(body.type)?.[1];
    this.errors = body.errors ?? [];
    this.requestId = body.requestId;
    this.retryAfter = retryAfter(response);
    // A 200 that is not JSON was cut off, or a captive portal sent it.
    this.retryable =
      [200, 408, 425, 429].includes(this.status) || (this.status >= 500 && this.problem !== "misconfigured");
  }
}

const retryAfter = (response) => Number(response.headers.get("retry-after")) || undefined;

async function read(response) {
  const body = await response.json().catch(() => undefined);
  if (!response.ok || !body) throw new MessageStatusError(response, body ?? {});
  return { ...body, retryAfter: retryAfter(response) };
}

/** One message: `{ channelArn, messageId }`, with `subChannelId` in an elastic channel. */
export async function messageStatus(api, token, message, { wait = 0, signal } = {}) {
  const query = new URLSearchParams({ ...message, wait });
  const headers = { authorization: `Bearer ${token}` };
  return read(await fetch(`${api}/message-status?${query}`, { headers, signal }));
}

/** Up to 20 messages. Each result has a `status` or a `problem`. With `wait`, the first result ends it. */
export async function messageStatuses(api, token, messages, { wait = 0, signal } = {}) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const body = JSON.stringify({ messages });
  const url = `${api}/message-status?${wait > 0 ? `wait=${wait}&until=any` : ""}`;
  return read(await fetch(url, { method: "POST", headers, body, signal }));
}

/** The result for a message. `getToken` is called each time, because tokens expire before waits do. */
export async function waitForResult(api, getToken, message, { wait = 20, signal } = {}) {
  for (let failures = 0; ; ) {
    const token = await getToken();
    let seconds;
    try {
      const result = await messageStatus(api, token, message, { wait, signal });
      if (result.status !== "PENDING") return result;
      failures = 0;
      seconds = result.retryAfter ?? 2;
    } catch (error) {
      // A network failure is a TypeError, and not a MessageStatusError.
      if (signal?.aborted || error.retryable === false) throw error;
      seconds = error.retryAfter ?? Math.min(30, 2 ** failures++) * (0.5 + Math.random() / 2);
    }
    await pause(seconds, signal);
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Calls `onResult(message, result)` for each message. */
export async function catchUp(api, getToken, pending, onResult, { signal } = {}) {
  for (let from = 0; from < pending.length; from += 20) {
    const messages = pending.slice(from, from + 20);
    const response = await messageStatuses(api, await getToken(), messages, { signal });
    response.results.forEach((result, index) => onResult(messages[index], result));
  }
}
