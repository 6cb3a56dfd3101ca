"""An evaluator for the part of CloudWatch's alarm rules that the templates use.

Rules, as documented by CloudWatch:
- An alarm is evaluated every minute. Its periods end at that minute, so a period of 300 s slides.
- A period without samples is missing. All alarms here treat missing data as not breaching.
- An alarm fires when DatapointsToAlarm of the last EvaluationPeriods are breaching.
- A percentile alarm with `evaluate` also counts periods with few samples.
- Metric math: an operation on a missing value is missing; SUM of a list skips missing values; FILL replaces them.
  Whether FILL also fills a metric without any sample is not documented, so it is a parameter here.
"""

import ast
import math
import operator

MISSING = None
_COMPARE = {ast.GtE: operator.ge, ast.LtE: operator.le}
_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_BREACHES = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
}


def statistic(name, samples):
    if not samples:
        return MISSING
    if name == "Sum":
        return sum(samples)
    if name.startswith("p"):
        rank = math.ceil(float(name[1:]) / 100 * len(samples))
        return sorted(samples)[max(rank, 1) - 1]
    raise ValueError(f"unknown statistic {name}")


def compute(expression, values, fill_creates=True):
    """The value of a metric math expression for one period."""

    def walk(node):
        if isinstance(node, ast.Expression):
            return walk(node.body)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return values[node.id]
        if isinstance(node, ast.List):
            return [walk(item) for item in node.elts]
        if isinstance(node, ast.BinOp):
            left, right = walk(node.left), walk(node.right)
            is_division_by_zero = isinstance(node.op, ast.Div) and right == 0
            if left is MISSING or right is MISSING or is_division_by_zero:
                return MISSING
            return _ARITHMETIC[type(node.op)](left, right)
        if isinstance(node, ast.Compare):
            left, right = walk(node.left), walk(node.comparators[0])
            return MISSING if left is MISSING or right is MISSING else _COMPARE[type(node.ops[0])](left, right)
        if isinstance(node, ast.Call):
            return function(node.func.id, node.args)
        raise ValueError(f"unsupported expression {ast.dump(node)}")

    def function(name, arguments):
        if name == "IF":
            condition = walk(arguments[0])
            return MISSING if condition is MISSING else walk(arguments[1 if condition else 2])
        if name == "FILL":
            value = walk(arguments[0])
            return walk(arguments[1]) if value is MISSING and fill_creates else value
        if name == "SUM":
            present = [value for value in walk(arguments[0]) if value is not MISSING]
            return sum(present) if present else MISSING
        raise ValueError(f"unsupported function {name}")

    return walk(ast.parse(expression, mode="eval"))


def metrics(alarm):
    """Namespace, name and dimensions of every metric that an alarm reads, by its id."""
    if "Metrics" not in alarm:
        return {"value": alarm}
    return {m["Id"]: m["MetricStat"]["Metric"] for m in alarm["Metrics"] if "MetricStat" in m}


def fires(alarm, series, fill_creates=True):
    """Whether an alarm fires in any minute. `series` is a list of samples for each minute, by metric name."""
    assert alarm["TreatMissingData"] == "notBreaching"
    read = metrics(alarm)
    expression, period, names = None, alarm.get("Period"), {}
    for query in alarm.get("Metrics", []):
        if "Expression" in query:
            assert query["ReturnData"] and expression is None, "one expression that is returned"
            expression = query["Expression"]
        else:
            assert period in (None, query["MetricStat"]["Period"]), "one period for all metrics of an alarm"
            period = query["MetricStat"]["Period"]
            names[query["Id"]] = query["MetricStat"]["Stat"]
    if expression is None:
        names["value"] = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        # The default would keep the alarm silent below 10 / (1 - percentile) samples.
        assert "Statistic" in alarm or alarm["EvaluateLowSampleCountPercentile"] == "evaluate"
    minutes = int(period) // 60
    breaches = _BREACHES[alarm["ComparisonOperator"]]
    length = max(map(len, series.values()), default=0)

    def point(end):
        values = {}
        for key, metric in read.items():
            minutes_of_metric = series.get(metric["MetricName"], [])
            samples = [s for minute in minutes_of_metric[max(end - minutes, 0) : end] for s in minute]
            values[key] = statistic(names[key], samples)
        return values["value"] if expression is None else compute(expression, values, fill_creates)

    for end in range(1, length + 1):
        ends = [end - back * minutes for back in range(int(alarm["EvaluationPeriods"])) if end > back * minutes]
        breaching = [
            value for value in map(point, ends) if value is not MISSING and breaches(value, float(alarm["Threshold"]))
        ]
        if len(breaching) >= int(alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])):
            return True
    return False
