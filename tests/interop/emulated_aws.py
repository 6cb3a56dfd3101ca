"""The templates and the zip of a release in ministack, an emulator of AWS that needs no containers. Runs the commands of
docs/deploy.md and docs/operations.md as they are written: create the stack and its alarms, call the API as a signed-in
user, read the log, mitigate, deploy again, delete.

    emulated_aws.py [TEMPLATE...]            checks each template
    emulated_aws.py --stay [TEMPLATE]        creates one stack and keeps it until Ctrl-C

Needs `sam`, `aws` and `ministack` on the path, and boto3; builds nothing but the fake Chime (`cargo run --example
local`), so run `scripts/release` first. What the emulator lacks is in `adapt`, below, and is printed
with the result.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_dump, yaml_parse

from harness import ROOT, SECRET, Checks, enter_environment, environment, equal, free_port, local, process, within
from check import Boto3, Client

REGION, ACCOUNT, STACK = "us-east-1", "111122223333", "message-status"
FUNCTION = "MessageStatusFunction"
RELEASE = ROOT / "target/release-files"
TEMPLATES = ["template.yaml", "rest-api.yaml"]
PASSWORD = "Correct-horse-7"
PROBLEM = "urn:problem-type:message-status:"
ORIGIN = "https://chat.example.com"


def commands(page):
    """The shell commands of a page, by the heading before them."""
    found, heading = {}, ""
    text = (ROOT / "docs" / page).read_text()
    for title, code in re.findall(r"^#{2,3} ([^\n]+)$|^```sh\n(.*?)^```$", text, re.M | re.S):
        heading = title or heading
        if code:
            found.setdefault(heading, []).append(code)
    return found


def names_in(page, heading):
    """The names that the tables under a heading explain."""
    section = (ROOT / "docs" / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"`(\w+)`", "\n".join(row.split(" | ")[0] for row in section.splitlines() if row[:1] == "|")))


DEPLOY, RUNBOOK = commands("deploy.md"), commands("operations.md")


class Aws:
    """The running emulator: clients for its services, and the environment for commands that call it."""

    def __init__(self, port):
        self.endpoint = f"http://127.0.0.1:{port}"
        self.host = f"execute-api.localhost:{port}"
        # A release installs without Rust.
        without_rust = [folder for folder in os.get_exec_path() if not pathlib.Path(folder, "cargo").exists()]
        self.environment = environment(
            PATH=os.pathsep.join(without_rust),
            AWS_ENDPOINT_URL=self.endpoint,
            AWS_ACCESS_KEY_ID=ACCOUNT,
            AWS_SECRET_ACCESS_KEY=SECRET,
            AWS_DEFAULT_REGION=REGION,
            SAM_CLI_TELEMETRY="0",
        )

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60),
        )

    def run(self, *command, folder):
        done = subprocess.run(
            command,
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def shell(self, *code, folder):
        return self.run("bash", "-euo", "pipefail", "-c", "\n".join(code), folder=folder)


@contextlib.contextmanager
def emulator():
    """ministack on loopback. Its files are deleted afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory() as state:
        variables = environment(
            BIND_HOST="127.0.0.1",
            GATEWAY_PORT=str(port),
            MINISTACK_ACCOUNT_ID=ACCOUNT,
            MINISTACK_REGION=REGION,
            IOT_MTLS_ENABLED="0",
            SFTP_ENABLED="0",
            LOG_LEVEL="WARNING",
            TMPDIR=state,
            # Its functions sign with this secret. Their access key is the account's id.
            AWS_SECRET_ACCESS_KEY=SECRET,
        )
        with process(["ministack"], env=variables, cwd=state) as (started, written):

            def ready():
                if started.poll() is not None:
                    raise RuntimeError(f"no emulator:\n{written()}")
                with contextlib.suppress(OSError):
                    return urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=5)

            within(30, ready)
            yield Aws(port)


def adapt(template, chime, pool):
    """Changes a template so the emulator can run it. Returns what the emulator lacks."""
    lacks = []
    function = template["Resources"][FUNCTION]["Properties"]
    # On AWS the endpoint is Chime's own.
    function["Environment"]["Variables"]["AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING"] = chime
    conditions = without_join(template["Conditions"])
    if conditions != template["Conditions"]:
        lacks.append("Fn::Join in conditions: they compare the parameter itself")
    template["Conditions"] = conditions
    for _, api in of_type(template, "AWS::Serverless::Api"):
        # The emulator and cfn-lint do not know REST JWT authorizers yet. tests/deploy checks the body.
        lacks.append("JWT authorizers of REST APIs: a Cognito authorizer of the same user pool takes its place")
        scheme = api["DefinitionBody"]["components"]["securitySchemes"]["Jwt"]
        scheme["x-amazon-apigateway-authtype"] = "cognito_user_pools"
        scheme["x-amazon-apigateway-authorizer"] = {"type": "cognito_user_pools", "providerARNs": [pool]}
    return lacks


def adapt_alarms(template):
    """Reduces alarms on metric math to their first metric."""
    for _, alarm in of_type(template, "AWS::CloudWatch::Alarm"):
        metrics = [query["MetricStat"] for query in alarm.pop("Metrics", []) if "MetricStat" in query]
        if metrics:
            alarm |= metrics[0]["Metric"] | {"Statistic": "Sum", "Period": metrics[0]["Period"]}
    return ["metric math: such alarms watch their first metric only"]


def of_type(template, kind):
    return [(name, one["Properties"]) for name, one in template["Resources"].items() if one["Type"] == kind]


def without_join(value):
    if isinstance(value, dict) and "Fn::Join" in value:
        return value["Fn::Join"][1]
    if isinstance(value, dict):
        return {key: without_join(member) for key, member in value.items()}
    return [without_join(member) for member in value] if isinstance(value, list) else value


class HttpApi:
    """An HTTP API with a JWT authorizer. The emulator ignores its body."""

    stage, logical_id = "", "HttpApi"
    # The gateway answers preflights. The emulator ignores the body, which has the CORS configuration.
    not_checked = ("preflight",)
    lacks = ["the body of an HTTP API: API calls make its authorizer, integration and routes"]

    @staticmethod
    def complete(aws, stack, issuer, audience):
        apis = aws.client("apigatewayv2")
        api = {"ApiId": stack.resource("HttpApi")}
        authorizer = apis.create_authorizer(
            **api,
            Name="Jwt",
            AuthorizerType="JWT",
            IdentitySource=["$request.header.Authorization"],
            JwtConfiguration={"Issuer": issuer, "Audience": [audience]},
        )
        integration = apis.create_integration(
            **api,
            IntegrationType="AWS_PROXY",
            IntegrationUri=stack.configuration()["FunctionArn"],
            PayloadFormatVersion="2.0",
        )
        for method in ("GET", "POST"):
            apis.create_route(
                **api,
                RouteKey=f"{method} /message-status",
                Target=f"integrations/{integration['IntegrationId']}",
                AuthorizationType="JWT",
                AuthorizerId=authorizer["AuthorizerId"],
            )


class RestApi:
    """A REST API. The emulator imports its body."""

    stage, logical_id = "/Prod", "RestApi"
    not_checked = ("shed_load",)
    lacks = ["throttles of a stage that CloudFormation made: the command to shed load is not run"]

    @staticmethod
    def complete(aws, stack, issuer, audience):
        """Nothing is left to do."""


class Stack:
    """One deployment, by the commands of the pages, and what the emulator knows about it."""

    def __init__(self, aws, folder, api, values):
        self.aws, self.folder, self.api = aws, folder, api
        self.functions = aws.client("lambda")
        # The reader sets these values; the page has examples.
        self.values = "\n".join(f"{name}={value}" for name, value in values.items())

    def package(self):
        """The template as `sam package` writes it."""
        self.aws.client("s3").create_bucket(Bucket="artifacts")
        self.aws.run(
            *("sam", "package", "--template-file", "template.yaml", "--s3-bucket", "artifacts"),
            *("--output-template-file", "packaged.yaml", "--no-progressbar"),
            folder=self.folder,
        )
        return yaml_parse((self.folder / "packaged.yaml").read_text())

    def deploy(self, more=""):
        [_, command] = DEPLOY["First deployment"]
        return self.aws.shell(self.values, command.rstrip("\n") + more, folder=self.folder)

    def watch(self):
        [command] = DEPLOY["Alarms"]
        if self.api is RestApi:
            command = command.replace('Api="$(output ApiId)"', f"Api={STACK} ApiType=REST")
        return self.aws.shell(self.values, command, folder=self.folder)

    def mitigate(self, heading, number=0, line=None, **values):
        """One block of commands of the runbook, or one line of it, with the placeholders filled in."""
        code = RUNBOOK[heading][number]
        for name, value in values.items():
            code = code.replace(name, value)
        code = code if line is None else code.splitlines()[line]
        [setup] = RUNBOOK["Before you need it"]
        return self.aws.shell(setup, code, folder=self.folder)

    def delete(self):
        for name in (f"{STACK}-monitoring", STACK):
            self.aws.run("sam", "delete", "--stack-name", name, "--no-prompts", "--region", REGION, folder=self.folder)

    def describe(self, name=STACK):
        return self.aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]

    def resource(self, logical_id):
        details = self.aws.client("cloudformation").describe_stack_resource(
            StackName=STACK, LogicalResourceId=logical_id
        )
        return details["StackResourceDetail"]["PhysicalResourceId"]

    def configuration(self):
        return self.functions.get_function_configuration(FunctionName=self.resource(FUNCTION))

    def variable(self, name):
        return self.configuration()["Environment"]["Variables"][name]

    def log(self):
        """What the function has written."""
        logs = self.aws.client("logs")
        group = self.resource("FunctionLogs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]

    def call(self, method="GET", path="/message-status", token=None, body=None, headers=(), **query):
        """Status code, headers and body of one request through the gateway."""
        url = f"{self.aws.endpoint}{self.api.stage}{path}"
        if query:
            url += f"?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, method=method, headers=dict(headers))
        request.add_header("host", f"{self.resource(self.api.logical_id)}.{self.aws.host}")
        if token:
            request.add_header("authorization", f"Bearer {token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=40) as response:
                return response.status, response.headers, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()


class User:
    """A user of a Cognito user pool, signed in."""

    def __init__(self, aws, name):
        cognito = aws.client("cognito-idp")
        self.pool = cognito.create_user_pool(PoolName=f"pool-of-{name}")["UserPool"]["Id"]
        client = cognito.create_user_pool_client(
            UserPoolId=self.pool, ClientName="app", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )
        self.client = client["UserPoolClient"]["ClientId"]
        user = cognito.admin_create_user(UserPoolId=self.pool, Username=name, MessageAction="SUPPRESS")
        self.id = next(a["Value"] for a in user["User"]["Attributes"] if a["Name"] == "sub")
        cognito.admin_set_user_password(UserPoolId=self.pool, Username=name, Password=PASSWORD, Permanent=True)
        tokens = cognito.initiate_auth(
            ClientId=self.client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD},
        )
        self.token = tokens["AuthenticationResult"]["IdToken"]


class Scene:
    """A stack, the user who calls it, and the messages of that user and of others."""

    def __init__(self, aws, at, folder, name):
        self.aws, self.at, self.folder = aws, at, folder
        self.alice, self.stranger = User(aws, "alice"), User(aws, "stranger")
        self.sender, self.chime = Client(Boto3, at), Boto3(at.chime, key=ACCOUNT)
        self.responses = []
        self.api = {"template.yaml": HttpApi, "rest-api.yaml": RestApi}[name]
        pool = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{self.alice.pool}"
        self.issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{self.alice.pool}"
        template = yaml_parse((folder / name).read_text())
        monitoring = yaml_parse((folder / "monitoring.yaml").read_text())
        self.lacks = adapt(template, at.chime, pool) + adapt_alarms(monitoring) + self.api.lacks
        # As in the root of the repository after `sam build`.
        (folder / "template.yaml").write_text(yaml_dump(template))
        (folder / "deploy").mkdir()
        (folder / "deploy/monitoring.yaml").write_text(yaml_dump(monitoring))
        topic = aws.client("sns").create_topic(Name="on-call")["TopicArn"]
        self.stack = Stack(
            aws,
            folder,
            self.api,
            {
                "INSTANCE_ARN": at.app_instance,
                "ISSUER": self.issuer,
                "AUDIENCE": self.alice.client,
                "ALARM_TOPIC_ARN": topic,
            },
        )

    def message(self, by=None, **flow):
        by = by or f"{self.at.app_instance}/user/{self.alice.id}"
        return self.sender.send(client=self.chime, by=by, **flow)["MessageId"]

    def call(self, message=None, **options):
        options = {"token": self.alice.token} | options
        if message:
            options |= {"channelArn": self.at.channel, "messageId": message}
        response = self.stack.call(**options)
        self.responses.append(response)
        return response

    # The life of a stack, in the order in which the checks run.

    def package(self):
        """What `sam publish` needs, and no Rust on the path."""
        packaged = self.stack.package()
        code = packaged["Resources"][FUNCTION]["Properties"]["CodeUri"]
        application = packaged.get("Metadata", {}).get("AWS::ServerlessRepo::Application", {})
        documents = [application[file] for file in ("LicenseUrl", "ReadmeUrl") if application]
        for uploaded in (code, *documents):
            equal(uploaded.startswith("s3://artifacts/"), True)

    def create(self):
        self.stack.deploy()
        equal(self.stack.describe()["StackStatus"], "CREATE_COMPLETE")
        self.api.complete(self.aws, self.stack, self.issuer, self.alice.client)
        equal(self.stack.variable("TOKEN_ISSUER"), self.issuer)

    def watch(self):
        self.stack.watch()
        equal(self.stack.describe(f"{STACK}-monitoring")["StackStatus"], "CREATE_COMPLETE")
        alarms = self.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
        equal(len(alarms), 12)
        ours = [a for a in alarms if a["Namespace"] == "ChimeMessageStatus"]
        function = {"Name": "FunctionName", "Value": self.stack.resource(FUNCTION)}
        equal([a["Dimensions"] for a in ours], [[function]] * len(ours))

    def sent_message(self):
        message = self.message(outcome="SENT", afterMs=0)
        status, headers, body = self.call(message)
        equal((status, json.loads(body)), (200, {"messageId": message, "status": "SENT"}))
        equal(headers["cache-control"], "no-store")

    def preflight(self):
        self.stack.deploy(f" AllowedOrigins={ORIGIN}")
        asked = {"origin": ORIGIN, "access-control-request-method": "GET"}
        status, headers, _ = self.call(method="OPTIONS", headers=asked, token=None)
        equal((status, headers["access-control-allow-origin"]), (204, ORIGIN))

    def wait(self):
        message = self.message(outcome="SENT", afterMs=700)
        status, _, body = self.call(message, wait=10)
        equal((status, json.loads(body)), (200, {"messageId": message, "status": "SENT"}))

    def batch(self):
        sent = self.message(outcome="SENT", afterMs=0)
        pending = self.message(outcome="PENDING")
        messages = [{"channelArn": self.at.channel, "messageId": message} for message in (sent, pending)]
        status, headers, body = self.call(method="POST", body={"messages": messages})
        equal(status, 200)
        results = [(result["messageId"], result["status"]) for result in json.loads(body)["results"]]
        equal(results, [(sent, "SENT"), (pending, "PENDING")])

    def no_token(self):
        equal(self.call(self.message(outcome="SENT", afterMs=0), token=None)[0], 401)

    def token_of_another_pool(self):
        equal(self.call(self.message(outcome="SENT", afterMs=0), token=self.stranger.token)[0], 401)

    def message_of_another_user(self):
        status, headers, body = self.call(self.message(by=self.at.bob, outcome="SENT", afterMs=0))
        equal((status, json.loads(body)["type"]), (404, f"{PROBLEM}message-not-found"))
        equal(headers["content-type"], "application/problem+json")

    def invalid_request(self):
        status, _, body = self.call(messageId="no spaces, please", channelArn=self.at.channel)
        equal((status, json.loads(body)["errors"][0]["field"]), (400, "messageId"))

    def records(self):
        """One for each request that came through the authorizer, and no secret in any of them."""
        by_function = [status for status, _, _ in self.responses if status != 401]
        expected = len(by_function)

        def written():
            records = [json.loads(line) for line in self.stack.log() if '"_aws"' in line]
            return records if len(records) >= expected else None

        records = within(20, written)
        equal(len(records), expected)
        equal({record["message"] for record in records}, {"request"})
        explained = names_in("operations.md", "Metrics") | names_in("operations.md", "Record of a request")
        equal({member for record in records for member in record} - explained, set())
        equal(sorted(record["httpStatus"] for record in records), sorted(by_function))
        log = "\n".join(self.stack.log())
        for secret in (self.alice.token, self.alice.id, self.at.channel, SECRET):
            if secret in log:
                raise AssertionError(f"{secret} is in the log")

    def roll_back(self):
        """The zip of the previous release takes the traffic."""
        [release] = self.folder.glob("*.zip")
        shutil.copy(release, self.folder / "previous.zip")
        with zipfile.ZipFile(self.folder / "previous.zip", "a") as archive:
            archive.writestr("previous", "")
        before = self.stack.configuration()["CodeSha256"]
        self.stack.mitigate("Roll back", **{"PREVIOUS.zip": "previous.zip"})
        equal(self.stack.configuration()["CodeSha256"] != before, True)
        self.sent_message()

    def turn_waiting_off(self):
        self.stack.mitigate("Turn waiting off")
        equal(self.stack.variable("MAX_WAIT_SECONDS"), "0")
        equal(self.stack.variable("TOKEN_ISSUER"), self.issuer)
        # At once, although the message stays pending.
        status, headers, body = self.call(self.message(outcome="PENDING"), wait=20)
        equal((status, json.loads(body)["status"], headers["retry-after"].isdigit()), (200, "PENDING", True))

    def bound_the_function(self):
        function = {"FunctionName": self.stack.resource(FUNCTION)}
        self.stack.mitigate("Bound the function", line=0)
        concurrency = self.stack.functions.get_function_concurrency(**function)
        equal(concurrency["ReservedConcurrentExecutions"], 50)
        self.stack.mitigate("Bound the function", line=1)
        equal("ReservedConcurrentExecutions" in self.stack.functions.get_function_concurrency(**function), False)

    def shed_load(self):
        self.stack.mitigate("Shed load")
        api = {"ApiId": self.stack.resource("HttpApi"), "StageName": "$default"}
        settings = self.aws.client("apigatewayv2").get_stage(**api)["DefaultRouteSettings"]
        equal((int(settings["ThrottlingRateLimit"]), int(settings["ThrottlingBurstLimit"])), (5, 5))

    def deploy_again(self):
        self.stack.deploy(" MaxWaitSeconds=1")
        equal(self.stack.describe()["StackStatus"], "UPDATE_COMPLETE")
        equal(self.stack.variable("MAX_WAIT_SECONDS"), "1")
        self.sent_message()

    def delete(self):
        function = self.stack.resource(FUNCTION)
        self.stack.delete()
        try:
            self.stack.describe()
        except ClientError as error:
            equal("does not exist" in str(error), True)
        else:
            raise AssertionError("the stack still exists")
        remaining = [one["FunctionName"] for one in self.stack.functions.list_functions()["Functions"]]
        equal(function in remaining, False)


LIFE = [
    ("sam package uploads the zip and the documents, without Rust", Scene.package),
    ("the first deployment creates the stack", Scene.create),
    ("the second command creates alarms for the function", Scene.watch),
    ("GET: 200 with the status of a sent message", Scene.sent_message),
    ("GET with wait: 200 as soon as the message is sent", Scene.wait),
    ("POST: 200 with one result for each message", Scene.batch),
    ("no token: 401 from the gateway", Scene.no_token),
    ("a token of another user pool: 401 from the gateway", Scene.token_of_another_pool),
    ("another user's message: 404", Scene.message_of_another_user),
    ("an invalid message id: 400 that names the field", Scene.invalid_request),
    ("a preflight: 204 with the allowed origin", Scene.preflight),
    ("the log has one record for each request, and no secret", Scene.records),
    ("runbook: roll back", Scene.roll_back),
    ("runbook: turn waiting off", Scene.turn_waiting_off),
    ("runbook: bound the function", Scene.bound_the_function),
    ("runbook: shed load", Scene.shed_load),
    ("the next deployment works after all of that", Scene.deploy_again),
    ("sam delete removes both stacks and the function", Scene.delete),
]


@contextlib.contextmanager
def scene(template):
    """A copy of the release, an emulator for it, and a fake Chime."""
    with (
        local(FAKE_CHIME_ACCESS_KEY_ID=ACCOUNT) as at,
        emulator() as aws,
        tempfile.TemporaryDirectory() as folder,
    ):
        folder = shutil.copytree(RELEASE, pathlib.Path(folder) / "release")
        yield Scene(aws, at, folder, template)


def check(template):
    checks = Checks(f"{template} in the emulator")
    with scene(template) as it:
        for name, step in LIFE:
            if step.__name__ in it.api.not_checked:
                continue
            checks.check(f"{template}: {name}", step, it)
            if step is Scene.create and checks.failed:
                break
        print(f"{template}: the emulator lacks", *it.lacks, sep="\n  ")
    return checks.end()


def stay(template):
    """Creates one stack, and keeps it running to try it."""
    started = time.monotonic()
    with scene(template) as it:
        it.create()
        it.watch()
        it.sent_message()
        print(f"\nThe stack {STACK} is up after {time.monotonic() - started:.0f} s. Ctrl-C ends everything.")
        print("\nPaste these into another terminal:\n", *guide(it), sep="\n")
        print("\nThe emulator lacks:", *it.lacks, sep="\n  ", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def guide(it):
    """Commands against the running stack."""
    aws, stack = it.aws, it.stack
    log_group = stack.resource("FunctionLogs")
    host = f"{stack.resource(it.api.logical_id)}.{aws.host}"
    variables = {name: value for name, value in aws.environment.items() if name.startswith("AWS_")}
    return [
        *(f"export {name}={value}" for name, value in sorted(variables.items())),
        f"TOKEN={it.alice.token}",
        f"CHANNEL={it.at.channel}",
        "",
        "# A message that is sent after ten seconds, and a request that waits for it:",
        f"MESSAGE=$(aws chime-sdk-messaging send-channel-message --endpoint-url {it.at.chime} --channel-arn $CHANNEL \\",
        f"  --chime-bearer {it.at.app_instance}/user/{it.alice.id} --content hello --type STANDARD \\",
        '  --persistence PERSISTENT --metadata \'{"flow": {"outcome": "SENT", "afterMs": 10000}}\' \\',
        "  --query MessageId --output text)",
        f"curl -isG {aws.endpoint}{it.api.stage}/message-status -H 'host: {host}' \\",
        '  -H "authorization: Bearer $TOKEN" -d channelArn=$CHANNEL -d messageId=$MESSAGE -d wait=20',
        "",
        "# The records of the requests:",
        f"aws logs filter-log-events --log-group-name {log_group} --query 'events[].message' --output text",
        "",
        "# The alarms:",
        "aws cloudwatch describe-alarms --query 'MetricAlarms[].[AlarmName,StateValue]' --output text",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template", nargs="*", default=TEMPLATES)
    parser.add_argument("--stay", action="store_true")
    arguments = parser.parse_args()
    for command in ("sam", "aws", "ministack"):
        if not shutil.which(command):
            sys.exit(f"{command} is not on the path; docs/try-without-an-account.md shows how to install it")
    if not RELEASE.is_dir():
        sys.exit("There is no release yet; run scripts/release")
    enter_environment()
    if arguments.stay:
        return stay(arguments.template[0])
    # Each has its own emulator, and mostly waits for it.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return max(pool.map(check, arguments.template))


if __name__ == "__main__":
    sys.exit(main())
