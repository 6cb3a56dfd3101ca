"""What the fake Chime of `tests/fakes` lacks, in front of it: app instances, users, channels and channel flows.

Each request is read by botocore's own description of the service, and requests and responses are validated with it.
Calls about messages go on to the fake Chime, signed anew. A message waits there until its processor, a real function
in the emulator of AWS, calls back.
"""

import collections
import http.server
import itertools
import json
import re
import threading
import time
import urllib.parse
import urllib.request
import uuid

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

SERVICES = ("chime-sdk-identity", "chime-sdk-messaging")
FORWARDED = {
    "DeleteChannelMessage",
    "GetChannelMessage",
    "GetChannelMessageStatus",
    "GetMessagingSessionEndpoint",
    "RedactChannelMessage",
    "SendChannelMessage",
    "UpdateChannelMessage",
}
# Of one user, in one second.
QUOTA = 10
STATUS_CODES = {"BadRequestException": 400, "ForbiddenException": 403, "NotFoundException": 404}


class Refused(Exception):
    """An error of Chime: its name and text."""


class Api:
    """The operations of both services, as botocore describes them."""

    def __init__(self):
        session = botocore.session.get_session()
        models = [session.get_service_model(service) for service in SERVICES]
        self.operations = []
        for model, name in ((model, name) for model in models for name in model.operation_names):
            operation = model.operation_model(name)
            path, _, query = operation.http["requestUri"].partition("?")
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
            fixed = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
            self.operations.append((len(fixed), operation, pattern, fixed))
        # Those with a fixed query first: others have the same path.
        self.operations.sort(key=lambda one: -one[0])

    def read(self, method, target, headers, body):
        """The operation that a request calls, and its parameters."""
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        for _, operation, pattern, fixed in self.operations:
            found = pattern.fullmatch(path)
            if found and operation.http["method"] == method and fixed.items() <= query.items():
                rest = {name: value for name, value in query.items() if name not in fixed}
                parameters = self.parameters(operation, found, rest, headers, json.loads(body or "{}"))
                validate(parameters, operation.input_shape)
                return operation, parameters
        raise Refused("BadRequestException", f"{method} {path} is not an operation")

    @staticmethod
    def parameters(operation, path, query, headers, body):
        parameters = {}
        for name, shape in operation.input_shape.members.items():
            place, key = shape.serialization.get("location"), shape.serialization.get("name", name)
            if place == "uri":
                parameters[name] = urllib.parse.unquote(path[key])
            elif place == "header" and headers.get(key):
                parameters[name] = headers[key]
            elif place == "querystring" and key in query:
                value = query.pop(key)
                parameters[name] = int(value) if shape.type_name == "integer" else value
            elif place is None and key in body:
                parameters[name] = body.pop(key)
        if query or body:
            raise Refused("BadRequestException", f"{operation.name} has no {', '.join([*query, *body])}")
        return parameters


def validate(parameters, shape):
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise Refused("BadRequestException", report.generate_report())


class Chime:
    """Everything that the operations change, and the operations."""

    def __init__(self, url, key, secret, functions):
        self.url, self.credentials, self.functions = url, Credentials(key, secret), functions
        self.app_instances, self.users, self.flows, self.channels = {}, set(), {}, {}
        self.callbacks, self.calls = {}, collections.defaultdict(collections.deque)
        self.numbers, self.lock = itertools.count(1), threading.Lock()

    # chime-sdk-identity and the channels.

    def create_app_instance(self, Name, **_):
        arn = f"arn:aws:chime:us-east-1:111122223333:app-instance/{uuid.uuid4()}"
        self.app_instances[arn] = Name
        return {"AppInstanceArn": arn}

    def list_app_instances(self, **_):
        listed = [{"AppInstanceArn": arn, "Name": name} for arn, name in self.app_instances.items()]
        return {"AppInstances": listed}

    def delete_app_instance(self, AppInstanceArn):
        self.require(self.app_instances, AppInstanceArn)
        del self.app_instances[AppInstanceArn]
        for things in (self.flows, self.channels):
            for arn in [arn for arn in things if arn.startswith(AppInstanceArn)]:
                del things[arn]
        self.users = {arn for arn in self.users if not arn.startswith(AppInstanceArn)}

    def create_app_instance_user(self, AppInstanceArn, AppInstanceUserId, **_):
        self.require(self.app_instances, AppInstanceArn)
        self.users.add(arn := f"{AppInstanceArn}/user/{AppInstanceUserId}")
        return {"AppInstanceUserArn": arn}

    def create_app_instance_admin(self, AppInstanceArn, AppInstanceAdminArn):
        self.require(self.users, AppInstanceAdminArn)
        return {"AppInstanceArn": AppInstanceArn, "AppInstanceAdmin": {"Arn": AppInstanceAdminArn}}

    def create_channel_flow(self, AppInstanceArn, Processors, **_):
        self.require(self.app_instances, AppInstanceArn)
        arn = f"{AppInstanceArn}/channel-flow/{uuid.uuid4()}"
        self.flows[arn] = Processors[0]["Configuration"]["Lambda"]["ResourceArn"]
        return {"ChannelFlowArn": arn}

    def create_channel(self, AppInstanceArn, ChannelId, ChimeBearer, **_):
        self.require(self.users, ChimeBearer)
        self.channels[arn := f"{AppInstanceArn}/channel/{ChannelId}"] = None
        return {"ChannelArn": arn}

    def create_channel_membership(self, ChannelArn, MemberArn, **_):
        self.require(self.channels, ChannelArn)
        self.require(self.users, MemberArn)
        return {"ChannelArn": ChannelArn, "Member": {"Arn": MemberArn}}

    def associate_channel_flow(self, ChannelArn, ChannelFlowArn, **_):
        self.require(self.channels, ChannelArn)
        self.require(self.flows, ChannelFlowArn)
        self.channels[ChannelArn] = self.flows[ChannelFlowArn]

    def channel_flow_callback(self, CallbackId, ChannelArn, ChannelMessage, DeleteResource=False):
        self.require(self.callbacks, CallbackId)
        self.decide(self.callbacks.pop(CallbackId), "DENIED" if DeleteResource else "SENT")
        return {"ChannelArn": ChannelArn, "CallbackId": CallbackId}

    @staticmethod
    def require(things, arn):
        if arn not in things:
            raise Refused("NotFoundException", f"{arn} does not exist")

    # Messages.

    def forward(self, operation, parameters, method, target, body):
        """The fake Chime's own response."""
        bearer = parameters.get("ChimeBearer")
        if bearer and self.is_over_quota(bearer):
            throttled = self.send_for(bearer, "ThrottledClientException")
            method, body, target = "GET", b"", f"{throttled}?scope=message-status"
        elif bearer and bearer not in self.users:
            # The fake Chime knows every well-formed user, so it gets the ARN of something else.
            bearer = next(iter(self.channels))
        elif operation in ("SendChannelMessage", "UpdateChannelMessage"):
            body = json.dumps(json.loads(body) | {"Metadata": flow("PENDING")}).encode()
        status, headers, answer = self.call(method, target, body, bearer)
        if status < 300 and operation in ("SendChannelMessage", "UpdateChannelMessage"):
            message = parameters | json.loads(answer)
            threading.Thread(target=self.process, args=(message,), daemon=True).start()
        return status, headers, answer

    def is_over_quota(self, bearer):
        with self.lock:
            recent, now = self.calls[bearer], time.monotonic()
            while recent and recent[0] < now - 1:
                recent.popleft()
            if len(recent) >= QUOTA:
                return True
            recent.append(now)
            return False

    def send_for(self, bearer, outcome):
        """The path of a message with a fixed outcome."""
        channel = urllib.parse.quote(next(iter(self.channels)), safe="")
        body = {"Content": "-", "Type": "STANDARD", "Persistence": "PERSISTENT", "Metadata": flow(outcome)}
        body["ClientRequestToken"] = str(uuid.uuid4())
        sent = self.call("POST", f"/channels/{channel}/messages", json.dumps(body).encode(), bearer)
        return f"/channels/{channel}/messages/{json.loads(sent[2])['MessageId']}"

    def process(self, message):
        """Calls the processor, if Chime may call it."""
        function = self.channels[message["ChannelArn"]]
        try:
            allowed = "messaging.chime.amazonaws.com" in self.functions.get_policy(FunctionName=function)["Policy"]
        except ClientError:
            allowed = False
        if not allowed:
            self.decide(message["MessageId"], "FAILED")
            return
        callback = f"{next(self.numbers):032}"
        self.callbacks[callback] = message["MessageId"]
        names = ("MessageId", "ChannelArn", "Content", "Metadata")
        event = {name: message[name] for name in names if name in message}
        event = {"EventType": "CHANNEL_MESSAGE_EVENT", "CallbackId": callback, "ChannelMessage": event}
        self.functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))

    def decide(self, message, status):
        body = json.dumps({"messageId": message, "status": status}).encode()
        self.send(urllib.request.Request(f"{self.url}/test/decide", body, method="POST"))

    def call(self, method, target, body, bearer):
        headers = {"x-amz-chime-bearer": bearer} if bearer else {}
        headers |= {"content-type": "application/json"} if body else {}
        signed = AWSRequest(method, self.url + target, headers, body)
        SigV4Auth(self.credentials, "chime", "us-east-1").add_auth(signed)
        return self.send(urllib.request.Request(self.url + target, body or None, dict(signed.headers), method=method))

    @staticmethod
    def send(request):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()


def flow(result):
    """The metadata by which the fake Chime lets a sender choose the outcome."""
    return json.dumps({"flow": {"outcome": result}})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api, chime = Api(), None

    def respond(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            operation, parameters = self.api.read(self.command, self.path, self.headers, body)
            if operation.name in FORWARDED:
                status, headers, answer = self.chime.forward(operation.name, parameters, self.command, self.path, body)
            else:
                result = getattr(self.chime, botocore.xform_name(operation.name))(**parameters)
                if operation.output_shape:
                    validate(result, operation.output_shape)
                status, headers = operation.http.get("responseCode", 200), {"content-type": "application/json"}
                answer = json.dumps(result).encode() if result else b""
        except Refused as refused:
            name, text = refused.args
            status, headers = STATUS_CODES[name], {"content-type": "application/json", "x-amzn-ErrorType": name}
            answer = json.dumps({"Code": name, "Message": text}).encode()
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = respond

    def log_message(self, *_):
        """Nothing: the runs print enough."""


class Server:
    """The front, on a free port of loopback."""

    def __init__(self, chime):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"chime": chime}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
