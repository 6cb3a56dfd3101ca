// The AWS SDK for JavaScript with the fake Chime. check.py starts this script, and passes addresses and
// credentials in environment variables.

import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import * as sdk from "@aws-sdk/client-chime-sdk-messaging";

const { CHIME, CHANNEL_ARN, ALICE, BOB, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
const APP_INSTANCE = CHANNEL_ARN.split("/channel/")[0];
const DETAIL = 'Not "this", Zoë: 100 % <no>\n…';

const credentials = { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY };

function client({ region = "us-east-1", ...other } = {}) {
  const { signer, ...different } = other;
  return new sdk.ChimeSDKMessagingClient({
    endpoint: CHIME,
    region,
    credentials: { ...credentials, ...different },
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 5000, requestTimeout: 10000 },
    ...(signer && { signer }),
  });
}

const ours = client();

function send({ by = ALICE, flow, token = randomUUID(), content = "hello" }) {
  return ours.send(
    new sdk.SendChannelMessageCommand({
      ChannelArn: CHANNEL_ARN,
      Content: content,
      Type: "STANDARD",
      Persistence: "PERSISTENT",
      ClientRequestToken: token,
      Metadata: JSON.stringify({ flow }),
      ChimeBearer: by,
    }),
  );
}

async function getStatus(message, { by = ALICE, channel = CHANNEL_ARN, as = ours, ...more } = {}) {
  const command = new sdk.GetChannelMessageStatusCommand({
    ChannelArn: channel,
    MessageId: message,
    ChimeBearer: by,
    ...more,
  });
  return (await as.send(command)).Status;
}

/** Programs identify an error by its name, or by its class if it is in the service model. */
function refused(name, call) {
  return assert.rejects(call, (error) => {
    assert.equal(error.name, name);
    if (sdk[name]) assert.ok(error instanceof sdk[name], `not a ${name}`);
    return true;
  });
}

let passed = 0;
let failed = 0;

async function check(name, run) {
  try {
    await run();
    passed += 1;
    console.log(`ok      JavaScript SDK ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  JavaScript SDK ${name}\n`, error);
  }
}

for (const [flow, wanted] of [
  [{ outcome: "SENT", afterMs: 0 }, { Value: "SENT" }],
  [{ outcome: "PENDING" }, { Value: "PENDING" }],
  [{ outcome: "FAILED", afterMs: 0, detail: DETAIL }, { Value: "FAILED", Detail: DETAIL }],
]) {
  await check(`sends, and gets ${wanted.Value}`, async () => {
    const { MessageId } = await send({ flow });
    assert.deepEqual(await getStatus(MessageId), wanted);
  });
}

await check("gets PENDING, then SENT", async () => {
  const { MessageId, Status } = await send({ flow: { outcome: "SENT", afterMs: 1500 } });
  assert.equal(Status.Value, "PENDING");
  const end = Date.now() + 30_000;
  let status = await getStatus(MessageId);
  while (status.Value === "PENDING" && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    status = await getStatus(MessageId);
  }
  assert.deepEqual(status, { Value: "SENT" });
});

const { MessageId: message } = await send({ flow: { outcome: "PENDING" } });
const { MessageId: denied } = await send({ flow: { outcome: "DENIED", afterMs: 0 } });
const token = randomUUID();
await send({ token, flow: { outcome: "PENDING" } });
const last = APP_INSTANCE.at(-1) === "0" ? "1" : "0";
const otherChannel = `${APP_INSTANCE.slice(0, -1)}${last}/channel/chat-general`;
const unsigned = { sign: async (request) => request };
const list = new sdk.ListChannelsCommand({ AppInstanceArn: APP_INSTANCE, ChimeBearer: ALICE });

for (const [name, what, how] of [
  ["NotFoundException", "a denied message", () => getStatus(denied)],
  ["NotFoundException", "an unknown message", () => getStatus(randomUUID())],
  ["NotFoundException", "another sub-channel", () => getStatus(message, { SubChannelId: "s" })],
  ["ForbiddenException", "another user's message", () => getStatus(message, { by: BOB })],
  ["ForbiddenException", "another app instance's channel", () => getStatus(message, { channel: otherChannel })],
  ["UnauthorizedClientException", "a bearer that is not a user", () => getStatus(message, { by: CHANNEL_ARN })],
  ["UnauthorizedClientException", "a sender that is not a user", () => send({ by: CHANNEL_ARN })],
  ["BadRequestException", "a malformed message id", () => getStatus("a.b")],
  ["BadRequestException", "a malformed channel", () => getStatus(message, { channel: "arn:aws:x" })],
  ["BadRequestException", "a malformed bearer", () => getStatus(message, { by: "alice" })],
  ["BadRequestException", "an unknown flow", () => send({ flow: { outcome: "?" } })],
  ["ConflictException", "a request token used twice", () => send({ token, content: "other" })],
  ["InvalidSignatureException", "a wrong secret", () => getStatus(message, { as: client({ secretAccessKey: "wrong" }) })],
  ["InvalidSignatureException", "another region", () => getStatus(message, { as: client({ region: "eu-central-1" }) })],
  ["UnrecognizedClientException", "an unknown key", () => getStatus(message, { as: client({ accessKeyId: "AKIDNOBODY" }) })],
  ["UnrecognizedClientException", "an unknown session token", () => getStatus(message, { as: client({ sessionToken: "of-nobody" }) })],
  ["MissingAuthenticationTokenException", "no signature", () => getStatus(message, { as: client({ signer: unsigned }) })],
  ["UnknownOperationException", "an unknown operation", () => ours.send(list)],
]) {
  await check(`gets ${name} for ${what}`, () => refused(name, how));
}

// Errors that no request can cause. The sender of a message chooses one in its metadata.
for (const name of [
  "AccessDeniedException",
  "ExpiredTokenException",
  "ServiceFailureException",
  "ServiceUnavailableException",
  "ThrottledClientException",
]) {
  const { MessageId } = await send({ flow: { outcome: name } });
  await check(`gets ${name} for a message that was sent with this outcome`, () => refused(name, () => getStatus(MessageId)));
}

console.log(`JavaScript SDK: ${passed} passed, ${failed} failed`);
process.exitCode = passed > 0 && failed === 0 ? 0 : 1;
