"""Cold starts of a function on real Lambda: deployment, forced cold starts, their figures, clean-up."""

import base64
import dataclasses
import io
import itertools
import json
import math
import re
import time
import zipfile

# Of the sample event. Chime refuses a call about it, so the account needs no app instance.
APP_INSTANCE = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
LOGS_POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
# IAM needs some seconds before Lambda can assume a new role.
ROLE_ATTEMPTS, ROLE_PAUSE = 12, 5
FIELDS = {
    "duration": r"\tDuration: ([\d.]+) ms",
    "init_duration": r"\tInit Duration: ([\d.]+) ms",
    "memory_used": r"\tMax Memory Used: (\d+) MB",
}

@dataclasses.dataclass(frozen=True)
class Report:
    """Lambda's REPORT line of one invocation: milliseconds and megabytes."""

    duration: float
    memory_used: float
    #: None where the environment existed already.
    init_duration: float | None = None


def parse_report(log):
    """The REPORT line in the tail of a log."""
    for line in log.splitlines():
        if line.startswith("REPORT RequestId:"):
            found = {name: re.search(pattern, line) for name, pattern in FIELDS.items()}
            return Report(**{name: float(match[1]) for name, match in found.items() if match})
    raise ValueError(f"there is no REPORT line in the log: {log!r}")


def percentile(values, percent):
    """Nearest rank: a value that was measured."""
    ordered = sorted(values)
    return ordered[math.ceil(percent / 100 * len(ordered)) - 1]


def package(bootstrap):
    """The zip that Lambda expects: one executable file."""
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr, entry.compress_type = 0o755 << 16, zipfile.ZIP_DEFLATED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, bootstrap)
    return buffer.getvalue()


class Deployment:
    """What the measurement creates in the account. Leaving the context deletes all of it."""

    def __init__(self, session, name):
        self.name = name
        self.iam, self.functions, self.logs = (session.client(service) for service in ("iam", "lambda", "logs"))
        self.variables = {"APP_INSTANCE_USER_ARN": APP_INSTANCE + "/user/{sub}"}
        self.calls = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "chime:GetChannelMessageStatus",
                    "Resource": [f"{APP_INSTANCE}/user/*", f"{APP_INSTANCE}/channel/*"],
                }
            ],
        }
        self.undo = []
        self.number = itertools.count(1)

    def __enter__(self):
        try:
            role = self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=json.dumps(TRUST))
            self.undo.append(lambda: self.iam.delete_role(RoleName=self.name))
            self.role = role["Role"]["Arn"]
            self.iam.attach_role_policy(RoleName=self.name, PolicyArn=LOGS_POLICY)
            self.undo.append(lambda: self.iam.detach_role_policy(RoleName=self.name, PolicyArn=LOGS_POLICY))
            policy = {"RoleName": self.name, "PolicyName": "CallChime"}
            self.iam.put_role_policy(**policy, PolicyDocument=json.dumps(self.calls))
            self.undo.append(lambda: self.iam.delete_role_policy(**policy))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """Continues after a failure, to delete as much as possible, and reports it at the end."""
        failures = []
        while self.undo:
            try:
                self.undo.pop()()
            except Exception as error:
                failures.append(str(error))
        if failures:
            raise RuntimeError("not deleted: " + "; ".join(failures))

    def function(self, architecture, memory, code):
        """Creates a function and returns its name."""
        name = f"{self.name}-{architecture.replace('_', '-')}-{memory}"
        wanted = dict(
            FunctionName=name,
            Role=self.role,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Architectures=[architecture],
            MemorySize=memory,
            Timeout=29,
            Code={"ZipFile": code},
            Environment={"Variables": self.variables},
        )
        for attempt in range(1, ROLE_ATTEMPTS + 1):
            try:
                self.functions.create_function(**wanted)
                break
            except self.functions.exceptions.InvalidParameterValueException:
                if attempt == ROLE_ATTEMPTS:
                    raise
                time.sleep(ROLE_PAUSE)
        self.undo.append(lambda: self.delete_logs(f"/aws/lambda/{name}"))
        self.undo.append(lambda: self.functions.delete_function(FunctionName=name))
        self.functions.get_waiter("function_active_v2").wait(FunctionName=name)
        return name

    def delete_logs(self, group):
        try:
            self.logs.delete_log_group(logGroupName=group)
        except self.logs.exceptions.ResourceNotFoundException:
            pass

    def invoke(self, name, event):
        """The report of one invocation, and the HTTP status of its response."""
        result = self.functions.invoke(FunctionName=name, Payload=event, LogType="Tail")
        body = result["Payload"].read()
        if "FunctionError" in result:
            raise RuntimeError(f"invocation error: {body[:500]!r}")
        log = base64.b64decode(result["LogResult"]).decode()
        return parse_report(log), json.loads(body)["statusCode"]

    def cold_start(self, name, event):
        """The same in a new environment: a function whose configuration has changed gets one."""
        changed = self.variables | {"COLD_START": str(next(self.number))}
        self.functions.update_function_configuration(FunctionName=name, Environment={"Variables": changed})
        self.functions.get_waiter("function_updated_v2").wait(FunctionName=name)
        return self.invoke(name, event)


@dataclasses.dataclass
class Series:
    """All invocations of one function."""

    architecture: str
    memory: int
    cold: list = dataclasses.field(default_factory=list)
    warm: list = dataclasses.field(default_factory=list)
    statuses: set = dataclasses.field(default_factory=set)

    def measure(self, deployment, code, event, cold_starts, warm_invocations):
        name = deployment.function(self.architecture, self.memory, code)
        for _ in range(cold_starts):
            self.add(self.cold, deployment.cold_start(name, event))
            for _ in range(warm_invocations):
                self.add(self.warm, deployment.invoke(name, event))

    def add(self, reports, invocation):
        report, status = invocation
        reports.append(report)
        self.statuses.add(status)


def table(series):
    """The figures in Markdown."""

    def cells(values):
        return " / ".join(f"{percentile(values, percent):.1f}" for percent in (50, 90, 99)) if values else "-"

    heads = ["architecture", "memory, MB", "Init Duration, ms", "Duration after it, ms"]
    heads += ["warm Duration, ms", "Max Memory Used, MB", "HTTP status"]
    lines = [heads, ["---"] * len(heads)]
    for s in series:
        starts = [r.init_duration for r in s.cold if r.init_duration is not None]
        durations = [[r.duration for r in reports] for reports in (s.cold, s.warm)]
        used = [r.memory_used for r in s.cold + s.warm]
        statuses = ", ".join(map(str, sorted(s.statuses)))
        lines.append([s.architecture, s.memory, *map(cells, [starts, *durations, used]), statuses])
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
