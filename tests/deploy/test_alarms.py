"""Each alarm fires in the outages that it is for, and stays silent in all other situations."""

import json
import re

import pytest

from alarms import compute, fires, metrics
from translate import REQUIRED, ROOT, SNIPPETS, TEMPLATES, Stack

MINUTES = 30


def every(*samples):
    """The same samples in each minute."""
    return [list(samples)] * MINUTES


def some(minutes, *samples):
    """Samples in this number of minutes, and none before and after."""
    return [[]] * 10 + [list(samples)] * minutes + [[]] * (MINUTES - 10 - minutes)


def instead(minutes, samples, usual):
    return [usual] * 10 + [samples] * minutes + [usual] * (MINUTES - 10 - minutes)


NOTHING = [[]] * MINUTES
# 100 requests a minute with three messages each.
HEALTHY = {
    "gateway requests": every(100),
    "Requests": every(100),
    "Messages": every(300),
    "RequestLatency": every(*[60] * 100),
    "UpstreamLatency": every(*[50] * 300),
}
NOT_REACHED = {name: NOTHING for name in HEALTHY if name != "gateway requests"}
ON_GATEWAY = {"GatewayRejectionAlarm", "ServerErrorAlarm"}

# Situation, what differs from healthy traffic, the alarms that fire.
SITUATIONS = [
    ("healthy", {}, set()),
    ("no traffic", dict.fromkeys(HEALTHY, NOTHING), set()),
    # Outages
    ("the gateway rejects every token", {"gateway 4xx": every(100)} | NOT_REACHED, {"GatewayRejectionAlarm"}),
    (
        "the routes are gone: 404",
        {"gateway 4xx": every(80), "gateway requests": every(80)} | NOT_REACHED,
        {"GatewayRejectionAlarm"},
    ),
    (
        "90 % are 429 from the gateway",
        {
            "gateway 4xx": every(90),
            "Requests": every(10),
            "Messages": every(30),
            "RequestLatency": every(*[60] * 10),
            "UpstreamLatency": every(*[50] * 30),
        },
        {"GatewayRejectionAlarm"},
    ),
    (
        "every token is rejected, and each request of a browser has a preflight",
        {"gateway requests": every(200), "gateway 4xx": every(100)} | NOT_REACHED,
        {"GatewayRejectionAlarm"},
    ),
    (
        "every user gets 403: Chime does not know them",
        {"ProblemUserNotProvisioned": every(300), "gateway 4xx": every(100)},
        {"RefusedMessagesAlarm"},
    ),
    (
        "every user gets 403 in a batch that returns 200",
        {"ProblemUserNotProvisioned": every(300)},
        {"RefusedMessagesAlarm"},
    ),
    (
        "every user gets 403: the tokens lack the claim",
        {
            "ProblemIdentityNotMapped": every(100),
            "gateway 4xx": every(100),
            "Messages": NOTHING,
            "UpstreamLatency": NOTHING,
        },
        {"RefusedRequestsAlarm"},
    ),
    (
        "a version answers 401 to everyone",
        {
            "ProblemUnauthenticated": every(100),
            "gateway 4xx": every(100),
            "Messages": NOTHING,
            "UpstreamLatency": NOTHING,
        },
        {"RefusedRequestsAlarm"},
    ),
    (
        "a version answers 400 to everyone",
        {
            "ProblemInvalidRequest": every(100),
            "gateway 4xx": every(100),
            "Messages": NOTHING,
            "UpstreamLatency": NOTHING,
        },
        {"RefusedRequestsAlarm"},
    ),
    (
        "latency times twenty",
        {"RequestLatency": every(*[1_200] * 100), "UpstreamLatency": every(*[1_000] * 300)},
        {"LatencyAlarm", "UpstreamLatencyAlarm"},
    ),
    ("the function alone is slow", {"RequestLatency": every(*[1_200] * 100)}, {"LatencyAlarm"}),
    ("the mapping is wrong: nothing is found", {"ProblemMessageNotFound": every(300)}, {"RefusedMessagesAlarm"}),
    ("Chime refuses the role once", {"ProblemMisconfigured": some(1, 1)}, {"MisconfiguredAlarm"}),
    ("a bug, or a keep-warm ping, once", {"ProblemInternalError": some(1, 1)}, {"InternalErrorAlarm"}),
    ("an invocation without a response", {"Errors": some(1, 1), "gateway 5xx": some(1, 1)}, {"InvocationErrorAlarm"}),
    (
        "the function does not start",
        {"Errors": every(100), "gateway 5xx": every(100)} | NOT_REACHED,
        {"InvocationErrorAlarm", "ServerErrorAlarm"},
    ),
    ("the gateway fails for 7 % of the requests", {"gateway 5xx": every(7)}, {"ServerErrorAlarm"}),
    ("Lambda throttles for two minutes", {"Throttles": some(2, 1)}, {"LambdaThrottleAlarm"}),
    (
        "Chime is down, and every request is a batch that returns 200",
        {"ProblemUpstreamUnavailable": every(300)},
        {"UpstreamProblemAlarm"},
    ),
    (
        "Chime is down, and every request is for one message",
        {"Messages": every(100), "ProblemUpstreamTimeout": every(100), "gateway 5xx": every(100)},
        {"UpstreamProblemAlarm", "ServerErrorAlarm"},
    ),
    (
        "Chime is down at night, with three messages a minute",
        {"gateway requests": every(3), "Requests": every(3), "Messages": every(3), "ProblemUpstreamFailure": every(3)},
        {"UpstreamProblemAlarm"},
    ),
    (
        "Chime fails in three ways, 4 % each",
        {f"ProblemUpstream{kind}": every(12) for kind in ("Failure", "Unavailable", "Timeout")},
        {"UpstreamProblemAlarm"},
    ),
    ("Chime throttles 10 % of the messages", {"ProblemThrottled": every(30)}, {"ChimeThrottleAlarm"}),
    (
        "Chime is slow at night",
        {"UpstreamLatency": every(1_800), "Requests": every(1), "Messages": every(1)},
        {"UpstreamLatencyAlarm"},
    ),
    # No outages
    (
        "10 % of the tokens are expired",
        {"gateway 4xx": every(10), "Requests": every(90)},
        set(),
    ),
    (
        "three bad minutes: the gateway rejects every token",
        {"gateway 4xx": some(3, 100)}
        | {name: instead(3, [], usual[0]) for name, usual in HEALTHY.items() if name != "gateway requests"},
        set(),
    ),
    (
        "three bad minutes: the function refuses everyone",
        {"ProblemUnauthenticated": some(3, 100), "Messages": instead(3, [], [300]), "gateway 4xx": some(3, 100)},
        set(),
    ),
    ("three bad minutes: Chime knows no user", {"ProblemUserNotProvisioned": some(3, 300)}, set()),
    (
        "three bad minutes: latency times twenty",
        {
            "RequestLatency": instead(3, [1_200] * 100, [60] * 100),
            "UpstreamLatency": instead(3, [1_000] * 300, [50] * 300),
        },
        set(),
    ),
    (
        "one client with an expired token polls every four seconds at night",
        dict.fromkeys(HEALTHY, NOTHING) | {"gateway requests": every(3), "gateway 4xx": every(3)},
        set(),
    ),
    (
        "every single message is not found for half of the users",
        {"ProblemMessageNotFound": every(150), "gateway 4xx": every(50)},
        set(),
    ),
    (
        "one client asks for old messages for five minutes",
        {"ProblemMessageNotFound": some(5, 300), "gateway 4xx": some(5, 100)},
        set(),
    ),
    ("every request waits 20 s", {"RequestLatency": NOTHING, "WaitLatency": every(*[20_000] * 100)}, set()),
    ("healthy batches of 20 in us-east-1", {"RequestLatency": every(*[3_600] * 100), "Messages": every(2_000)}, set()),
    ("one slow request", {"RequestLatency": some(1, 9_000)}, set()),
    ("Chime fails for a few seconds", {"ProblemUpstreamFailure": some(1, 30)}, set()),
    ("one failed message at night", {"Messages": some(1, 1), "ProblemUpstreamFailure": some(1, 1)}, set()),
    ("the gateway fails for 3 % of the requests", {"gateway 5xx": every(3)}, set()),
    ("denied messages vanish during waits", {"ProblemMessageGone": every(30)}, set()),
    ("Lambda throttles one request", {"Throttles": some(1, 1)}, set()),
    (
        "one request in a hundred is a batch of 20 whose messages are throttled",
        {"Messages": every(2_000), "ProblemThrottled": every(20)},
        set(),
    ),
]
GATEWAYS = {
    "HTTP": ({"Api": "a1b2c3d4e5", "ApiType": "HTTP"}, ("Count", "4xx", "5xx"), {"ApiId"}),
    "REST": ({"Api": "chat", "ApiType": "REST"}, ("Count", "4XXError", "5XXError"), {"ApiName"}),
    "none": ({}, (None, None, None), set()),
}


@pytest.fixture(scope="session")
def alarms_of():
    path = TEMPLATES["monitoring"]
    return {kind: Stack(path, given).of_type("AWS::CloudWatch::Alarm") for kind, (given, _, _) in GATEWAYS.items()}


@pytest.mark.parametrize("fill_creates", [True, False], ids=["FILL creates", "FILL does not create"])
@pytest.mark.parametrize("kind", GATEWAYS)
@pytest.mark.parametrize(("changes", "expected"), [pytest.param(*rest, id=name) for name, *rest in SITUATIONS])
def test_exactly_the_expected_alarms_fire(alarms_of, changes, expected, kind, fill_creates):
    _, (requests, rejected, failed), _ = GATEWAYS[kind]
    names = {"gateway requests": requests, "gateway 4xx": rejected, "gateway 5xx": failed}
    series = {names.get(name, name): samples for name, samples in {**HEALTHY, **changes}.items()}
    fired = {name for name, alarm in alarms_of[kind].items() if fires(alarm, series, fill_creates)}
    assert fired == (expected if kind != "none" else expected - ON_GATEWAY)


def test_every_alarm_fires_in_a_situation_and_notifies_the_topic(alarms_of):
    assert set().union(*(expected for *_, expected in SITUATIONS)) == set(alarms_of["HTTP"])
    for alarm in alarms_of["HTTP"].values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [REQUIRED["AlarmTopicArn"]]


@pytest.mark.parametrize("kind", GATEWAYS)
def test_alarms_read_metrics_that_exist_by_their_documented_dimensions(alarms_of, kind):
    lambda_metrics = {"Errors", "Throttles"}
    for name, alarm in alarms_of[kind].items():
        for metric in metrics(alarm).values():
            dimensions = {d["Name"] for d in metric["Dimensions"]}
            namespace, metric_name = metric["Namespace"], metric["MetricName"]
            if namespace == "AWS/ApiGateway":
                assert dimensions == GATEWAYS[kind][2] and metric_name in GATEWAYS[kind][1], name
            else:
                known = {"AWS/Lambda": lambda_metrics, "ChimeMessageStatus": rows("Metrics")}[namespace]
                assert dimensions == {"FunctionName"} and metric_name in known, name


def rows(heading):
    """The names in the first cells of the table under a heading of the operations page."""
    section = (ROOT / "docs/operations.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`(\w+)`", " ".join(cells)))


def test_the_page_explains_every_alarm(alarms_of):
    assert rows("Alarms") == set(alarms_of["HTTP"])


def test_the_page_has_the_metric_of_each_problem():
    names = set(re.findall(r"urn:problem-type:message-status:([a-z-]+)", (ROOT / "openapi.yaml").read_text()))
    of_problems = {"Problem" + "".join(map(str.capitalize, name.split("-"))) for name in names}
    assert of_problems == {metric for metric in rows("Metrics") if metric.startswith("Problem")}


@pytest.mark.parametrize("kind", GATEWAYS)
def test_the_dashboard_shows_every_alarm(alarms_of, kind):
    [dashboard] = Stack(TEMPLATES["monitoring"], GATEWAYS[kind][0]).of_type("AWS::CloudWatch::Dashboard").values()
    alarm_widget, *graphs = json.loads(dashboard["DashboardBody"])["widgets"]
    assert set(alarm_widget["properties"]["alarms"]) == {f"<{name}.Arn>" for name in alarms_of[kind]}
    assert len(graphs) == (6 if kind == "none" else 7)


def test_the_alarms_of_the_snippets_fire():
    [rollout] = Stack(SNIPPETS["gradual"]).of_type("AWS::CloudWatch::Alarm").values()
    [processors] = Stack(SNIPPETS["processor-failures"]).of_type("AWS::CloudWatch::Alarm").values()
    assert fires(rollout, {"Errors": some(1, 1)}) and fires(rollout, {"ProblemMisconfigured": some(1, 1)})
    assert not fires(rollout, HEALTHY)
    assert fires(processors, {"MatchedEvents": some(1, 1)})


def test_math_on_a_missing_value_is_missing():
    assert compute("100 * a / b", {"a": None, "b": 2}) is None
    assert compute("100 * FILL(a, 0) / b", {"a": None, "b": 2}) == 0
    assert compute("SUM([a, b])", {"a": None, "b": 2}) == 2
    assert compute("IF(b >= 3, a, 0)", {"a": 7, "b": 3}) == 7
