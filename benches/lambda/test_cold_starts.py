"""Parsing against recorded REPORT lines, the report's form, and all commands against ministack."""

import base64
import contextlib
import json
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
from urllib.parse import parse_qs

import boto3

from cold_starts import Deployment, Report, Series, event_for, package, parse_report, percentile, report

RECORDED = pathlib.Path(__file__).with_name("recorded")
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


class Parsing(unittest.TestCase):
    def test_a_cold_start_has_an_init_duration(self):
        log = (RECORDED / "cold.log").read_text()
        self.assertEqual(parse_report(log), Report(duration=61.42, memory_used=22, init_duration=34.81))

    def test_a_warm_invocation_has_no_init_duration(self):
        log = (RECORDED / "warm.log").read_text()
        self.assertEqual(parse_report(log), Report(duration=38.07, memory_used=23))

    def test_a_report_with_a_trace_id_is_read(self):
        log = (RECORDED / "traced.log").read_text()
        self.assertEqual(parse_report(log), Report(duration=58.9, memory_used=22, init_duration=33.02))

    def test_a_line_of_the_function_that_looks_like_a_report_is_not_one(self):
        log = (RECORDED / "init-timeout.log").read_text()
        self.assertEqual(parse_report(log), Report(duration=12043.77, memory_used=21))

    def test_a_log_without_a_report_is_an_error(self):
        with self.assertRaises(ValueError):
            parse_report("START RequestId: 5b1c\nEND RequestId: 5b1c\n")


class Event(unittest.TestCase):
    def test_the_channel_is_one_of_the_given_app_instance(self):
        text = (pathlib.Path(__file__).parents[2] / "events/http-api-jwt.json").read_text()
        given = "arn:aws:chime:eu-central-1:444455556666:app-instance/another"
        event = json.loads(event_for(text, given))
        channel = f"{given}/channel/chat-general"
        self.assertEqual(event["queryStringParameters"]["channelArn"], channel)
        self.assertEqual(parse_qs(event["rawQueryString"])["channelArn"], [channel])


class Figures(unittest.TestCase):
    def test_a_percentile_is_a_measured_value(self):
        values = [float(value) for value in range(1, 51)]
        self.assertEqual([percentile(values, percent) for percent in (50, 90, 99)], [25, 45, 50])
        self.assertEqual(percentile([7.0], 99), 7)

    def test_the_report_has_a_stable_form(self):
        cold = [Report(60 + n, 22, 30 + n) for n in range(50)]
        series = [Series("arm64", 128, cold, [Report(38.07, 23)], {200}), Series("x86_64", 512, [Report(61.4, 22)])]
        self.assertEqual(report(series, "2026-11-24", "us-east-1"), (RECORDED / "report.md").read_text())


class Commands(unittest.TestCase):
    """Against ministack, an emulator."""

    def test_a_run_deploys_forces_cold_starts_and_leaves_nothing_behind(self):
        with ministack() as session:
            series = Series("x86_64", 128)
            with Deployment(session, "cold-starts-test", app_instance()) as deployment:
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
                with Deployment(session, "cold-starts-test", app_instance()) as deployment:
                    deployment.function("x86_64", 128, package(BOOTSTRAP))
                    raise RuntimeError("interrupted")
            self.assert_empty(session)

    def test_a_resource_that_cannot_be_deleted_is_reported_and_the_others_are_deleted(self):
        with ministack() as session:
            with self.assertRaisesRegex(RuntimeError, "not deleted: refused"):
                with Deployment(session, "cold-starts-test", app_instance()) as deployment:
                    deployment.undo.append(mock.Mock(side_effect=RuntimeError("refused")))
            self.assert_empty(session)

    def assert_empty(self, session):
        self.assertEqual(session.client("lambda").list_functions()["Functions"], [])
        self.assertEqual(session.client("iam").list_roles()["Roles"], [])
        self.assertEqual(session.client("logs").describe_log_groups()["logGroups"], [])


def app_instance():
    return "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21"


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
    parsed["LogResult"] = base64.b64encode((RECORDED / "cold.log").read_bytes()).decode()


if __name__ == "__main__":
    unittest.main()
