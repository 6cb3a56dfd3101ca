"""What `run` and `guard` share: the driver, and the size of a deployment."""

import io
import json
import pathlib
import subprocess
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = HERE / "target"


def step(command, **options):
    """Its output goes to stderr, because stdout is for results."""
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL, stdout=2, **options)


def build_driver():
    step(["cargo", "build", "--quiet", "--release", "--locked", "-p", "driver"], cwd=HERE)


def measure(*arguments):
    """The figures that the driver prints."""
    command = [TARGET / "release/driver", *map(str, arguments)]
    run = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=3600)
    return json.loads(run.stdout)


def zip_size(path):
    """The size of what would be uploaded: a file, or a folder with everything in it."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    folder = path.parent if path.is_file() else path
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(folder))
    return len(buffer.getvalue())
