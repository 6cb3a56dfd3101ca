"""cfn-lint, checkov and the Control Tower rules of cfn-guard on the translated templates.

cfn-lint follows conditions and references itself. The other two get the template with every optional part switched on
and filled in, because they do not. Every finding is fixed or has an entry with its reason in suppressions.yaml.
"""

import fnmatch
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from translate import EVERYTHING, SNIPPETS, TEMPLATES, Stack, translate

HERE = Path(__file__).parent
GUARD = Path(os.environ.get("CFN_GUARD_HOME", HERE / "node_modules/@cdklabs/cdk-validator-cfnguard"))
TOOLS = Path(sys.executable).parent
SUPPRESSIONS = yaml.safe_load((HERE / "suppressions.yaml").read_text())


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return result.stdout or result.stderr


def cfn_lint(path):
    findings = json.loads(run(TOOLS / "cfn-lint", "--format", "json", "--regions", "us-east-1", "eu-central-1", "--", path))
    for finding in findings:
        place = finding["Location"]["Path"] or []
        yield finding["Rule"]["Id"], place[1] if len(place) > 1 else "", finding["Message"]


def checkov(path):
    report = json.loads(run(TOOLS / "checkov", "--framework", "cloudformation", "--quiet", "--output", "json", "--file", path))
    assert report["summary"]["passed"] > 0 and report["summary"]["parsing_errors"] == 0
    for finding in report["results"]["failed_checks"]:
        yield finding["check_id"], finding["resource"].split(".")[-1], finding["check_name"]


def cfn_guard(path):
    system = "macos" if platform.system() == "Darwin" else "ubuntu"
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    output = run(
        GUARD / "bin" / system / machine / "cfn-guard", "validate", "--structured", "--show-summary", "none",
        "--output-format", "json", "--data", path, "--rules", GUARD / "rules/control-tower/cfn-guard",
    )
    [report] = json.loads(output)
    assert report["compliant"], "rules that apply"
    for rule in report["not_compliant"]:
        for resource in sorted(resources_in(rule)):
            yield rule["Rule"]["name"], resource, rule["Rule"]["name"]


def resources_in(value):
    """The resources that a report of cfn-guard names by path."""
    if isinstance(value, list):
        return set().union(*map(resources_in, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(resources_in, value.values()))
    place = value.get("path")
    if isinstance(place, str) and place.startswith("/Resources/"):
        found.add(place.split("/")[2])
    return found


LINTERS = {"cfn-lint": cfn_lint, "checkov": checkov, "cfn-guard": cfn_guard}


def suppressed(tool, rule, resource):
    return [
        number
        for number, entry in enumerate(SUPPRESSIONS)
        if (entry["tool"], entry["rule"]) == (tool, rule)
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in entry["resources"])
    ]


@pytest.fixture(scope="session")
def findings(tmp_path_factory):
    """Every finding: template, tool, rule, resource, message."""
    folder, found = tmp_path_factory.mktemp("translated"), []
    for name, source in TEMPLATES.items():
        translated = translate(source, EVERYTHING)
        for part in [translated, *translated["Resources"].values()]:
            part.get("Metadata", {}).pop("cfn-lint", None)
        filled_in = Stack(source, EVERYTHING, keep_references=True).template()
        for tool, lint in LINTERS.items():
            path = folder / f"{name}-{tool}.json"
            path.write_text(json.dumps(translated if tool == "cfn-lint" else filled_in, indent=1))
            found += [(name, tool, *finding) for finding in lint(path)]
    return found


def test_every_finding_is_fixed_or_suppressed_with_a_reason(findings):
    assert [finding for finding in findings if not suppressed(*finding[1:4])] == []


def test_every_suppression_has_a_reason_and_a_finding(findings):
    used = {number for finding in findings for number in suppressed(*finding[1:4])}
    unused = [entry for number, entry in enumerate(SUPPRESSIONS) if number not in used]
    assert unused == []
    assert all(len(entry["reason"].split()) >= 3 for entry in SUPPRESSIONS)


@pytest.mark.parametrize("path", [*TEMPLATES.values(), *SNIPPETS], ids=lambda path: path.name)
def test_the_template_as_written_passes_cfn_lint(path):
    assert list(cfn_lint(path)) == []


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.name)
def test_a_snippet_translates_to_a_template_without_errors(path, tmp_path):
    translated = tmp_path / "translated.json"
    translated.write_text(json.dumps(translate(path, SNIPPET_PARAMETERS), indent=1))
    assert [finding for finding in cfn_lint(translated) if finding[0].startswith("E")] == []


SNIPPET_PARAMETERS = {
    "FunctionAliasArn": "arn:aws:lambda:us-east-1:111122223333:function:chat:live",
    "AuthorizerArn": "arn:aws:lambda:us-east-1:111122223333:function:authorizer",
    "CallerRoleArn": "arn:aws:iam::111122223333:role/chat-user",
    "ApiId": "a1b2c3d4e5",
    "AuthorizerId": "abc123",
    "RootResourceId": "xyz789",
    "DomainName": "chat.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/2f0a8e10-0000-0000-0000-000000000000",
}
