"""What `run` and `guard` share: the driver, and the size of a deployment."""

import functools
import io
import json
import pathlib
import subprocess
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


def step(command, **options):
    """Its output goes to stderr, because stdout is for results."""
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL, stdout=2, **options)


@functools.cache
def driver():
    """The path of the driver. It is built with the dependencies of the tests, so after them this is quick."""
    command = ["cargo", "build", "--locked", "--bench", "driver", "--message-format=json-render-diagnostics"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = (message for message in map(json.loads, lines) if message.get("target", {}).get("name") == "driver")
    return next(built)["executable"]


def measure(*arguments):
    """The figures that the driver prints."""
    command = [driver(), *map(str, arguments)]
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


def read_figures():
    return json.loads((HERE / "figures.json").read_text())


def write_figures(figures):
    """One line for each part."""
    parts = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in figures.items())
    (HERE / "figures.json").write_text("{\n" + parts + "\n}\n")
