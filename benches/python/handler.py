"""The same work with boto3."""

import json
import os

import boto3

client = boto3.client("chime-sdk-messaging")
template = os.environ["APP_INSTANCE_USER_ARN"]


def handler(event, context):
    authorizer = event.get("requestContext", {}).get("authorizer", {})
    sub = authorizer.get("jwt", {}).get("claims", {}).get("sub")
    if not sub:
        return respond(401, {"error": "unauthenticated"})
    query = event.get("queryStringParameters") or {}
    channel, message = query.get("channelArn"), query.get("messageId")
    if not channel or not message:
        return respond(400, {"error": "channelArn and messageId are required"})
    output = client.get_channel_message_status(
        ChannelArn=channel, MessageId=message, ChimeBearer=template.replace("{sub}", sub)
    )
    status = output["Status"]["Value"]
    print(json.dumps({"level": "INFO", "message": "responded", "status": status}))
    return respond(200, {"messageId": message, "status": status})


def respond(status, body):
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
