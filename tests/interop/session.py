"""The session of amazon-chime-sdk-js, the AWS SDK for JavaScript and our client, against the local gateway.

python session.py JAVASCRIPT CLIENT    JAVASCRIPT is the directory of the scripts session*.mjs and of the
                                       packages they need, CLIENT the client's built index.js

Starts `cargo run --example local`. Needs Node and Chromium.
"""

import pathlib
import subprocess
import sys

from harness import Checks, environment, local

TIMEOUT = 600


def run(script, client, page):
    variables = environment(CLIENT=str(pathlib.Path(client).resolve()), SETTINGS=f"{page}/settings.json")
    done = subprocess.run(["node", str(script)], env=variables, stdin=subprocess.DEVNULL, timeout=TIMEOUT)
    if done.returncode:
        raise AssertionError(f"{script.name} ended with {done.returncode}")


if __name__ == "__main__":
    javascript, client = sys.argv[1:]
    checks = Checks("amazon-chime-sdk-js")
    with local(ALLOWED_ORIGINS="*") as at:
        for place in ("node", "browser"):
            script = pathlib.Path(javascript) / f"session-{place}.mjs"
            checks.check(f"the scenarios in {place.capitalize()}", run, script, client, at.page)
    sys.exit(checks.end())
