// Made of client/src, by npm run bundle.

// dist/esm/cancel.js
var MAX_TIMER = 2 ** 31 - 1;
function cancellable(signal, work, ms = Infinity, late = () => new Error("Timeout")) {
  const controller = new AbortController();
  let clean = () => {
  };
  return new Promise((resolve, reject) => {
    const stop = (reason) => {
      reject(reason);
      controller.abort(reason);
    };
    const onAbort = () => stop(signal?.reason ?? Object.assign(new Error("Aborted"), { name: "AbortError" }));
    if (signal?.aborted)
      return onAbort();
    const timeout = ms <= MAX_TIMER ? setTimeout(() => stop(late()), ms) : void 0;
    signal?.addEventListener("abort", onAbort);
    clean = () => {
      clearTimeout(timeout);
      signal?.removeEventListener("abort", onAbort);
    };
    work(controller.signal).then(resolve, reject);
  }).finally(() => clean());
}

// dist/esm/json.js
function members(json) {
  return typeof json === "object" && json ? json : {};
}
function list(json) {
  return Array.isArray(json) ? json : [];
}
function text(json) {
  return typeof json === "string" ? json : void 0;
}
function parse(json) {
  try {
    return JSON.parse(json);
  } catch {
    return void 0;
  }
}

// dist/esm/errors.js
var TYPE = /^urn:problem-type:message-status:(.+)/;
var BY_STATUS = {
  0: "network-error",
  400: "invalid-request",
  401: "unauthenticated",
  403: "forbidden",
  404: "route-not-found",
  429: "throttled",
  500: "internal-error",
  502: "upstream-failure",
  503: "upstream-unavailable",
  504: "upstream-timeout"
};
var MessageStatusError = class extends Error {
  /** `body` is the parsed JSON of the response, or undefined if it was not JSON. */
  constructor(status, body, retryAfter, cause) {
    const { type, title, detail, requestId, message, Message, errors } = members(body);
    super(text(detail ?? title ?? message ?? Message) ?? `HTTP ${status}`, { cause });
    this.name = "MessageStatusError";
    this.problem = TYPE.exec(`${type}`)?.[1] ?? BY_STATUS[status] ?? "unexpected-response";
    this.status = status;
    this.retryable = [0, 408, 425, 429].includes(status) || status === 200 && body === void 0 || status >= 500 && this.problem !== "misconfigured";
    this.requestId = text(requestId);
    this.errors = list(errors);
    this.retryAfter = retryAfter;
  }
};

// dist/esm/poller.js
var now = () => performance.now();
var BATCH_SIZE = 20;
var GATHER = 50;
var MIN_PAUSE = 500;
var MAX_PAUSE = 3e4;
var MAX_RETRY_AFTER = 36e5;
var PENDING_PAUSE = 2e3;
var MAX_PENDING_PAUSE = 6e4;
var EARLY = 5e3;
var SHORT_WAIT = 3e3;
var MAX_WAIT = 25e3;
function createPoller(client, waits) {
  const polls = /* @__PURE__ */ new Set();
  let request;
  let timeout;
  let timeoutAt = Infinity;
  const overdue = (early = 0) => [...polls].filter(({ due, failures }) => due <= now() + (failures ? 0 : early)).sort((a, b) => a.due - b.due);
  const cancel = (due) => {
    request?.batch.forEach((poll) => poll.due = due);
    request?.controller.abort();
    request = void 0;
  };
  const update = () => {
    if (request) {
      const { batch, wait } = request;
      if (wait <= SHORT_WAIT || overdue().every((poll) => batch.includes(poll)))
        return;
      cancel(now());
    }
    const next = globalThis.document?.hidden ? Infinity : Math.min(...[...polls].map(({ due }) => due));
    if (next < timeoutAt || next === Infinity) {
      clearTimeout(timeout);
      timeoutAt = next;
      if (next < Infinity)
        timeout = setTimeout(start, Math.max(next - now(), GATHER));
    }
  };
  const start = async () => {
    timeoutAt = Infinity;
    if (!overdue().length)
      return update();
    const batch = overdue(EARLY).slice(0, BATCH_SIZE);
    const limits = [...polls].filter((poll) => !batch.includes(poll)).map(({ due }) => due - now());
    const isNew = batch.some(({ since = 0 }) => now() - since < SHORT_WAIT);
    const wait = waits ? Math.max(0, Math.min(isNew ? SHORT_WAIT : MAX_WAIT, ...limits)) : 0;
    const current = { batch, wait, controller: new AbortController() };
    request = current;
    const messages = batch.map((poll) => {
      poll.onRequest?.();
      return poll.message;
    });
    const results = await client.getMany(messages, { wait: wait / 1e3, until: "any", signal: current.controller.signal }).catch((problem) => messages.map(({ messageId }) => ({ messageId, problem })));
    if (request !== current)
      return;
    current.wait = 0;
    const isEarly = results.some(({ status, problem }) => problem ? !problem.retryable : status !== "PENDING");
    batch.forEach((poll, i) => {
      const result = results[i];
      poll.due = now() + pause(poll, result, isEarly);
      if (polls.has(poll))
        poll.onResult(result);
    });
    request = void 0;
    update();
  };
  const onOnline = () => {
    const due = now() + MIN_PAUSE;
    cancel(due);
    for (const poll of polls) {
      if (poll.isOffline)
        poll.due = Math.min(poll.due, due);
    }
    update();
  };
  const listen = (method) => {
    globalThis[method]?.("online", onOnline);
    globalThis.document?.[method]?.("visibilitychange", update);
  };
  return {
    add(poll, due) {
      if (polls.has(poll))
        return false;
      if (!polls.size)
        listen("addEventListener");
      poll.due = due;
      poll.since = now();
      polls.add(poll);
      update();
      return true;
    },
    remove(poll) {
      if (polls.delete(poll) && !polls.size)
        listen("removeEventListener");
      if (!request?.batch.some((poll2) => polls.has(poll2)))
        cancel(0);
      update();
    },
    update
  };
}
function pause(poll, result, isEarly) {
  const { problem } = result;
  const retryAfter = Math.min(MAX_RETRY_AFTER, 1e3 * ((problem ?? result).retryAfter ?? 0));
  poll.isOffline = problem?.status === 0;
  poll.failures = problem ? (poll.failures ?? 0) + 1 : 0;
  if (!problem && isEarly)
    return MIN_PAUSE;
  const ms = problem ? Math.min(MAX_PAUSE, MIN_PAUSE * 2 ** poll.failures) : Math.max(PENDING_PAUSE, Math.min(MAX_PENDING_PAUSE, (now() - (poll.since ?? 0)) / 10));
  return Math.max(MIN_PAUSE, retryAfter, ms * (0.5 + Math.random() / 2));
}

// dist/esm/request.js
var NO_RESPONSE = 4e4;
function createSendRequest(options) {
  const { token, onAttempt } = options;
  const base = `${options.url}`;
  new URL(base, globalThis.location?.href);
  let refreshes = 0;
  let isRefreshing = false;
  let refresh;
  const authorization = async (refused) => {
    if (refused === refreshes) {
      refreshes++;
      isRefreshing = true;
      refresh = (async () => token({ refresh: true }))().finally(() => isRefreshing = false);
    }
    const bearer = await (isRefreshing || refused !== void 0 ? refresh : token({ refresh: false }));
    if (!/^[\x21-\x7e]+$/.test(text(bearer) ?? ""))
      throw new TypeError("Not a bearer token");
    return `Bearer ${bearer}`;
  };
  const receive = async (url, init, signal, attempt) => {
    let retryAfter;
    const receiveText = async (signal2) => {
      const fetch = options.fetch ?? globalThis.fetch;
      const response = await fetch(url, { ...init, signal: signal2 });
      attempt.status = response.status;
      const seconds = Number(response.headers.get("retry-after") ?? NaN);
      if (seconds >= 0)
        retryAfter = seconds;
      return response.text();
    };
    const body = await cancellable(signal, receiveText, NO_RESPONSE).catch((cause) => {
      throw new MessageStatusError(0, { title: `${cause}` }, void 0, cause);
    });
    const json = parse(body);
    const { status = 0 } = attempt;
    if (status !== 200 || json === void 0)
      throw new MessageStatusError(status, json, retryAfter);
    return { json, retryAfter };
  };
  return (query, items, signal) => {
    const search = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
    const url = base + (search && (base.includes("?") ? "&" : "?") + search);
    return cancellable(signal, async (signal2) => {
      for (let refused; ; ) {
        const before = refreshes;
        const attempt = { messages: items?.length ?? 1 };
        try {
          const headers = { authorization: await authorization(refused), ...items && { "content-type": "application/json" } };
          const body = items ? `{"messages":[${items}]}` : null;
          return await receive(url, { method: items ? "POST" : "GET", headers, body }, signal2, attempt);
        } catch (error) {
          attempt.error = error;
          const isRefused = error instanceof MessageStatusError && (error.status === 401 || error.problem === "forbidden");
          if (refused !== void 0 || !isRefused)
            throw error;
          refused = before;
        } finally {
          if (!signal2.aborted)
            onAttempt?.(attempt);
        }
      }
    });
  };
}

// dist/esm/client.js
var MessageStatusTimeoutError = class extends Error {
  /** `cause` is the last failure, unless a status came after it. */
  constructor(last, cause) {
    super("No result yet", { cause });
    this.name = "TimeoutError";
    this.last = last;
  }
};
var MessageStatusClient = class {
  #request;
  #poller = createPoller(this, true);
  constructor(options) {
    this.#request = createSendRequest(options);
  }
  /** Requests the status of one message once. */
  async get(message, { wait, signal } = {}) {
    const response = await this.#request({ ...parameters(message), ...waiting(wait) }, void 0, signal);
    const result = read(response.json, message, response.retryAfter);
    if (result.problem)
      throw result.problem;
    return result;
  }
  /**
   * Requests the status of many messages once, 20 per request. The results are in the order of the
   * messages. If a request fails, the failure is the problem of each of its messages. After a failure
   * other than 400, it is also the problem of the messages that were not requested yet.
   */
  async getMany(messages, { wait, until, signal } = {}) {
    const results = [];
    let rest = [...messages.entries()];
    while (rest.length) {
      let batch = rest.slice(0, BATCH_SIZE);
      try {
        const { json, retryAfter } = await this.#request(waiting(wait, until), batch.map(([, message]) => JSON.stringify(parameters(message))), signal);
        const items = list(members(json).results);
        batch.forEach(([index, message], i) => results[index] = read(items[i], message, retryAfter));
      } catch (problem) {
        if (!(problem instanceof MessageStatusError))
          throw problem;
        const malformed = batch.filter((_, i) => JSON.stringify(problem.errors).includes(`"messages[${i}]`));
        if (malformed.length)
          batch = malformed;
        else if (problem.status !== 400)
          batch = rest;
        for (const [index, { messageId }] of batch)
          results[index] = { messageId, problem };
      }
      rest = rest.filter(([index]) => !results[index]);
    }
    return results;
  }
  /**
   * Waits until the message is no longer `PENDING`, through throttles, failures and being offline.
   * Concurrent calls share their requests. Pauses while the page is hidden. Rejects at once with
   * problems that are not retryable.
   */
  waitForResult(message, { signal, timeout = Infinity } = {}) {
    let last;
    let failure;
    const poll = { message, due: 0, onResult() {
    } };
    const work = () => new Promise((resolve, reject) => {
      poll.onResult = (result) => {
        failure = result.problem;
        if (!result.problem) {
          if (result.status !== "PENDING")
            resolve(result);
          last = result;
        } else if (!result.problem.retryable) {
          if (last && result.problem.problem === "message-not-found") {
            Object.assign(result.problem, { problem: "message-gone", status: 410 });
          }
          reject(result.problem);
        }
      };
      this.#poller.add(poll, now());
    });
    const late = () => new MessageStatusTimeoutError(last, failure);
    return cancellable(signal, work, timeout, late).finally(() => this.#poller.remove(poll));
  }
};
function parameters({ channelArn, messageId, subChannelId }) {
  return { channelArn, messageId, ...subChannelId !== void 0 && { subChannelId } };
}
function waiting(wait = 0, until) {
  return wait >= 1 ? { wait: `${Math.floor(wait)}`, ...until && { until } } : {};
}
function read(json, { messageId }, retryAfter) {
  const item = members(json);
  const status = text(item.status);
  const detail = text(item.detail);
  if (item.messageId !== messageId || !status) {
    const { problem = null } = item;
    return { messageId, problem: new MessageStatusError(Number(members(problem).status) || 200, problem, retryAfter) };
  }
  return { messageId, status, ...detail && { detail }, ...status === "PENDING" && retryAfter && { retryAfter } };
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
    // If the message is SENT, a FAILED or DENIED status belongs to an update.
    ...both.filter(({ status }) => isSent && (status === "FAILED" || status === "DENIED"))
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
function outcome({ status, detail }) {
  return { status, ...detail && { detail } };
}
function strongest(ranks, states) {
  const key = ({ status, detail, at }) => [at ?? 0, ranks.includes(status) ? ranks.indexOf(status) : 0.5, status, detail ?? ""];
  return states.reduce((a, b) => {
    if (!a || !b)
      return a ?? b;
    const [left, right] = [key(a), key(b)];
    const i = left.findIndex((value, i2) => value !== right[i2]);
    return i < 0 || left[i] > right[i] ? a : b;
  }, void 0);
}

// dist/esm/messages.js
var DETAILS = "CHANNEL_DETAILS";
var EVENT = /^(?:(PENDING|FAILED|DENIED)_)?(CREATE|UPDATE|REDACT|DELETE)_CHANNEL_MESSAGE$/;
function messageFromWebSocket(event) {
  return event?.type === DETAILS ? void 0 : read2(event)[0]?.state;
}
function read2(source) {
  const { type, payload } = members(source);
  if (payload === void 0)
    return readRecord(source);
  const record = typeof payload === "string" ? parse(payload) : payload;
  const [event, prefix, change] = EVENT.exec(`${type}`) ?? [];
  if (event)
    return readMessage(members(record), prefix ?? "SENT", change !== "CREATE", prefix !== void 0);
  return type === DETAILS ? readRecord(record) : [];
}
function readRecord(json) {
  const record = members(json);
  const { Channel, ChannelMessage, ChannelMessages = ChannelMessage && [ChannelMessage], results } = record;
  const common = { ChannelArn: members(Channel).ChannelArn ?? record.ChannelArn, SubChannelId: record.SubChannelId };
  if (ChannelMessages) {
    return list(ChannelMessages).flatMap((item) => {
      const message = { ...common, ...members(item) };
      const status = statusOf(message) ?? "SENT";
      return readMessage(message, status, status === "SENT" && !!message.LastEditedTimestamp);
    });
  }
  return results ? list(results).flatMap(readRecord) : readMessage(record, statusOf(record));
}
function statusOf({ Status, status, problem }) {
  return problem ? void 0 : text(members(Status).Value ?? status);
}
function readMessage(record, status, isUpdate = false, isOwn = false) {
  const channelArn = text(record.ChannelArn ?? record.channelArn);
  const messageId = text(record.MessageId ?? record.messageId);
  const subChannelId = text(record.SubChannelId ?? record.subChannelId);
  if (!messageId)
    return [];
  const result = outcome({
    status: status ?? "PENDING",
    detail: text(members(record.Status).Detail ?? record.detail) ?? ""
  });
  return [{
    // Only a message that was sent can be updated.
    state: isUpdate ? { messageId, status: "SENT", update: { ...result, at: time(record.LastUpdatedTimestamp) } } : { messageId, ...result },
    message: channelArn ? { channelArn, messageId, subChannelId } : void 0,
    isConfirmed: status !== void 0,
    isOwn: isOwn && record.Persistence !== "NON_PERSISTENT"
  }];
}
function time(value) {
  return (typeof value === "number" ? value * 1e3 : typeof value === "string" ? Date.parse(value) : Number(value)) || 0;
}

// dist/esm/tracker.js
var KEY = "chime-message-status";
var MAX_STORED = 200;
var MAX_UNTRACKED = 500;
var JITTER = 3e3;
var FIRST = 600;
var GRACE = 3e3;
var MAX_PAUSE_LIVE = 3e5;
var MAX_PAUSE2 = 6e4;
var MessageTracker = class {
  #storage;
  #poller;
  #listeners;
  #entries;
  /** Results can arrive over the WebSocket before the response to SendChannelMessage. */
  #untracked;
  /** A live WebSocket reports results without requests. */
  #isLive;
  #connection;
  #isLoading;
  #isStopped;
  constructor({ client, storage, onChange }) {
    this.#listeners = /* @__PURE__ */ new Set();
    this.#entries = /* @__PURE__ */ new Map();
    this.#untracked = /* @__PURE__ */ new Map();
    this.#isLive = false;
    this.#connection = 0;
    this.#isLoading = false;
    this.#isStopped = false;
    this.observer = {
      messagingSessionDidStartConnecting: () => this.#setLive(false),
      messagingSessionDidStop: () => this.#setLive(false),
      messagingSessionDidStart: () => {
        this.#connection++;
        this.#setLive(true);
      },
      messagingSessionDidReceiveMessage: (event) => {
        this.#isLive = true;
        this.#read(read2(event), false, this.#connection);
      }
    };
    this.get = (messageId) => this.#entries.get(messageId)?.state;
    this.subscribe = (listener) => {
      this.#listeners.add(listener);
      return () => void this.#listeners.delete(listener);
    };
    this.#storage = storage;
    this.#poller = createPoller(client, false);
    if (onChange)
      this.#listeners.add(onChange);
    this.#load();
  }
  /**
   * Tracks a message that the user sent: the message itself, or the response of SendChannelMessage.
   * Other responses of Chime and of the endpoint are accepted too.
   */
  track(message) {
    this.#read(read2(message), true);
  }
  /** Ends all requests. What is stored stays. */
  stop() {
    this.#isStopped = true;
    for (const { poll } of this.#entries.values())
      this.#poller.remove(poll);
  }
  #setLive(isLive) {
    if (!isLive && !this.#isLive)
      return;
    this.#isLive = isLive;
    for (const entry of this.#entries.values()) {
      const due = Math.max(now() + JITTER * Math.random(), entry.earliest);
      entry.poll.due = isLive ? due : Math.min(due, entry.poll.due);
      entry.isWatched = false;
    }
    this.#poller.update();
  }
  /** `connection` is the WebSocket that reported this. */
  #read(readings, isTracked, connection) {
    for (const { state, message, isConfirmed, isOwn } of readings) {
      const { messageId, update } = state;
      let entry = this.#entries.get(messageId);
      if (!entry && message && (isTracked || isOwn)) {
        entry = this.#add(message);
        const earlier = this.#untracked.get(messageId);
        if (earlier)
          this.#set(entry, earlier);
      }
      if (!entry) {
        this.#untracked.set(messageId, merge(this.#untracked.get(messageId), state));
        const [oldest] = this.#untracked.keys();
        if (oldest && this.#untracked.size > MAX_UNTRACKED)
          this.#untracked.delete(oldest);
        continue;
      }
      entry.isConfirmed ||= isConfirmed;
      const { update: known, ...rest } = entry.state ?? state;
      const isLater = update && connection && connection === entry.connection && update.at === known?.at;
      if (update)
        entry.connection = connection;
      this.#set(entry, merge(isLater ? rest : entry.state, state));
    }
  }
  #add(message) {
    const entry = {
      isConfirmed: false,
      isWatched: false,
      earliest: 0,
      poll: {
        message,
        due: Infinity,
        onRequest: () => entry.requested = entry.state,
        onResult: (result) => this.#onResult(entry, result)
      }
    };
    this.#entries.set(message.messageId, entry);
    return entry;
  }
  #onResult(entry, { problem, ...result }) {
    const { state, poll } = entry;
    if (problem?.retryable || !state)
      return;
    let news;
    if (!problem) {
      entry.isConfirmed = true;
      news = merge(state, answeredAsOf(entry.requested, result));
    } else if (problem.problem === "message-gone" || problem.problem === "message-not-found" && entry.isConfirmed) {
      news = merge(state, { messageId: state.messageId, status: "GONE" });
    }
    const { isWatched } = entry;
    const age = now() - (poll.since ?? 0);
    entry.earliest = now() + Math.min(MAX_PAUSE2, age / 2);
    entry.isWatched = this.#isLive;
    poll.due = this.#isLive || problem ? now() + Math.min(MAX_PAUSE_LIVE, Math.max(GRACE, age)) : Math.max(poll.due, entry.earliest);
    if (news && this.#set(entry, news) && isWatched)
      this.#setLive(false);
  }
  #set(entry, state) {
    if (JSON.stringify(state) === JSON.stringify(entry.state))
      return false;
    entry.state = state;
    if (!isPending(entry))
      this.#poller.remove(entry.poll);
    else if (!this.#isStopped && this.#poller.add(entry.poll, now() + (this.#isLive ? GRACE : FIRST))) {
      entry.isWatched = this.#isLive;
    }
    this.#save();
    for (const listener of this.#listeners) {
      try {
        listener(state);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
    }
    return true;
  }
  #save() {
    if (this.#isLoading)
      return;
    const entries = [...this.#entries.values()];
    let surplus = entries.filter((entry) => !isPending(entry)).length - MAX_STORED;
    const stored = entries.filter((entry) => isPending(entry) || surplus-- <= 0);
    const items = stored.map(({ poll: { message }, state, isConfirmed }) => ({ message, state, isConfirmed }));
    (async () => this.#storage?.setItem(KEY, JSON.stringify(items)))().catch(() => {
    });
  }
  #load() {
    const restore = (json) => {
      this.#isLoading = false;
      this.#read(list(parse(`${json}`)).filter(isReading), true);
    };
    try {
      const json = this.#storage?.getItem(KEY);
      this.#isLoading = json instanceof Object;
      if (json instanceof Object)
        json.then(restore, restore).then(() => this.#save());
      else
        restore(json);
    } catch {
    }
  }
};
function isPending({ state }) {
  return state?.status === "PENDING" || state?.update?.status === "PENDING";
}
function isReading(item) {
  const { messageId, status } = members(members(item).state);
  return !!(text(messageId) && text(status));
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
