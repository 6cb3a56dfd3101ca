//! The schedule of one request, on a paused clock.

use std::cell::RefCell;

use futures_util::future::join_all;
use proptest::prelude::*;

use super::early_end::GRACE;
use super::*;

const DEADLINE: Duration = Duration::from_secs(28);
const QUICK: Duration = Duration::from_millis(20);

/// Runs `test` on a clock that jumps to the next timer.
fn on_a_paused_clock<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(test)
}

fn policy(wait_seconds: Option<u64>) -> RetryPolicy {
    let now = Instant::now();
    RetryPolicy {
        deadline: now + DEADLINE,
        max_attempts: 3,
        is_batch: false,
        wait: wait_seconds.map(|seconds| Wait {
            expires_at: now + Duration::from_secs(seconds),
            ends_with_first: false,
        }),
    }
}

fn batch(wait_seconds: Option<u64>) -> RetryPolicy {
    RetryPolicy {
        is_batch: true,
        ..policy(wait_seconds)
    }
}

fn until_any(wait_seconds: u64) -> RetryPolicy {
    let mut policy = batch(Some(wait_seconds));
    policy.wait = policy.wait.map(|wait| Wait {
        ends_with_first: true,
        ..wait
    });
    policy
}

/// The results of the calls about one message, each after a time. The last one repeats.
type Script = Vec<(Duration, RetryClass)>;

fn script(latency: Duration, results: &[RetryClass]) -> Script {
    results.iter().map(|result| (latency, *result)).collect()
}

/// What a request did.
struct Outcome {
    results: Vec<Polled<RetryClass>>,
    /// Message, start and end of each call. A call that was given up ends when it was dropped.
    calls: Vec<(usize, Duration, Duration)>,
    took: Duration,
}

impl Outcome {
    fn starts_of(&self, message: usize) -> Vec<Duration> {
        let calls = self.calls.iter();
        let mut starts: Vec<_> = calls
            .filter(|(index, ..)| *index == message)
            .map(|(_, start, _)| *start)
            .collect();
        starts.sort();
        starts
    }

    fn single(&self) -> (Option<RetryClass>, usize) {
        (self.results[0].result, self.calls.len())
    }
}

struct RunningCall<'c> {
    message: usize,
    origin: Instant,
    start: Duration,
    calls: &'c RefCell<Vec<(usize, Duration, Duration)>>,
}

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        let call = (self.message, self.start, self.origin.elapsed());
        self.calls.borrow_mut().push(call);
    }
}

/// Runs a request about one message for each script, at `rate` calls a second.
async fn run_at(rate: usize, policy: RetryPolicy, scripts: &[Script]) -> Outcome {
    let origin = Instant::now();
    let calls = RefCell::new(Vec::new());
    let limiter = RateLimiter::new(rate);
    let scheduler = Scheduler::new(limiter, policy, scripts.len(), |class| *class);
    let messages = scripts.iter().enumerate().map(|(message, script)| {
        let made = RefCell::new(0);
        let (calls, scheduler) = (&calls, &scheduler);
        async move {
            scheduler
                .run(|_| {
                    let call = made.replace_with(|made| *made + 1);
                    let (latency, result) = *script.get(call).or(script.last()).expect("a script");
                    async move {
                        let _call = RunningCall {
                            message,
                            origin,
                            start: origin.elapsed(),
                            calls,
                        };
                        tokio::time::sleep(latency).await;
                        result
                    }
                })
                .await
        }
    });
    let results = join_all(messages).await;
    Outcome {
        results,
        calls: calls.into_inner(),
        took: origin.elapsed(),
    }
}

async fn run(policy: RetryPolicy, scripts: &[Script]) -> Outcome {
    run_at(5, policy, scripts).await
}

async fn run_one(policy: RetryPolicy, latency: Duration, results: &[RetryClass]) -> Outcome {
    run(policy, &[script(latency, results)]).await
}

use RetryClass::{Final, Pending, Reconnect, RetryLater, RetryOnce, Retryable};

const FAILURES: [RetryClass; 3] = [RetryOnce, Retryable, RetryLater];

#[test]
fn without_a_wait_a_pending_message_costs_one_call() {
    on_a_paused_clock(async {
        let outcome = run_one(policy(None), QUICK, &[Pending]).await;
        assert_eq!(outcome.single(), (Some(Pending), 1));
    });
}

#[test]
fn retries_come_after_50_to_100_ms_and_100_to_200_ms() {
    on_a_paused_clock(async {
        let results = [Retryable, Retryable, Final];
        let outcome = run_one(policy(None), Duration::ZERO, &results).await;
        assert_eq!(outcome.single(), (Some(Final), 3));
        let starts = outcome.starts_of(0);
        // Timers fire at whole milliseconds.
        let between = |gap: Duration, from, to| (from..=to).contains(&gap.as_millis());
        assert!(between(starts[1] - starts[0], 50, 101), "{starts:?}");
        assert!(between(starts[2] - starts[1], 100, 201), "{starts:?}");
    });
}

#[test]
fn each_class_has_its_number_of_retries() {
    for (class, calls) in [
        (Final, 1),
        (Retryable, 3),
        (RetryOnce, 2),
        (RetryLater, 1),
        (Reconnect, 2),
    ] {
        on_a_paused_clock(async {
            let outcome = run_one(policy(None), QUICK, &[class]).await;
            assert_eq!(outcome.single(), (Some(class), calls));
        });
    }
}

#[test]
fn no_call_outlasts_the_deadline() {
    on_a_paused_clock(async {
        let soon = RetryPolicy {
            deadline: Instant::now() + Duration::from_millis(20),
            ..policy(None)
        };
        let outcome = run_one(soon, Duration::ZERO, &[Retryable]).await;
        assert_eq!(outcome.single(), (Some(Retryable), 1));
        assert!(outcome.took <= Duration::from_millis(21));
        let outcome = run_one(policy(None), DEADLINE * 2, &[Final]).await;
        assert_eq!(outcome.results[0].result, None, "the call hangs");
        assert!(outcome.took <= DEADLINE + Duration::from_millis(1));
    });
}

#[test]
fn three_failures_in_a_row_end_a_batch_without_further_calls() {
    for class in FAILURES {
        on_a_paused_clock(async {
            let scripts = vec![script(QUICK, &[class]); 20];
            let outcome = run(batch(None), &scripts).await;
            let results = outcome.results.iter();
            assert!(results.clone().all(|polled| polled.result == Some(class)));
            // Those that were in flight when the third one failed may complete.
            assert!(outcome.calls.len() <= 6, "{:?}", outcome.calls);
            assert!(outcome.took < Duration::from_secs(1));
        });
    }
}

#[test]
fn dead_connections_do_not_end_a_batch_or_a_wait() {
    for policy in [batch, |_| batch(Some(20))] {
        on_a_paused_clock(async {
            let timeout = Duration::from_secs(2);
            let scripts = vec![vec![(timeout, Reconnect), (QUICK, Final)]; 4];
            let outcome = run(policy(None), &scripts).await;
            let results = outcome.results.iter();
            assert!(results.clone().all(|polled| polled.result == Some(Final)));
        });
    }
}

#[test]
fn a_wait_reconnects_after_dead_connections_at_every_rate() {
    for rate in 1..=6 {
        on_a_paused_clock(async {
            let timeout = Duration::from_secs(2);
            // As many connections are dead as calls can be in flight.
            let scripts = vec![vec![(timeout, Reconnect), (QUICK, Final)]; rate.min(4)];
            let outcome = run_at(rate, batch(Some(20)), &scripts).await;
            let results = outcome.results.iter();
            assert!(
                results.clone().all(|polled| polled.result == Some(Final)),
                "{rate}"
            );
        });
    }
}

#[test]
fn a_hanging_chime_ends_a_batch_that_waits_within_4_s_at_every_rate() {
    for rate in 1..=6 {
        on_a_paused_clock(async {
            let scripts = vec![script(Duration::from_secs(2), &[RetryLater]); 20];
            let outcome = run_at(rate, batch(Some(20)), &scripts).await;
            let took = outcome.took;
            assert!(took < Duration::from_secs(4), "{rate}: {took:?}");
        });
    }
}

#[test]
fn a_single_timeout_does_not_end_a_wait_at_any_rate() {
    for rate in 1..=6 {
        on_a_paused_clock(async {
            let calls = vec![(Duration::from_secs(2), RetryLater), (QUICK, Final)];
            let outcome = run_at(rate, policy(Some(20)), &[calls]).await;
            assert_eq!(outcome.single(), (Some(Final), 2), "{rate}");
        });
    }
}

#[test]
fn a_success_resets_the_count_of_failures_in_a_batch() {
    on_a_paused_clock(async {
        let good = script(QUICK, &[Final]);
        let bad = script(QUICK, &[RetryLater]);
        let scripts: Vec<_> = (0..20)
            .map(|index| {
                if index % 3 == 2 {
                    good.clone()
                } else {
                    bad.clone()
                }
            })
            .collect();
        let outcome = run(batch(None), &scripts).await;
        assert_eq!(outcome.calls.len(), 20);
    });
}

#[test]
fn a_full_wait_of_20_s_costs_at_most_14_calls() {
    for _ in 0..200 {
        on_a_paused_clock(async {
            let outcome = run_one(policy(Some(20)), Duration::ZERO, &[Pending]).await;
            assert_eq!(outcome.results[0].result, Some(Pending));
            assert!((12..=14).contains(&outcome.calls.len()));
            assert_eq!(outcome.took.as_millis() / 10, 2000, "{:?}", outcome.took);
        });
    }
}

#[test]
fn the_polls_of_a_wait_have_the_documented_intervals() {
    // Milliseconds, from docs/api.md.
    let documented = [
        200.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1200.0, 1800.0, 2200.0, 2500.0, 2800.0, 3100.0,
        3100.0,
    ];
    on_a_paused_clock(async {
        let outcome = run_one(policy(Some(25)), Duration::ZERO, &[Pending]).await;
        let starts = outcome.starts_of(0);
        let intervals = starts.windows(2).map(|pair| pair[1] - pair[0]);
        for (interval, documented) in intervals.zip(documented) {
            let ratio = interval.as_secs_f64() * 1000.0 / documented;
            assert!((0.9..=1.11).contains(&ratio), "{starts:?}");
        }
    });
}

#[test]
fn a_wait_ends_as_soon_as_the_message_is_decided() {
    on_a_paused_clock(async {
        let results = [Pending, Pending, Final];
        let outcome = run_one(policy(Some(20)), QUICK, &results).await;
        assert_eq!(outcome.single(), (Some(Final), 3));
        assert!(outcome.results[0].was_pending);
        assert!(outcome.took < Duration::from_millis(550));
        let outcome = run_one(policy(Some(20)), QUICK, &[Final]).await;
        assert!(!outcome.results[0].was_pending);
    });
}

#[test]
fn a_single_failure_stretches_a_wait_and_does_not_end_it() {
    for failure in FAILURES {
        for polls_before in [1, 5, 12] {
            on_a_paused_clock(async {
                let mut results = vec![Pending; polls_before];
                results.extend([failure, Pending, Final]);
                let outcome = run_one(policy(Some(25)), Duration::ZERO, &results).await;
                assert_eq!(outcome.results[0].result, Some(Final), "{failure:?}");
                if polls_before == 1 {
                    let starts = outcome.starts_of(0);
                    let pause = starts[2] - starts[1];
                    assert!(pause >= Duration::from_millis(360), "{starts:?}");
                }
            });
        }
    }
}

#[test]
fn three_failures_in_a_row_end_a_wait_with_pending_if_it_was_ever_returned() {
    for failure in FAILURES {
        on_a_paused_clock(async {
            let outcome = run_one(policy(Some(20)), QUICK, &[failure]).await;
            assert_eq!(outcome.single(), (Some(failure), 3));
            assert!(outcome.took < Duration::from_secs(4), "{:?}", outcome.took);
            let outcome = run_one(policy(Some(20)), QUICK, &[Pending, failure]).await;
            assert_eq!(outcome.single(), (Some(Pending), 4));
            assert!(outcome.took < Duration::from_secs(4), "{:?}", outcome.took);
        });
    }
}

#[test]
fn three_seconds_without_a_usable_response_end_a_wait() {
    let hang = Duration::from_secs(60);
    let timeout = Duration::from_secs(2);
    on_a_paused_clock(async {
        let outcome = run_one(policy(Some(20)), hang, &[Final]).await;
        assert_eq!(outcome.results[0].result, None);
        assert_eq!(outcome.took.as_millis() / 10, 300);
        let outcome = run_one(policy(Some(20)), timeout, &[RetryLater]).await;
        assert_eq!(outcome.single(), (Some(RetryLater), 2));
        assert_eq!(outcome.took.as_millis() / 10, 300);
        // Chime works for a while, and then hangs.
        let mut calls = script(QUICK, &[Pending; 5]);
        calls.push((hang, Final));
        let outcome = run(policy(Some(20)), &[calls]).await;
        assert_eq!(outcome.results[0].result, Some(Pending));
        assert!(outcome.took < Duration::from_secs(6), "{:?}", outcome.took);
    });
}

#[test]
fn a_batch_that_waits_ends_within_4_s_however_chime_fails() {
    let failing = [
        script(Duration::ZERO, &[Retryable]),
        script(Duration::from_secs(2), &[RetryLater]),
        script(Duration::from_secs(60), &[RetryLater]),
        script(QUICK, &[RetryOnce]),
    ];
    for calls in failing {
        for messages in [1, 2, 3, 20] {
            on_a_paused_clock(async {
                let outcome = run(batch(Some(20)), &vec![calls.clone(); messages]).await;
                assert!(
                    outcome.took < Duration::from_secs(4),
                    "{messages} {calls:?}: {:?}",
                    outcome.took
                );
            });
        }
    }
}

#[test]
fn a_hanging_chime_ends_a_batch_in_time_also_after_dead_connections() {
    let timeout = Duration::from_secs(2);
    let dead = vec![(timeout, Reconnect), (timeout, RetryLater)];
    let mut scripts = vec![script(timeout, &[RetryLater]); 20];
    scripts[..4].fill(dead);
    on_a_paused_clock(async {
        let outcome = run(batch(Some(20)), &scripts).await;
        assert!(outcome.took < Duration::from_secs(4), "{:?}", outcome.took);
        let outcome = run(batch(None), &scripts).await;
        assert!(outcome.took < Duration::from_secs(10), "{:?}", outcome.took);
    });
}

#[test]
fn one_failing_message_does_not_end_the_wait_of_the_others() {
    on_a_paused_clock(async {
        let good = script(
            QUICK,
            &[Pending; 9].into_iter().chain([Final]).collect::<Vec<_>>(),
        );
        let bad = script(QUICK, &[Retryable]);
        let outcome = run(batch(Some(20)), &[good.clone(), bad, good]).await;
        let results: Vec<_> = outcome.results.iter().map(|polled| polled.result).collect();
        assert_eq!(results, [Some(Final), Some(Retryable), Some(Final)]);
    });
}

#[test]
fn until_any_ends_250_ms_after_the_first_decision() {
    on_a_paused_clock(async {
        let pending = script(QUICK, &[Pending]);
        let decided = script(QUICK, &[Pending, Pending, Pending, Final]);
        let soon = script(QUICK, &[Pending, Pending, Pending, Pending, Final]);
        let outcome = run_at(50, until_any(20), &[pending, decided, soon]).await;
        let results: Vec<_> = outcome.results.iter().map(|polled| polled.result).collect();
        assert_eq!(results[..2], [Some(Pending), Some(Final)]);
        let decision = outcome.calls.iter().filter(|(message, ..)| *message == 1);
        let decision = decision.map(|(.., end)| *end).max().expect("a call");
        assert!(outcome.took <= decision + GRACE + Duration::from_millis(2));
    });
}

#[test]
fn until_any_calls_each_message_once_before_it_ends() {
    on_a_paused_clock(async {
        let mut scripts = vec![script(QUICK, &[Pending]); 20];
        scripts[0] = script(QUICK, &[Final]);
        let outcome = run(until_any(20), &scripts).await;
        for message in 0..20 {
            assert!(!outcome.starts_of(message).is_empty(), "{message}");
        }
        // 20 calls at 5 a second.
        assert!(
            outcome.took < Duration::from_millis(4000),
            "{:?}",
            outcome.took
        );
        assert_eq!(outcome.results[0].result, Some(Final));
        assert_eq!(outcome.results[19].result, Some(Pending));
    });
}

#[test]
fn until_any_does_not_count_a_failure_that_is_retried() {
    on_a_paused_clock(async {
        let failing = script(QUICK, &[Retryable, Pending]);
        let pending = script(QUICK, &[Pending]);
        let outcome = run(until_any(5), &[failing, pending]).await;
        assert_eq!(outcome.took.as_millis() / 10, 500, "{:?}", outcome.took);
    });
}

#[test]
fn until_any_waits_for_the_retry_after_a_dead_connection() {
    on_a_paused_clock(async {
        let decided = script(QUICK, &[Final]);
        let dead = vec![(Duration::from_secs(2), Reconnect), (QUICK, Final)];
        let outcome = run(until_any(20), &[decided, dead]).await;
        assert_eq!(outcome.results[1].result, Some(Final));
    });
}

#[test]
fn a_dead_connection_late_in_a_wait_is_retried() {
    on_a_paused_clock(async {
        let mut calls = script(QUICK, &[Pending; 9]);
        calls.extend([(Duration::from_secs(2), Reconnect), (QUICK, Final)]);
        let outcome = run(policy(Some(25)), &[calls]).await;
        assert_eq!(outcome.results[0].result, Some(Final));
    });
}

#[test]
fn a_success_after_the_end_of_a_batch_keeps_its_last_failure() {
    on_a_paused_clock(async {
        let mut scripts = vec![script(QUICK, &[RetryOnce]); 20];
        scripts[3] = script(QUICK + Duration::from_millis(1), &[Final]);
        let outcome = run(batch(None), &scripts).await;
        assert_eq!(outcome.results[3].result, Some(Final));
        assert_eq!(outcome.results[19].result, Some(RetryOnce));
    });
}

#[test]
fn until_any_expires_like_every_wait() {
    on_a_paused_clock(async {
        let outcome = run(until_any(3), &vec![script(QUICK, &[Pending]); 2]).await;
        assert_eq!(outcome.took.as_millis() / 10, 300);
    });
}

#[test]
fn an_expired_wait_cuts_every_call_but_the_first() {
    on_a_paused_clock(async {
        let slow = Duration::from_millis(1800);
        let outcome = run_one(policy(Some(1)), slow, &[Pending]).await;
        assert_eq!(outcome.single(), (Some(Pending), 1));
        assert_eq!(outcome.took.as_millis() / 10, 180);
        let outcome = run_one(policy(Some(3)), slow, &[Pending]).await;
        assert_eq!(outcome.single(), (Some(Pending), 2));
        assert_eq!(outcome.took.as_millis() / 10, 300);
    });
}

#[test]
fn a_wait_never_outlasts_the_deadline() {
    on_a_paused_clock(async {
        let cut = RetryPolicy {
            deadline: Instant::now() + Duration::from_secs(2),
            ..policy(Some(20))
        };
        let outcome = run_one(cut, QUICK, &[Pending]).await;
        assert_eq!(outcome.results[0].result, Some(Pending));
        assert_eq!(outcome.took.as_millis() / 10, 200);
    });
}

fn any_script() -> impl Strategy<Value = Script> {
    let result = prop_oneof![
        3 => Just(Pending),
        1 => Just(Final),
        1 => Just(RetryOnce),
        1 => Just(Retryable),
        1 => Just(RetryLater),
        1 => Just(Reconnect),
    ];
    let latency = prop_oneof![4 => 0_u64..80, 1 => 80_u64..5000];
    let call = (latency.prop_map(Duration::from_millis), result);
    prop::collection::vec(call, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_second_has_more_calls_than_the_rate_and_no_moment_more_than_4(
        scripts in prop::collection::vec(any_script(), 1..=20),
        rate in 1_usize..=10,
        wait in prop::option::of(0_u64..=25),
        ends_with_first: bool,
        is_batch: bool,
        deadline in 1_u64..28_000,
        // Where between its start and its end each call reaches Chime.
        arrival in 0.0_f64..=1.0,
    ) {
        let outcome = on_a_paused_clock(async {
            let now = Instant::now();
            let policy = RetryPolicy {
                deadline: now + Duration::from_millis(deadline),
                max_attempts: 3,
                is_batch,
                wait: wait.map(|wait| Wait { expires_at: now + Duration::from_secs(wait), ends_with_first }),
            };
            run_at(rate, policy, &scripts).await
        });
        prop_assert!(outcome.took <= Duration::from_millis(deadline + 1), "{:?}", outcome.took);
        for (_, moment, _) in &outcome.calls {
            let running = outcome.calls.iter().filter(|(_, from, to)| from <= moment && moment < to);
            prop_assert!(running.count() <= 4);
        }
        let mut arrivals: Vec<_> = outcome
            .calls
            .iter()
            .map(|(_, from, to)| *from + (*to - *from).mul_f64(arrival))
            .collect();
        arrivals.sort();
        for calls in arrivals.windows(rate + 1) {
            let span = calls[rate] - calls[0];
            prop_assert!(span > Duration::from_secs(1), "{calls:?}");
        }
    }

    #[test]
    fn a_wait_of_20_s_for_one_message_never_costs_more_than_14_calls(script in any_script()) {
        let outcome = on_a_paused_clock(async { run(policy(Some(20)), &[script]).await });
        prop_assert!(outcome.calls.len() <= 14, "{:?}", outcome.calls);
    }
}
