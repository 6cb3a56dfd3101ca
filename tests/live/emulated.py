"""scripts/live-check without an account: against ministack, the fake Chime, and fake_chime.py between them.

    emulated.py                a run must see what recorded/fake.json has, and leave nothing; --keep must leave all
    emulated.py --record       writes tests/fakes/recorded/fake.json
    emulated.py --against FILE compares with the recording of a run on AWS
    emulated.py --interrupt    Ctrl-C after each call that creates something and while it deletes; failures

Needs `ministack` and what tests/interop/emulated_aws.py needs, and the files of a release (`scripts/release`).
"""

import argparse
import collections
import contextlib
import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import tempfile
import types
import urllib.parse

import fake_chime
from botocore.exceptions import ConnectionClosedError
from script import ROOT, live

sys.path.append(str(ROOT / "tests/interop"))

import emulated_aws  # noqa: E402
from harness import SECRET, Checks, enter_environment, equal, local, within  # noqa: E402


FAKE = ROOT / "tests/fakes/recorded/fake.json"
ACCOUNT, REGION = emulated_aws.ACCOUNT, emulated_aws.REGION
RECORDED = f"live-check-{REGION}.json"
# Operations whose IAM action has another name, or none: AWS does not check it.
ACTIONS = {
    ("apigatewayv2", "GetApi"): "apigateway:GET",
    ("cognito-idp", "InitiateAuth"): None,
    ("sts", "GetCallerIdentity"): None,
}
# Actions that a tag needs beside the call.
TAGGING = {"iam": "iam:TagRole", "s3": "s3:PutBucketTagging"}
# Rights that no call of a client shows: the WebSocket, the role of a new function, the code that CloudFormation reads.
NOT_CALLS = {"chime:Connect", "iam:PassRole", "s3:GetObject"}


class Emulated(live.Aws):
    """AWS as the emulator has it. Also records the calls."""

    def __init__(self, world, region, profile, after_call=None):
        super().__init__(region, profile)
        self.world, self.after_call, self.calls, self.secrets = world, after_call, [], [SECRET]

    def client(self, service, attempts=5):
        new = (service, attempts) not in self.clients
        client = super().client(service, attempts)
        if new:
            on = client.meta.events.register
            on("before-parameter-build", self.record)
            on("before-parameter-build.lambda.CreateFunction", self.point_to_the_fake)
            on("after-call.cognito-identity-provider.InitiateAuth", self.remember_tokens)
            on("after-call.cloudformation.DescribeStacks", self.import_the_body)
            on("after-call.logs.FilterLogEvents", self.add_reports)
            if self.after_call:
                on("after-call", self.after_call)
        return client

    def record(self, params, model, **_):
        service = model.service_model.endpoint_prefix
        prefix = "chime" if "chime" in service else model.service_model.signing_name
        name = ACTIONS.get((model.service_model.service_name, model.name), f"{prefix}:{model.name}")
        self.calls.append(name)
        self.secrets += [params["Password"]] if "Password" in params else []
        if model.name == "DeleteLogGroup":
            self.world.deleted_log_groups.add(params["logGroupName"])
        if {"Tags", "tags", "UserPoolTags", "Tagging"} & params.keys():
            self.calls.append(TAGGING.get(prefix, f"{prefix}:TagResource"))

    def remember_tokens(self, parsed, **_):
        self.secrets += [token for token in parsed["AuthenticationResult"].values() if isinstance(token, str)]

    def point_to_the_fake(self, params, **_):
        params["Environment"] = {"Variables": {"AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING": self.world.front.url}}

    def import_the_body(self, parsed, **_):
        """Makes the routes of an HTTP API, once: the emulator ignores its body."""
        stacks = parsed.get("Stacks", [])
        outputs = {one["OutputKey"]: one["OutputValue"] for one in (stacks[0].get("Outputs", []) if stacks else [])}
        if "ApiId" in outputs and outputs["ApiId"] not in self.world.apis:
            self.world.apis.add(outputs["ApiId"])
            given = {one["ParameterKey"]: one["ParameterValue"] for one in stacks[0]["Parameters"]}
            stack = types.SimpleNamespace(
                resource=lambda _: outputs["ApiId"], configuration=lambda: {"FunctionArn": outputs["FunctionArn"]}
            )
            emulated_aws.HttpApi.complete(self.world.aws, stack, given["Issuer"], given["Audience"])

    @staticmethod
    def add_reports(parsed, **_):
        """The emulator writes no reports of the platform, so these take their place."""
        cold = {"durationMs": 90.1, "initDurationMs": 54.2, "billedDurationMs": 145, "maxMemoryUsedMB": 22}
        warm = {"durationMs": 38.3, "billedDurationMs": 39, "maxMemoryUsedMB": 22}
        reports = [{"type": "platform.report", "record": {"metrics": metrics}} for metrics in (cold, *[warm] * 5)]
        parsed["events"] = [{"message": json.dumps(report)} for report in reports]

    def request(self, url, method, headers, body):
        parts = urllib.parse.urlsplit(url)
        api = parts.hostname.split(".")[0]
        headers = headers | {"host": f"{api}.{self.world.aws.host}"}
        return super().request(f"{self.world.aws.endpoint}{parts.path}?{parts.query}", method, headers, body)

    def connect(self, host):
        name, _, port = host.partition(":")
        return socket.create_connection((name, int(port)), timeout=10)


class World:
    """The emulators, and a release for them."""

    def __init__(self, aws, at, folder):
        self.aws, self.apis, self.deleted_log_groups = aws, set(), set()
        self.chime = fake_chime.Chime(at.chime, ACCOUNT, SECRET, aws.client("lambda"))
        self.front = fake_chime.Server(self.chime)
        self.folder = pathlib.Path(shutil.copytree(emulated_aws.RELEASE, folder / "release"))
        for service in fake_chime.SERVICES:
            aws.environment[f"AWS_ENDPOINT_URL_{service.replace('-', '_').upper()}"] = self.front.url
        os.environ |= {name: value for name, value in aws.environment.items() if name.startswith("AWS_")}
        self.lacks = []
        for name, change in (
            ("template.yaml", lambda template: emulated_aws.adapt(template, self.front.url, None)),
            ("monitoring.yaml", emulated_aws.adapt_alarms),
        ):
            template = emulated_aws.yaml_parse((self.folder / name).read_text())
            self.lacks += change(template)
            (self.folder / name).write_text(emulated_aws.yaml_dump(template))
        self.lacks += emulated_aws.HttpApi.lacks
        self.lacks.append("Lambda's reports: recorded ones take their place")
        self.lacks.append("rights of roles: a late line may bring back a log group that was deleted; it is not counted")

    def things(self):
        """Everything that a run could leave behind."""
        client = self.aws.client
        buckets = client("s3").list_buckets()["Buckets"]
        stacks = client("cloudformation").describe_stacks()["Stacks"]
        groups = {one["logGroupName"] for one in client("logs").describe_log_groups()["logGroups"]}
        pools = client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"]
        return {
            "app instances": list(self.chime.app_instances),
            "users": sorted(self.chime.users),
            "channels": [*self.chime.channels, *self.chime.flows],
            "buckets": [one["Name"] for one in buckets],
            "user pools": [one["Name"] for one in pools],
            "roles": [one["RoleName"] for one in client("iam").list_roles()["Roles"]],
            "functions": [one["FunctionName"] for one in client("lambda").list_functions()["Functions"]],
            "log groups": sorted(groups - self.deleted_log_groups),
            "topics": [one["TopicArn"] for one in client("sns").list_topics()["Topics"]],
            "alarms": [one["AlarmName"] for one in client("cloudwatch").describe_alarms()["MetricAlarms"]],
            "stacks": [one["StackName"] for one in stacks if one["StackStatus"] != "DELETE_COMPLETE"],
            "apis": [one["ApiId"] for one in client("apigatewayv2").get_apis()["Items"]],
        }

    def run(self, *options, after_call=None, fake=FAKE):
        """One run: its exit code, what it printed, and the client side of AWS."""
        printed, made = [], []

        def say(*words, end="\n", **_):
            print(*words, end=end, flush=True)
            printed.append(" ".join(map(str, words)) + end)

        def make_aws(region, profile):
            made.append(Emulated(self, region, profile, after_call))
            return made[0]

        code = live.main([str(self.folder), "--yes", "--region", REGION, *options], make_aws, say, fake)
        return code, "".join(printed), made[0]


@contextlib.contextmanager
def world():
    with (
        local(FAKE_CHIME_ACCESS_KEY_ID=ACCOUNT) as at,
        emulated_aws.emulator() as aws,
        tempfile.TemporaryDirectory() as folder,
    ):
        it = World(aws, at, pathlib.Path(folder))
        os.chdir(folder)
        with it.front:
            yield it


def policy_allows_the_calls(calls):
    policy = json.loads((ROOT / "scripts/live-check-policy.json").read_text())
    allowed = [action for statement in policy["Statement"] for action in statement["Action"]]
    equal([action for action, count in collections.Counter(allowed).items() if count > 1], [])
    equal(sorted(allowed), sorted({call for call in calls if call} | NOT_CALLS))


def nothing_secret_is_shown(printed, recorded, secrets):
    """Neither a token nor a password. What is recorded also has no id."""
    equal([secret for secret in secrets if secret in printed or secret in recorded], [])
    equal([pattern.findall(recorded) for pattern, _ in live.PATTERNS], [[]] * len(live.PATTERNS))


def one_run(it, checks, fake):
    before = it.things()
    code, printed, aws = it.run(fake=fake)
    recorded = pathlib.Path(RECORDED).read_text()
    print("\nThe emulator lacks:", *it.lacks, sep="\n  ")
    checks.check("each check sees what is recorded", equal, code, live.OK)
    checks.check("nothing is left", equal, it.things(), before)
    checks.check("the policy has the actions of the calls, and no other", policy_allows_the_calls, aws.calls)
    checks.check("no secret is printed, no id recorded", nothing_secret_is_shown, printed, recorded, aws.secrets)


FIRST_CHECK = "SendChannelMessage"
CREATING = ("Add", "Admin", "Associate", "Create", "Initiate", "Put", "Remove", "Send", "Update")


def interrupted(it, checks, what, interrupt, in_a_step, in_a_check):
    """Interrupted after the first call that creates something, after the second, and so on to the first check."""
    before, number, last = it.things(), 0, None
    while last != FIRST_CHECK:
        number += 1
        seen = []

        def after_call(model, **_):
            if model.name.startswith(CREATING):
                seen.append(model.name)
                if len(seen) == number:
                    interrupt()

        found, _, _ = it.run(after_call=after_call)
        last = seen[number - 1]
        code = in_a_check if last == FIRST_CHECK else in_a_step
        checks.check(f"{what} call {number}, {last}: the exit code", equal, found, code)
        checks.check(f"{what} call {number}, {last}: nothing is left", equal, it.things(), before)


def failing_stack(it, checks):
    """A resource that cannot be created: its reason is printed."""
    before, template = it.things(), (it.folder / "template.yaml").read_text()
    wrong = emulated_aws.yaml_parse(template)
    missing = {"Handle": "missing", "Timeout": "1"}
    wrong["Resources"]["Wrong"] = {"Type": "AWS::CloudFormation::WaitCondition", "Properties": missing}
    (it.folder / "template.yaml").write_text(emulated_aws.yaml_dump(wrong))
    code, printed, _ = it.run()
    (it.folder / "template.yaml").write_text(template)
    checks.check("a stack that fails: the exit code", equal, code, live.FAILED)
    checks.check("a stack that fails: the resource is named", equal, "\nWrong: " in printed, True)
    checks.check("a stack that fails: nothing is left", equal, it.things(), before)


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def lose_the_response():
    raise ConnectionClosedError(endpoint_url="the emulator's")


def left(it, checks, name, code, *options, signals):
    """A run that leaves something: the commands that it lists delete exactly that."""
    before = it.things()

    def after_call(model, **_):
        if model.name in signals:
            press_ctrl_c()

    found, printed, _ = it.run(*options, after_call=after_call)
    checks.check(f"{name}: the exit code", equal, found, code)
    checks.check(f"{name}: something is left", equal, it.things() == before, False)
    commands = printed[printed.index("export AWS_DEFAULT_REGION") :]
    checks.check(f"{name}: the listed commands run", functools.partial(it.aws.shell, commands, folder=it.folder))
    checks.check(f"{name}: they delete everything", within, 60, lambda: it.things() == before)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--against", type=pathlib.Path, default=FAKE)
    parser.add_argument("--interrupt", action="store_true")
    arguments = parser.parse_args()
    against = arguments.against.resolve()
    enter_environment()
    checks = Checks("live-check in the emulator")
    with world() as it:
        if arguments.interrupt:
            failing_stack(it, checks)
            interrupted(it, checks, "Ctrl-C after", press_ctrl_c, live.INTERRUPTED, live.INTERRUPTED)
            interrupted(it, checks, "the response is lost of", lose_the_response, live.FAILED, live.DIFFERENT)
            signals = (FIRST_CHECK, "DeleteStack")
            left(it, checks, "Ctrl-C, and again while it deletes", live.LEFT, signals=signals)
        elif arguments.record:
            it.run(fake=against)
            shutil.copy(RECORDED, FAKE)
            return 0
        else:
            one_run(it, checks, against)
            left(it, checks, "Ctrl-C with --keep", live.INTERRUPTED, "--keep", signals=(FIRST_CHECK,))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
