"""AWS's own clients with the fake Chime, and our endpoint compared with the AWS CLI.

Starts `cargo run --example local`. Needs `aws` on the path, and boto3. With an argument, the JavaScript
SDK is also checked: the argument is the directory that has `check.mjs` and the packages it needs.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import KEY, SECRET, Checks, enter_environment, environment, equal, local, within

DETAIL = 'Not "this", Zoë: 100 % <no>\n…'
UNSIGNED = object()


class Refused(Exception):
    """The client reports an error of the service, under this name."""

    def __init__(self, name):
        super().__init__(name)
        self.name = name


class Boto3:
    """boto3."""

    def __init__(self, endpoint, key=KEY, secret=SECRET, token=None, region="us-east-1"):
        unsigned = {"signature_version": botocore.UNSIGNED} if key is UNSIGNED else {}
        self.client = boto3.client(
            "chime-sdk-messaging",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=None if unsigned else key,
            aws_secret_access_key=None if unsigned else secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10, **unsigned),
        )

    def call(self, operation, **parameters):
        try:
            response = getattr(self.client, operation)(**parameters)
        except ClientError as error:
            name = error.response["Error"]["Code"]
            # An error in the service model has its own exception class, which programs catch.
            modelled = getattr(self.client.exceptions, name, None) if name in MODELLED else type(error)
            equal(type(error), modelled)
            raise Refused(name) from error
        response.pop("ResponseMetadata")
        return response


class AwsCli:
    """The AWS CLI."""

    def __init__(self, endpoint, key=KEY, secret=SECRET, token=None, region="us-east-1"):
        self.options = ["--endpoint-url", endpoint, "--region", region, "--output", "json"]
        credentials = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        if key is UNSIGNED:
            self.options, credentials = self.options + ["--no-sign-request"], {}
        if token:
            credentials["AWS_SESSION_TOKEN"] = token
        self.environment = environment(**credentials, AWS_MAX_ATTEMPTS="1", AWS_PAGER="", PYTHONUTF8="1")

    def call(self, operation, **parameters):
        command = ["aws", "chime-sdk-messaging", operation.replace("_", "-"), *self.options]
        for name, value in parameters.items():
            option = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
            command += [f"-{option}", value]
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            intro = "An error occurred ("
            if intro not in done.stderr:
                raise AssertionError(done.stderr)
            raise Refused(done.stderr.split(intro)[1].split(")")[0])
        return json.loads(done.stdout)


MODELLED = {
    "BadRequestException",
    "ConflictException",
    "ForbiddenException",
    "NotFoundException",
    "ServiceFailureException",
    "ServiceUnavailableException",
    "ThrottledClientException",
    "UnauthorizedClientException",
}


# Errors that no request can cause. The sender of a message chooses one in its metadata.
CHOSEN = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "ServiceFailureException",
    "ServiceUnavailableException",
    "ThrottledClientException",
]


class Client:
    """One client of the fake Chime, and its checks."""

    def __init__(self, kind, at):
        self.kind, self.at = kind, at
        self.client = kind(at.chime)

    def send(self, client=None, by=None, metadata=None, token=None, content="hello", **flow):
        sent = (client or self.client).call(
            "send_channel_message",
            ChannelArn=self.at.channel,
            Content=content,
            Type="STANDARD",
            Persistence="PERSISTENT",
            ClientRequestToken=token or str(uuid.uuid4()),
            Metadata=metadata or json.dumps({"flow": flow}),
            ChimeBearer=by or self.at.alice,
        )
        equal(sent["ChannelArn"], self.at.channel)
        return sent

    def get_status(self, message, client=None, by=None, channel=None, **more):
        return (client or self.client).call(
            "get_channel_message_status",
            ChannelArn=channel or self.at.channel,
            MessageId=message,
            ChimeBearer=by or self.at.alice,
            **more,
        )["Status"]

    def sent_then_asked(self, flow, wanted):
        equal(self.get_status(self.send(**flow)["MessageId"]), wanted)

    def pending_until_sent(self):
        sent = self.send(outcome="SENT", afterMs=1500)
        equal(sent["Status"]["Value"], "PENDING")
        within(30, lambda: self.get_status(sent["MessageId"]) != {"Value": "PENDING"})
        equal(self.get_status(sent["MessageId"]), {"Value": "SENT"})

    def denied_is_not_kept(self):
        message = self.send(outcome="DENIED", afterMs=0)["MessageId"]
        refused("NotFoundException", self.get_status, message)

    def same_request_token(self):
        token = str(uuid.uuid4())
        once, again = self.send(token=token, outcome="PENDING"), self.send(token=token, outcome="PENDING")
        equal(again["MessageId"], once["MessageId"])
        refused("ConflictException", lambda: self.send(token=token, content="other", outcome="PENDING"))

    def refusals(self):
        """Name of the error, its cause, and the call that gets it."""
        at = self.at
        message = self.send(outcome="PENDING")["MessageId"]
        other = at.app_instance[:-1] + ("0" if at.app_instance[-1] != "0" else "1")
        someone = str(uuid.uuid4())

        def by(**how):
            return lambda: self.get_status(message, client=self.kind(at.chime, **how))

        def chosen(name):
            refused_message = self.send(outcome=name)["MessageId"]
            return name, "a message that was sent with this outcome", lambda: self.get_status(refused_message)

        return [
            *map(chosen, CHOSEN),
            ("NotFoundException", "an unknown message", lambda: self.get_status(someone)),
            ("NotFoundException", "another sub-channel", lambda: self.get_status(message, SubChannelId="s")),
            ("ForbiddenException", "another user's message", lambda: self.get_status(message, by=at.bob)),
            (
                "ForbiddenException",
                "another app instance's channel",
                lambda: self.get_status(message, channel=f"{other}/channel/chat-general"),
            ),
            ("UnauthorizedClientException", "a bearer that is not a user", lambda: self.get_status(message, by=at.channel)),
            ("UnauthorizedClientException", "a sender that is not a user", lambda: self.send(by=at.channel)),
            ("BadRequestException", "a malformed message id", lambda: self.get_status("a.b")),
            ("BadRequestException", "a malformed channel", lambda: self.get_status(message, channel="arn:aws:x")),
            ("BadRequestException", "a malformed bearer", lambda: self.get_status(message, by="alice")),
            ("BadRequestException", "an unknown flow", lambda: self.send(metadata='{"flow":{"outcome":"?"}}')),
            ("InvalidSignatureException", "a wrong secret", by(secret="wrong")),
            ("InvalidSignatureException", "another region", by(region="eu-central-1")),
            ("UnrecognizedClientException", "an unknown key", by(key="AKIDNOBODY")),
            ("UnrecognizedClientException", "an unknown session token", by(token="of-nobody")),
            ("MissingAuthenticationTokenException", "no signature", by(key=UNSIGNED)),
            (
                "UnknownOperationException",
                "an unknown operation",
                lambda: self.client.call("list_channels", AppInstanceArn=at.app_instance, ChimeBearer=at.alice),
            ),
        ]

    def check(self, checks):
        who = self.kind.__doc__.strip(".")
        for flow, wanted in [
            ({"outcome": "SENT", "afterMs": 0}, {"Value": "SENT"}),
            ({"outcome": "PENDING"}, {"Value": "PENDING"}),
            ({"outcome": "FAILED", "afterMs": 0, "detail": DETAIL}, {"Value": "FAILED", "Detail": DETAIL}),
        ]:
            checks.check(f"{who} sends, and gets {wanted['Value']}", self.sent_then_asked, flow, wanted)
        checks.check(f"{who} gets PENDING, then SENT", self.pending_until_sent)
        checks.check(f"{who} gets NotFoundException for a denied message", self.denied_is_not_kept)
        checks.check(f"{who} gets ConflictException for a request token used twice", self.same_request_token)
        for name, what, how in self.refusals():
            checks.check(f"{who} gets {name} for {what}", refused, name, how)


def refused(name, call, *arguments):
    try:
        response = call(*arguments)
    except Refused as refusal:
        equal(refusal.name, name)
    else:
        raise AssertionError(f"returned {response!r}, wanted {name}")


def unsigned_bearer(at, message):
    """boto3 with the bearer added after signing: a correct request, but the bearer is not signed."""
    boto = Boto3(at.chime)
    events, operation = boto.client.meta.events, "chime-sdk-messaging.GetChannelMessageStatus"

    def before_sign(request, **_):
        del request.headers["x-amz-chime-bearer"]

    def before_send(request, **_):
        request.headers["x-amz-chime-bearer"] = at.alice

    events.register(f"before-sign.{operation}", before_sign)
    events.register(f"before-send.{operation}", before_send)
    Client(Boto3, at).get_status(message, client=boto)


def broken_authorization(at, message):
    """boto3 with an Authorization header without its signature."""
    boto = Boto3(at.chime)

    def before_send(request, **_):
        whole = request.headers["Authorization"].decode()
        request.headers["Authorization"] = whole.split(", Signature=")[0]

    boto.client.meta.events.register("before-send.chime-sdk-messaging.GetChannelMessageStatus", before_send)
    Client(Boto3, at).get_status(message, client=boto)


def agree(at, flow, user, token, status, problem=None):
    """The CLI and our endpoint report the same about one message from Alice."""
    cli = Client(AwsCli, at)
    message = cli.send(**flow)["MessageId"]
    query = urllib.parse.urlencode({"channelArn": at.channel, "messageId": message})
    request = urllib.request.Request(
        f"{at.gateway}/message-status?{query}", headers={"authorization": f"Bearer {token}"}
    )
    try:
        printed = cli.get_status(message, by=user)
    except Refused as refusal:
        printed = refusal.name
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            received = response.status, json.load(response)
    except urllib.error.HTTPError as error:
        received = error.code, json.load(error)

    equal(printed, status)
    if problem:
        code, body = received
        equal((code, body["type"]), (404, f"urn:problem-type:message-status:{problem}"))
    else:
        ours = {"messageId": message, "status": printed["Value"]}
        if "Detail" in printed:
            ours["detail"] = printed["Detail"]
        equal(received, (200, ours))


def main(javascript=None):
    enter_environment()
    checks = Checks("AWS CLI, boto3 and our endpoint")
    with local() as at:
        for kind in (Boto3, AwsCli):
            Client(kind, at).check(checks)

        message = Client(Boto3, at).send(outcome="PENDING")["MessageId"]
        name = "InvalidSignatureException"
        checks.check(f"{name} for a bearer that is not signed", refused, name, unsigned_bearer, at, message)
        name = "IncompleteSignatureException"
        checks.check(f"{name} for an incomplete Authorization", refused, name, broken_authorization, at, message)

        for name, *case in [
            ("SENT", {"outcome": "SENT", "afterMs": 0}, at.alice, at.alice_token, {"Value": "SENT"}),
            ("PENDING", {"outcome": "PENDING"}, at.alice, at.alice_token, {"Value": "PENDING"}),
            (
                "FAILED",
                {"outcome": "FAILED", "afterMs": 0, "detail": DETAIL},
                at.alice,
                at.alice_token,
                {"Value": "FAILED", "Detail": DETAIL},
            ),
            (
                "a denied message",
                {"outcome": "DENIED", "afterMs": 0},
                at.alice,
                at.alice_token,
                "NotFoundException",
                "message-not-found",
            ),
            (
                "another user's message",
                {"outcome": "SENT", "afterMs": 0},
                at.bob,
                at.bob_token,
                "ForbiddenException",
                "message-not-found",
            ),
        ]:
            checks.check(f"our endpoint agrees with the AWS CLI about {name}", agree, at, *case)
        ended = checks.end()

        if javascript:
            variables = {
                "CHIME": at.chime,
                "CHANNEL_ARN": at.channel,
                "ALICE": at.alice,
                "BOB": at.bob,
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET,
            }
            command = ["node", f"{javascript}/check.mjs"]
            done = subprocess.run(command, env=environment(**variables), stdin=subprocess.DEVNULL, timeout=300)
            ended = ended or done.returncode
    return ended


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
