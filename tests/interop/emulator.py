"""The release binary under AWS's own Runtime Interface Emulator responds to each file in events/ as
events/README.md says. The argument is the path of the binary. The default is cargo-lambda's.

Starts `cargo run --example local` for a Chime, and needs boto3 and the package aws-sam-cli, which has
the emulator in it. Build the binary first: `cargo lambda build --release`.
"""

import contextlib
import json
import pathlib
import platform
import re
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request

import samcli

from harness import KEY, ROOT, SECRET, Checks, enter_environment, environment, equal, free_port, local, process, within
from check import Boto3, Client

BUILT = ROOT / "target/lambda/chime-message-status/bootstrap"
BOOTSTRAP = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else BUILT
MACHINE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
EMULATOR = pathlib.Path(samcli.__file__).parent / f"local/rapid/aws-lambda-rie-{MACHINE}"
ORIGIN = "https://chat.example.com"


@contextlib.contextmanager
def emulator(at, credentials, user_arn, **more):
    """The emulator with our binary: a function that invokes it with an event, and a function that returns its log."""
    door, runtime = (f"127.0.0.1:{free_port()}" for _ in range(2))
    # The emulator sets empty keys for the function, so the credentials come from a file.
    variables = environment(
        **{
            "APP_INSTANCE_USER_ARN": user_arn,
            # The role of events/function-url-iam.json.
            "SESSION_ROLE_ARN": "arn:aws:iam::111122223333:role/chat-user",
            "ALLOWED_ORIGINS": ORIGIN,
            "AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING": at.chime,
            "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "29",
            **more,
        }
    )
    options = ["--runtime-interface-emulator-address", door, "--runtime-api-address", runtime]
    with process([EMULATOR, *options, BOOTSTRAP], env=variables) as (started, log):

        def invoke(event):
            url = f"http://{door}/2015-03-31/functions/function/invocations"
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            end = time.monotonic() + 20
            while True:
                try:
                    with direct.open(url, event.encode(), timeout=40) as response:
                        return json.load(response)
                except urllib.error.HTTPError as error:
                    # A function that did not start; the body may be empty.
                    return {"emulator": error.code, "body": error.read().decode()}
                except urllib.error.URLError:
                    # It does not listen yet.
                    if started.poll() is not None or time.monotonic() > end:
                        raise RuntimeError(f"no emulator:\n{log()}") from None
                    time.sleep(0.05)

        yield invoke, log


def promised():
    """The table of events/README.md: file, pattern, status."""
    row = re.compile(r"^\| `([\w.-]+\.json)` \|.*\| (?:`I/user/(\{\w+\})`|any) \| (\d+) \|$", re.M)
    rows = row.findall((ROOT / "events/README.md").read_text())
    return [(name, template or "{sub}", int(status)) for name, template, status in rows]


def all_are_promised():
    files = sorted(path.name for path in (ROOT / "events").glob("*.json"))
    equal(sorted(name for name, *_ in promised()), files)


PROBLEMS = {400: "invalid-request", 401: "unauthenticated", 403: "identity-not-mapped"}


def answered_as_promised(invoke, name, text, status):
    event, response = json.loads(text), invoke(text)
    equal(response.get("statusCode"), status)
    headers = {key.lower(): value for key, value in (response.get("headers") or {}).items()}
    headers |= {key.lower(): value[0] for key, value in (response.get("multiValueHeaders") or {}).items()}
    body = response.get("body") or ""
    method = event.get("httpMethod") or event["requestContext"]["http"]["method"]

    if method == "OPTIONS":
        equal(headers["access-control-allow-origin"], ORIGIN)
    elif method == "HEAD":
        equal(body, "")
    elif method == "POST":
        requested = [message["messageId"] for message in json.loads(event["body"])["messages"]]
        results = json.loads(body)["results"]
        equal([result["messageId"] for result in results], requested)
        # The fake Chime has the first one only.
        equal(results[0], {"messageId": requested[0], "status": "SENT"})
        for result in results[1:]:
            equal(result["problem"]["type"], "urn:problem-type:message-status:message-not-found")
    elif status == 200:
        equal(json.loads(body), {"messageId": event["queryStringParameters"]["messageId"], "status": "SENT"})
        equal(headers["cache-control"], "no-store")
    else:
        problem = json.loads(body)
        equal(headers["content-type"], "application/problem+json")
        equal(problem["type"], f"urn:problem-type:message-status:{PROBLEMS[status]}")
        equal(problem["status"], status)


def with_own_message(text, at, sender):
    """The event with a message from its own user. The user of a signed request did not send the sample message."""
    user = re.search(r'"(?:identityId|cognitoIdentityId)": "([^"]+)"', text)[1]
    message = sender.send(by=f"{at.app_instance}/user/{user}", outcome="SENT", afterMs=0)["MessageId"]
    sample = re.search(r"messageId=([\w-]+)|\"messageId\": \"([\w-]+)\"", text)
    return text.replace(sample[1] or sample[2], message)


def nothing_secret(at, log):
    if '"_aws"' not in log():
        raise AssertionError(f"no record in the log:\n{log()}")
    for secret in (at.channel, at.alice, at.alice.split("/")[-1], "Bearer ", SECRET):
        if secret in log():
            raise AssertionError(f"{secret} is in the log")


def does_not_start(at, credentials):
    with emulator(at, credentials, "arn:aws:chime:nowhere") as (invoke, log):
        response = invoke("{}")
        if "statusCode" in response or not ({"emulator", "errorType"} & response.keys()):
            raise AssertionError(f"returned {response!r}")
        within(10, lambda: "APP_INSTANCE_USER_ARN" in log())


def beats_the_time_out(at, credentials):
    """Chime accepts connections and never responds, and the timeout of a call is longer than Lambda's."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        more = {
            "AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "2",
            "CHIME_ATTEMPT_TIMEOUT_MS": "2500",
        }
        with emulator(at, credentials, f"{at.app_instance}/user/{{sub}}", **more) as (invoke, _):
            response = invoke((ROOT / "events/http-api-jwt.json").read_text())
    equal(response.get("statusCode"), 504)
    equal(json.loads(response["body"])["type"], "urn:problem-type:message-status:upstream-timeout")


def main():
    enter_environment()
    checks = Checks("Release binary under the Runtime Interface Emulator")
    checks.check("events/README.md lists the files of events/", all_are_promised)
    with local() as at, tempfile.TemporaryDirectory() as directory:
        credentials = pathlib.Path(directory) / "credentials"
        credentials.write_text(f"[default]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n")
        sender = Client(Boto3, at)
        for template in sorted({template for _, template, _ in promised()}):
            with emulator(at, credentials, f"{at.app_instance}/user/{template}") as (invoke, log):
                for name, _, status in (row for row in promised() if row[1] == template):
                    text = (ROOT / "events" / name).read_text()
                    if template == "{cognitoIdentityId}":
                        text = with_own_message(text, at, sender)
                    checks.check(f"{name}: {status}", answered_as_promised, invoke, name, text, status)
                checks.check(f"the log with {template} has no secret", nothing_secret, at, log)
        checks.check("a Chime that hangs is reported before Lambda's timeout", beats_the_time_out, at, credentials)
        checks.check("a wrong APP_INSTANCE_USER_ARN is named in the log", does_not_start, at, credentials)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
