// Made of client/src, by npm run bundle.

// dist/esm/cancel.js
var MAX_TIMER = 2 ** 31 - 1;
function cancellable(signal, work, ms = Infinity, late = () => new Error("Timeout")) {
  const controller = new AbortController();
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timeout);
      signal?.removeEventListener("abort", onAbort);
    };
    const stop = (reason) => {
      end();
      reject(reason);
      controller.abort(reason);
    };
    const onAbort = () => stop(signal?.reason ?? Object.assign(new Error("Aborted"), { name: "AbortError" }));
    const timeout = ms <= MAX_TIMER ? setTimeout(() => stop(late()), ms) : void 0;
    if (signal?.aborted)
      return onAbort();
    signal?.addEventListener("abort", onAbort);
    work(controller.signal).finally(end).then(resolve, reject);
  });
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
var BY_STATUS = {
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
var MessageStatusError = class _MessageStatusError extends Error {
  /** `body` is the parsed JSON of the response, or undefined if it was not JSON. `name` replaces that of its type. */
  constructor(status, body, retryAfter, cause, name) {
    const { type, title, detail, requestId, message, Message, errors } = members(body);
    super(text(detail ?? title ?? message ?? Message) ?? `HTTP ${status}`, { cause });
    this.name = "MessageStatusError";
    this.problem = name || text(type)?.split("urn:problem-type:message-status:")[1] || BY_STATUS[status] || "unexpected-response";
    this.status = status;
    this.retryable = status === 200 && body === void 0 || [0, 408, 425, 429].includes(status) && name !== "token-error" || status >= 500 && this.problem !== "misconfigured";
    this.requestId = text(requestId);
    this.errors = list(errors);
    this.retryAfter = retryAfter;
  }
  /** An error that no response reported. */
  static of(problem, status, cause) {
    return new _MessageStatusError(status, { title: members(cause).message ?? problem }, void 0, cause, problem);
  }
  /** Like `instanceof`, but also true for an error of another copy of this package. */
  static is(error) {
    return members(error).name === "MessageStatusError";
  }
};

// dist/esm/limits.js
var BATCH_SIZE = 20;
var GATHER = 50;
var SHORT_WAIT = 3e3;
var MAX_WAIT = 25e3;
var NO_RESPONSE = 15e3;
var NO_RESPONSE_TO_WAIT = 4e4;
var NO_TOKEN = 3e4;
var MAX_RETRY_AFTER = 3600;
var JITTER = 3e3;
var MAX_RESULTS = 200;
var MAX_EARLY = 500;
var OVERTAKES = 5e3;
var LIFETIME = 48 * 36e5;

// dist/esm/schedule.js
var MIN_PAUSE = 500;
var MAX_BACKOFF = 3e4;
var EARLY = 5e3;
var WAIT_PAUSE = 2e3;
var MAX_WAIT_PAUSE = 6e4;
var FIRST = 600;
var GRACE = 3e3;
var DOWN_PAUSE = 1200;
var GROWTH = 0.65;
var MAX_PAUSE = 36e5;
var CATCH_UP_PAUSE = 1e4;
var CATCH_UP_TIME = 3e5;
var newLink = { isLive: false, since: -Infinity, started: -Infinity, spreadTo: -Infinity };
function lastKnown({ added, asked, failures }) {
  return failures ? added : Math.max(added, asked);
}
function next(entry, link, caughtUp = -Infinity) {
  const { asked, pausedTo } = entry;
  let due = routine(entry, link);
  if (lastKnown(entry) < link.started && asked < link.started + CATCH_UP_TIME) {
    due = Math.min(due, Math.max(link.spreadTo, caughtUp + CATCH_UP_PAUSE));
  }
  return Math.max(pausedTo, due);
}
function routine({ added, asked }, { isLive, since, spreadTo }) {
  const first = isLive ? Math.max(added, since) + GRACE : added > since ? added + FIRST : spreadTo;
  if (asked < 0)
    return first;
  const age = asked - added;
  const pause = Math.max(isLive ? GRACE : DOWN_PAUSE, age * GROWTH);
  return Math.max(first, asked + Math.min(MAX_PAUSE, pause));
}
function nextWait({ failures, pausedTo }, isShared) {
  return isShared && !failures ? pausedTo - EARLY : pausedTo;
}
function waitPause(age, jitter) {
  return spread(Math.max(WAIT_PAUSE, age / 10), MAX_WAIT_PAUSE, jitter);
}
function isFailure({ problem }) {
  return !!problem && (problem.retryable || problem.problem === "token-error");
}
function backoff(failures, jitter) {
  return spread(MIN_PAUSE * 2 ** failures, MAX_BACKOFF, jitter);
}
function spread(ms, max, jitter) {
  return Math.min(ms, max) * (0.5 + jitter / 2);
}

// dist/esm/poller.js
var now = () => performance.now();
function createPoller(getMany, waits, next2, onResult, onEnd) {
  const entries = /* @__PURE__ */ new Map();
  let asked = /* @__PURE__ */ new Set();
  let controller;
  let wait = 0;
  let timeout;
  let timeoutAt = Infinity;
  let failures = 0;
  let resumeAt = 0;
  let isOffline = false;
  const schedule = (isShared) => [...entries].filter(([key]) => !asked.has(key)).map(([key, entry]) => [Math.max(resumeAt, next2(entry, isShared)), key, entry]).sort(([a], [b]) => a - b);
  const firstDue = () => schedule(false)[0]?.[0] ?? Infinity;
  const end = () => {
    controller?.abort();
    controller = void 0;
    asked.clear();
  };
  const update = () => {
    const due = globalThis.document?.hidden ? Infinity : firstDue();
    if (controller) {
      if (wait <= SHORT_WAIT || due > now())
        return;
      end();
    }
    if (due === timeoutAt)
      return;
    clearTimeout(timeout);
    timeoutAt = due;
    if (due < Infinity)
      timeout = setTimeout(start, Math.max(due - now(), GATHER));
  };
  const start = async () => {
    timeoutAt = Infinity;
    const begin = now();
    const batch = schedule(true).filter(([due]) => due <= begin + 1).slice(0, BATCH_SIZE);
    if (!batch.length)
      return update();
    asked = new Set(batch.map(([, key]) => key));
    const isNew = batch.some(([, , entry]) => begin - entry.added < SHORT_WAIT);
    wait = waits ? Math.max(0, Math.min(isNew ? SHORT_WAIT : MAX_WAIT, firstDue() - begin)) : 0;
    const current = controller = new AbortController();
    const results = await getMany(batch.map(([, , entry]) => entry.message), { wait: wait / 1e3, until: "any", signal: current.signal }).catch(() => []);
    if (controller !== current)
      return;
    const ended = now();
    const jitter = Math.random();
    const retryAfter = 1e3 * Math.max(0, ...results.map((result) => (result.problem ?? result).retryAfter ?? 0));
    failures = results.every(isFailure) ? failures + 1 : 0;
    resumeAt = failures && ended + Math.max(retryAfter, backoff(failures, jitter));
    isOffline = results[0]?.problem?.status === 0;
    batch.forEach(([, key, entry], i) => {
      const result = results[i];
      if (!result || !asked.has(key))
        return;
      const inARow = isFailure(result) ? entry.failures + 1 : 0;
      const pause = inARow ? backoff(inARow, jitter) : waits ? waitPause(ended - entry.added, jitter) : 0;
      entries.set(key, { ...entry, asked: begin, failures: inARow, pausedTo: ended + Math.max(retryAfter, MIN_PAUSE, pause) });
      onResult(key, result, entry, begin);
    });
    end();
    onEnd?.();
    update();
  };
  const online = () => {
    if (isOffline || controller)
      resumeAt = now() + MIN_PAUSE;
    end();
    if (isOffline)
      for (const [key, entry] of entries)
        entries.set(key, { ...entry, asked: -Infinity, pausedTo: 0 });
    update();
  };
  const listen = (change) => {
    globalThis[`${change}EventListener`]?.("online", online);
    globalThis.document?.[`${change}EventListener`]?.("visibilitychange", update);
  };
  return {
    add(key, message, added) {
      if (entries.has(key))
        return;
      if (!entries.size)
        listen("add");
      entries.set(key, { message, added, asked: -Infinity, failures: 0, pausedTo: added });
      update();
    },
    remove(key) {
      if (!entries.delete(key))
        return;
      if (!entries.size)
        listen("remove");
      if (asked.delete(key) && !asked.size)
        end();
      update();
    },
    update,
    online
  };
}

// dist/esm/guard.js
function guard(call) {
  new Promise((resolve) => resolve(call())).catch(globalThis.reportError ?? console.error);
}

// dist/esm/token.js
function createTokenSource(token) {
  let age = 0;
  let isRefreshing = false;
  let last;
  const call = async (refresh, signal) => {
    const current = age;
    try {
      const bearer = text(await cancellable(signal, async () => token({ refresh }), NO_TOKEN));
      if (bearer && /^[\x21-\x7e]+$/.test(bearer))
        return { bearer, age: current };
      throw new TypeError('No token without "Bearer " (Amplify: .toString())');
    } catch (cause) {
      throw MessageStatusError.of("token-error", 0, cause);
    }
  };
  return (signal, refused) => {
    if (refused?.age === age) {
      age += 1;
      isRefreshing = true;
      last = call(true).finally(() => isRefreshing = false);
    }
    return refused || isRefreshing ? last : call(false, signal);
  };
}

// dist/esm/request.js
function createSendRequest(options) {
  const base = `${options.url}`;
  const { href } = new URL(base, globalThis.location?.href ?? "http://server");
  const tokenFor = createTokenSource(options.token);
  return (query, messages, signal) => cancellable(signal, async (signal2) => {
    const search = `${new URLSearchParams(JSON.parse(JSON.stringify(query)))}`;
    const url = base + (search && (base.includes("?") ? "&" : "?") + search);
    for (let refused; ; ) {
      const attempt = { messages: messages?.length ?? 1 };
      try {
        const token = await tokenFor(signal2, refused);
        const headers = { authorization: `Bearer ${token.bearer}`, ...messages && { "content-type": "application/json" } };
        const body = messages ? JSON.stringify({ messages }) : null;
        const receive = async (signal3) => {
          const fetch = options.fetch ?? globalThis.fetch;
          const response2 = await fetch(url, { method: messages ? "POST" : "GET", headers, body, redirect: "error", signal: signal3 });
          if (response2.url && place(response2.url) !== place(href))
            throw new TypeError("Redirected");
          attempt.status = response2.status;
          return [response2, await response2.text()];
        };
        const [response, text2] = await cancellable(signal2, receive, query.wait ? NO_RESPONSE_TO_WAIT : NO_RESPONSE).catch((cause) => {
          throw MessageStatusError.of("network-error", 0, cause);
        });
        const retryAfter = Math.min(MAX_RETRY_AFTER, Number(response.headers.get("retry-after"))) || void 0;
        const json = parse(text2);
        if (response.status === 200 && json !== void 0)
          return { json, retryAfter };
        const error = new MessageStatusError(response.status, json, retryAfter);
        if (refused || error.status !== 401 && error.problem !== "forbidden")
          throw error;
        attempt.error = error;
        refused = token;
      } catch (error) {
        attempt.error = error;
        throw error;
      } finally {
        if (!signal2.aborted)
          guard(() => options.onAttempt?.(attempt));
      }
    }
  });
}
function place(url) {
  return url.split(/[?#]/)[0]?.replace(/\/$/, "").toLowerCase();
}

// dist/esm/client.js
var MessageStatusTimeoutError = class extends Error {
  /** `cause` is the last failure, unless a status came after it. */
  constructor(last, cause) {
    super("Timeout", { cause });
    this.name = "TimeoutError";
    this.last = last;
  }
};
var MessageStatusClient = class {
  constructor(options) {
    const request = createSendRequest(options);
    this.get = async (message, { wait, signal } = {}) => {
      const response = await request({ ...parameters(message), ...waiting(wait) }, void 0, signal);
      const result = read(response.json, message, response.retryAfter);
      if (result.problem)
        throw result.problem;
      return result;
    };
    this.getMany = async (messages, { wait, until, signal } = {}) => {
      const results = [];
      let rest = [...messages.entries()];
      while (rest.length) {
        let batch = rest.slice(0, BATCH_SIZE);
        try {
          const { json, retryAfter } = await request(waiting(wait, until), batch.map(([, message]) => parameters(message)), signal);
          const items = members(members(json).results);
          batch.forEach(([index, message], i) => results[index] = read(items[i], message, retryAfter));
        } catch (problem) {
          if (!(problem instanceof MessageStatusError))
            throw problem;
          const malformed = batch.filter((_, i) => problem.errors.some(({ field }) => `${field}`.startsWith(`messages[${i}]`)));
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
    };
    const poller = createPoller(this.getMany, true, nextWait, (onResult, result) => onResult(result));
    this.waitForResult = (message, { signal, timeout = Infinity } = {}) => {
      let last;
      let failure;
      let onResult;
      const work = () => new Promise((resolve, reject) => {
        onResult = (result) => {
          failure = result.problem;
          if (!result.problem) {
            if (result.status !== "PENDING")
              resolve(result);
            last = result;
          } else if (!result.problem.retryable) {
            const isGone2 = last && result.problem.problem === "message-not-found";
            reject(isGone2 ? MessageStatusError.of("message-gone", 410, result.problem) : result.problem);
          }
        };
        poller.add(onResult, message, now());
      });
      const late = () => new MessageStatusTimeoutError(last, failure);
      return cancellable(signal, work, timeout, late).finally(() => poller.remove(onResult));
    };
  }
};
function parameters({ channelArn, messageId, subChannelId }) {
  return { channelArn, messageId, subChannelId };
}
function waiting(wait = 0, until) {
  return wait >= 1 ? { wait: Math.floor(wait), until } : {};
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
var MESSAGE = ["PENDING", "FAILED", "DENIED", "SENT"];
var UPDATE = ["PENDING", "SENT", "FAILED", "DENIED"];
function merge(known, news) {
  const both = [known ?? news, news];
  const message = known && news.deleted && news.status === "PENDING" ? known : strongest(MESSAGE, both);
  const isSent = message.status === "SENT";
  const update = strongest(UPDATE, [
    ...both.map((state) => state.update),
    // If the message is SENT, a FAILED or DENIED status belongs to an edit.
    ...both.filter(({ status }) => isSent && ["FAILED", "DENIED"].includes(status))
  ]);
  const redacted = known?.redacted || news.redacted;
  const deleted = known?.deleted || news.deleted;
  return {
    messageId: news.messageId,
    ...outcome(message),
    ...update && { update: { ...outcome(update), at: update.at ?? 0 } },
    ...redacted && { redacted },
    ...deleted && { deleted }
  };
}
function answeredAsOf(known, response) {
  return known?.update ? { messageId: response.messageId, status: "SENT", update: { ...outcome(response), at: known.update.at } } : { messageId: response.messageId, ...outcome(response) };
}
function isPending(state) {
  return has(state, (status) => !["GONE", "SENT", "FAILED", "DENIED"].includes(status));
}
function isGone(state) {
  return has(state, (status) => status === "GONE");
}
function has({ deleted, status, update = { status } }, test) {
  return !deleted && (test(status) || test(update.status));
}
function outcome({ status, detail }) {
  return { status, ...detail && { detail } };
}
function strongest(ranks, states) {
  const rank = ({ status }) => ranks.includes(status) ? ranks.indexOf(status) : 0.5;
  return states.reduce((a, b) => {
    if (!a || !b)
      return a ?? b;
    const isGuess = (a.status === "GONE" || b.status === "GONE") && rank(a) < 1;
    const order = (a.at ?? 0) - (b.at ?? 0) || (isGuess ? -1 : rank(a) - rank(b));
    return order > 0 || !order && JSON.stringify(outcome(a)) > JSON.stringify(outcome(b)) ? a : b;
  });
}

// dist/esm/messages.js
var DETAILS = "CHANNEL_DETAILS";
var STORED = "STORED";
var EVENT = /^(?:(PENDING|FAILED|DENIED)_)?(CREATE|UPDATE|REDACT|DELETE)_CHANNEL_MESSAGE$/;
function messageFromWebSocket(event) {
  return event?.type === DETAILS ? void 0 : read2(event)[0]?.state;
}
function read2(source, user) {
  const { type, payload } = members(source);
  if (payload === void 0)
    return readRecord(source, user);
  const record = typeof payload === "string" ? parse(payload) : payload;
  const [, prefix, change] = EVENT.exec(`${type}`) ?? [];
  return change ? readMessage(members(record), user, change, prefix) : type === DETAILS ? readRecord(record, user) : [];
}
function readRecord(json, user) {
  const record = members(json);
  const { Channel, ChannelMessage, ChannelMessages = ChannelMessage && [ChannelMessage], SubChannelId } = record;
  if (!ChannelMessages)
    return readMessage(record, user, record.Sender ? STORED : void 0);
  const { ChannelArn = record.ChannelArn } = members(Channel);
  return list(ChannelMessages).flatMap((item) => readMessage({ ChannelArn, SubChannelId, ...members(item) }, user, STORED));
}
function readMessage(record, user, kind, prefix) {
  const channelArn = text(record.ChannelArn ?? record.channelArn);
  const messageId = text(record.MessageId ?? record.messageId);
  const subChannelId = text(record.SubChannelId ?? record.subChannelId);
  if (!messageId || kind === "DELETE" && prefix)
    return [];
  const isStored = kind === STORED;
  const isRedacted = isStored ? record.Redacted === true : kind === "REDACT" && !prefix;
  const { Value = record.status, Detail = record.detail } = members(record.Status);
  const reported = record.problem ? void 0 : text(Value);
  const status = (isRedacted ? "SENT" : isStored || !kind ? reported : prefix) ?? (kind ? "SENT" : "PENDING");
  const result = outcome({ status, detail: text(Detail) });
  const isEdit = kind === "UPDATE" || isStored && status === "SENT" && !!record.LastEditedTimestamp;
  const state = {
    messageId,
    // Only a message that was sent can be edited or redacted. A deletion does not change the status.
    ...kind === "DELETE" ? { status: "PENDING", deleted: true } : isEdit || kind === "REDACT" ? { status: "SENT" } : result,
    ...isEdit && { update: { ...result, at: time(record.LastUpdatedTimestamp) } },
    ...isRedacted && { redacted: true }
  };
  const isOwn = !kind || prefix || user && members(record.Sender).Arn === user;
  return [{
    state,
    // Chime does not keep NON_PERSISTENT messages, so "not found" is not a result for them.
    message: isOwn && channelArn && record.Persistence !== "NON_PERSISTENT" ? { channelArn, messageId, subChannelId } : void 0,
    isConfirmed: !!kind || reported !== void 0
  }];
}
function time(value) {
  return new Date(typeof value === "number" ? value * 1e3 : value).getTime() || 0;
}

// dist/esm/storage.js
function parseSnapshot(json) {
  const items = list(parse(json)).filter((item) => {
    const { message, state, since } = members(item);
    return text(members(message).messageId) !== void 0 && (!state || text(members(state).status)) && Date.now() - since < LIFETIME;
  });
  return new Map(items.map((stored) => [stored.message.messageId, stored]));
}
function mergeSnapshots(a, b) {
  const all = new Map(a);
  for (const [id, stored] of b) {
    all.set(id, mergeStored(a.get(id), stored));
  }
  const cleared = all.get("")?.since ?? 0;
  const isOpen = ({ state }) => state && isPending(state);
  const inOrder = [...all].filter(([id, { since }]) => !id || since > cleared).sort(([a2, left], [b2, right]) => left.since - right.since || (a2 < b2 ? -1 : 1));
  let surplus = inOrder.filter(([, stored]) => !isOpen(stored)).length - MAX_RESULTS;
  return new Map(inOrder.filter(([id, stored]) => !id || isOpen(stored) || surplus-- <= 0));
}
function mergeStored(a, b) {
  if (!a?.state || !b.state)
    return a && (a.since > b.since || a.since === b.since && !a.state) ? a : b;
  const [earlier, later] = a.seen < b.seen || a.seen === b.seen && JSON.stringify(a) < JSON.stringify(b) ? [a, b] : [b, a];
  const state = merge(earlier.state, later.state);
  return { ...earlier, ...later, state, since: Math.max(a.since, b.since) };
}
function isSame(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
function createStore(option, key, exchange) {
  let last;
  return (isWrite) => {
    last = after(last, () => {
      try {
        const storage = typeof option === "function" ? option() : option;
        return after(storage?.getItem(key), (json) => {
          const theirs = json ?? "[]";
          const ours = JSON.stringify([...exchange(parseSnapshot(theirs), isWrite).values()]);
          return isWrite && ours !== theirs && storage?.setItem(key, ours);
        });
      } catch {
        return void 0;
      }
    });
  };
}
function after(value, next2) {
  const promise = value;
  return promise?.then ? promise.then(next2).catch(() => {
  }) : next2(value);
}

// dist/esm/tracker.js
var MessageTracker = class {
  constructor({ client, user, storage, onChange }) {
    const listeners = /* @__PURE__ */ new Set();
    let known = /* @__PURE__ */ new Map();
    let isDirty = false;
    let shown = /* @__PURE__ */ new Map();
    let all = [];
    const early = /* @__PURE__ */ new Map();
    const edits = /* @__PURE__ */ new Map();
    let link = newLink;
    let starts = 0;
    const problems = /* @__PURE__ */ new Map();
    const caughtUp = /* @__PURE__ */ new Map();
    let requested = /* @__PURE__ */ new Map();
    let isRunning = false;
    let isActive = true;
    let isOnline = true;
    let time2 = -Infinity;
    const tick = () => time2 = Math.max(now(), time2 + 1e-3);
    const later = (...ids) => Math.max(Date.now(), ...ids.map((id) => 1 + (known.get(id)?.seen ?? 0)));
    const set = (message, news, facts, base) => {
      const { messageId } = message;
      const before = known.get(messageId);
      const old = before?.state;
      const state = merge(base, news);
      const seen = later(messageId, "");
      const isPendingAgain = old && isPending(state) && !isPending(old);
      const stored = { ...old && before, ...facts, message, state, since: old && !isPendingAgain ? before.since : seen, seen };
      isDirty ||= !isSame({ ...before, seen }, stored);
      known.set(messageId, stored);
      return !isSame(state, old);
    };
    const learn = ({ state, message, isConfirmed }, isLater = false) => {
      const { messageId } = state;
      const before = known.get(messageId);
      const remembered = early.get(messageId);
      const facts = isConfirmed ? { isConfirmed } : {};
      if (before?.state) {
        const { update, ...rest } = before.state;
        set(before.message, state, facts, isLater ? rest : before.state);
      } else if (message && !state.deleted) {
        early.delete(messageId);
        set(message, state, facts, remembered);
      } else {
        if (early.size >= MAX_EARLY)
          early.clear();
        early.set(messageId, merge(remembered, state));
      }
    };
    const forget = (messageId, at) => {
      known.set(messageId, { message: { channelArn: "", messageId }, since: at, seen: at });
      show();
      store(true);
    };
    const show = () => {
      const before = shown;
      const changed = [];
      shown = /* @__PURE__ */ new Map();
      for (const [id, { state, message, since, again }] of known) {
        if (!state)
          continue;
        const isOpen = isPending(state);
        if (!isOpen)
          problems.delete(id);
        const problem = problems.get(id);
        const news = problem ? { ...state, problem } : state;
        const old = before.get(id);
        const visible = old && isSame(news, old) ? old : news;
        shown.set(id, visible);
        if (visible !== old)
          changed.push(visible);
        if (isRunning && (isOpen || again)) {
          poller.add(id, message, tick() - Math.max(0, Date.now() - since));
        } else
          poller.remove(id);
      }
      for (const [id, state] of before) {
        if (shown.has(id))
          continue;
        poller.remove(id);
        for (const facts of [caughtUp, edits, problems])
          facts.delete(id);
        changed.push(state);
      }
      if (changed.length)
        all = [...shown.values()];
      for (const state of changed)
        for (const listener of [...listeners])
          guard(() => listener(state));
      poller.update();
    };
    const commit = () => {
      if (isDirty) {
        isDirty = false;
        store(true);
      }
      show();
    };
    const spreadTo = () => link.spreadTo > time2 ? link.spreadTo : time2 + JITTER * Math.random();
    const setLive = (isLive) => {
      if (isLive !== link.isLive)
        link = { ...link, isLive, since: tick(), spreadTo: spreadTo() };
      poller.update();
    };
    const catchUp = () => {
      link = { ...link, started: tick(), spreadTo: spreadTo() };
      for (const [id, stored] of known) {
        if (stored.state && isGone(stored.state))
          known.set(id, { again: true, ...stored });
      }
    };
    const onEvent = (reading) => {
      const { messageId, update } = reading.state;
      const before = known.get(messageId);
      if (before && !before.state)
        return;
      const last = before?.state?.update;
      const isLater = update?.at === last?.at && edits.has(messageId);
      if (update) {
        const isNew = last?.status !== "PENDING" && update.at > (last?.at ?? -1);
        edits.set(messageId, isNew ? tick() : edits.get(messageId) ?? 0);
      }
      learn(reading, isLater);
    };
    const onEdit = (reading) => {
      const { messageId } = reading.state;
      const announced = edits.get(messageId);
      if (announced && link.isLive && now() - announced < OVERTAKES) {
        edits.set(messageId, 0);
        return;
      }
      const last = known.get(messageId)?.state?.update;
      learn({ ...reading, state: { messageId, status: "SENT", update: { ...outcome(reading.state), at: (last?.at ?? -1) + 1 } } });
    };
    const getMany = (messages, options) => {
      requested = new Map(known);
      return client.getMany(messages, options);
    };
    const nextOf = (entry) => {
      const { messageId } = entry.message;
      if (!isActive || !isOnline || Date.now() - (known.get(messageId)?.since ?? 0) >= LIFETIME)
        return Infinity;
      return next(entry, link, caughtUp.get(messageId));
    };
    const onResult = (id, { problem, ...result }, entry, start) => {
      const { state, isConfirmed, again } = known.get(id) ?? {};
      const knownAt = lastKnown(entry);
      if (starts > 1 && knownAt < link.started && start >= link.spreadTo && !isFailure({ problem }))
        caughtUp.set(id, start);
      const isGoneNow = problem?.problem === "message-gone" || problem?.problem === "message-not-found" && (isConfirmed || state?.status === "SENT");
      if (problem && !isGoneNow) {
        problems.set(id, problem.problem);
        return;
      }
      problems.delete(id);
      const response = problem ? { messageId: id, status: "GONE" } : result;
      const news = answeredAsOf(requested.get(id)?.state, response);
      const isNew = set(entry.message, news, { ...!problem && { isConfirmed: true }, ...again && { again: false } }, state);
      if (isNew && link.isLive && knownAt > link.since)
        setLive(false);
    };
    const poller = createPoller(getMany, false, nextOf, onResult, commit);
    const key = `chime-message-status:${encodeURIComponent(user)}`;
    const exchange = (stored, isWrite) => {
      known = mergeSnapshots(known, stored);
      if (!isWrite)
        catchUp();
      show();
      return known;
    };
    const store = createStore(user ? storage : void 0, key, exchange);
    const onStorage = (event) => {
      if (event.key === key)
        store(true);
    };
    const run = (value) => {
      isRunning = value;
      globalThis[`${value ? "add" : "remove"}EventListener`]?.("storage", onStorage);
      show();
    };
    this.observer = {
      messagingSessionDidStartConnecting: () => setLive(false),
      messagingSessionDidStop: () => setLive(false),
      messagingSessionDidStart: () => {
        starts++;
        edits.clear();
        setLive(true);
        catchUp();
        show();
      },
      messagingSessionDidReceiveMessage: (event) => {
        setLive(true);
        if (!isRunning)
          return;
        read2(event, user).forEach(onEvent);
        commit();
      }
    };
    this.track = (message, { edit } = {}) => {
      for (const reading of read2(message, user))
        (edit ? onEdit : learn)(reading);
      commit();
    };
    this.untrack = (messageId) => forget(messageId, later(messageId, ""));
    this.get = (messageId) => shown.get(messageId);
    this.getAll = () => all;
    this.subscribe = (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    };
    this.check = () => {
      link = { ...link, started: tick(), spreadTo: time2 };
      caughtUp.clear();
      poller.update();
    };
    this.setActive = (value) => {
      isActive = value;
      poller.update();
    };
    this.setOnline = (value) => {
      if (value === isOnline)
        return;
      isOnline = value;
      poller[value ? "online" : "update"]();
    };
    this.stop = () => run(false);
    this.start = () => {
      if (isRunning)
        return;
      catchUp();
      store(true);
      run(true);
    };
    this.clear = () => {
      run(false);
      early.clear();
      const at = later(...known.keys());
      known.clear();
      forget("", at);
    };
    store(false);
    run(true);
    if (onChange)
      listeners.add(onChange);
  }
};
export {
  MessageStatusClient,
  MessageStatusError,
  MessageStatusTimeoutError,
  MessageTracker,
  answeredAsOf,
  merge,
  messageFromWebSocket
};
