"""Schemathesis: generates requests from openapi.yaml, and compares the responses with it.

Starts `cargo run --example local`. Needs `schemathesis` on the path, and PyYAML.
"""

import collections
import json
import os
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
# A run takes about a minute.
SECONDS = 240
HOOKS = pathlib.Path(__file__).with_name("schemathesis_hooks.py")
# Status codes that must occur in a run. A run with one kind of response only would prove nothing.
STATUS_CODES = {200, 204, 400, 401, 404, 405, 415, 429}
# Outcomes of messages. None causes a 5xx, because the check treats a 5xx as an error.
OUTCOMES = [
    {"outcome": "SENT", "afterMs": 0},
    {"outcome": "FAILED", "afterMs": 0, "detail": "Zoë: 100 % <no>"},
    {"outcome": "PENDING"},
    {"outcome": "ThrottledClientException"},
]


def sent(at, flow):
    """The id of a new message from Alice with this outcome."""
    request = urllib.request.Request(
        f"{at.gateway}/send?{urllib.parse.urlencode(flow)}",
        method="POST",
        headers={"authorization": f"Bearer {at.alice_token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode()


def here(at):
    """The document with the one channel and the messages of the local gateway."""
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    schemas = document["components"]["schemas"]
    schemas["ChannelArn"] = {"type": "string", "const": at.channel}
    ids = [sent(at, flow) for flow in OUTCOMES]
    schemas["MessageId"] = {"anyOf": [{"enum": ids}, schemas["MessageId"]]}
    parameter = document["components"]["parameters"]["messageId"]
    parameter["examples"] = {id: {"value": id} for id in [parameter.pop("example"), *ids]}
    return json.dumps(document)


def run(at, folder):
    """Runs every check of Schemathesis. Returns the number of test cases."""
    (folder / "openapi.json").write_text(here(at))
    command = [
        *("schemathesis", "run", "openapi.json", "--url", at.gateway, "--no-color"),
        *("--header", f"Authorization: Bearer {at.alice_token}"),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
        *("--max-examples", str(CASES_OF_AN_OPERATION), "--generation-deterministic"),
        *("--request-timeout", "10"),
        *("--report-json-path", "report.json", "--report-ndjson-path", "calls.ndjson"),
    ]
    env = os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS)}
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, timeout=SECONDS)
    if done.returncode:
        raise AssertionError(f"schemathesis ended with {done.returncode}")
    return json.loads((folder / "report.json").read_text())["test_cases"]["generated"]


def status_codes(calls):
    """The number of responses with each status code."""
    return collections.Counter(int(code) for code in re.findall(r'"status_code": ?(\d+)', calls))


def conforms(at):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        cases = run(at, folder)
        met = status_codes((folder / "calls.ndjson").read_text())
    print(f"{cases} cases; responses by status code: {dict(sorted(met.items()))}")
    if missing := STATUS_CODES - set(met):
        raise AssertionError(f"did not occur: {missing}")


def main():
    enter_environment()
    checks = Checks("contract")
    with local(ALLOWED_ORIGINS="https://chat.example.com", MAX_WAIT_SECONDS="0") as at:
        checks.check("every response is one that openapi.yaml describes", conforms, at)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
