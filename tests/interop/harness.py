"""Shared by the checks: processes that end with the check, `cargo run --example local`, and a count of results."""

import base64
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY, SECRET = "AKIDFAKECHIME", "fake-secret"


# A terminated run stops the processes that it started.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Checks:
    """Runs checks, prints the result of each, and counts."""

    def __init__(self, title):
        self.title, self.passed, self.failed = title, 0, 0

    def check(self, name, run, *arguments):
        try:
            run(*arguments)
        except Exception:
            self.failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
        else:
            self.passed += 1
            print(f"ok      {name}", flush=True)

    def end(self):
        """The exit code. A run without checks fails."""
        print(f"{self.title}: {self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.passed and not self.failed else 1


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def within(seconds, attempt):
    """Calls `attempt` until it returns a true value, and returns that. Fails after this number of seconds."""
    end = time.monotonic() + seconds
    while True:
        value = attempt()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"no true value within {seconds} s")
        time.sleep(0.05)


def environment(**variables):
    """The environment of this process without variables for AWS or the function, and with these variables."""
    removed = re.compile(r"AWS_|CHIME_|APP_INSTANCE_USER_ARN$|SESSION_ROLE_ARN$|TOKEN_ISSUER$|ALLOWED_ORIGINS$|MAX_WAIT_SECONDS$")
    kept = {name: value for name, value in os.environ.items() if not removed.match(name)}
    loopback = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    no_credentials = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | loopback | no_credentials | {"AWS_EC2_METADATA_DISABLED": "true"} | variables


def enter_environment():
    """Sets the environment of this process, for clients in it."""
    ours = environment()
    os.environ.clear()
    os.environ.update(ours)


def free_port():
    """For servers that need a port number."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def process(command, **options):
    """A process in its own group, and a function that returns its output so far."""
    with tempfile.TemporaryFile() as log:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )

        def written():
            return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).decode()

        try:
            yield started, written
        finally:
            stop(started)


def stop(started):
    for number in (signal.SIGTERM, signal.SIGKILL):
        # The process is not reaped yet, so no other group can have its id.
        if started.returncode is None:
            os.killpg(started.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(timeout=10)


class Local:
    """The running example: its addresses, its users, and their channel."""

    def __init__(self, guide):
        def first(pattern):
            return re.search(pattern, guide, re.M)[1]

        self.gateway = first(r"^The gateway is (http://[\d.:]+),")
        self.chime = first(r"the fake Chime (http://[\d.:]+)\.")
        self.page = first(r"^See it in a browser: (\S+)")
        self.channel = first(r"-d channelArn=(\S+)")
        self.app_instance = self.channel.split("/channel/")[0]
        self.alice_token, self.bob_token = first(r"^ALICE=(\S+)"), first(r"^BOB=(\S+)")
        self.alice, self.bob = self.user(self.alice_token), self.user(self.bob_token)

    def user(self, token):
        claims = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return f"{self.app_instance}/user/{claims['sub']}"


@contextlib.contextmanager
def local(**variables):
    """`cargo run --example local` with these variables, on free ports."""
    ports = [argument for name in ("port", "chime-port", "page-port") for argument in (f"--{name}", "0")]
    command = ["cargo", "run", "--quiet", "--example", "local", "--", *ports]
    with process(command, cwd=ROOT, env=os.environ | variables) as (example, written):

        def guide():
            if example.poll() is not None:
                raise RuntimeError(f"the example ended:\n{written()}")
            text = written()
            return text if "Each response leaves a line here" in text else None

        # It may have to be built first.
        yield Local(within(900, guide))
