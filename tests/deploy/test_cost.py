"""Recomputes each sum of docs/cost.md from the values that the page states, and from the templates."""

import re

import pytest

from alarms import metrics
from test_alarms import rows
from translate import ROOT, TEMPLATES, Stack

PAGE = (ROOT / "docs/cost.md").read_text()
HOURS = 730


def number(cell):
    return float(re.search(r"[0-9][0-9,]*(\.[0-9]+)?", cell).group().replace(",", ""))


def table(header):
    """The rows of the table with this header, by their first cell."""
    lines = PAGE.split(f"\n{header}\n", 1)[1].split("\n\n")[0].splitlines()[1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: others for first, *others in cells}


PARTS = {name: number(value) for name, [value] in table("| part | value |").items()}
REQUESTS = table("| request | seconds | calls | HTTP API | REST API |")


def sentence(pattern):
    found = re.search(pattern, " ".join(PAGE.split()))
    assert found, pattern
    return [number(group) for group in found.groups()]


def cost(request, gateway="HTTP API"):
    seconds, calls = map(float, REQUESTS[request][:2])
    record = PARTS["record: KB with one call to Chime"] + (calls - 1) * PARTS["record: KB for each further call"]
    [to_gateway] = [price for name, price in PARTS.items() if name.endswith(gateway)]
    return (
        to_gateway
        + PARTS["invocations: a million"]
        + seconds * 0.125 * PARTS["GB-second: a million, on arm64"]
        + (record + PARTS["access log: KB"]) * PARTS["logs: a million KB in CloudWatch Logs"]
    )


@pytest.mark.parametrize("request_kind", REQUESTS)
def test_the_examples_follow_from_the_formula(request_kind):
    stated = [number(cell) for cell in REQUESTS[request_kind][2:]]
    assert stated == pytest.approx([cost(request_kind), cost(request_kind, "REST API")], abs=0.0051)


def test_the_monthly_costs_follow_from_the_templates():
    alarms = Stack(TEMPLATES["monitoring"], {"Api": "a1b2c3d4e5"}).of_type("AWS::CloudWatch::Alarm").values()
    watched = sum(len(metrics(alarm)) for alarm in alarms)
    sums = []
    for name, count in (
        ("metrics, at most", len(rows("Metrics"))),
        ("metrics that alarms watch", watched),
        ("dashboard", 1),
    ):
        value, total = table("| part | value | cost |")[name]
        stated, price = re.fullmatch(r"(\d+) at \$([\d.]+)", value).groups()
        assert int(stated) == count, name
        assert number(total) == pytest.approx(count * float(price), abs=0.0051)
        sums.append(number(total))
    assert sentence(r"cost at most \$([0-9.]+) a month") == [pytest.approx(sum(sums), abs=0.0051)]


def test_the_comparisons_follow_from_the_costs():
    assert sentence(r"20 s: \$([0-9.]+) for a million messages") == [pytest.approx(9 * round(cost("one message"), 2))]
    [longest] = sentence(r"lasts longer than about (\d+) s")
    per_second = 0.125 * PARTS["GB-second: a million, on arm64"]
    assert longest == round((9 * cost("one message") - cost("wait of 20 s") + 20 * per_second) / per_second)
    [hourly, percent, monthly, millions] = sentence(
        r"\(\$([\d.]+) an hour, and (\d+) %.*? cost \$([\d.]+) a month.*? above ([\d.]+) million"
    )
    assert monthly == pytest.approx(3 * hourly * HOURS * (1 + percent / 100), abs=0.0051)
    assert millions == pytest.approx(monthly / (20 * per_second), abs=0.051)
