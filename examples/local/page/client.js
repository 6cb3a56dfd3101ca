// Made of client/src, by npm run bundle.

// dist/problem.js
var TYPE = "urn:problem-type:message-status:";
var BY_STATUS = {
  400: "invalid-request",
  401: "unauthenticated",
  403: "forbidden",
  404: "route-not-found",
  405: "method-not-allowed",
  413: "payload-too-large",
  415: "unsupported-media-type",
  429: "throttled",
  500: "internal-error",
  502: "upstream-failure",
  503: "upstream-unavailable",
  504: "upstream-timeout"
};
var MessageStatusError = class extends Error {
  name = "MessageStatusError";
  /** Names that a later version of the endpoint adds are passed on as they are. */
  problem;
  /** The HTTP status. */
  status;
  title;
  detail;
  /** For a report to those who run the endpoint. */
  requestId;
  /** With `invalid-request`: what is wrong with which field. */
  errors;
  /** Seconds after which it is worth trying again. */
  retryAfter;
  /** Reads a problem document, or whatever else came with this status. */
  constructor(status, body, retryAfter) {
    const document = fields(body);
    const { type, title, detail, requestId, message, errors } = document;
    const heading = text(title) ?? text(message) ?? `HTTP ${status}`;
    super(text(detail) ?? heading);
    this.problem = text(type)?.startsWith(TYPE) ? type.slice(TYPE.length) : BY_STATUS[status] ?? "unexpected-answer";
    this.status = status;
    this.title = heading;
    this.detail = text(detail);
    this.requestId = text(requestId);
    this.errors = (Array.isArray(errors) ? errors : []).map((error) => ({
      field: `${fields(error).field}`,
      detail: `${fields(error).detail}`
    }));
    this.retryAfter = retryAfter;
  }
};
function fields(json) {
  return json instanceof Object ? json : {};
}
function text(value) {
  return typeof value === "string" ? value : void 0;
}

// dist/waiting.js
var LONGEST = 2 ** 31 - 1;
function until(signal, start) {
  let stop = () => {
  };
  let clean;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    stop = () => reject(signal?.reason);
    signal?.addEventListener("abort", stop);
    clean = start(resolve, reject);
  }).finally(() => {
    signal?.removeEventListener("abort", stop);
    clean?.();
  });
}
function sleep(signal, ms, orOnline) {
  return until(signal, (resolve) => {
    const done = () => resolve();
    const timer = setTimeout(done, Math.min(ms, LONGEST));
    if (orOnline)
      globalThis.addEventListener?.("online", done);
    return () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", done);
    };
  });
}
async function within(signal, ms, reason, work) {
  const controller = new AbortController();
  const follow = () => controller.abort(signal?.reason);
  if (signal?.aborted)
    follow();
  signal?.addEventListener("abort", follow);
  const timer = ms > LONGEST ? void 0 : setTimeout(() => controller.abort(reason()), ms);
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", follow);
  }
}

// dist/client.js
var MessageStatusTimeoutError = class extends Error {
  name = "TimeoutError";
  /** The last answer, if there was one. */
  last;
  /** `cause` is the failure that came last, unless an answer came after it. */
  constructor(last, cause) {
    super("The message did not settle in time", { cause });
    this.last = last;
  }
};
var BATCH = 20;
var WAIT = 25;
var NO_ANSWER = 4e4;
var LONGEST_PAUSE = 3e4;
var MessageStatusClient = class {
  #url;
  #token;
  #fetch;
  constructor({ url, token, fetch }) {
    this.#url = new URL(url, globalThis.location?.href).href;
    this.#token = token;
    this.#fetch = fetch ?? ((...request) => globalThis.fetch(...request));
  }
  /** Asks once for the status of one message. */
  status(message, { signal } = {}) {
    return this.#status(message, 0, signal);
  }
  /** Asks once for the statuses of many messages. The results come in the order asked. */
  async statuses(messages, { signal } = {}) {
    signal?.throwIfAborted();
    const keys = messages.map((message) => JSON.stringify(parameters(message)));
    const different = [...new Set(keys)];
    const found = /* @__PURE__ */ new Map();
    for (let start = 0; start < different.length; start += BATCH) {
      const batch = different.slice(start, start + BATCH);
      const body = `{"messages":[${batch}]}`;
      const answer = await this.#ask(this.#url, body, signal).catch((error) => {
        for (const fault of error instanceof MessageStatusError ? error.errors : []) {
          fault.field = fault.field.replace(/\d+/, (i) => `${keys.indexOf(batch[+i] ?? "")}`);
        }
        throw error;
      });
      const { results } = fields(answer.json);
      batch.forEach((key, i) => {
        const result = fields(fields(results)[i]);
        const { problem } = result;
        const { messageId } = JSON.parse(key);
        found.set(key, problem ? { messageId, problem: new MessageStatusError(Number(fields(problem).status), problem) } : parsed(result));
      });
    }
    return keys.map((key) => found.get(key));
  }
  /**
   * Waits until the message is no longer `PENDING`, through throttling, failures of the endpoint and
   * of the network, and being offline. Rejects at once with what waiting cannot cure.
   */
  settled(message, { signal, timeout = Infinity } = {}) {
    const end = Date.now() + timeout;
    let last;
    let failure;
    let failures = 0;
    const late = () => new MessageStatusTimeoutError(last, failure);
    return within(signal, timeout, late, async (signal2) => {
      for (; ; ) {
        const wait = Math.max(0, Math.min(WAIT, Math.floor((end - Date.now()) / 1e3) - 1));
        const dead = () => new TypeError("No answer came");
        try {
          last = await within(signal2, NO_ANSWER, dead, (signal3) => this.#status(message, wait, signal3));
          if (last.status !== "PENDING")
            return last;
          failure = void 0;
          failures = 0;
          await sleep(signal2, 1e3 * (last.retryAfter ?? 1 + 3 * Math.random()), false);
        } catch (error) {
          if (!passes(error))
            throw error;
          failure = error;
          const answered = error instanceof MessageStatusError;
          const offline = !answered && globalThis.navigator?.onLine === false;
          const backoff = offline ? LONGEST_PAUSE : Math.min(LONGEST_PAUSE, 1e3 * 2 ** failures++);
          const told = answered ? 1e3 * (error.retryAfter ?? 0) : 0;
          await sleep(signal2, Math.max(told, backoff * (0.5 + Math.random() / 2)), !answered);
        }
      }
    });
  }
  async #status(message, wait, signal) {
    const url = new URL(this.#url);
    for (const [name, value] of Object.entries(parameters(message))) {
      url.searchParams.set(name, value);
    }
    if (wait)
      url.searchParams.set("wait", `${wait}`);
    const { json, retryAfter } = await this.#ask(url.href, void 0, signal);
    return { ...parsed(fields(json)), ...retryAfter !== void 0 && { retryAfter } };
  }
  /** One request; a second one with another token when the first was refused. */
  #ask(url, body, signal) {
    return until(signal, (resolve, reject) => {
      this.#exchange(url, body, signal).then(resolve, reject);
    });
  }
  async #exchange(url, body, signal) {
    for (let refresh = false; ; refresh = true) {
      const authorization = `Bearer ${await this.#token({ refresh })}`;
      const response = await this.#fetch(url, {
        ...body && { method: "POST", body },
        headers: { authorization, ...body && { "content-type": "application/json" } },
        ...signal && { signal }
      });
      const json = parse(await response.text());
      if (response.status === 401 && !refresh)
        continue;
      const retryAfter = Number(response.headers.get("retry-after") ?? NaN);
      const answer = { json, ...retryAfter >= 0 && { retryAfter } };
      if (!response.ok)
        throw new MessageStatusError(response.status, json, answer.retryAfter);
      return answer;
    }
  }
};
function parameters({ channelArn, messageId, subChannelId }) {
  return { channelArn, messageId, ...subChannelId !== void 0 && { subChannelId } };
}
function parse(body) {
  try {
    return JSON.parse(body);
  } catch {
    return void 0;
  }
}
function parsed(result) {
  const messageId = text(result.messageId);
  const status = text(result.status);
  const detail = text(result.detail);
  if (!messageId || !status)
    throw new MessageStatusError(200);
  return { messageId, status, ...detail && { detail } };
}
function passes(error) {
  return error instanceof MessageStatusError ? error.status === 429 || error.status >= 500 && error.problem !== "misconfigured" : error instanceof Error && error.name === "TypeError";
}

// dist/merge.js
var MESSAGE = ["PENDING", "FAILED", "DENIED", "SENT"];
var UPDATE = ["PENDING", "SENT", "FAILED", "DENIED"];
function merge(known, heard) {
  const both = [known ?? heard, heard];
  const message = greatest(MESSAGE, both);
  const sent = message.status === "SENT";
  const update = greatest(UPDATE, [
    ...both.map((one) => one.update),
    // A message that was sent was not refused: what was refused is an update.
    ...both.filter(({ status }) => sent && (status === "FAILED" || status === "DENIED"))
  ]);
  return {
    messageId: heard.messageId,
    ...word(message),
    ...update && { update: { ...word(update), at: update.at ?? 0 } }
  };
}
function asOf(known, answer) {
  return known?.update ? { messageId: answer.messageId, status: "SENT", update: { ...word(answer), at: known.update.at } } : answer;
}
function fromSocket({ type, payload }) {
  const event = /^(?:(PENDING|FAILED|DENIED)_)?(CREATE|UPDATE)_CHANNEL_MESSAGE$/.exec(type);
  if (!event)
    return void 0;
  const record = typeof payload === "string" ? JSON.parse(payload) : payload;
  const messageId = record.MessageId;
  const said = word({ status: event[1] ?? "SENT", detail: record.Status?.Detail ?? "" });
  return event[2] === "CREATE" ? { messageId, ...said } : {
    messageId,
    status: "SENT",
    update: { ...said, at: Date.parse(record.LastUpdatedTimestamp ?? "") || 0 }
  };
}
function word({ status, detail }) {
  return { status, ...detail && { detail } };
}
function greatest(order, words) {
  const key = ({ status, detail, at }) => [at ?? 0, order.includes(status) ? order.indexOf(status) : 0.5, status, detail ?? ""];
  return words.reduce((a, b) => {
    if (!a || !b)
      return a ?? b;
    const [left, right] = [key(a), key(b)];
    const i = left.findIndex((value, i2) => value !== right[i2]);
    return i < 0 || left[i] > right[i] ? a : b;
  }, void 0);
}
export {
  MessageStatusClient,
  MessageStatusError,
  MessageStatusTimeoutError,
  asOf,
  fromSocket,
  merge
};
