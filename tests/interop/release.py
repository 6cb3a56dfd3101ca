"""Checks what `scripts/release` made: sums, content of the zips, templates, notices, SBOM, npm package. Then builds
again, in another folder and with another Cargo home. Both builds must give the same bytes.

Needs what scripts/release needs. The second build takes as long as the first one.
"""

import datetime
import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile

from samcli.yamlhelper import yaml_parse

from harness import ROOT, Checks, equal

RELEASE = ROOT / "target/release-files"
# The machine of an ELF file.
MACHINES = {"x86_64": 62, "arm64": 183}
GLIBC_OF_LAMBDA = (2, 34)
LARGEST_ZIP = 4_000_000


def file(pattern):
    (found,) = RELEASE.glob(pattern)
    return found


def version():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def zips():
    """By architecture."""
    return {path.stem.rsplit("-", 1)[1]: path for path in RELEASE.glob("*.zip")}


def content(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sums_are_right():
    sums = dict(reversed(line.split("  ")) for line in (RELEASE / "SHA256SUMS").read_text().splitlines())
    files = {path.name: path for path in RELEASE.iterdir() if path.name != "SHA256SUMS"}
    equal({name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}, sums)


def zip_holds_bootstrap_license_and_notices(path):
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    equal(names, ["LICENSE", "THIRD-PARTY-NOTICES.txt", "bootstrap"])
    equal([oct(entry.external_attr >> 16) for entry in entries], ["0o100644", "0o100644", "0o100755"])
    equal(len({entry.date_time for entry in entries}), 1)
    equal(path.stat().st_size < LARGEST_ZIP, True)


def binary_is_for(architecture, path):
    binary = content(path)["bootstrap"]
    equal((binary[:4], struct.unpack_from("<H", binary, 18)[0]), (b"\x7fELF", MACHINES[architecture]))


def binary_runs_on_provided_al2023(path):
    """It needs no newer C library than Lambda's, and no library that is empty there."""
    binary = content(path)["bootstrap"]
    versions = [tuple(map(int, version)) for version in re.findall(rb"GLIBC_(\d+)\.(\d+)", binary)]
    equal(max(versions) <= GLIBC_OF_LAMBDA, True)
    equal([name for name in (b"libpthread.so", b"libdl.so") if name in binary], [])


def binary_has_no_path_of_this_machine(path):
    binary = content(path)["bootstrap"]
    for folder in (ROOT, pathlib.Path.home()):
        equal(f"{folder}/".encode() in binary, False)


def components():
    """Name and version of each third-party crate, as the SBOM has them."""
    sbom = json.loads(file("*.cdx.json").read_text())
    equal(sbom["bomFormat"], "CycloneDX")
    equal(str(ROOT) in file("*.cdx.json").read_text(), False)
    return {(one["name"], one["version"]) for one in sbom["components"]}


def sbom_lists_the_locked_crates():
    locked = set(re.findall(r'^name = "(.+)"\nversion = "(.+)"$', (ROOT / "Cargo.lock").read_text(), re.M))
    equal(components() - locked, set())
    for needed in ("lambda_runtime", "aws-sdk-chimesdkmessaging", "rustls", "ring"):
        equal(needed in {name for name, _ in components()}, True)


def notices_name_the_linked_crates(path):
    """Crates of the SBOM whose paths are in the binary are certainly linked."""
    files = content(path)
    linked = set(re.findall(rb"/registry/src/[^/]+/([A-Za-z0-9_-]+)-(\d+\.\d+\.\d+)/", files["bootstrap"]))
    linked = {(name.decode(), version.decode()) for name, version in linked}
    equal(len(linked) > 20, True)
    named = set(re.findall(r"^  (\S+) (\S+)$", files["THIRD-PARTY-NOTICES.txt"].decode(), re.M))
    equal(linked - named, set())
    equal(linked - components(), set())


def template_refers_to_files_of_the_release(path):
    template = yaml_parse(path.read_text())
    function = template["Resources"]["MessageStatusFunction"]["Properties"]
    code = function["CodeUri"]
    equal(function["Architectures"], [pathlib.Path(code).stem.rsplit("-", 1)[1]])
    equal((RELEASE / code).is_file(), True)
    # Only template.yaml is in the Serverless Application Repository.
    if application := template.get("Metadata", {}).get("AWS::ServerlessRepo::Application"):
        equal(application["SemanticVersion"], version())
        for name in (application["LicenseUrl"], application["ReadmeUrl"]):
            equal((RELEASE / name).is_file(), True)


def strings(value):
    return [value] if isinstance(value, str) else [one for member in value.values() for one in strings(member)]


def client_package_has_what_it_exports_the_license_and_the_version():
    with tarfile.open(file("*-client-*.tgz")) as package:
        names = set(package.getnames())
        manifest = json.load(package.extractfile("package/package.json"))
    equal(manifest["version"], version())
    equal(f"chime-message-status-client-{version()}.tgz", file("*-client-*.tgz").name)
    exported = {f"package/{path.removeprefix('./')}" for path in strings(manifest["exports"])}
    equal({"package/LICENSE", *exported} - names, set())
    for kept_out in ("src/", "test/", "node_modules/"):
        equal([name for name in names if name.startswith(f"package/{kept_out}")], [])


def notes_are_a_section_of_the_changelog():
    notes = (RELEASE / "release-notes.md").read_text()
    equal(notes in (ROOT / "CHANGELOG.md").read_text(), True)
    equal("\n## [" in notes, False)


def a_tag_of_another_version_is_rejected():
    done = subprocess.run(
        [ROOT / "scripts/release", "--tag", "v0.0.0", "--out", os.devnull],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    equal((done.returncode, "The tag is v0.0.0" in done.stderr), (1, True))


def date_of_the_release():
    """In seconds since 1970. The zips store it with a precision of two seconds."""
    written = json.loads(file("*.cdx.json").read_text())["metadata"]["timestamp"]
    return int(datetime.datetime.fromisoformat(written[:19] + "+00:00").timestamp())


def second_build_gives_the_same_bytes():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        copy = folder / "elsewhere"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "target", "node_modules", "__pycache__"))
        cargo_home = folder / "cargo-home"
        cargo_home.symlink_to(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
        subprocess.run(
            [copy / "scripts/release", *sorted(zips()), "--out", folder / "second"],
            env=os.environ | {"CARGO_HOME": str(cargo_home), "SOURCE_DATE_EPOCH": str(date_of_the_release())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=3600,
        )
        equal((folder / "second/SHA256SUMS").read_text(), (RELEASE / "SHA256SUMS").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="do not build a second time, which takes minutes")
    parser.add_argument("--function-only", action="store_true", help="check what `scripts/release --function-only` made")
    arguments = parser.parse_args()
    checks = Checks("release")
    checks.check("SHA256SUMS has the sum of every file", sums_are_right)
    of_zips = [binary_runs_on_provided_al2023, binary_has_no_path_of_this_machine]
    others = [a_tag_of_another_version_is_rejected]
    if not arguments.function_only:
        of_zips += [zip_holds_bootstrap_license_and_notices, notices_name_the_linked_crates]
        others += [
            sbom_lists_the_locked_crates,
            client_package_has_what_it_exports_the_license_and_the_version,
            notes_are_a_section_of_the_changelog,
        ]
        if not arguments.once:
            others.append(second_build_gives_the_same_bytes)
    for architecture, path in zips().items():
        checks.check(f"{architecture}: the binary is for this architecture", binary_is_for, architecture, path)
        for check in of_zips:
            checks.check(f"{architecture}: {check.__name__.replace('_', ' ')}", check, path)
    for name in ("template.yaml", "rest-api.yaml"):
        checks.check(f"{name} refers to files of the release", template_refers_to_files_of_the_release, RELEASE / name)
    for check in others:
        checks.check(check.__name__.replace("_", " "), check)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
