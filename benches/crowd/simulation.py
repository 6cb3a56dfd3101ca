"""Simulation of a crowd of users who reconnect at once and request the status of their messages.

Pure: it turns assumptions into an outcome, without files or a clock. All times are in seconds.
"""

import heapq
import itertools
import math
import random
from collections import Counter
from dataclasses import dataclass, field


def assumption(default, meaning):
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Assumptions:
    # The crowd.
    users: int = assumption(100_000, "users who lost their WebSocket")
    reconnect_seconds: float = assumption(60, "reconnects are spread evenly over this time")
    jitter_seconds: float = assumption(3, "longest random pause of a client between its reconnect and its request")
    messages_min: int = assumption(1, "fewest messages of a user")
    messages_max: int = assumption(20, "most messages of a user")
    pending_share: float = assumption(0.1, "share of messages that are PENDING at the first request")
    decision_min: float = assumption(0.1, "shortest time until such a message is decided (log-uniform)")
    decision_max: float = assumption(20, "longest time until such a message is decided (log-uniform)")
    # The client.
    batch: int = assumption(20, "most messages in one request")
    wait_first: float = assumption(0, "`wait` of a user's first request")
    wait_later: float = assumption(0, "`wait` of each later request, which is for the pending messages")
    live_pause: float = assumption(3, "shortest pause of the tracker while its WebSocket is live")
    live_growth: float = assumption(0.75, "its pause as a share of the time for which a message is pending")
    retry_after_min: float = assumption(1, "shortest pause before the next request while messages are pending")
    retry_after_max: float = assumption(4, "longest pause before the next request while messages are pending")
    backoff_first: float = assumption(1, "first pause after a rejected request; doubles, times 0.5 to 1")
    backoff_max: float = assumption(30, "longest pause after a rejected request")
    # The gateway.
    gateway_rate: float = assumption(10_000, "requests a second that the gateway lets through")
    gateway_burst: float = assumption(5_000, "requests that the gateway lets through at once")
    # Lambda.
    concurrency: int = assumption(1_000, "environments that the account may have for this function")
    scaling: float = assumption(1_000, "new environments in 10 s (token bucket: this size, refilled continuously)")
    environment_seconds: float = assumption(0.15, "time that Lambda needs to create an environment, before our code starts")
    core_share: float = assumption(1 / 14, "share of a core that a 128 MB function has")
    # Managed Instances: environments that run before the crowd comes; 0 is standard Lambda.
    managed_environments: int = assumption(0, "Managed Instances environments (0: standard Lambda)")
    managed_requests: int = assumption(200, "requests at once in one Managed Instances environment")
    managed_cores: float = assumption(1, "vCPUs of one Managed Instances environment")
    # The function.
    start_cpu: float = assumption(0.0038, "CPU time of a cold start, first response included")
    call_cpu: float = assumption(0.00021, "CPU time of each further call, with its share of the request")
    calls_per_second: int = assumption(5, "calls to Chime in any second by one request")
    calls_in_flight: int = assumption(4, "calls to Chime at once by one request")
    slot_seconds: float = assumption(1.1, "seconds for which the rate limiter counts a call after its end")
    poll_intervals: tuple = assumption(
        (0.2, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.8, 2.2, 2.5, 2.8, 3.1), "pauses between the polls of a wait"
    )
    failures_in_a_row: int = assumption(3, "failed calls in a row after which the rest of a batch is not called")
    # Chime.
    call_seconds: float = assumption(0.05, "seconds that Chime takes for a call")
    chime_user_quota: int = assumption(10, "calls a second that Chime accepts for one user")
    chime_account_quota: float = assumption(math.inf, "calls a second that Chime accepts for the account")
    # The run.
    seed: int = assumption(1, "seed of the random numbers")
    horizon: float = assumption(900, "second at which the simulation stops")


class Bucket:
    """Token bucket: full at first, refilled all the time, never more than full."""

    def __init__(self, size, rate):
        self.size, self.rate, self.tokens, self.at = size, rate, size, 0.0

    def take(self, now):
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Served:
    """What one request did: how long it took, its calls (seconds after its start), what is left."""

    seconds: float
    calls: list
    undecided: list


def serve(decisions, wait, a, draw=None, accepts=lambda at: True):
    """One request for messages that are decided at these seconds after its start (0: already).

    `draw` returns random numbers from 0 to 1. `accepts` returns whether Chime accepts a call at that time.
    """
    ready = [(0.0, index, 0) for index in range(len(decisions))]
    slots, running, calls, undecided = [0.0] * a.calls_per_second, [], [], []
    seconds, failures = 0.0, 0
    while ready:
        at, index, polls = heapq.heappop(ready)
        if failures >= a.failures_in_a_row:
            undecided.append(index)
            continue
        if len(running) == a.calls_in_flight:
            at = max(at, heapq.heappop(running))
        at = max(at, heapq.heappop(slots))
        if polls and at >= wait:
            undecided.append(index)
            heapq.heappush(slots, at)
            continue
        end = at + a.call_seconds
        throttled = not accepts(at) or sum(at - 1 < call for call in calls) >= a.chime_user_quota
        calls.append(at)
        heapq.heappush(slots, end + a.slot_seconds)
        heapq.heappush(running, end)
        seconds = max(seconds, end)
        failures = failures + 1 if throttled else 0
        # Chime reads the status after half of the call's time.
        if not throttled and decisions[index] <= at + a.call_seconds / 2:
            continue
        pause = a.poll_intervals[min(polls, len(a.poll_intervals) - 1)]
        again = end + pause * (0.9 + 0.2 * (draw() if draw else 0.5)) * (2 if throttled else 1)
        if again < wait:
            heapq.heappush(ready, (again, index, polls + 1))
        else:
            undecided.append(index)
    gave_up = failures >= a.failures_in_a_row
    return Served(max(seconds, wait) if undecided and not gave_up else seconds, calls, undecided)


class Standard:
    """Lambda as it scales by itself: one environment for each request."""

    def __init__(self, a):
        self.a, self.environments, self.idle, self.cold_starts = a, 0, 0, 0
        self.new = Bucket(a.scaling, a.scaling / 10)

    def enter(self, now):
        """Seconds before our code runs, or None if Lambda throttles the request."""
        if self.idle:
            self.idle -= 1
            return 0.0
        if self.environments >= self.a.concurrency or not self.new.take(now):
            return None
        self.environments += 1
        self.cold_starts += 1
        return self.a.environment_seconds + self.a.start_cpu

    def leave(self):
        self.idle += 1

    def cpu(self, calls):
        return calls * self.a.call_cpu / self.a.core_share

    @property
    def busy(self):
        return self.environments - self.idle


class Managed:
    """Environments that run already and serve many requests each. Their number is fixed: new ones take minutes."""

    cold_starts = 0

    def __init__(self, a):
        self.a, self.requests, self.environments = a, 0, a.managed_environments

    def enter(self, now):
        if self.requests >= self.environments * self.a.managed_requests:
            return None
        self.requests += 1
        return 0.0

    def leave(self):
        self.requests -= 1

    def cpu(self, calls):
        return calls * self.a.call_cpu

    @property
    def busy(self):
        return self.requests


@dataclass
class Outcome:
    """Figures of one run. The counters are by whole seconds."""

    assumptions: Assumptions
    environments: int = 0
    cold_starts: int = 0
    environment_seconds: float = 0.0
    busy_peak: int = 0
    #: From the reconnect to the first response, and to the last result, for each user who got them.
    first: list = field(default_factory=list)
    last: list = field(default_factory=list)
    requests: Counter = field(default_factory=Counter)
    gateway_rejected: Counter = field(default_factory=Counter)
    lambda_throttled: Counter = field(default_factory=Counter)
    calls: Counter = field(default_factory=Counter)
    busy: Counter = field(default_factory=Counter)
    responded: Counter = field(default_factory=Counter)

    @property
    def cores_used(self):
        """The share of the Managed Instances' vCPUs that the busiest second needs."""
        a = self.assumptions
        cores = a.managed_environments * a.managed_cores
        return max(self.calls.values(), default=0) * a.call_cpu / cores if cores else math.nan


def simulate(a):
    """Runs the crowd until each user has all results."""
    draw = random.Random(a.seed).random
    between = lambda low, high: low + (high - low) * draw()
    outcome = Outcome(a)
    gateway = Bucket(a.gateway_burst, a.gateway_rate)
    platform = Managed(a) if a.managed_environments else Standard(a)
    number = itertools.count()
    events = []
    log_range = (math.log(a.decision_min), math.log(a.decision_max))

    def later(at, action, *arguments):
        heapq.heappush(events, (at, next(number), action, arguments))

    def accepts(start):
        def call(at):
            return outcome.calls[int(start + at)] < a.chime_account_quota

        return call

    def request(now, user, messages, failures):
        outcome.requests[int(now)] += 1
        if not gateway.take(now):
            outcome.gateway_rejected[int(now)] += 1
            return retry(now, user, messages, failures)
        before = platform.enter(now)
        if before is None:
            outcome.lambda_throttled[int(now)] += 1
            return retry(now, user, messages, failures)
        batch, rest = messages[: a.batch], messages[a.batch :]
        start = now + before
        decisions = [max(0.0, decided - start) for decided in batch]
        wait = a.wait_later if user.responded else a.wait_first
        served = serve(decisions, wait, a, draw, accepts(start))
        for at in served.calls:
            outcome.calls[int(start + at)] += 1
        end = start + served.seconds + platform.cpu(len(served.calls))
        outcome.environment_seconds += end - now
        outcome.busy_peak = max(outcome.busy_peak, platform.busy)
        later(end, response, user, [batch[i] for i in served.undecided], rest)

    def retry(now, user, messages, failures):
        pause = min(a.backoff_max, a.backoff_first * 2**failures)
        later(now + pause * between(0.5, 1), request, user, messages, failures + 1)

    def response(now, user, undecided, rest):
        platform.leave()
        if not user.responded:
            user.responded = True
            outcome.first.append(now - user.reconnected)
            outcome.responded[int(now)] += 1
        if rest:
            later(now, request, user, rest + undecided, 0)
        elif undecided:
            pause = max(a.live_pause, a.live_growth * (now - user.reconnected), between(a.retry_after_min, a.retry_after_max))
            later(now + pause, request, user, undecided, 0)
        else:
            outcome.last.append(now - user.reconnected)

    for _ in range(a.users):
        user = User(between(0, a.reconnect_seconds))
        requested = user.reconnected + between(0, a.jitter_seconds)
        count = int(between(a.messages_min, a.messages_max + 1))
        decided = [
            requested + math.exp(between(*log_range)) if draw() < a.pending_share else 0.0 for _ in range(count)
        ]
        later(requested, request, user, decided, 0)

    second = 0
    while events and events[0][0] < a.horizon:
        now, _, action, arguments = heapq.heappop(events)
        while second <= now:
            outcome.busy[second] = platform.busy
            second += 1
        action(now, *arguments)
    outcome.environments, outcome.cold_starts = platform.environments, platform.cold_starts
    return outcome


class User:
    __slots__ = ("reconnected", "responded")

    def __init__(self, reconnected):
        self.reconnected, self.responded = reconnected, False
