// Made of client/src, by npm run bundle.

// dist/esm/cancel.js
var MAX_TIMER = 2 ** 31 - 1;
function timer(run, ms) {
  return ms > MAX_TIMER ? void 0 : setTimeout(run, ms);
}
function abortReason(signal) {
  return signal.reason ?? Object.assign(new Error("The operation was aborted"), { name: "AbortError" });
}
function cancellable(signal, work, ms = Infinity) {
  if (signal?.aborted)
    return Promise.reject(abortReason(signal));
  const controller = new AbortController();
  let clean = () => {
  };
  return new Promise((resolve, reject) => {
    const stop = (reason) => {
      reject(reason);
      controller.abort(reason);
    };
    const onAbort = () => signal && stop(abortReason(signal));
    const timeout = timer(() => stop(new Error(`no response in ${ms} ms`)), ms);
    signal?.addEventListener("abort", onAbort);
    clean = () => {
      clearTimeout(timeout);
      signal?.removeEventListener("abort", onAbort);
    };
    work(controller.signal).then(resolve, reject);
  }).finally(() => clean());
}

// dist/esm/errors.js
var TYPE = "urn:problem-type:message-status:";
var BY_STATUS = {
  0: "network-error",
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
  /** Names that a later version of the endpoint adds are passed on unchanged. */
  problem;
  /** The HTTP status, or 0 if there was no response. */
  status;
  /** Whether the same request can succeed later. */
  retryable;
  title;
  detail;
  /** For a report to the operator of the endpoint. */
  requestId;
  /** With `invalid-request`: the fields, and what is wrong with them. */
  errors;
  /** Seconds after which to retry. */
  retryAfter;
  /** `body` is the parsed JSON of the response, or undefined if it was not JSON. */
  constructor(status2, body, retryAfter, cause) {
    const { type, title, detail, requestId, message, Message, errors } = members(body);
    const heading = text(title) ?? text(message) ?? text(Message) ?? (status2 ? `HTTP ${status2}` : "No response");
    super(text(detail) ?? heading, { cause });
    this.problem = text(type)?.startsWith(TYPE) ? type.slice(TYPE.length) : BY_STATUS[status2] ?? "unexpected-response";
    this.status = status2;
    this.retryable = [0, 408, 425, 429].includes(status2) || status2 === 200 && body === void 0 || status2 >= 500 && this.problem !== "misconfigured";
    this.title = heading;
    this.detail = text(detail);
    this.requestId = text(requestId);
    this.errors = list(errors).map((error) => ({
      field: `${members(error).field}`,
      detail: `${members(error).detail}`
    }));
    this.retryAfter = retryAfter;
  }
};
function gone(notFound) {
  const { title, detail, requestId } = notFound;
  return new MessageStatusError(410, { type: `${TYPE}message-gone`, title, detail, requestId });
}
function members(json) {
  return typeof json === "object" && json ? json : {};
}
function list(json) {
  return Array.isArray(json) ? json : [];
}
function text(value) {
  return typeof value === "string" ? value : void 0;
}

// dist/esm/poller.js
var now = () => performance.now();
var BATCH_SIZE = 20;
var GATHER = 50;
var MIN_PAUSE = 500;
var MAX_PAUSE = 3e4;
var MAX_PENDING_PAUSE = 6e4;
var MAX_WAIT = 25e3;
var SHORT_WAIT = 3e3;
var Poller = class {
  #client;
  #mayWait;
  #polls = /* @__PURE__ */ new Map();
  #request;
  #timer;
  #timerAt = Infinity;
  /** `mayWait` says whether the endpoint may hold the next request open until there is a result. */
  constructor(client, mayWait) {
    this.#client = client;
    this.#mayWait = mayWait;
  }
  add(poll) {
    if (!this.#polls.size)
      listen("addEventListener", this.#onOnline, this.update);
    this.#polls.set(poll, { since: now(), failures: 0, requested: false, offline: false });
    this.update();
  }
  remove(poll) {
    if (!this.#polls.delete(poll))
      return;
    if (!this.#polls.size)
      listen("removeEventListener", this.#onOnline, this.update);
    if (!this.#request?.polls.some((poll2) => this.#polls.has(poll2)))
      this.#request?.cancel(0);
    this.update();
  }
  /** Call it after changing `due`. */
  update = () => {
    const request = this.#request;
    if (request) {
      const isOverdue = [...this.#polls.keys()].some((poll) => poll.due <= now() && !request.polls.includes(poll));
      if (isOverdue && request.wait > SHORT_WAIT)
        request.cancel(now());
      return;
    }
    const at = isHidden() ? Infinity : Math.min(...[...this.#polls.keys()].map(({ due }) => due));
    if (at === Infinity || at < this.#timerAt) {
      clearTimeout(this.#timer);
      this.#timerAt = at;
      if (at < Infinity)
        this.#timer = timer(this.#start, Math.max(at - now(), GATHER));
    }
  };
  #start = () => {
    this.#timerAt = Infinity;
    const due = [...this.#polls.keys()].filter((poll) => poll.due <= now()).sort((a, b) => a.due - b.due);
    if (due.length)
      void this.#poll(due);
    else
      this.update();
  };
  async #poll(due) {
    const polls = due.slice(0, BATCH_SIZE);
    const wait = this.#mayWait() ? this.#wait(polls, due.length > BATCH_SIZE) : 0;
    const controller = new AbortController();
    const request = {
      polls,
      wait,
      cancel: (due2) => {
        this.#request = void 0;
        for (const poll of polls)
          poll.due = due2;
        controller.abort();
        this.update();
      }
    };
    this.#request = request;
    for (const poll of polls)
      this.#state(poll).requested = true;
    let results;
    let failure;
    try {
      results = await this.#client.getMany(polls.map(({ message }) => message), { wait: Math.floor(wait / 1e3), until: "any", signal: controller.signal });
    } catch (error) {
      failure = error;
    }
    if (this.#request !== request)
      return;
    request.wait = 0;
    const isDecided = results?.some((result2) => result2.status !== "PENDING" && !result2.problem?.retryable);
    for (const [i, poll] of polls.entries()) {
      if (!this.#polls.has(poll))
        continue;
      const result2 = results?.[i];
      if (!result2) {
        poll.due = now() + MAX_PAUSE;
        poll.onError(failure);
        continue;
      }
      poll.due = now() + this.#pause(this.#state(poll), result2, isDecided);
      poll.onResult(result2);
    }
    this.#request = void 0;
    this.update();
  }
  #state(poll) {
    return this.#polls.get(poll);
  }
  #wait(polls, hasMore) {
    const isNew = polls.some((poll) => !this.#state(poll).requested);
    const others = [...this.#polls.keys()].filter((poll) => !polls.includes(poll) && poll.due > now());
    return Math.max(0, Math.min(
      hasMore || isNew ? SHORT_WAIT : MAX_WAIT,
      ...others.map(({ due }) => due - now()),
      ...polls.map(({ end }) => end - now() - 1e3)
    ));
  }
  /** Milliseconds until the next request for a message. */
  #pause(state, { retryAfter, problem }, isDecided = false) {
    const requested = 1e3 * (problem?.retryAfter ?? retryAfter ?? 0);
    state.offline = problem?.status === 0;
    if (problem) {
      const backoff = Math.min(MAX_PAUSE, 1e3 * 2 ** state.failures++);
      const isOffline = state.offline && globalThis.navigator?.onLine === false;
      return Math.max(MIN_PAUSE, requested, (isOffline ? MAX_PAUSE : backoff) * (0.5 + Math.random() / 2));
    }
    state.failures = 0;
    if (isDecided)
      return MIN_PAUSE;
    const age = Math.min(MAX_PENDING_PAUSE, (now() - state.since) / 10);
    return Math.max(MIN_PAUSE, requested || 1e3 + 3e3 * Math.random(), age);
  }
  /** The network is back. A request that is in flight may be hanging in a dead connection. */
  #onOnline = () => {
    for (const [poll, { offline }] of this.#polls) {
      if (offline)
        poll.due = Math.min(poll.due, now() + MIN_PAUSE);
    }
    if (this.#request)
      this.#request.cancel(now() + MIN_PAUSE);
    else
      this.update();
  };
};
function listen(method, onOnline, onVisible) {
  globalThis[method]?.("online", onOnline);
  globalThis.document?.[method]?.("visibilitychange", onVisible);
}
function isHidden() {
  return globalThis.document?.visibilityState === "hidden";
}

// dist/esm/client.js
var MessageStatusTimeoutError = class extends Error {
  name = "TimeoutError";
  /** The last status, if there was one. */
  last;
  /** `cause` is the last failure, unless a status came after it. */
  constructor(last, cause) {
    super("The message has no result yet", { cause });
    this.last = last;
  }
};
var NO_RESPONSE = 4e4;
var MessageStatusClient = class {
  #url;
  #token;
  #fetch;
  #onAttempt;
  #poller;
  #refresh;
  #isRefreshing = false;
  #refreshes = 0;
  constructor({ url, token, fetch, onAttempt }) {
    this.#url = `${url}`;
    new URL(this.#url, globalThis.location?.href);
    this.#token = token;
    this.#fetch = fetch ?? ((...request) => globalThis.fetch(...request));
    this.#onAttempt = onAttempt;
    this.#poller = new Poller(this, () => true);
  }
  /** Requests the status of one message once. */
  async get(message, { wait, signal } = {}) {
    const { json, retryAfter } = await this.#request({ ...parameters(message), ...waiting(wait) }, void 0, signal);
    return status(json, retryAfter);
  }
  /**
   * Requests the status of many messages once, 20 per request. The results are in the order of the
   * messages. If a request fails, the failure is the problem of each of its messages.
   */
  async getMany(messages, { wait, until, signal } = {}) {
    const keys = messages.map((message) => JSON.stringify(parameters(message)));
    const results = /* @__PURE__ */ new Map();
    let rest = [...new Set(keys)];
    while (rest.length) {
      let batch = rest.slice(0, BATCH_SIZE);
      try {
        const { json, retryAfter } = await this.#request(waiting(wait, until), batch, signal);
        const found = list(members(json).results);
        batch.forEach((key, i) => results.set(key, result(key, members(found[i]), retryAfter)));
      } catch (problem) {
        if (!(problem instanceof MessageStatusError))
          throw problem;
        const malformed = batch.filter((_, i) => problem.errors.some(({ field }) => field.startsWith(`messages[${i}]`)));
        for (const error of problem.errors) {
          error.field = error.field.replace(/^messages\[(\d+)/, (_, i) => `messages[${keys.indexOf(batch[i] ?? "")}`);
        }
        if (malformed.length)
          batch = malformed;
        else if (problem.status !== 400)
          batch = rest;
        for (const key of batch)
          results.set(key, { messageId: JSON.parse(key).messageId, problem });
      }
      rest = rest.filter((key) => !results.has(key));
    }
    return keys.map((key) => results.get(key));
  }
  /**
   * Waits until the message is no longer `PENDING`, through throttles, failures and being offline.
   * Concurrent calls share their requests. Pauses while the page is hidden. Rejects at once with
   * problems that are not retryable.
   */
  waitForResult(message, { signal, timeout = Infinity } = {}) {
    let clean = () => {
    };
    const wait = () => new Promise((resolve, reject) => {
      let last;
      let failure;
      const start = now();
      const poll = {
        message,
        due: start,
        end: start + timeout,
        onResult(result2) {
          failure = result2.problem;
          if (!result2.problem) {
            last = result2;
            if (result2.status !== "PENDING")
              resolve(result2);
          } else if (!result2.problem.retryable) {
            const isGone2 = last && result2.problem.problem === "message-not-found";
            reject(isGone2 ? gone(result2.problem) : result2.problem);
          }
        },
        onError: reject
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
  #request(query, batch, signal) {
    return cancellable(signal, async (signal2) => {
      const attempt = { method: batch ? "POST" : "GET", messages: batch?.length ?? 1 };
      for (let refused; ; ) {
        const refreshes = this.#refreshes;
        try {
          const response = await this.#fetchJson(await this.#bearer(refused), query, batch, signal2, attempt);
          this.#onAttempt?.({ ...attempt });
          return response;
        } catch (error) {
          if (signal2.aborted)
            throw error;
          this.#onAttempt?.({ ...attempt, error });
          if (refused !== void 0 || !isRefused(error))
            throw error;
          refused = refreshes;
        }
      }
    });
  }
  /** `refused` is how many refreshes there were before the request that was refused. */
  async #bearer(refused) {
    if (refused === this.#refreshes) {
      this.#refreshes += 1;
      this.#isRefreshing = true;
      this.#refresh = (async () => this.#token({ refresh: true }))().finally(() => {
        this.#isRefreshing = false;
      });
    }
    const token = await (this.#isRefreshing || refused !== void 0 ? this.#refresh : this.#token({ refresh: false }));
    if (!/^[\x21-\x7e]+$/.test(text(token) ?? ""))
      throw new TypeError("token() did not return a bearer token");
    return token;
  }
  async #fetchJson(token, query, batch, signal, attempt) {
    const search = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
    const url = search ? `${this.#url}${this.#url.includes("?") ? "&" : "?"}${search}` : this.#url;
    const authorization = `Bearer ${token}`;
    const init = batch ? { method: "POST", headers: { authorization, "content-type": "application/json" }, body: `{"messages":[${batch}]}` } : { headers: { authorization } };
    let status2 = 0;
    let retryAfter;
    let body;
    try {
      body = await cancellable(signal, async (signal2) => {
        const response = await this.#fetch(url, { ...init, signal: signal2 });
        status2 = attempt.status = response.status;
        const seconds = Number(response.headers.get("retry-after") ?? NaN);
        if (seconds >= 0)
          retryAfter = seconds;
        return response.text();
      }, NO_RESPONSE);
    } catch (cause) {
      if (signal.aborted)
        throw abortReason(signal);
      throw new MessageStatusError(0, { title: `No response: ${cause?.message ?? cause}` }, void 0, cause);
    }
    let json;
    try {
      json = JSON.parse(body);
    } catch {
    }
    if (status2 !== 200 || json === void 0)
      throw new MessageStatusError(status2, json, retryAfter);
    return { json, retryAfter };
  }
};
function parameters({ channelArn, messageId, subChannelId }) {
  return { channelArn, messageId, ...subChannelId !== void 0 && { subChannelId } };
}
function waiting(wait = 0, until) {
  return wait >= 1 ? { wait: `${Math.floor(wait)}`, ...until && { until } } : {};
}
function result(key, item, retryAfter) {
  const { messageId } = JSON.parse(key);
  try {
    const { problem } = item;
    if (problem)
      throw new MessageStatusError(Number(members(problem).status) || 500, problem, retryAfter);
    return status({ ...item, messageId }, retryAfter);
  } catch (problem) {
    return { messageId, problem };
  }
}
function status(json, retryAfter) {
  const { messageId, status: status2, detail } = members(json);
  if (!text(messageId) || !text(status2))
    throw new MessageStatusError(200, json ?? null);
  return {
    messageId,
    status: status2,
    ...text(detail) && { detail },
    ...status2 === "PENDING" && retryAfter !== void 0 && { retryAfter }
  };
}
function isRefused(error) {
  return error instanceof MessageStatusError && (error.status === 401 || error.problem === "forbidden");
}

// dist/esm/merge.js
var MESSAGE = ["PENDING", "GONE", "FAILED", "DENIED", "SENT"];
var UPDATE = ["PENDING", "SENT", "FAILED", "DENIED"];
function merge(known, news) {
  const both = [known ?? news, news];
  const message = strongest(MESSAGE, both);
  const isSent = message.status === "SENT";
  const update = strongest(UPDATE, [
    ...both.map((state) => state.update),
    // A message that is sent was not refused. What was refused is an update.
    ...both.filter(({ status: status2 }) => isSent && (status2 === "FAILED" || status2 === "DENIED"))
  ]);
  return {
    messageId: news.messageId,
    ...outcome(message),
    ...update && { update: { ...outcome(update), at: update.at ?? 0 } }
  };
}
function answeredAsOf(known, response) {
  return known?.update ? { messageId: response.messageId, status: "SENT", update: { ...outcome(response), at: known.update.at } } : { messageId: response.messageId, ...outcome(response) };
}
function outcome({ status: status2, detail }) {
  return { status: status2, ...detail && { detail } };
}
function strongest(ranks, states) {
  const key = ({ status: status2, detail, at }) => [at ?? 0, ranks.includes(status2) ? ranks.indexOf(status2) : 0.5, status2, detail ?? ""];
  return states.reduce((a, b) => {
    if (!a || !b)
      return a ?? b;
    const [left, right] = [key(a), key(b)];
    const i = left.findIndex((value, i2) => value !== right[i2]);
    return i < 0 || left[i] > right[i] ? a : b;
  }, void 0);
}

// dist/esm/messages.js
var EVENT = /^(?:(PENDING|FAILED|DENIED)_)?(CREATE|UPDATE|REDACT|DELETE)_CHANNEL_MESSAGE$/;
function messageFromWebSocket(event) {
  return EVENT.test(event?.type) ? readWebSocket(event)[0]?.state : void 0;
}
function readWebSocket(event) {
  const { type, payload } = members(event);
  const record = members(typeof payload === "string" ? parse(payload) : payload);
  if (type === "CHANNEL_DETAILS") {
    const { ChannelArn } = members(record.Channel);
    return list(record.ChannelMessages).flatMap((item) => reading({ ChannelArn, ...members(item) }, stored));
  }
  const [, prefix, change] = EVENT.exec(`${type}`) ?? [];
  if (!change)
    return [];
  return reading(record, (record2) => {
    const result2 = outcome({ status: prefix ?? "SENT", detail: detailOf(record2) });
    return change === "CREATE" ? result2 : { status: "SENT", update: { ...result2, at: time(record2.LastUpdatedTimestamp) } };
  }, { isOwn: prefix !== void 0 });
}
function readResponse(response) {
  const body = members(response);
  const { ChannelArn, SubChannelId } = body;
  if (body.ChannelMessage)
    return reading(members(body.ChannelMessage), stored);
  if (body.ChannelMessages) {
    return list(body.ChannelMessages).flatMap((item) => reading({ ChannelArn, SubChannelId, ...members(item) }, stored));
  }
  if (body.results)
    return list(body.results).flatMap(readResponse);
  if (body.MessageId) {
    const status3 = valueOf(body);
    return reading(body, (record) => outcome({ status: status3 ?? "PENDING", detail: detailOf(record) }), { isConfirmed: status3 !== void 0 });
  }
  const { channelArn, messageId, subChannelId, status: status2, detail, problem } = body;
  if (problem)
    return [];
  return reading({ ChannelArn: channelArn, MessageId: messageId, SubChannelId: subChannelId }, () => outcome({ status: text(status2) ?? "PENDING", detail: text(detail) ?? "" }), { isConfirmed: text(status2) !== void 0 });
}
function stored(record) {
  const state = outcome({ status: valueOf(record) ?? "SENT", detail: detailOf(record) });
  return state.status === "SENT" && record.LastEditedTimestamp ? { ...state, update: { status: "SENT", at: time(record.LastUpdatedTimestamp) } } : state;
}
function reading(record, read, { isOwn = false, isConfirmed = true } = {}) {
  const [channelArn, messageId, subChannelId] = [text(record.ChannelArn), text(record.MessageId), text(record.SubChannelId)];
  if (!messageId)
    return [];
  return [{
    state: { messageId, ...read(record) },
    message: channelArn ? { channelArn, messageId, ...subChannelId && { subChannelId } } : void 0,
    isConfirmed,
    isOwn,
    isKept: record.Persistence !== "NON_PERSISTENT"
  }];
}
function valueOf(record) {
  return text(members(record.Status).Value);
}
function detailOf(record) {
  return text(members(record.Status).Detail) ?? "";
}
function time(value) {
  const ms = typeof value === "number" ? value * 1e3 : typeof value === "string" ? Date.parse(value) : Number(value);
  return ms || 0;
}
function parse(json) {
  try {
    return JSON.parse(json);
  } catch {
    return void 0;
  }
}

// dist/esm/tracker.js
var KEY = "chime-message-status";
var MAX_STORED = 200;
var MAX_UNTRACKED = 500;
var JITTER = 3e3;
var GRACE = 5e3;
var MAX_GRACE = 3e5;
var MessageTracker = class {
  #client;
  #storage;
  #listeners = /* @__PURE__ */ new Set();
  #entries = /* @__PURE__ */ new Map();
  /** Results can arrive over the WebSocket before the response to SendChannelMessage. */
  #untracked = /* @__PURE__ */ new Map();
  #poller;
  #isLive = false;
  #connection = 0;
  #isLoading = false;
  #isStopped = false;
  constructor({ client, storage, onChange }) {
    this.#client = client;
    this.#storage = storage;
    if (onChange)
      this.#listeners.add(onChange);
    this.#poller = new Poller({ getMany: (...request) => this.#getMany(...request) }, () => !this.#isLive);
    this.#load();
  }
  /** For `addObserver` of a session of amazon-chime-sdk-js. */
  observer = {
    messagingSessionDidStartConnecting: () => this.#setLive(false),
    messagingSessionDidStop: () => this.#setLive(false),
    messagingSessionDidStart: () => {
      this.#connection += 1;
      this.#setLive(true);
    },
    messagingSessionDidReceiveMessage: (event) => {
      this.#isLive = true;
      this.#read(readWebSocket(event), this.#connection, false);
    }
  };
  /**
   * Tracks a message that the user sent: the message itself, or the response of SendChannelMessage.
   * Other responses of Chime and of the endpoint are accepted too.
   */
  track(message) {
    this.#read(readResponse(message), 0, true);
  }
  /** The state of a tracked message. It is the same object until it changes. */
  get = (messageId) => this.#entries.get(messageId)?.state;
  /** Calls the listener with each state that changed, until the returned function is called. */
  subscribe = (listener) => {
    const own = (state) => listener(state);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  };
  /** Ends all requests. What is stored stays. */
  stop() {
    this.#isStopped = true;
    for (const entry of this.#entries.values())
      this.#schedule(entry);
  }
  /** Requests are spread over `jitter` milliseconds: many users lose their WebSockets together. */
  #setLive(isLive, jitter = JITTER) {
    if (!isLive && !this.#isLive)
      return;
    this.#isLive = isLive;
    for (const entry of this.#entries.values()) {
      const due = now() + jitter * Math.random();
      entry.poll.due = isLive ? due : Math.min(due, entry.poll.due);
      entry.checks = 0;
    }
    this.#poller.update();
  }
  #getMany(...[messages, options]) {
    for (const { messageId } of messages) {
      const entry = this.#entries.get(messageId);
      if (entry)
        entry.requested = entry.state;
    }
    return this.#client.getMany(messages, options);
  }
  /** `connection` is the WebSocket that reported this, or 0. */
  #read(readings, connection, isTracked) {
    this.#report(readings.map((reading2) => {
      const { state } = reading2;
      const known = this.#entries.get(state.messageId);
      const entry = known ?? this.#add(reading2, isTracked);
      if (!entry)
        return void 0;
      entry.isConfirmed ||= reading2.isConfirmed;
      entry.isKept &&= reading2.isKept;
      const isTie = connection > 0 && connection === entry.connection && state.update?.at === entry.state.update?.at;
      if (state.update)
        entry.connection = connection;
      const { update, ...rest } = entry.state;
      const isNew = this.#set(entry, merge(isTie && state.update ? rest : entry.state, state));
      return isNew || !known ? entry : void 0;
    }));
  }
  /** Starts to track a message, or remembers what was read about it. */
  #add({ message, ...reading2 }, isTracked) {
    const { messageId } = reading2.state;
    const earlier = this.#untracked.get(messageId);
    const state = merge(earlier, reading2.state);
    this.#untracked.delete(messageId);
    if (!message || !(isTracked || reading2.isOwn)) {
      this.#untracked.set(messageId, state);
      const [oldest] = this.#untracked.keys();
      if (oldest && this.#untracked.size > MAX_UNTRACKED)
        this.#untracked.delete(oldest);
      return void 0;
    }
    const entry = {
      poll: {
        message,
        due: now() + (this.#isLive ? GRACE : 0),
        end: Infinity,
        onResult: (result2) => this.#report([this.#onResult(entry, result2)]),
        // The token function failed. The client reports that to `onAttempt`.
        onError: () => {
        }
      },
      state,
      requested: state,
      isConfirmed: false,
      isKept: true,
      isPolled: false,
      checks: 0,
      connection: 0
    };
    this.#entries.set(messageId, entry);
    this.#schedule(entry);
    return entry;
  }
  #onResult(entry, result2) {
    let isNew = false;
    if (result2.problem?.retryable)
      return void 0;
    if (!result2.problem) {
      entry.isConfirmed = true;
      isNew = this.#set(entry, merge(entry.state, answeredAsOf(entry.requested, result2)));
    } else if (isGone(result2.problem.problem, entry)) {
      isNew = this.#set(entry, { ...entry.state, status: "GONE" });
    }
    if (this.#isLive || result2.problem)
      entry.poll.due = now() + Math.min(MAX_GRACE, GRACE * 2 ** ++entry.checks);
    if (isNew)
      this.#setLive(false, 0);
    return isNew ? entry : void 0;
  }
  #set(entry, state) {
    if (JSON.stringify(state) === JSON.stringify(entry.state))
      return false;
    entry.state = state;
    this.#schedule(entry);
    return true;
  }
  /** Polls the messages without a result, and no others. */
  #schedule(entry) {
    const isPolled = !this.#isStopped && isPending(entry.state);
    if (isPolled === entry.isPolled)
      return;
    entry.isPolled = isPolled;
    if (!isPolled)
      return this.#poller.remove(entry.poll);
    entry.poll.due = now() + (this.#isLive ? GRACE : 0);
    this.#poller.add(entry.poll);
  }
  #report(changed) {
    const states = changed.flatMap((entry) => entry ? [entry.state] : []);
    if (!states.length)
      return;
    this.#save();
    for (const listener of [...this.#listeners]) {
      for (const state of states) {
        try {
          listener(state);
        } catch (error) {
          (globalThis.reportError ?? console.error)(error);
        }
      }
    }
  }
  #save() {
    if (!this.#storage || this.#isLoading)
      return;
    const entries = [...this.#entries.values()];
    let surplus = entries.filter(({ state }) => !isPending(state)).length - MAX_STORED;
    const stored2 = entries.filter(({ state }) => isPending(state) || surplus-- <= 0);
    const value = JSON.stringify(stored2.map(({ poll, state, isConfirmed, isKept }) => ({ message: poll.message, state, isConfirmed, isKept })));
    void (async () => this.#storage?.setItem(KEY, value))().catch(() => {
    });
  }
  #load() {
    const restore = (json) => {
      this.#isLoading = false;
      let items = [];
      try {
        items = list(JSON.parse(json ?? "[]"));
      } catch {
      }
      this.#read(items.flatMap(readStored), 0, true);
      for (const { poll } of this.#entries.values())
        poll.due = Math.max(poll.due, now() + JITTER * Math.random());
      this.#poller.update();
    };
    try {
      const json = this.#storage?.getItem(KEY);
      if (typeof json !== "object" || !json)
        return restore(json);
      this.#isLoading = true;
      json.then(restore, () => restore()).then(() => this.#save());
    } catch {
    }
  }
};
function isPending({ status: status2, update }) {
  return status2 === "PENDING" || update?.status === "PENDING";
}
function readStored(item) {
  const { message, state, isConfirmed, isKept } = members(item);
  const { messageId, status: status2 } = members(state);
  if (!text(messageId) || !text(status2) || !text(members(message).channelArn))
    return [];
  return [{
    state,
    message,
    isConfirmed: isConfirmed === true,
    isKept: isKept !== false,
    isOwn: true
  }];
}
function isGone(problem, { state, isConfirmed, isKept }) {
  const isNotFound = problem === "message-gone" || problem === "message-not-found" && isConfirmed;
  return isNotFound && isKept && state.status === "PENDING";
}
export {
  MessageStatusClient,
  MessageStatusError,
  MessageStatusTimeoutError,
  MessageTracker,
  answeredAsOf,
  merge,
  messageFromWebSocket
};
