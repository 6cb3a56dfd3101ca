"""Each alarm fires in the situations that it is for and stays silent in all others."""

import pytest

from alarms import compute, fires, metrics
from translate import TEMPLATES, Stack

PARAMETERS = {
    "AlarmTopicArn": "arn:aws:sns:us-east-1:111122223333:on-call",
    "ReservedConcurrency": "100",
    "WatchProcessorFailures": "true",
}
MINUTES = 20


def every(*samples):
    """The same samples in each minute."""
    return [list(samples)] * MINUTES


def once(*samples):
    """Samples in one minute, and none before and after."""
    return [[]] * 9 + [list(samples)] + [[]] * 10


def minutes(count, *samples):
    return [[]] * 5 + [list(samples)] * count + [[]] * (MINUTES - 5 - count)


GATEWAY = {
    "http-api": {"gateway 5xx": "5xx", "gateway requests": "Count"},
    "managed-instances": {"gateway 5xx": "5xx", "gateway requests": "Count"},
    "rest-api": {"gateway 5xx": "5XXError", "gateway requests": "Count"},
}

# 100 requests a minute with three messages each.
HEALTHY = {
    "gateway requests": every(100),
    "Requests": every(100),
    "Messages": every(300),
    "RequestLatency": every(*[60] * 100),
    "UpstreamLatency": every(*[50] * 300),
    "ConcurrentExecutions": every(20),
    "ExecutionEnvironmentConcurrency": every(40),
    "ExecutionEnvironmentConcurrencyLimit": every(200),
    "ExecutionEnvironmentCPUUtilization": every(15),
}
ON_DEMAND = {"http-api", "rest-api"}
MANAGED = {"managed-instances"}
ALL = ON_DEMAND | MANAGED

# Situation, what differs from healthy traffic, the alarms that fire, the templates that have such metrics.
SITUATIONS = [
    ("healthy", {}, set(), ALL),
    ("no traffic", dict.fromkeys(HEALTHY, [[]] * MINUTES), set(), ALL),
    ("every request waits 20 s", {"RequestLatency": [[]] * MINUTES, "WaitLatency": every(*[20_000] * 100)}, set(), ALL),
    ("one slow request", {"RequestLatency": once(9_000)}, set(), ALL),
    ("healthy batches of 20 in us-east-1", {"RequestLatency": every(*[3_600] * 100), "Messages": every(2_000)}, set(), ALL),
    ("Chime refuses the role once", {"ProblemMisconfigured": once(1)}, {"MisconfiguredAlarm"}, ALL),
    ("a bug, once", {"ProblemInternalError": once(1)}, {"InternalErrorAlarm"}, ALL),
    ("an invocation without a response", {"Errors": once(1), "gateway 5xx": once(1)}, {"InvocationErrorAlarm"}, ALL),
    (
        "Chime is down, and every request is a batch that returns 200",
        {"ProblemUpstreamUnavailable": every(300)},
        {"UpstreamProblemAlarm"},
        ALL,
    ),
    (
        "Chime is down, and every request is for one message",
        {"Messages": every(100), "ProblemUpstreamTimeout": every(100), "gateway 5xx": every(100)},
        {"UpstreamProblemAlarm", "ServerErrorAlarm"},
        ALL,
    ),
    (
        "Chime is down at night, with three messages a minute",
        {"gateway requests": every(3), "Messages": every(3), "ProblemUpstreamFailure": every(3)},
        {"UpstreamProblemAlarm"},
        ALL,
    ),
    (
        "Chime fails in three ways, 4 % each",
        {
            "ProblemUpstreamFailure": every(12),
            "ProblemUpstreamUnavailable": every(12),
            "ProblemUpstreamTimeout": every(12),
        },
        {"UpstreamProblemAlarm"},
        ALL,
    ),
    ("Chime fails for a few seconds", {"ProblemUpstreamFailure": once(30)}, set(), ALL),
    ("one failed message at night", {"Messages": once(1), "ProblemUpstreamFailure": once(1)}, set(), ALL),
    ("the gateway fails for 7 % of the requests", {"gateway 5xx": every(7)}, {"ServerErrorAlarm"}, ALL),
    ("the gateway fails for 3 % of the requests", {"gateway 5xx": every(3)}, set(), ALL),
    ("the mapping is wrong: nothing is found", {"ProblemMessageNotFound": every(300)}, {"NotFoundAlarm"}, ALL),
    ("half of the messages are not found", {"ProblemMessageNotFound": every(150)}, set(), ALL),
    (
        "one client asks for old messages for five minutes",
        {"Messages": minutes(5, 300), "ProblemMessageNotFound": minutes(5, 300)},
        set(),
        ALL,
    ),
    ("denied messages vanish during waits", {"ProblemMessageGone": every(30)}, set(), ALL),
    ("Chime throttles 10 % of the messages", {"ProblemThrottled": every(30)}, {"ChimeThrottleAlarm"}, ALL),
    (
        "one request in a hundred is a batch of 20 whose messages are throttled",
        {"Messages": every(2_000), "ProblemThrottled": every(20)},
        set(),
        ALL,
    ),
    ("Lambda throttles for two minutes", {"Throttles": minutes(2, 1)}, {"LambdaThrottleAlarm"}, ALL),
    ("Lambda throttles one request", {"Throttles": once(1)}, set(), ALL),
    (
        "one request in five takes 5 s",
        {"RequestLatency": every(*[5_000] * 20, *[60] * 80)},
        {"LatencyAlarm"},
        ALL,
    ),
    ("five requests a minute, all slow", {"RequestLatency": every(*[5_000] * 5)}, {"LatencyAlarm"}, ALL),
    ("one request in twenty takes 5 s", {"RequestLatency": every(*[5_000] * 5, *[60] * 95)}, set(), ALL),
    ("Chime is slow", {"UpstreamLatency": every(*[1_800] * 10)}, {"UpstreamLatencyAlarm"}, ALL),
    ("Chime is slow for one minute", {"UpstreamLatency": once(*[1_800] * 10)}, set(), ALL),
    ("the reserve of 100 is nearly used up", {"ConcurrentExecutions": every(90)}, {"ConcurrencyAlarm"}, ON_DEMAND),
    ("the reserve is used up for one minute", {"ConcurrentExecutions": once(100)}, set(), ON_DEMAND),
    (
        "the environments are nearly full",
        {"ExecutionEnvironmentConcurrency": every(190)},
        {"ConcurrencyAlarm"},
        MANAGED,
    ),
    ("the environments have no CPU left", {"ExecutionEnvironmentCPUUtilization": every(95)}, {"CpuAlarm"}, MANAGED),
    ("a channel flow's processor cannot be invoked", {"MatchedEvents": once(1)}, {"ProcessorFailureAlarm"}, ALL),
]
CASES = [
    pytest.param(template, changes, expected, id=f"{template}: {situation}")
    for situation, changes, expected, templates in SITUATIONS
    for template in sorted(templates)
]


@pytest.fixture(scope="session")
def alarms_of():
    return {name: Stack(path, PARAMETERS).of_type("AWS::CloudWatch::Alarm") for name, path in TEMPLATES.items()}


@pytest.mark.parametrize("fill_creates", [True, False], ids=["FILL creates", "FILL does not create"])
@pytest.mark.parametrize(("template", "changes", "expected"), CASES)
def test_exactly_the_expected_alarms_fire(alarms_of, template, changes, expected, fill_creates):
    names = GATEWAY[template]
    series = {names.get(name, name): samples for name, samples in {**HEALTHY, **changes}.items()}
    fired = {name for name, alarm in alarms_of[template].items() if fires(alarm, series, fill_creates)}
    assert fired == expected


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_every_alarm_fires_in_a_situation(alarms_of, template):
    tested = set().union(*(expected for _, _, expected, templates in SITUATIONS if template in templates))
    assert tested == set(alarms_of[template])


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_every_alarm_notifies_the_topic(alarms_of, template):
    for alarm in alarms_of[template].values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [PARAMETERS["AlarmTopicArn"]]


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_without_a_topic_alarms_have_no_action(template):
    for alarm in Stack(TEMPLATES[template]).of_type("AWS::CloudWatch::Alarm").values():
        assert "AlarmActions" not in alarm and "OKActions" not in alarm


# Dimensions that AWS documents for its own metrics; another set of dimensions is another metric.
DIMENSIONS = {
    ("ChimeMessageStatus", None): [{"FunctionName"}],
    ("AWS/Lambda", "Errors"): [{"FunctionName"}],
    ("AWS/Lambda", "Throttles"): [{"FunctionName"}],
    ("AWS/Lambda", "ConcurrentExecutions"): [{"FunctionName"}],
    ("AWS/Lambda", "ExecutionEnvironmentConcurrency"): [{"CapacityProviderName", "FunctionName"}],
    ("AWS/Lambda", "ExecutionEnvironmentConcurrencyLimit"): [{"CapacityProviderName", "FunctionName"}],
    ("AWS/Lambda", "ExecutionEnvironmentCPUUtilization"): [{"CapacityProviderName", "FunctionName"}],
    ("AWS/ApiGateway", "5xx"): [{"ApiId"}],
    ("AWS/ApiGateway", "5XXError"): [{"ApiName", "Stage"}],
    ("AWS/ApiGateway", "Count"): [{"ApiId"}, {"ApiName", "Stage"}],
    ("AWS/Events", "MatchedEvents"): [{"RuleName"}],
}


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_alarms_read_metrics_by_their_documented_dimensions(alarms_of, template):
    for name, alarm in alarms_of[template].items():
        for metric in metrics(alarm).values():
            namespace = metric["Namespace"]
            key = (namespace, None if namespace == "ChimeMessageStatus" else metric["MetricName"])
            assert {d["Name"] for d in metric["Dimensions"]} in DIMENSIONS[key], name


def test_a_percentile_that_ignores_few_samples_never_fires_at_low_traffic():
    alarm = {
        "MetricName": "RequestLatency",
        "ExtendedStatistic": "p99",
        "EvaluateLowSampleCountPercentile": "ignore",
        "Period": 60,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 3,
        "Threshold": 26_000,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    assert not fires(alarm, {"RequestLatency": every(*[28_000] * 999)})
    assert fires(alarm, {"RequestLatency": every(*[28_000] * 1_001)})


def test_math_on_a_missing_value_is_missing():
    assert compute("100 * a / b", {"a": None, "b": 2}) is None
    assert compute("100 * FILL(a, 0) / b", {"a": None, "b": 2}) == 0
    assert compute("SUM([a, b])", {"a": None, "b": 2}) == 2
    assert compute("IF(b >= 3, a, 0)", {"a": 7, "b": 3}) == 7
