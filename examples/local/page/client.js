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
var PREFIX = "urn:problem-type:message-status:";
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
var MessageStatusError = class _MessageStatusError extends Error {
  /** `body` is the parsed JSON of the response, or undefined if it was not JSON. */
  constructor(status, body, retryAfter, cause) {
    const { type, title, detail, requestId, message, Message, errors } = members(body);
    super(text(detail ?? title ?? message ?? Message) ?? `HTTP ${status}`, { cause });
    this.name = "MessageStatusError";
    const name = text(type)?.split(PREFIX)[1];
    this.problem = name || (BY_STATUS[status] ?? "unexpected-response");
    this.status = status;
    this.retryable = status === 200 && body === void 0 || [0, 408, 425, 429].includes(status) && name !== "token-error" || status >= 500 && name !== "misconfigured";
    this.requestId = text(requestId);
    this.errors = list(errors);
    this.retryAfter = retryAfter;
  }
  /** An error that no response reported. */
  static of(problem, status, cause) {
    return new _MessageStatusError(status, { type: PREFIX + problem, title: members(cause).message ?? problem }, void 0, cause);
  }
  /** Like `instanceof`, but also true for an error of another copy of this package. */
  static is(error) {
    return members(error).name === "MessageStatusError";
  }
};

// dist/esm/schedule.js
var MIN_PAUSE = 500;
var MAX_BACKOFF = 3e4;
var EARLY = 5e3;
var WAIT_PAUSE = 2e3;
var MAX_WAIT_PAUSE = 6e4;
var JITTER = 3e3;
var FIRST = 600;
var GRACE = 3e3;
var DOWN_PAUSE = 1200;
var GROWTH_LIVE = 0.75;
var GROWTH_DOWN = 0.5;
var MAX_PAUSE = 36e5;
var QUICK_RETRIES = 6;
var CATCH_UP_PAUSE = 1e4;
var CATCH_UP_TIME = 3e5;
var LIFETIME = 48 * 36e5;
var newLink = {
  isLive: false,
  since: -Infinity,
  steadyAt: -Infinity,
  started: -Infinity,
  catchUpAt: -Infinity,
  checked: -Infinity
};
function withLive(link, isLive, now2, jitter) {
  return isLive === link.isLive ? link : { ...link, isLive, since: now2, steadyAt: now2 + JITTER * jitter };
}
function withCatchUp(link, now2, jitter) {
  return { ...link, started: now2, catchUpAt: link.catchUpAt > now2 ? link.catchUpAt : now2 + JITTER * jitter };
}
function lastKnown({ added, asked, failures }) {
  return failures ? added : Math.max(added, asked);
}
function next(entry, link, now2, isShared = false, problem, caughtUp = -Infinity) {
  const { added, asked, failures, notBefore } = entry;
  if (now2 - added >= LIFETIME)
    return Infinity;
  if (/^(network|token)-error$/.test(`${problem}`) && failures < QUICK_RETRIES)
    return notBefore;
  let due = routine(entry, link, !!problem && !failures);
  if (isShared && asked > 0)
    due -= (due - asked) / 2;
  if (lastKnown(entry) < link.started && asked < link.started + CATCH_UP_TIME) {
    due = Math.min(due, Math.max(link.catchUpAt, caughtUp + CATCH_UP_PAUSE));
  }
  if (asked < link.checked)
    due = Math.min(due, link.checked);
  return Math.max(notBefore, due);
}
function routine({ added, asked }, { isLive, since, steadyAt }, isRefused) {
  if (isLive && asked < 0)
    return Math.max(added, since) + GRACE;
  const earliest = isLive || added > since ? 0 : steadyAt;
  if (asked < 0)
    return earliest || added + FIRST;
  const age = asked - added;
  const pause = isLive || isRefused ? Math.max(GRACE, age * GROWTH_LIVE) : Math.max(DOWN_PAUSE, age * GROWTH_DOWN);
  return Math.max(earliest, asked + Math.min(MAX_PAUSE, pause));
}
function nextWait({ failures, notBefore }, _now, isShared) {
  return isShared && !failures ? notBefore - EARLY : notBefore;
}
function waitPause(age, jitter) {
  return spread(Math.max(WAIT_PAUSE, age / 10), MAX_WAIT_PAUSE, jitter);
}
function isFailure({ problem }) {
  return problem !== void 0 && (problem.retryable || problem.problem === "token-error");
}
function backoff(failures, jitter) {
  return spread(MIN_PAUSE * 2 ** failures, MAX_BACKOFF, jitter);
}
function spread(ms, max, jitter) {
  return Math.min(ms, max) * (0.5 + jitter / 2);
}

// dist/esm/poller.js
var now = () => performance.now();
var BATCH_SIZE = 20;
var GATHER = 50;
var SHORT_WAIT = 3e3;
var MAX_WAIT = 25e3;
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
  const schedule = (isShared) => [...entries].filter(([key]) => !asked.has(key)).map(([key, entry]) => [Math.max(resumeAt, next2(entry, now(), isShared)), key, entry]).sort(([a], [b]) => a - b);
  const firstDue = () => schedule(false)[0]?.[0] ?? Infinity;
  const cancel = () => {
    controller?.abort();
    controller = void 0;
    asked.clear();
  };
  const update = () => {
    const due = globalThis.document?.hidden ? Infinity : firstDue();
    if (controller) {
      if (wait <= SHORT_WAIT || due > now())
        return;
      cancel();
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
    const end = now();
    const jitter = Math.random();
    const retryAfter = 1e3 * Math.max(0, ...results.map((result) => (result.problem ?? result).retryAfter ?? 0));
    failures = results.every(isFailure) ? failures + 1 : 0;
    resumeAt = failures && end + Math.max(retryAfter, backoff(failures, jitter));
    isOffline = results[0]?.problem?.problem === "network-error";
    batch.forEach(([, key, entry], i) => {
      const result = results[i];
      if (!result || !asked.has(key))
        return;
      const inARow = isFailure(result) ? entry.failures + 1 : 0;
      const pause = inARow ? backoff(inARow, jitter) : waits ? waitPause(end - entry.added, jitter) : 0;
      entries.set(key, { ...entry, asked: begin, failures: inARow, notBefore: end + Math.max(retryAfter, MIN_PAUSE, pause) });
      onResult(key, result, entry, begin);
    });
    controller = void 0;
    asked.clear();
    onEnd?.();
    update();
  };
  const online = () => {
    if (isOffline || controller)
      resumeAt = now() + MIN_PAUSE;
    cancel();
    if (isOffline)
      for (const [key, entry] of entries)
        entries.set(key, { ...entry, asked: -Infinity, notBefore: 0 });
    update();
  };
  const listen = (method) => {
    globalThis[method]?.("online", online);
    globalThis.document?.[method]?.("visibilitychange", update);
  };
  return {
    add(key, message, added) {
      if (entries.has(key))
        return;
      if (!entries.size)
        listen("addEventListener");
      entries.set(key, { message, added, asked: -Infinity, failures: 0, notBefore: added });
      update();
    },
    remove(key) {
      if (!entries.delete(key))
        return;
      if (!entries.size)
        listen("removeEventListener");
      if (asked.delete(key) && !asked.size)
        cancel();
      update();
    },
    update,
    online
  };
}

// dist/esm/guard.js
function guard(call) {
  try {
    Promise.resolve(call()).catch(report);
  } catch (error) {
    report(error);
  }
}
function report(error) {
  (globalThis.reportError ?? console.error)(error);
}

// dist/esm/token.js
var NO_TOKEN = 3e4;
function createTokenSource(token) {
  let age = 0;
  let isRefreshing = false;
  let last;
  const call = async (refresh, signal) => {
    const current = age;
    try {
      const bearer = await cancellable(signal, async () => token({ refresh }), NO_TOKEN);
      if (typeof bearer === "string" && /^[\x21-\x7e]+$/.test(bearer))
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
var NO_RESPONSE = 15e3;
var NO_RESPONSE_TO_WAIT = 4e4;
var MAX_RETRY_AFTER = 3600;
function createSendRequest(options) {
  const base = `${options.url}`;
  const { href } = new URL(base, globalThis.location?.href ?? "http://server");
  const tokenFor = createTokenSource(options.token);
  return (query, messages, signal) => cancellable(signal, async (signal2) => {
    const search = Object.entries(query).flatMap(([name, value]) => value === void 0 ? [] : `${name}=${encodeURIComponent(value)}`).join("&");
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
        const retryAfter = Math.min(MAX_RETRY_AFTER, parseFloat(response.headers.get("retry-after") ?? "")) || void 0;
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
      let onResult = () => {
      };
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
    ...both.filter(({ status }) => isSent && (status === "FAILED" || status === "DENIED"))
  ]);
  return {
    messageId: news.messageId,
    ...outcome(message),
    ...update && { update: { ...outcome(update), at: update.at ?? 0 } },
    ...both.some(({ redacted }) => redacted) && { redacted: true },
    ...both.some(({ deleted }) => deleted) && { deleted: true }
  };
}
function answeredAsOf(known, response) {
  return known?.update ? { messageId: response.messageId, status: "SENT", update: { ...outcome(response), at: known.update.at } } : { messageId: response.messageId, ...outcome(response) };
}
function isPending({ status, update, deleted }) {
  const isOpen = (status2) => !["GONE", "SENT", "FAILED", "DENIED"].includes(status2);
  return !deleted && (isOpen(status) || update !== void 0 && isOpen(update.status));
}
function isGone({ status, update, deleted }) {
  return !deleted && (status === "GONE" || update?.status === "GONE");
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
  }, void 0);
}

// dist/esm/messages.js
var DETAILS = "CHANNEL_DETAILS";
var STORED = "STORED";
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
  return event ? readMessage(members(record), change, prefix) : type === DETAILS ? readRecord(record) : [];
}
function readRecord(json) {
  const record = members(json);
  const { Channel, ChannelMessage, ChannelMessages = ChannelMessage && [ChannelMessage], SubChannelId } = record;
  if (!ChannelMessages)
    return readMessage(record, record.Sender ? STORED : void 0);
  const { ChannelArn = record.ChannelArn } = members(Channel);
  return list(ChannelMessages).flatMap((item) => readMessage({ ChannelArn, SubChannelId, ...members(item) }, STORED));
}
function readMessage(record, kind, prefix) {
  const channelArn = text(record.ChannelArn ?? record.channelArn);
  const messageId = text(record.MessageId ?? record.messageId);
  const subChannelId = text(record.SubChannelId ?? record.subChannelId);
  if (!messageId || kind === "DELETE" && prefix)
    return [];
  const isStored = kind === STORED;
  const isRedacted = isStored ? record.Redacted === true : kind === "REDACT" && !prefix;
  const { Value = record.status, Detail = record.detail } = members(record.Status);
  const reported = record.problem ? void 0 : text(Value);
  const status = isRedacted ? "SENT" : !kind ? reported ?? "PENDING" : isStored ? reported ?? "SENT" : prefix ?? "SENT";
  const result = outcome({ status, detail: text(Detail) ?? "" });
  const isEdit = kind === "UPDATE" || isStored && status === "SENT" && !!record.LastEditedTimestamp;
  const state = {
    messageId,
    // Only a message that was sent can be edited or redacted. A deletion does not change the status.
    ...kind === "DELETE" ? { status: "PENDING", deleted: true } : isEdit || kind === "REDACT" ? { status: "SENT" } : result,
    ...isEdit && { update: { ...result, at: time(record.LastUpdatedTimestamp) } },
    ...isRedacted && { redacted: true }
  };
  return [{
    state,
    // Chime does not keep NON_PERSISTENT messages, so "not found" is not a result for them.
    message: channelArn && record.Persistence !== "NON_PERSISTENT" ? { channelArn, messageId, subChannelId } : void 0,
    isConfirmed: !!kind || reported !== void 0,
    isSenders: !kind || prefix !== void 0,
    sender: text(members(record.Sender).Arn)
  }];
}
function time(value) {
  return (typeof value === "number" ? value * 1e3 : typeof value === "string" ? Date.parse(value) : Number(value)) || 0;
}

// dist/esm/storage.js
var MAX_RESULTS = 200;
function parseSnapshot(json) {
  const items = list(parse(json)).flatMap((item) => {
    const { message, state, since } = members(item);
    const { messageId } = members(message);
    const isValid = state ? members(state).messageId === messageId && text(members(state).status) : true;
    return isValid && typeof messageId === "string" && Date.now() - Number(since) < LIFETIME ? [[messageId, item]] : [];
  });
  return new Map(items);
}
function mergeSnapshots(a, b) {
  const all = new Map(a);
  for (const [id, stored] of b) {
    const known = a.get(id);
    all.set(id, known ? mergeStored(known, stored) : stored);
  }
  const cleared = all.get("")?.since ?? 0;
  const isOpen = ({ state }) => state && isPending(state);
  const inOrder = [...all].filter(([id, { since }]) => !id || since > cleared).sort(([a2, left], [b2, right]) => left.since - right.since || (a2 < b2 ? -1 : 1));
  let surplus = inOrder.filter(([, stored]) => !isOpen(stored)).length - MAX_RESULTS;
  return new Map(inOrder.filter(([id, stored]) => !id || isOpen(stored) || surplus-- <= 0));
}
function mergeStored(a, b) {
  if (!a.state || !b.state)
    return a.since > b.since || a.since === b.since && !a.state ? a : b;
  const order = a.seen - b.seen || (outcomeOf(a.state) < outcomeOf(b.state) ? -1 : 1);
  const [earlier, later] = order < 0 ? [a, b] : [b, a];
  const merged = merge(earlier.state, later.state);
  const { problem } = a.state;
  const state = { ...merged, ...problem && isPending(merged) && { problem } };
  return {
    ...earlier,
    ...later,
    // The same object if nothing is new.
    state: isSame(state, a.state) ? a.state : state,
    since: Math.max(a.since, b.since)
  };
}
function outcomeOf({ status, update }) {
  return JSON.stringify([status, update]);
}
function isSame(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
function createStore(option, key, exchange, onExchanged) {
  let isBusy = false;
  let isWanted = false;
  const store = (isWrite) => {
    if (isBusy)
      return void (isWanted ||= isWrite);
    isBusy = true;
    const end = () => {
      isBusy = false;
      if (!isWanted)
        return;
      isWanted = false;
      store(true);
    };
    try {
      const storage = typeof option === "function" ? option() : option;
      const proceed = (json2) => {
        const ours = JSON.stringify([...exchange(parseSnapshot(json2 ?? "")).values()], (name, value) => name === "problem" ? void 0 : value);
        const done2 = isWrite && ours !== (json2 ?? "[]") && storage?.setItem(key, ours);
        onExchanged();
        return done2;
      };
      const json = storage?.getItem(key);
      const done = isPromise(json) ? json.then(proceed) : proceed(json);
      if (isPromise(done))
        return void done.then(end, end);
    } catch {
    }
    end();
  };
  return store;
}
function isPromise(value) {
  return !!members(value).then;
}

// dist/esm/tracker.js
var MAX_EARLY = 500;
var OVERTAKES = 5e3;
var RECHECKED = { rechecked: true };
var CONFIRMED = { confirmed: true };
var MessageTracker = class {
  constructor({ client, user, storage, onChange }) {
    const listeners = /* @__PURE__ */ new Set();
    let known = /* @__PURE__ */ new Map();
    let isDirty = false;
    let shown = /* @__PURE__ */ new Map();
    let all;
    const early = /* @__PURE__ */ new Map();
    const edits = /* @__PURE__ */ new Map();
    let link = newLink;
    let starts = 0;
    const again = /* @__PURE__ */ new Set();
    let isLoaded = false;
    const pendingSince = /* @__PURE__ */ new Map();
    const caughtUp = /* @__PURE__ */ new Map();
    let requested = /* @__PURE__ */ new Map();
    let isRunning = false;
    let isActive = true;
    let isOnline = true;
    let time2 = -Infinity;
    const tick = () => time2 = Math.max(now(), time2 + 1e-3);
    const set = (message, news, facts, base, problem) => {
      const { messageId } = message;
      const before = known.get(messageId);
      const old = before?.state;
      const merged = merge(base, news);
      const state = { ...merged, ...problem && isPending(merged) && { problem } };
      const isNew = !isSame(state, old);
      const seen = Math.max(Date.now(), (before?.seen ?? 0) + (isNew ? 1 : 0));
      const isEdit = old && isPending(state) && !isPending(old) && !isGone(old);
      if (!old || isEdit)
        pendingSince.set(messageId, tick());
      const since = old && !isEdit ? before.since : Math.max(seen, 1 + Math.max(before?.since ?? 0, known.get("")?.since ?? 0));
      const stored = { ...old && before, ...facts, message, state: old && !isNew ? old : state, since, seen };
      isDirty ||= !isSame({ ...before, seen }, stored);
      known.set(messageId, stored);
      return isNew;
    };
    const learn = ({ state, message, isConfirmed, isSenders, sender }, isLater = false) => {
      const { messageId } = state;
      const before = known.get(messageId);
      const remembered = early.get(messageId);
      const facts = isConfirmed ? CONFIRMED : {};
      if (before?.state) {
        const { update, problem, ...rest } = before.state;
        set(before.message, state, facts, isLater ? rest : before.state, problem);
      } else if (message && !state.deleted && (isSenders || sender === user)) {
        early.delete(messageId);
        set(message, state, facts, remembered);
      } else {
        early.set(messageId, merge(remembered, state));
        const [oldest] = early.keys();
        if (oldest && early.size > MAX_EARLY)
          early.delete(oldest);
      }
    };
    const forget = (messageId, since = 0) => {
      const at = Math.max(Date.now(), since);
      known.set(messageId, { message: { channelArn: "", messageId }, since: at, seen: at });
      store(true);
    };
    const show = () => {
      const before = shown;
      const changed = [];
      shown = /* @__PURE__ */ new Map();
      for (const [id, { state, message, since }] of known) {
        if (!state)
          continue;
        shown.set(id, state);
        if (before.get(id) !== state)
          changed.push(state);
        if (isRunning && (isPending(state) || again.has(id))) {
          poller.add(id, message, pendingSince.get(id) ?? now() - Math.max(1, Date.now() - since));
        } else
          poller.remove(id);
      }
      for (const [id, state] of before) {
        if (shown.has(id))
          continue;
        poller.remove(id);
        for (const facts of [caughtUp, edits, again, pendingSince])
          facts.delete(id);
        changed.push(state);
      }
      if (changed.length)
        all = void 0;
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
    const setLive = (isLive) => {
      link = withLive(link, isLive, tick(), Math.random());
      poller.update();
    };
    const catchUp = () => {
      link = withCatchUp(link, tick(), Math.random());
      recheck();
    };
    const recheck = () => {
      for (const [id, { state, rechecked }] of known)
        if (state && isGone(state) && !rechecked)
          again.add(id);
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
      learn({ ...reading, state: { messageId, status: "SENT", update: { ...outcome(reading.state), at: last ? last.at + 1 : 0 } } });
    };
    const getMany = (messages, options) => {
      requested = new Map(known);
      return client.getMany(messages, options);
    };
    const nextOf = (entry, at, isShared) => {
      const { messageId } = entry.message;
      const { since = 0, state } = known.get(messageId) ?? {};
      if (!isActive || !isOnline || Date.now() - since >= LIFETIME)
        return Infinity;
      return next(entry, link, at, isShared, state?.problem, caughtUp.get(messageId));
    };
    const onResult = (id, { problem, ...result }, entry, start) => {
      const { message, state } = known.get(id) ?? {};
      if (!message || !state)
        return;
      const knownAt = lastKnown(entry);
      if (starts > 1 && knownAt < link.started && start >= link.catchUpAt && !isFailure({ problem }))
        caughtUp.set(id, start);
      const isGoneNow = problem?.problem === "message-gone" || problem?.problem === "message-not-found" && (known.get(id)?.confirmed || state.status === "SENT");
      if (problem && !isGoneNow)
        return void set(message, state, {}, state, problem.problem);
      const response = problem ? { messageId: id, status: "GONE" } : result;
      const news = answeredAsOf(requested.get(id)?.state, response);
      const isNew = set(message, news, { ...!problem && CONFIRMED, ...again.delete(id) && RECHECKED }, state);
      if (isNew && link.isLive && knownAt > link.since)
        setLive(false);
    };
    const poller = createPoller(getMany, false, nextOf, onResult, commit);
    const key = `chime-message-status:${encodeURIComponent(user)}`;
    const exchange = (stored) => {
      known = mergeSnapshots(known, stored);
      if (!isLoaded)
        recheck();
      isLoaded = true;
      return known;
    };
    const store = createStore(user ? storage : void 0, key, exchange, show);
    const onStorage = (event) => {
      const { key: changed, newValue } = event;
      if (changed === key && newValue)
        store(true);
    };
    const run = (value) => {
      isRunning = value;
      globalThis[value ? "addEventListener" : "removeEventListener"]?.("storage", onStorage);
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
        read2(event).forEach(onEvent);
        commit();
      }
    };
    this.track = (message, { edit } = {}) => {
      for (const reading of read2(message))
        (edit && reading.isSenders ? onEdit : learn)(reading);
      commit();
    };
    this.untrack = (messageId) => forget(messageId, known.get(messageId)?.since);
    this.get = (messageId) => shown.get(messageId);
    this.getAll = () => all ??= [...shown.values()];
    this.subscribe = (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    };
    this.check = () => {
      link = { ...link, checked: tick() };
      poller.update();
    };
    this.setActive = (value) => {
      isActive = value;
      poller.update();
    };
    this.setOnline = (value) => {
      const isBack = value && !isOnline;
      isOnline = value;
      if (isBack)
        poller.online();
      poller.update();
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
      forget("", Math.max(0, ...[...known.values()].map(({ since }) => since)));
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
