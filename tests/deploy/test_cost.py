"""Recomputes every sum of docs/cost.md from the assumptions that the page states, and from the templates."""

import math
import re

import pytest

from translate import ROOT, TEMPLATES, Stack

PAGE = (ROOT / "docs/cost.md").read_text()
MILLION = 1_000_000
HOURS = 730
SECONDS_OF_A_MONTH = 30 * 24 * 3600


def table(heading):
    """The rows of the first table under a heading, as lists of cells."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("*") for cell in row] for row in rows if not set(row[0]) <= set("- ")]


def number(cell):
    return float(re.search(r"[0-9][0-9,]*(\.[0-9]+)?", cell).group().replace(",", ""))


ASSUMED = {row[0]: number(row[1]) for row in table("Assumptions")[1:]}
REQUESTS = {row[0]: [number(cell) for cell in row[1:]] for row in table("Kinds of requests")[1:]}
COST = {row[0]: row[1:] for row in table("A million requests")[1:]}
KINDS = table("A million requests")[0][1:]


def traced(requests_per_month):
    """The share of requests that X-Ray records: the first of each second, and 5 % of the others."""
    first = SECONDS_OF_A_MONTH * (1 - math.exp(-requests_per_month / SECONDS_OF_A_MONTH))
    return (first + 0.05 * (requests_per_month - first)) / requests_per_month


def gb_seconds(kind):
    seconds, _, _ = REQUESTS[kind]
    cold = ASSUMED["Share of cold starts, in percent"] / 100 * ASSUMED["INIT of a cold start, in seconds"]
    return {"duration": seconds * 0.125 * MILLION, "init": cold * 0.125 * MILLION}


def computed(kind):
    _, calls, _ = REQUESTS[kind]
    price = ASSUMED["Lambda, a GB-second on arm64"]
    record = ASSUMED["Record with one call, in KB"] + (calls - 1) * ASSUMED["Record, each further call, in KB"]
    logs = ASSUMED["CloudWatch Logs, a GB"]
    rows = {
        "HTTP API": ASSUMED["HTTP API, a million requests"],
        "Lambda, invocations": ASSUMED["Lambda, a million invocations"],
        "Lambda, duration": gb_seconds(kind)["duration"] * price,
        "Lambda, INIT": gb_seconds(kind)["init"] * price,
        "Log of the function": record * logs,
        "Access log": ASSUMED["Access log line, in KB"] * logs,
        "X-Ray": traced(MILLION) * ASSUMED["X-Ray, a million traces"],
    }
    rows["Together"] = sum(rows.values())
    rows["Without X-Ray"] = rows["Together"] - rows["X-Ray"]
    rows["REST API instead, with access log"] = (
        rows["Together"] - rows["HTTP API"] + ASSUMED["REST API, a million requests"]
    )
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_the_costs_of_a_million_requests_follow_from_the_assumptions(kind):
    column = KINDS.index(kind)
    stated = {name: number(cells[column]) for name, cells in COST.items()}
    assert stated == {name: pytest.approx(cost, abs=0.0051) for name, cost in computed(kind).items()}


def test_a_full_wait_makes_as_many_calls_as_the_contract_allows():
    intervals = [0.2, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.8, 2.2, 2.5, 2.8, 3.1]
    for kind, (seconds, calls, _) in REQUESTS.items():
        if kind.startswith("wait"):
            elapsed, made = 0.0, 1
            for interval in intervals + [3.1] * 10:
                elapsed += interval
                if elapsed >= seconds:
                    break
                made += 1
            assert calls == min(made + 1, 14), kind


def test_the_time_of_a_batch_respects_the_rate_limit():
    rate = ASSUMED["Calls to Chime in a second, in us-east-1"]
    for kind, (seconds, calls, messages) in REQUESTS.items():
        if kind.startswith("batch"):
            assert calls == messages
            least = max(0, (messages - rate) / rate)
            assert least < seconds < least + 1, kind


def test_xray_traces_the_stated_shares():
    stated = {number(row[0]): number(row[1]) for row in table("X-Ray")[1:]}
    assert stated == {millions: pytest.approx(100 * traced(millions * MILLION), abs=0.51) for millions in stated}


def test_the_monthly_costs_follow_from_the_templates():
    stated = {row[0]: row[1:] for row in table("Each month, without any traffic")[1:]}
    kinds = ["http-api", "rest-api", "managed-instances"]
    for column, kind in enumerate(kinds):
        default = Stack(TEMPLATES[kind])

        def watched(stack):
            alarms = stack.of_type("AWS::CloudWatch::Alarm").values()
            return sum(len([m for m in a["Metrics"] if "MetricStat" in m]) if "Metrics" in a else 1 for a in alarms)

        body = default.properties("Dashboard")["DashboardBody"]
        metrics = len(set(re.findall(r'"ChimeMessageStatus", "([A-Za-z]+)"', body)))
        rows = {
            "Metrics, at most": metrics * ASSUMED["CloudWatch, a metric and month"],
            "Alarms": watched(default) * ASSUMED["CloudWatch, an alarm's metric and month"],
            "Dashboard": ASSUMED["CloudWatch, a dashboard and month"],
        }
        if kind == "managed-instances":
            environments = int(default.parameters["MinEnvironments"])
            hourly = environments * ASSUMED["An instance with 2 vCPUs and 4 GB, an hour"]
            rows["Instances"] = hourly * HOURS
            rows["Management fee of Managed Instances"] = rows["Instances"] * ASSUMED["Management fee, in percent"] / 100
            rows["NAT gateway and its address"] = (
                ASSUMED["NAT gateway, an hour"] + ASSUMED["Public IPv4 address, an hour"]
            ) * HOURS
        rows["Together"] = sum(rows.values())
        for name, cells in stated.items():
            expected = rows.get(name, 0)
            shown = number(cells[column]) if cells[column] != "—" else 0
            assert shown == pytest.approx(expected, abs=0.0051), (kind, name)
        [more] = sentence(r"WatchProcessorFailures` adds ([0-9]+) metric")
        assert more == watched(Stack(TEMPLATES[kind], {"WatchProcessorFailures": "true"})) - watched(default)


def sentence(pattern):
    found = re.search(pattern, " ".join(PAGE.split()))
    assert found, pattern
    return [number(group) for group in found.groups()]


def test_managed_instances_pay_off_at_the_stated_number_of_full_waits():
    [millions] = sentence(r"pays off above ([0-9.]+) million full waits a month")
    monthly = {row[0]: row[1:] for row in table("Each month, without any traffic")[1:]}["Together"]
    difference = number(monthly[2]) - number(monthly[0])
    assert millions == pytest.approx(difference / computed("wait of 20 s")["Lambda, duration"], abs=0.051)


def test_what_web_functions_would_cost_is_computed_from_cpu_time():
    [milliseconds, gigabyte_seconds, cost] = sentence(
        r"a full wait uses ([0-9.]+) ms of CPU.*? ([0-9.]+) GB-seconds.*? \$([0-9.]+) a million"
    )
    _, calls, _ = REQUESTS["wait of 20 s"]
    cpu = calls * ASSUMED["CPU of one call on a full vCPU, in ms"]
    assert milliseconds == pytest.approx(cpu, abs=0.051)
    assert gigabyte_seconds == pytest.approx(cpu / 1000 * 1.769, abs=0.0005)
    assert cost == pytest.approx(cpu / 1000 * 1.769 * MILLION * ASSUMED["Lambda, a GB-second on arm64"], abs=0.0051)
