// Polls statuses once a second with the AWS SDK for JavaScript, as a backend without this function would.
// Each line of the standard input is a JSON object with channelArn, messageId and bearer. Prints the id of
// each message that is decided.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { ChimeSDKMessagingClient, GetChannelMessageStatusCommand } from "@aws-sdk/client-chime-sdk-messaging";

const client = new ChimeSDKMessagingClient({});

async function poll({ channelArn, messageId, bearer }) {
  const command = { ChannelArn: channelArn, MessageId: messageId, ChimeBearer: bearer };
  for (let next = Date.now() + 1000; ; next += 1000) {
    const { Status } = await client.send(new GetChannelMessageStatusCommand(command));
    if (Status.Value !== "PENDING") break;
    await sleep(next - Date.now());
  }
  console.log(messageId);
}

createInterface({ input: process.stdin }).on("line", (line) => poll(JSON.parse(line)));
