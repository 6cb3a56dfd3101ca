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
from urllib.parse import quote

EVENT_APP_INSTANCE = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21"
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
# Hello worlds without an AWS SDK on real Lambda, 128 MB, arm64, published in August 2026: cold start, warm.
HELLO_WORLDS = [
    ("Rust", 13.9, 1.4),
    ("C++", 19.8, None),
    ("Go", 41.4, None),
    ("LLRT", 58.8, None),
    ("Python", 72.8, None),
]


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


def event_for(event, app_instance_arn):
    """The sample event, about a channel of another app instance. In the query the ARN is percent-encoded."""
    for escape in (lambda arn: arn, lambda arn: quote(arn, safe="")):
        event = event.replace(escape(EVENT_APP_INSTANCE), escape(app_instance_arn))
    return event


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

    def __init__(self, session, name, app_instance_arn):
        self.name = name
        self.iam, self.functions, self.logs = (session.client(service) for service in ("iam", "lambda", "logs"))
        self.variables = {"APP_INSTANCE_USER_ARN": app_instance_arn + "/user/{sub}"}
        self.calls = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "chime:GetChannelMessageStatus",
                    "Resource": [f"{app_instance_arn}/user/*", f"{app_instance_arn}/channel/*"],
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

    def measure(self, deployment, code, event, cold_starts, warm_invocations, progress=lambda text: None):
        name = deployment.function(self.architecture, self.memory, code)
        for number in range(1, cold_starts + 1):
            report, status = deployment.cold_start(name, event)
            self.cold.append(report)
            self.statuses.add(status)
            for _ in range(warm_invocations):
                report, status = deployment.invoke(name, event)
                self.warm.append(report)
                self.statuses.add(status)
            progress(f"{self.architecture}, {self.memory} MB: cold start {number} of {cold_starts}")


def cells(values):
    """50th, 90th and 99th percentile, in one cell."""
    if not values:
        return "-"
    return " / ".join(f"{percentile(values, percent):.1f}" for percent in (50, 90, 99))


def report(series, date, region):
    """The Markdown report. Its form is stable: columns are only added at the right."""
    heads = ["architecture", "memory, MB", "cold starts", "Init Duration, ms", "Duration after it, ms"]
    heads += ["warm Duration, ms", "Max Memory Used, MB", "HTTP status"]
    lines = [f"Cold starts, {date}, {region}; 50th / 90th / 99th percentile", "", row(heads), row(["---"] * len(heads))]
    for s in series:
        starts = [r.init_duration for r in s.cold if r.init_duration is not None]
        figures = [starts, [r.duration for r in s.cold], [r.duration for r in s.warm]]
        figures.append([r.memory_used for r in s.cold + s.warm])
        statuses = ", ".join(map(str, sorted(s.statuses)))
        lines.append(row([s.architecture, s.memory, len(starts), *map(cells, figures), statuses]))
    lines += ["", "For comparison: hello world without an AWS SDK, 128 MB, arm64, published in August 2026", ""]
    lines += [row(["language", "cold start, ms", "warm, ms"]), row(["---"] * 3)]
    lines += [row([name, cold, "-" if warm is None else warm]) for name, cold, warm in HELLO_WORLDS]
    return "\n".join(lines) + "\n"


def row(values):
    return "| " + " | ".join(map(str, values)) + " |"
