// Scenarios with the unchanged session of amazon-chime-sdk-js, the AWS SDK and our client, together
// against the local gateway and the fake Chime. They run in Node and in a browser: session-node.mjs and
// session-browser.mjs give each the `place`:
//
//   client     the package chime-message-status-client
//   settings   /settings.json of the demo page
//   endpoint   of the fake Chime, over HTTP or HTTPS
//   adapter    makes the session's WebSocketAdapter, or nothing for the session's own
//   handler    options of the AWS SDK's request handler

import * as sdk from "@aws-sdk/client-chime-sdk-messaging";
import {
  ConsoleLogger, DefaultMessagingSession, LogLevel, MessagingSessionConfiguration, PrefetchOn,
} from "amazon-chime-sdk-js";

const TIMEOUT_MS = 60_000;
const DETAIL = "The processor did not respond.";

/** A user's app: a session, an AWS client and a tracker. */
class App {
  events = [];
  starts = 0;
  stops = [];
  connecting = [];
  states = [];

  constructor(place, name, { prefetch } = {}) {
    const { client, settings } = place;
    this.place = place;
    this.user = settings.users.find((user) => user.name === name);
    this.aws = new sdk.ChimeSDKMessagingClient({
      endpoint: place.endpoint,
      region: "us-east-1",
      credentials: { accessKeyId: "AKIDFAKECHIME", secretAccessKey: "fake-secret" },
      maxAttempts: 1,
      ...(place.handler && { requestHandler: place.handler }),
    });
    const configuration = new MessagingSessionConfiguration(this.user.arn, null, undefined, this.aws);
    if (prefetch) configuration.prefetchOn = PrefetchOn.Connect;
    const logger = new ConsoleLogger("session", LogLevel.OFF);
    this.session = new DefaultMessagingSession(configuration, logger, place.adapter?.(logger));
    this.session.addObserver({
      messagingSessionDidStartConnecting: (reconnecting) => this.connecting.push(reconnecting),
      messagingSessionDidStart: () => (this.starts += 1),
      messagingSessionDidStop: (event) => this.stops.push(event.code),
      messagingSessionDidReceiveMessage: ({ type, headers, payload }) =>
        this.events.push({ type, kind: headers["x-amz-chime-message-type"], payload: payload && JSON.parse(payload) }),
    });
    this.attempts = [];
    this.tracker = new client.MessageTracker({
      client: new client.MessageStatusClient({
        url: `${settings.gateway}/message-status`,
        token: () => this.user.token,
        onAttempt: (attempt) => this.attempts.push(attempt),
      }),
    });
    this.session.addObserver(this.tracker.observer);
  }

  call(Command, parameters) {
    const { channelArn } = this.place.settings;
    return this.aws.send(new Command({ ChannelArn: channelArn, ChimeBearer: this.user.arn, ...parameters }));
  }

  send(flow, content = "hello") {
    return this.call(sdk.SendChannelMessageCommand, {
      Content: content,
      Type: "STANDARD",
      Persistence: "PERSISTENT",
      ClientRequestToken: crypto.randomUUID(),
      Metadata: JSON.stringify({ flow }),
    });
  }

  /** Sends a message that stays pending until `decide`, and tracks it. */
  async sendPending() {
    const sent = await this.send({ outcome: "PENDING" });
    this.tracker.track(sent);
    equal(sent.Status.Value, "PENDING");
    return sent.MessageId;
  }

  status(messageId) {
    return this.tracker.get(messageId)?.status;
  }

  event(type, messageId) {
    return this.events.find((event) => event.type === type && event.payload?.MessageId === messageId);
  }

  stop() {
    this.tracker.stop();
    this.session.stop();
    this.aws.destroy();
  }
}

/** Something that the fake Chime does on request. */
async function control(place, action, parameters = {}) {
  const url = `${place.settings.chime.http}/test/${action}`;
  const response = await fetch(url, { method: "POST", body: JSON.stringify(parameters) });
  equal(response.status, 204);
}

const decide = (place, messageId, status, detail) => control(place, "decide", { messageId, status, detail });

async function using(app, run) {
  try {
    return await run();
  } finally {
    app.stop();
    await control(app.place, "websockets-up");
  }
}

export const scenarios = {
  async "the session, cut and reconnected: SENT, FAILED, GONE and PENDING are reported"(place) {
    const app = new App(place, "Alice");
    await using(app, async () => {
      await app.session.start();
      const [sent, failed, denied, pending] = [
        await app.sendPending(), await app.sendPending(), await app.sendPending(), await app.sendPending(),
      ];
      await until(() => app.event("PENDING_CREATE_CHANNEL_MESSAGE", pending));

      await control(place, "websockets-down");
      await until(() => app.connecting.includes(true));
      await decide(place, sent, "SENT");
      await decide(place, failed, "FAILED", DETAIL);
      await decide(place, denied, "DENIED");
      await control(place, "websockets-up");
      await until(() => app.starts === 2);
      await until(() => app.status(sent) === "SENT" && app.status(failed) === "FAILED" && app.status(denied) === "GONE");
      equal(app.tracker.get(failed).detail, DETAIL);
      equal(app.status(pending), "PENDING");
      for (const id of [sent, failed, denied]) {
        equal(app.events.filter(({ type, payload }) => payload?.MessageId === id && !type.startsWith("PENDING_")), []);
      }

      // The WebSocket is open again, so it decides about the last one.
      await decide(place, pending, "SENT");
      await until(() => app.event("CREATE_CHANNEL_MESSAGE", pending));
      await until(() => app.status(pending) === "SENT");
    });
  },

  async "a session that dies silently (4401): the tracker still gets the results"(place) {
    const app = new App(place, "Alice");
    await using(app, async () => {
      await app.session.start();
      const [failed, sent] = [await app.sendPending(), await app.sendPending()];
      await until(() => app.event("PENDING_CREATE_CHANNEL_MESSAGE", sent));
      await control(place, "refuse-websocket", { code: 4401 });
      await control(place, "cut-websockets");
      await until(() => app.connecting.includes(true));
      await decide(place, failed, "FAILED", DETAIL);
      await decide(place, sent, "SENT");
      await until(() => app.status(failed) === "FAILED" && app.status(sent) === "SENT");
      equal(app.stops, []);
      equal(app.starts, 1);
    });
  },

  async "a reconnect with prefetch brings statuses in CHANNEL_DETAILS"(place) {
    const app = new App(place, "Alice", { prefetch: true });
    await using(app, async () => {
      await app.session.start();
      await until(() => app.events.some(({ type }) => type === "CHANNEL_DETAILS"));
      const id = await app.sendPending();
      await control(place, "websockets-down");
      await until(() => app.connecting.includes(true));
      await decide(place, id, "SENT");
      app.events.length = 0;
      await control(place, "websockets-up");
      await until(() => app.events.some(({ type }) => type === "CHANNEL_DETAILS"));
      const { payload, kind } = app.events.find(({ type }) => type === "CHANNEL_DETAILS");
      equal(kind, "SYSTEM");
      equal(payload.Channel.ChannelArn, place.settings.channelArn);
      const summary = payload.ChannelMessages.find(({ MessageId }) => MessageId === id);
      equal(summary.Status, { Value: "SENT" });
      await until(() => app.status(id) === "SENT");
    });
  },

  async "sent, failed and denied messages and updates: each event has the whole message"(place) {
    const [app, bob] = [new App(place, "Alice"), new App(place, "Bob")];
    await using(app, () => using(bob, async () => {
      await app.session.start();
      await bob.session.start();
      const arrived = (type, id) => until(() => app.event(type, id));
      for (const status of ["FAILED", "DENIED"]) {
        const { MessageId } = await app.send({ outcome: status, afterMs: 0, detail: DETAIL });
        const { payload } = await arrived(`${status}_CREATE_CHANNEL_MESSAGE`, MessageId);
        equal(payload.Status, { Value: status, Detail: DETAIL });
      }
      const { MessageId } = await app.send({ outcome: "SENT", afterMs: 0 }, "first");
      const { payload, kind } = await arrived("CREATE_CHANNEL_MESSAGE", MessageId);
      equal(kind, "STANDARD");
      const { CreatedTimestamp, LastUpdatedTimestamp, Metadata, ...rest } = payload;
      equal(rest, {
        ChannelArn: place.settings.channelArn,
        MessageId,
        Content: "first",
        Type: "STANDARD",
        Persistence: "PERSISTENT",
        Redacted: false,
        Sender: { Arn: app.user.arn, Name: app.user.arn.split("/user/")[1] },
        Status: { Value: "SENT" },
      });
      equal(CreatedTimestamp, new Date(CreatedTimestamp).toISOString());
      equal(LastUpdatedTimestamp, CreatedTimestamp);

      for (const [status, content] of [["DENIED", "second"], ["FAILED", "third"], ["SENT", "fourth"]]) {
        app.events.length = 0;
        const updated = await app.call(sdk.UpdateChannelMessageCommand, {
          MessageId,
          Content: content,
          Metadata: JSON.stringify({ flow: { outcome: status, afterMs: 100 } }),
        });
        equal(updated.Status, { Value: "PENDING" });
        await arrived("PENDING_UPDATE_CHANNEL_MESSAGE", MessageId);
        const prefix = status === "SENT" ? "" : `${status}_`;
        equal((await arrived(`${prefix}UPDATE_CHANNEL_MESSAGE`, MessageId)).payload.Content, content);
        const { ChannelMessage } = await app.call(sdk.GetChannelMessageCommand, { MessageId });
        equal(ChannelMessage.Content, status === "SENT" ? "fourth" : "first");
      }
      const { ChannelMessages } = await app.call(sdk.ListChannelMessagesCommand, { MaxResults: 1 });
      equal(ChannelMessages.map((message) => [message.MessageId, message.Content, message.Status.Value]), [[MessageId, "fourth", "SENT"]]);
      equal(ChannelMessages[0].LastEditedTimestamp instanceof Date, true);

      await app.call(sdk.RedactChannelMessageCommand, { MessageId });
      equal((await arrived("REDACT_CHANNEL_MESSAGE", MessageId)).payload.Redacted, true);
      await app.call(sdk.DeleteChannelMessageCommand, { MessageId });
      await arrived("DELETE_CHANNEL_MESSAGE", MessageId);
      await until(() => bob.event("DELETE_CHANNEL_MESSAGE", MessageId));
      equal([...new Set(bob.events.map(({ type }) => type))].sort(), [
        "CREATE_CHANNEL_MESSAGE", "DELETE_CHANNEL_MESSAGE", "REDACT_CHANNEL_MESSAGE", "SESSION_ESTABLISHED", "UPDATE_CHANNEL_MESSAGE",
      ]);
    }));
  },

  async "a session with a wrong secret is closed with 4401"(place) {
    const app = new App(place, "Alice");
    app.aws.config.credentials = async () => ({ accessKeyId: "AKIDFAKECHIME", secretAccessKey: "wrong" });
    // Only the URL is signed with the wrong secret.
    app.session.configuration.endpointUrl = new URL(place.endpoint).host;
    const rejected = await app.session.start().then(() => undefined, (event) => event.code);
    app.stop();
    equal(rejected, 4401);
  },
};

function equal(got, wanted) {
  const [left, right] = [got, wanted].map((value) => JSON.stringify(sorted(value)));
  if (left !== right) throw new Error(`got ${left}, wanted ${right}`);
}

/** The same value with the members of its objects in alphabetical order. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

/** The first true value of `attempt`. */
async function until(attempt) {
  const end = performance.now() + TIMEOUT_MS;
  for (;;) {
    const value = attempt();
    if (value) return value;
    if (performance.now() > end) throw new Error(`never true: ${attempt}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
