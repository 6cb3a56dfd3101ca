"""The simulation against cases that can be computed by hand."""

import dataclasses
import math
import unittest

from simulation import Assumptions, serve, simulate

# 50 ms a call, five calls a second, four at once, slots held for 1.1 s.
A = Assumptions()


def crowd(**changes):
    """Users who make one request each about one decided message, all at time 0."""
    still = dict(reconnect_seconds=0, jitter_seconds=0, messages_min=1, messages_max=1, pending_share=0)
    return simulate(dataclasses.replace(A, **still | changes))


class OneRequest(unittest.TestCase):
    def test_one_decided_message_costs_one_call(self):
        served = serve([0], 0, A)
        self.assertEqual((served.calls, served.undecided), ([0], []))
        self.assertAlmostEqual(served.seconds, 0.05)

    def test_twenty_messages_take_three_slot_times(self):
        # Four calls at once and a fifth when the first has ended. Slot 1 is free again at
        # 0.05 + 1.1 = 1.15 s. So the calls start at 0, 1.15, 2.3 and 3.45 s, the last one 0.05 s later.
        served = serve([0] * 20, 0, A)
        wanted = [start + late for start in (0, 1.15, 2.3, 3.45) for late in (0, 0, 0, 0, 0.05)]
        for call, time in zip(served.calls, wanted, strict=True):
            self.assertAlmostEqual(call, time)
        self.assertAlmostEqual(served.seconds, 3.55)

    def test_no_second_has_more_calls_than_the_limit(self):
        calls = serve([30] * 20, 20, A).calls
        self.assertLessEqual(max(sum(at <= call < at + 1 for call in calls) for at in calls), 5)

    def test_a_wait_ends_with_the_poll_after_the_decision(self):
        # Polls at 0, 0.05 + 0.2 = 0.25 and 0.5 s; the last one sees a decision at 0.5 s.
        served = serve([0.5], 20, A)
        self.assertEqual(len(served.calls), 3)
        self.assertAlmostEqual(served.seconds, 0.55)

    def test_a_wait_for_an_undecided_message_ends_on_time(self):
        served = serve([0, 30], 5, A)
        self.assertEqual((served.seconds, served.undecided), (5, [1]))

    def test_a_full_wait_costs_at_most_fourteen_calls(self):
        self.assertLessEqual(len(serve([30], 20, A, draw=lambda: 0).calls), 14)

    def test_three_throttled_calls_end_a_batch(self):
        served = serve([0] * 20, 0, A, accepts=lambda at: False)
        self.assertEqual((len(served.calls), len(served.undecided)), (3, 20))

    def test_calls_over_the_quota_of_the_user_are_throttled(self):
        served = serve([0] * 4, 0, dataclasses.replace(A, chime_user_quota=3))
        self.assertEqual(len(served.undecided), 1)


class Crowd(unittest.TestCase):
    def test_every_user_gets_all_results(self):
        o = simulate(dataclasses.replace(A, users=2_000))
        self.assertEqual((len(o.first), len(o.last)), (2_000, 2_000))

    def test_the_same_seed_gives_the_same_outcome(self):
        a = dataclasses.replace(A, users=500)
        self.assertEqual(simulate(a), simulate(a))

    def test_requests_at_once_are_rate_times_duration(self):
        # 1,000 requests a second, each 50 ms at Chime and 0.21 ms of CPU at a fourteenth of a core:
        # 52.9 at once.
        o = crowd(users=60_000, reconnect_seconds=60)
        busy = [o.busy[second] for second in range(10, 60)]
        self.assertAlmostEqual(sum(busy) / len(busy), 1_000 * (0.05 + 14 * A.call_cpu), delta=4)

    def test_lambda_adds_one_thousand_environments_at_once_and_then_one_hundred_a_second(self):
        o = crowd(users=1_500, concurrency=5_000)
        self.assertEqual((o.environments, o.lambda_throttled[0]), (1_000, 500))
        # No wait of 20 s ends in this time: 1,000 environments at first, and 100 in each of the next 10 s.
        held = dict(pending_share=1, decision_min=900, decision_max=900, wait_first=20)
        o = crowd(users=20_000, reconnect_seconds=10, concurrency=5_000, horizon=10, **held)
        self.assertAlmostEqual(o.environments, 2_000, delta=2)

    def test_environments_never_exceed_the_quota(self):
        o = crowd(users=50, concurrency=10)
        self.assertEqual((o.environments, o.busy_peak, o.lambda_throttled[0]), (10, 10, 40))

    def test_the_gateway_lets_its_burst_through_and_then_its_rate(self):
        o = crowd(users=150, gateway_burst=100, gateway_rate=10, horizon=0.4)
        self.assertEqual(o.gateway_rejected[0], 50)
        # All 50 retry within the second, in which the bucket gets 10 more tokens.
        o = crowd(users=150, gateway_burst=100, gateway_rate=10, horizon=1)
        self.assertAlmostEqual(o.requests[0] - o.gateway_rejected[0], 109, delta=1)

    def test_managed_environments_serve_so_many_requests_each(self):
        o = crowd(users=10, managed_environments=2, managed_requests=3)
        self.assertEqual((o.busy_peak, o.lambda_throttled[0], o.cold_starts), (6, 4, 0))

    def test_a_cold_start_comes_before_the_first_response(self):
        o = crowd(users=1)
        self.assertAlmostEqual(o.first[0], A.environment_seconds + A.start_cpu + 0.05 + 14 * A.call_cpu)

    def test_the_jitter_spreads_users_who_reconnect_together(self):
        o = crowd(users=3_000, jitter_seconds=3)
        for second in range(3):
            self.assertAlmostEqual(o.requests[second], 1_000, delta=120)

    def test_calls_over_the_quota_of_the_account_are_throttled(self):
        o = crowd(users=20, chime_account_quota=10)
        self.assertEqual(o.responded[0], 20)
        self.assertEqual(len(o.last), 20)
        self.assertGreater(percentile(o.last, 1), 1)

    def test_a_user_with_more_messages_than_a_batch_makes_further_requests(self):
        o = crowd(users=1, messages_min=12, messages_max=12, batch=5)
        self.assertEqual(sum(o.requests.values()), 3)

    def test_cores_of_managed_instances_are_calls_times_cpu(self):
        o = crowd(users=100, managed_environments=2, managed_requests=64)
        self.assertAlmostEqual(o.cores_used, 100 * A.call_cpu / 2)
        self.assertTrue(math.isnan(crowd(users=1).cores_used))


def percentile(values, share):
    return sorted(values)[int(share * (len(values) - 1))]


if __name__ == "__main__":
    unittest.main()
