"""cfn-lint, checkov and the Control Tower rules of cfn-guard on the templates and snippets.

cfn-lint reads them as written, and as SAM translates them. The other two do not follow conditions and references, so
they get the translation with every optional part switched on and filled in. Every finding is fixed or has an entry with
its reason in suppressions.yaml.
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
ALL = {**TEMPLATES, **SNIPPETS}


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return result.stdout or result.stderr


def cfn_lint(paths):
    """File, rule, resource and message of each finding."""
    regions = ("--regions", "us-east-1", "eu-central-1")
    for finding in json.loads(run(TOOLS / "cfn-lint", "--format", "json", *regions, "--", *paths)):
        place = finding["Location"]["Path"] or []
        resource = place[1] if len(place) > 1 else ""
        yield Path(finding["Filename"]).stem, finding["Rule"]["Id"], resource, finding["Message"]


def checkov(paths):
    report = json.loads(
        run(
            TOOLS / "checkov",
            "--framework",
            "cloudformation",
            "--quiet",
            "--output",
            "json",
            "--directory",
            paths[0].parent,
        )
    )
    assert report["summary"]["passed"] > 0 and report["summary"]["parsing_errors"] == 0
    for finding in report["results"]["failed_checks"]:
        yield (
            Path(finding["file_path"]).stem,
            finding["check_id"],
            finding["resource"].split(".")[-1],
            finding["check_name"],
        )


def cfn_guard(paths):
    system = "macos" if platform.system() == "Darwin" else "ubuntu"
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    output = run(
        GUARD / "bin" / system / machine / "cfn-guard", "validate", "--structured", "--show-summary", "none",
        "--output-format", "json", "--data", paths[0].parent, "--rules", GUARD / "rules/control-tower/cfn-guard",
    )  # fmt: skip
    reports = json.loads(output)
    assert len(reports) == len(paths) and any(report["compliant"] for report in reports)
    for report in reports:
        for rule in report["not_compliant"]:
            for resource in sorted(resources_in(rule)):
                yield Path(report["name"]).stem, rule["Rule"]["name"], resource, rule["Rule"]["name"]


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


def suppressed(tool, file, rule, resource):
    return [
        number
        for number, entry in enumerate(SUPPRESSIONS)
        if tool == entry["tool"]
        and rule in entry["rules"]
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in entry["resources"])
        and (file in SNIPPETS or not entry.get("snippets_only"))
    ]


@pytest.fixture(scope="session")
def findings(tmp_path_factory):
    """Every finding in a translated template: tool, file, rule, resource, message."""
    found = []
    for tool in (cfn_lint, checkov, cfn_guard):
        folder, paths = tmp_path_factory.mktemp(tool.__name__), []
        for name, source in ALL.items():
            if tool is cfn_lint:
                template = translate(source, EVERYTHING)
                for part in [template, *template["Resources"].values()]:
                    part.get("Metadata", {}).pop("cfn-lint", None)
            else:
                template = Stack(source, EVERYTHING, keep_references=True).template()
            paths.append(folder / f"{name}.json")
            paths[-1].write_text(json.dumps(template, indent=1))
        found += [(tool.__name__, *finding) for finding in tool(paths)]
    return found


def test_every_finding_is_fixed_or_suppressed_with_a_reason(findings):
    left = [finding for finding in findings if not suppressed(*finding[:4])]
    assert left == [], "\n".join(map(str, left))


def test_every_suppression_has_a_reason_and_a_finding(findings):
    used = {number for finding in findings for number in suppressed(*finding[:4])}
    assert [entry for number, entry in enumerate(SUPPRESSIONS) if number not in used] == []
    assert all(len(entry["reason"].split()) >= 3 for entry in SUPPRESSIONS)


def test_the_templates_as_written_pass_cfn_lint():
    assert list(cfn_lint(ALL.values())) == []
