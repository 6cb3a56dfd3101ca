// The same work with the AWS SDK for JavaScript.

import { ChimeSDKMessagingClient, GetChannelMessageStatusCommand } from "@aws-sdk/client-chime-sdk-messaging";

const client = new ChimeSDKMessagingClient({});
const template = process.env.APP_INSTANCE_USER_ARN;

export async function handler(event) {
  const sub = event.requestContext?.authorizer?.jwt?.claims?.sub;
  if (!sub) return respond(401, { error: "unauthenticated" });
  const { channelArn, messageId } = event.queryStringParameters ?? {};
  if (!channelArn || !messageId) return respond(400, { error: "channelArn and messageId are required" });
  const { Status } = await client.send(
    new GetChannelMessageStatusCommand({
      ChannelArn: channelArn,
      MessageId: messageId,
      ChimeBearer: template.replace("{sub}", sub),
    }),
  );
  console.log(JSON.stringify({ level: "INFO", message: "responded", status: Status.Value }));
  return respond(200, { messageId, status: Status.Value });
}

function respond(statusCode, body) {
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return { statusCode, headers, body: JSON.stringify(body), isBase64Encoded: false };
}
