"""Runs the commands of docs/operations.md, as written, against ministack, an emulator of AWS, and checks their effect.

Needs ministack, boto3 and the AWS CLI. Everything listens on 127.0.0.1.
"""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

import boto3

from translate import ROOT, TEMPLATES, parameters, read, translate

PAGE = (ROOT / "docs/operations.md").read_text()
STACK = "message-status"
# The emulator has no CodeDeploy, and it fails on the method settings of a stage that CloudFormation made.
NOT_EMULATED = {("http-api", "Stop a rollout"), ("rest-api", "Stop a rollout"), ("rest-api", "Shed load")}


def blocks():
    """The shell commands of the page, by the heading before them."""
    found, heading = [], ""
    for heading_or_code in re.finditer(r"^#{2,3} ([^\n]+)$|^```sh\n(.*?)^```$", PAGE, re.M | re.S):
        title, code = heading_or_code.groups()
        heading = title or heading
        if code:
            found.append((heading, code))
    return found


class Emulator:
    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "GATEWAY_PORT": str(self.port),
            "AWS_PAGER": "",
        }

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(["ministack"], env=self.environment, stdout=self.log, stderr=self.log)
        for _ in range(300):
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.1)
        raise TimeoutError("ministack does not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def create(self, template):
        bootstrap = io.BytesIO()
        with zipfile.ZipFile(bootstrap, "w") as file:
            file.writestr("bootstrap", "#!/bin/sh\n")
        s3, cloudformation = self.client("s3"), self.client("cloudformation")
        s3.create_bucket(Bucket="artifacts")
        s3.put_object(Bucket="artifacts", Key="CodeUri", Body=bootstrap.getvalue())
        translated = translate(template, {"GradualDeployment": "false"})
        # The emulator supports neither metric math nor `Rules`.
        translated.pop("Rules")
        resources = translated["Resources"]
        for name in [n for n, resource in resources.items() if resource["Type"] == "AWS::CloudWatch::Alarm"]:
            del resources[name]
        resources["Dashboard"]["Properties"]["DashboardBody"] = "{}"
        defaults = {name for name, parameter in translated["Parameters"].items() if "Default" in parameter}
        given = parameters(read(template), {"GradualDeployment": "false"})
        cloudformation.create_stack(
            StackName=STACK,
            TemplateBody=json.dumps(translated),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in given.items()
                if name not in defaults or name == "GradualDeployment"
            ],
        )
        for _ in range(300):
            status = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
            if status == "CREATE_COMPLETE":
                return
            if "FAILED" in status or "ROLLBACK" in status:
                events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
                raise RuntimeError(json.dumps([e for e in events if "FAILED" in e["ResourceStatus"]], default=str))
            time.sleep(0.2)
        raise TimeoutError(status)


def main(name):
    setup, *commands = blocks()
    with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
        emulator.create(TEMPLATES[name])
        lambda_ = emulator.client("lambda")

        def run(code):
            script = f"set -euo pipefail\n{setup[1]}{code}"
            result = subprocess.run(
                ["bash", "-c", script], cwd=folder, env=emulator.environment, capture_output=True, text=True, timeout=120
            )
            if result.returncode:
                sys.exit(f"failed:\n{code}\n{result.stdout}{result.stderr}")
            return result.stdout

        function = run('echo "$FUNCTION"').strip()

        def live():
            version = lambda_.get_alias(FunctionName=function, Name="live")["FunctionVersion"]
            config = lambda_.get_function_configuration(FunctionName=function, Qualifier=version)
            return version, config["Environment"]["Variables"]["MAX_WAIT_SECONDS"]

        def rates():
            api, stage = run('echo "$API" "$STAGE"').split()
            settings = emulator.client("apigatewayv2").get_stage(ApiId=api, StageName=stage)["DefaultRouteSettings"]
            return settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]

        first, _ = live()
        for heading, code in commands:
            if (name, heading) in NOT_EMULATED:
                print(f"not emulated: {heading}")
                continue
            if heading == "Shed load" and "apigatewayv2" not in code:
                continue
            if heading == "Roll back":
                lambda_.update_function_configuration(FunctionName=function, Description="another")
                second = lambda_.publish_version(FunctionName=function)["Version"]
                lambda_.update_alias(FunctionName=function, Name="live", FunctionVersion=second)
                assert live()[0] == second != first
                run(code.replace("VERSION", first))
                assert live()[0] == first
            elif heading == "Shed load":
                run(code)
                assert tuple(map(int, rates())) == (5, 10), rates()
            elif heading == "Bound the function":
                bound, undo = code.strip().splitlines()
                run(bound)
                assert lambda_.get_function_concurrency(FunctionName=function)["ReservedConcurrentExecutions"] == 50
                run(undo)
                assert "ReservedConcurrentExecutions" not in lambda_.get_function_concurrency(FunctionName=function)
            elif heading == "Turn waiting off":
                run(code)
                assert live()[1] == "0" and live()[0] != first
            elif heading == "Prune old versions":
                for number in range(8):
                    lambda_.update_function_configuration(FunctionName=function, Description=f"version {number}")
                    lambda_.publish_version(FunctionName=function)
                lambda_.update_alias(FunctionName=function, Name="live", FunctionVersion=first)
                run(code)
                versions = lambda_.list_versions_by_function(FunctionName=function)["Versions"]
                left = {version["Version"] for version in versions} - {"$LATEST"}
                assert len(left) == 6 and first in left, left
            else:
                sys.exit(f"no check for the commands under {heading}")
            print(f"ran: {heading}")


if __name__ == "__main__":
    for command in ("ministack", "aws"):
        if not shutil.which(command):
            sys.exit(f"{command} is not on the path")
    for template in sys.argv[1:] or ["http-api", "rest-api"]:
        print(f"== {template}")
        main(template)
