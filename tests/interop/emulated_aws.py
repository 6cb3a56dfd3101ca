"""The templates and the zip of a release in ministack, an emulator of AWS that needs no containers: sign a
user in, create the stack, call the API through its gateway, read the log, update, roll back, delete.

    emulated_aws.py [TEMPLATE...]            checks each template
    emulated_aws.py --stay [TEMPLATE]        creates one stack and keeps it until Ctrl-C

Needs `sam` and `ministack` on the path, and boto3; builds nothing but the fake Chime (`cargo run --example
local`), so run `scripts/release` first. What the emulator lacks is in `adapt`, below, and is printed
with the result.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_dump, yaml_parse

from harness import ROOT, SECRET, Checks, enter_environment, environment, equal, free_port, local, process, within
from check import Boto3, Client

REGION, ACCOUNT, STACK = "us-east-1", "111122223333", "message-status"
FUNCTION = "MessageStatusFunction"
RELEASE = ROOT / "target/release-files"
TEMPLATES = ["template.yaml", "rest-api.yaml", "managed-instances.yaml"]
PASSWORD = "Correct-horse-7"
PROBLEM = "urn:problem-type:message-status:"


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


# Types that the emulator does not know. A placeholder keeps the references to them.
UNKNOWN = ["AWS::EC2::EIP", "AWS::EC2::NatGateway", "AWS::Serverless::CapacityProvider"]


def adapt(template, chime):
    """Changes a template so the emulator can run it. Returns what the emulator lacks."""
    lacks = []
    resources = template["Resources"]
    function = resources[FUNCTION]["Properties"]
    # On AWS the endpoint is Chime's own.
    function["Environment"]["Variables"]["AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING"] = chime

    conditions = without_join(template["Conditions"])
    if conditions != template["Conditions"]:
        lacks.append("Fn::Join in conditions: they compare the parameter itself")
    template["Conditions"] = conditions

    if function.pop("DeploymentPreference", None):
        lacks.append("CodeDeploy: a new version gets all traffic at once")

    function.pop("CapacityProviderConfig", None)
    function.pop("FunctionScalingConfig", None)
    for name, resource in resources.items():
        if resource["Type"] in UNKNOWN:
            lacks.append(f"{resource['Type']}: {name} is a placeholder")
            resources[name] = {"Type": "AWS::CloudFormation::WaitConditionHandle"}

    metric_math = [name for name, alarm in of_type(template, "AWS::CloudWatch::Alarm") if first_metric(alarm)]
    if metric_math:
        lacks.append(f"metric math: {len(metric_math)} alarms watch their first metric only")
    return lacks


def of_type(template, kind):
    return [(name, one["Properties"]) for name, one in template["Resources"].items() if one["Type"] == kind]


def without_join(value):
    if isinstance(value, dict) and "Fn::Join" in value:
        return value["Fn::Join"][1]
    if isinstance(value, dict):
        return {key: without_join(member) for key, member in value.items()}
    return [without_join(member) for member in value] if isinstance(value, list) else value


def first_metric(alarm):
    """Reduces an alarm on metric math to its first metric. Other resources refer to it, so it has to exist."""
    metrics = [query["MetricStat"] for query in alarm.pop("Metrics", []) if "MetricStat" in query]
    if metrics:
        alarm |= metrics[0]["Metric"] | {"Statistic": "Sum", "Period": metrics[0]["Period"]}
    return bool(metrics)


class HttpApi:
    """An HTTP API with a JWT authorizer. The emulator ignores its body."""

    stage = ""
    lacks = ["the body of an HTTP API: API calls make its authorizer, integration and routes"]

    def __init__(self, logical_id, properties):
        self.logical_id = logical_id
        self.routes = [
            (method.upper(), path)
            for path, methods in properties["DefinitionBody"]["paths"].items()
            for method in methods
        ]

    @staticmethod
    def parameters(pool, client):
        return {"Issuer": f"https://cognito-idp.{REGION}.amazonaws.com/{pool}", "Audience": client}

    def complete(self, aws, stack, parameters):
        apis = aws.client("apigatewayv2")
        api = {"ApiId": stack.resource(self.logical_id)}
        authorizer = apis.create_authorizer(
            **api,
            Name="Jwt",
            AuthorizerType="JWT",
            IdentitySource=["$request.header.Authorization"],
            JwtConfiguration={"Issuer": parameters["Issuer"], "Audience": [parameters["Audience"]]},
        )
        integration = apis.create_integration(
            **api,
            IntegrationType="AWS_PROXY",
            IntegrationUri=stack.alias(),
            PayloadFormatVersion="2.0",
        )
        for method, path in self.routes:
            apis.create_route(
                **api,
                RouteKey=f"{method} {path}",
                Target=f"integrations/{integration['IntegrationId']}",
                AuthorizationType="JWT",
                AuthorizerId=authorizer["AuthorizerId"],
            )


class RestApi:
    """A REST API with a Cognito user pool."""

    stage = "/Prod"
    lacks = []

    def __init__(self, logical_id, _):
        self.logical_id = logical_id

    @staticmethod
    def parameters(pool, client):
        return {"UserPoolArn": f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{pool}"}

    def complete(self, aws, stack, parameters):
        """The emulator imports the body of a REST API."""


APIS = {"AWS::Serverless::HttpApi": HttpApi, "AWS::Serverless::Api": RestApi}


class Stack:
    """One deployment: `sam deploy`, and what the emulator knows about it."""

    def __init__(self, aws, folder, template, api):
        self.aws, self.folder, self.template, self.api = aws, folder, template, api
        self.functions = aws.client("lambda")

    def package(self):
        """The template as `sam package` writes it."""
        self.aws.client("s3").create_bucket(Bucket="artifacts")
        self.aws.run(
            *("sam", "package", "--template-file", self.template, "--s3-bucket", "artifacts"),
            *("--output-template-file", "packaged.yaml", "--no-progressbar"),
            folder=self.folder,
        )
        return yaml_parse((self.folder / "packaged.yaml").read_text())

    def deploy(self, **parameters):
        self.aws.run(
            *("sam", "deploy", "--template-file", self.template, "--stack-name", STACK, "--resolve-s3"),
            *("--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"),
            *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
            folder=self.folder,
        )

    def roll_back_to(self, version):
        """The command of the operations page."""
        self.aws.run(
            *("aws", "lambda", "update-alias", "--function-name", self.function()),
            *("--name", "live", "--function-version", version),
            folder=self.folder,
        )

    def delete(self):
        self.aws.run("sam", "delete", "--stack-name", STACK, "--no-prompts", "--region", REGION, folder=self.folder)

    def status(self):
        stacks = self.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return stacks[0]["StackStatus"]

    def resource(self, logical_id):
        details = self.aws.client("cloudformation").describe_stack_resource(
            StackName=STACK, LogicalResourceId=logical_id
        )
        return details["StackResourceDetail"]["PhysicalResourceId"]

    def function(self):
        return self.resource(FUNCTION)

    def alias(self):
        return self.functions.get_alias(FunctionName=self.function(), Name="live")["AliasArn"]

    def live_version(self):
        return self.functions.get_alias(FunctionName=self.function(), Name="live")["FunctionVersion"]

    def versions(self):
        listed = self.functions.list_versions_by_function(FunctionName=self.function())["Versions"]
        return [version["Version"] for version in listed if version["Version"] != "$LATEST"]

    def variable(self, name):
        """A variable of the version that takes the traffic."""
        live = self.functions.get_function_configuration(FunctionName=self.function(), Qualifier="live")
        return live["Environment"]["Variables"][name]

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
        self.aws, self.at = aws, at
        template = yaml_parse((folder / name).read_text())
        self.api = next(APIS[kind](*one) for kind in APIS for one in of_type(template, kind))
        self.lacks = adapt(template, at.chime) + self.api.lacks
        (folder / name).write_text(yaml_dump(template))
        self.stack = Stack(aws, folder, name, self.api)
        self.alice, self.stranger = User(aws, "alice"), User(aws, "stranger")
        self.sender, self.chime = Client(Boto3, at), Boto3(at.chime, key=ACCOUNT)
        self.parameters = {"AppInstanceArn": at.app_instance, **self.api.parameters(self.alice.pool, self.alice.client)}
        self.responses = []

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
        application = packaged["Metadata"]["AWS::ServerlessRepo::Application"]
        code = packaged["Resources"][FUNCTION]["Properties"]["CodeUri"]
        for uploaded in (code, application["LicenseUrl"], application["ReadmeUrl"]):
            equal(uploaded.startswith("s3://artifacts/"), True)

    def create(self):
        self.stack.deploy(**self.parameters)
        equal(self.stack.status(), "CREATE_COMPLETE")
        self.api.complete(self.aws, self.stack, self.parameters)

    def sent_message(self):
        message = self.message(outcome="SENT", afterMs=0)
        status, headers, body = self.call(message)
        equal((status, json.loads(body)), (200, {"messageId": message, "status": "SENT"}))
        equal(headers["cache-control"], "no-store")

    def head(self):
        status, _, body = self.call(self.message(outcome="SENT", afterMs=0), method="HEAD")
        equal((status, body), (200, ""))

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
        expected = sum(status != 401 for status, _, _ in self.responses)

        def written():
            records = [json.loads(line) for line in self.stack.log() if '"_aws"' in line]
            return records if len(records) >= expected else None

        records = within(20, written)
        equal(len(records), expected)
        equal({record["message"] for record in records}, {"request"})
        statuses = sorted(status for status, _, _ in self.responses if status != 401)
        equal(sorted(record["httpStatus"] for record in records), statuses)
        log = "\n".join(self.stack.log())
        for secret in (self.alice.token, self.alice.id, self.at.channel, SECRET):
            if secret in log:
                raise AssertionError(f"{secret} is in the log")

    def update_a_parameter(self):
        self.first_version = self.stack.live_version()
        before = self.stack.variable("MAX_WAIT_SECONDS")
        self.stack.deploy(**self.parameters, MaxWaitSeconds=1)
        equal(self.stack.status(), "UPDATE_COMPLETE")
        equal((before, self.stack.variable("MAX_WAIT_SECONDS")), ("20", "1"))
        if self.stack.live_version() == self.first_version:
            raise AssertionError("the alias still points to the first version")
        # Cut to a second: the message stays pending for longer than any wait.
        status, headers, body = self.call(self.message(outcome="PENDING"), wait=20)
        equal((status, json.loads(body)["status"]), (200, "PENDING"))
        equal(headers["retry-after"].isdigit(), True)

    def roll_back(self):
        if self.stack.template == "managed-instances.yaml":
            # The previous version is gone: it would keep its environments, and they are billed.
            self.stack.deploy(**self.parameters, MaxWaitSeconds=20)
        else:
            equal(self.first_version in self.stack.versions(), True)
            self.stack.roll_back_to(self.first_version)
            equal(self.stack.live_version(), self.first_version)
        equal(self.stack.variable("MAX_WAIT_SECONDS"), "20")
        self.sent_message()

    def delete(self):
        function = self.stack.function()
        self.stack.delete()
        try:
            self.stack.status()
        except ClientError as error:
            equal("does not exist" in str(error), True)
        else:
            raise AssertionError("the stack still exists")
        remaining = [one["FunctionName"] for one in self.stack.functions.list_functions()["Functions"]]
        equal(function in remaining, False)


LIFE = [
    ("sam package uploads the zip, the license and the README, without Rust", Scene.package),
    ("sam deploy creates the stack", Scene.create),
    ("GET: 200 with the status of a sent message", Scene.sent_message),
    ("HEAD: 200 without a body", Scene.head),
    ("GET with wait: 200 as soon as the message is sent", Scene.wait),
    ("POST: 200 with one result for each message", Scene.batch),
    ("no token: 401 from the gateway", Scene.no_token),
    ("a token of another user pool: 401 from the gateway", Scene.token_of_another_pool),
    ("another user's message: 404", Scene.message_of_another_user),
    ("an invalid message id: 400 that names the field", Scene.invalid_request),
    ("the log has one record for each request, and no secret", Scene.records),
    ("sam deploy updates one parameter: a new version takes the traffic", Scene.update_a_parameter),
    ("a rollback: the previous configuration takes the traffic", Scene.roll_back),
    ("sam delete removes the stack and its function", Scene.delete),
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
            checks.check(f"{template}: {name}", step, it)
            if step is Scene.create and checks.failed:
                break
        print("The emulator lacks:", *it.lacks, sep="\n  ")
    return checks.end()


def stay(template):
    """Creates one stack, and keeps it running to try it."""
    started = time.monotonic()
    with scene(template) as it:
        it.create()
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
    function, log_group = stack.function(), stack.resource("FunctionLogs")
    host = f"{stack.resource(it.api.logical_id)}.{aws.host}"
    variables = {name: value for name, value in aws.environment.items() if name.startswith("AWS_")}
    return [
        *(f"export {name}={value}" for name, value in sorted(variables.items())),
        f"TOKEN={it.alice.token}",
        f"CHANNEL={it.at.channel}",
        f"MESSAGE={it.message(outcome='SENT', afterMs=60_000)}",
        "",
        "# The status of a message that is sent after a minute. The request waits for it:",
        f"curl -isG {aws.endpoint}{it.api.stage}/message-status -H 'host: {host}' \\",
        '  -H "authorization: Bearer $TOKEN" -d channelArn=$CHANNEL -d messageId=$MESSAGE -d wait=20',
        "",
        "# The records of the requests:",
        f"aws logs filter-log-events --log-group-name {log_group} --query 'events[].message' --output text",
        "",
        "# The versions, and the one that takes the traffic:",
        f"aws lambda list-versions-by-function --function-name {function} --query 'Versions[].Version'",
        f"aws lambda get-alias --function-name {function} --name live --query FunctionVersion",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template", nargs="*", default=TEMPLATES)
    parser.add_argument("--stay", action="store_true")
    arguments = parser.parse_args()
    for command in ("sam", "ministack"):
        if not shutil.which(command):
            sys.exit(f"{command} is not on the path; docs/try-without-an-account.md shows how to install it")
    if not RELEASE.is_dir():
        sys.exit("There is no release yet; run scripts/release")
    enter_environment()
    if arguments.stay:
        return stay(arguments.template[0])
    return max(check(template) for template in arguments.template)


if __name__ == "__main__":
    sys.exit(main())
