"""Schemathesis, which reads openapi.yaml and tries to catch our endpoint at something else.

Starts `cargo run --example local`. Needs `schemathesis` on the path, and PyYAML.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

import yaml

from harness import ROOT, Checks, enter_environment, local

CASES_OF_AN_OPERATION = 100
# It takes about half a minute.
SECONDS = 240
# What the calls have to come to, so that nobody takes a run for a proof that met one kind of answer.
STATUS_CODES = {200, 204, 400, 401, 404, 405, 415, 429}
# What can become of a message. Those that make a 5xx are left to other tests: here a 5xx is a fault.
FATES = [
    {"outcome": "SENT", "afterMs": 0},
    {"outcome": "FAILED", "afterMs": 0, "detail": "Zoë: 100 % <no>"},
    {"outcome": "PENDING"},
    {"outcome": "ThrottledClientException"},
]


def sent(at, flow):
    """The id of a message of Alice's that has this fate."""
    request = urllib.request.Request(
        f"{at.gateway}/send?{urllib.parse.urlencode(flow)}",
        method="POST",
        headers={"authorization": f"Bearer {at.alice_token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def here(at):
    """The document, and what holds at this place only: there is one channel, with these messages in it."""
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    schemas = document["components"]["schemas"]
    schemas["ChannelArn"] = {"type": "string", "const": at.channel}
    ids = [sent(at, flow) for flow in FATES]
    schemas["MessageId"] = {"anyOf": [{"enum": ids}, schemas["MessageId"]]}
    parameter = document["components"]["parameters"]["messageId"]
    parameter["examples"] = {id: {"value": id} for id in [parameter.pop("example"), *ids]}
    return json.dumps(document)


def run(at, folder):
    """Every check that Schemathesis has, and its report."""
    (folder / "openapi.json").write_text(here(at))
    command = [
        *("schemathesis", "run", "openapi.json", "--url", at.gateway, "--no-color"),
        *("--header", f"Authorization: Bearer {at.alice_token}"),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
        *("--max-examples", str(CASES_OF_AN_OPERATION), "--generation-deterministic"),
        *("--request-timeout", "10"),
        *("--report-json-path", "report.json", "--report-ndjson-path", "calls.ndjson"),
    ]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, timeout=SECONDS)
    if done.returncode:
        raise AssertionError(f"schemathesis ended with {done.returncode}")
    return json.loads((folder / "report.json").read_text())["test_cases"]["generated"]


def status_codes(calls):
    """How often each status code came."""
    return collections.Counter(int(code) for code in re.findall(r'"status_code": ?(\d+)', calls))


def conforms(at):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        cases = run(at, folder)
        met = status_codes((folder / "calls.ndjson").read_text())
    print(f"{cases} cases; answers by status code: {dict(sorted(met.items()))}")
    if missing := STATUS_CODES - set(met):
        raise AssertionError(f"never met: {missing}")


def main():
    enter_environment()
    checks = Checks("contract")
    with local(ALLOWED_ORIGINS="https://chat.example.com", MAX_WAIT_SECONDS="0") as at:
        checks.check("every answer is one that openapi.yaml describes", conforms, at)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
