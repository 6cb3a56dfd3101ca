"""Parsing against recorded REPORT lines, the report's form, and all commands against ministack."""

import base64
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from unittest import mock

import boto3

from cold_starts import Deployment, Report, Series, package, parse_report, percentile

# A function for the emulator: each response is a 200.
BOOTSTRAP = f"""#!{sys.executable}
import os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
while True:
    with opener.open(api + "next") as event:
        id = event.headers["Lambda-Runtime-Aws-Request-Id"]
    opener.open(api + id + "/response", b'{{"statusCode": 200, "body": "{{}}"}}').close()
"""


REPORT = "REPORT RequestId: 5b1c7d42-0e6f-4a3b-9c58-2f7d1e9a6b04\tDuration: 61.42 ms\tBilled Duration: 97 ms\tMemory Size: 128 MB\tMax Memory Used: 22 MB"
COLD = f"START RequestId: 5b1c\nEND RequestId: 5b1c\n{REPORT}\tInit Duration: 34.81 ms\t\n"


class Parsing(unittest.TestCase):
    def test_a_cold_start_has_an_init_duration(self):
        self.assertEqual(parse_report(COLD), Report(duration=61.42, memory_used=22, init_duration=34.81))

    def test_a_warm_invocation_has_no_init_duration(self):
        self.assertEqual(parse_report(REPORT), Report(duration=61.42, memory_used=22))

    def test_a_line_of_the_function_that_looks_like_a_report_is_not_one(self):
        log = f"INIT_REPORT Init Duration: 10004.12 ms\na line that quotes REPORT RequestId: 1\tDuration: 1.00 ms\n{REPORT}\n"
        self.assertEqual(parse_report(log), Report(duration=61.42, memory_used=22))

    def test_a_log_without_a_report_is_an_error(self):
        with self.assertRaises(ValueError):
            parse_report("START RequestId: 5b1c7d42\nEND RequestId: 5b1c\n")


class Figures(unittest.TestCase):
    def test_a_percentile_is_a_measured_value(self):
        values = [float(value) for value in range(1, 51)]
        self.assertEqual([percentile(values, percent) for percent in (50, 90, 99)], [25, 45, 50])
        self.assertEqual(percentile([7.0], 99), 7)


class Commands(unittest.TestCase):
    """Against ministack, an emulator."""

    def test_a_run_deploys_forces_cold_starts_and_leaves_nothing_behind(self):
        with ministack() as session:
            series = Series("x86_64", 128)
            with Deployment(session, "cold-starts-test") as deployment:
                series.measure(deployment, package(BOOTSTRAP), "{}", cold_starts=3, warm_invocations=1)
                name = session.client("lambda").list_functions()["Functions"][0]["FunctionName"]
                left = session.client("lambda").get_function_configuration(FunctionName=name)
            self.assertEqual((len(series.cold), len(series.warm), series.statuses), (3, 3, {200}))
            self.assertEqual(series.cold[0], Report(duration=61.42, memory_used=22, init_duration=34.81))
            # Each cold start had its own configuration.
            self.assertEqual(left["Environment"]["Variables"]["COLD_START"], "3")
            self.assertEqual((left["MemorySize"], left["Architectures"]), (128, ["x86_64"]))
            self.assert_empty(session)

    def test_a_failure_in_between_leaves_nothing_behind(self):
        with ministack() as session:
            with self.assertRaisesRegex(RuntimeError, "interrupted"):
                with Deployment(session, "cold-starts-test") as deployment:
                    deployment.function("x86_64", 128, package(BOOTSTRAP))
                    raise RuntimeError("interrupted")
            self.assert_empty(session)

    def test_a_resource_that_cannot_be_deleted_is_reported_and_the_others_are_deleted(self):
        with ministack() as session:
            with self.assertRaisesRegex(RuntimeError, "not deleted: refused"):
                with Deployment(session, "cold-starts-test") as deployment:
                    deployment.undo.append(mock.Mock(side_effect=RuntimeError("refused")))
            self.assert_empty(session)

    def assert_empty(self, session):
        self.assertEqual(session.client("lambda").list_functions()["Functions"], [])
        self.assertEqual(session.client("iam").list_roles()["Roles"], [])
        self.assertEqual(session.client("logs").describe_log_groups()["logGroups"], [])


@contextlib.contextmanager
def ministack():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        # A clean environment, without the user's account.
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder, "BIND_HOST": "127.0.0.1"}
        command = [pathlib.Path(sys.executable).with_name("ministack")]
        server = subprocess.Popen(
            command, env=environment | {"GATEWAY_PORT": str(port)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            await_start(server, url)
            yield Session(url)
        finally:
            server.terminate()
            server.wait(20)


def await_start(server, url):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 60
    while True:
        try:
            return direct.open(f"{url}/_ministack/health", timeout=5).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.1)


class Session:
    """boto3's session for the emulator. The emulator returns no log of such functions, so the recorded one is added."""

    def __init__(self, url):
        self.url = url
        self.session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")

    def client(self, service):
        client = self.session.client(service, endpoint_url=self.url)
        client.meta.events.register("after-call.lambda.Invoke", add_log)
        return client


def add_log(parsed, **_):
    parsed["LogResult"] = base64.b64encode(COLD.encode()).decode()


if __name__ == "__main__":
    unittest.main()
