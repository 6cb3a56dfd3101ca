//! When Chime is asked: spacing, retries, waiting, and the promise about the caller's quota. Pure
//! timing over whatever is asked; no sockets, no SDK, no HTTP.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Calls in any one second, for one request of ours.
const CALLS_PER_SECOND: usize = 5;
/// Calls at any one moment, for one request of ours.
const CALLS_IN_FLIGHT: usize = 4;
/// How long a call counts after it has ended. A second, and a little more, because what counts is
/// when calls arrive at Chime, and a call that we gave up may still be on its way.
const CALL_COUNTS_FOR: Duration = Duration::from_millis(1100);

/// Shortest first pause before a retry; each further one is twice as long.
const BACKOFF: Duration = Duration::from_millis(50);
/// Pauses between the calls of a wait; the last one goes on.
const POLL_INTERVALS: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
];
/// How much a throttled or failed call in a wait stretches the pause after it.
const FAILURE_BACKOFF_FACTOR: u32 = 2;

/// How long one request has, and how often it may try.
#[derive(Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// When the answer must be there, whatever has been heard by then.
    pub(crate) deadline: Instant,
    /// When to stop waiting for something that is pending; `None` asks once and does not wait.
    pub(crate) wait_until: Option<Instant>,
    /// Calls for one answer when nothing is waited for, the first one included.
    pub(crate) max_attempts: u32,
}

/// What an answer means for the asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RetryClass {
    /// Nothing will change it.
    Settled,
    /// It will change by itself.
    Pending,
    /// Asked too often.
    Throttled,
    /// It may be another one next time.
    Failed,
    /// The same, but not at once.
    FailedForNow,
}

/// Something that can be asked again, depending on what it was.
pub(crate) trait Answer {
    fn outlook(&self) -> RetryClass;
}

/// Why a call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    First,
    /// The last call failed.
    Retry,
    /// The last answer was "pending".
    Poll,
}

/// Keeps the quota promise for one request, however many answers it is after: never more than 5
/// calls in any one second, never more than 4 at once.
///
/// There are five slots. A call holds one while it runs and for a second afterwards. Whenever
/// within its run a call reaches Chime, the next one in the same slot reaches it more than a second
/// later; so no second sees more calls than there are slots.
pub(crate) struct RateLimiter {
    in_flight: Semaphore,
    /// When each slot that no call holds can be taken.
    free_at: Mutex<BinaryHeap<Reverse<Instant>>>,
}

impl RateLimiter {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            in_flight: Semaphore::new(CALLS_IN_FLIGHT),
            free_at: Mutex::new((0..CALLS_PER_SECOND).map(|_| Reverse(now)).collect()),
        }
    }

    /// Runs `call` as soon as the promise allows.
    async fn run<T>(&self, call: impl Future<Output = T>) -> T {
        // The semaphore is never closed, and fair: whoever came first asks first.
        let _permit = self.in_flight.acquire().await;
        let mut slot = Slot::take(self);
        if slot.free_at > Instant::now() {
            sleep_until(slot.free_at).await;
        }
        slot.used = true;
        call.await
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BinaryHeap<Reverse<Instant>>> {
        self.free_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of one call; given back however the call ends, also when it is given up.
struct Slot<'p> {
    pace: &'p RateLimiter,
    free_at: Instant,
    used: bool,
}

impl<'p> Slot<'p> {
    fn take(pace: &'p RateLimiter) -> Self {
        // There is one: fewer calls are in flight than there are slots.
        let free_at = pace
            .slots()
            .pop()
            .map_or_else(Instant::now, |Reverse(at)| at);
        Self {
            pace,
            free_at,
            used: false,
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let free_at = match self.used {
            true => later(Instant::now(), CALL_COUNTS_FOR),
            false => self.free_at,
        };
        self.pace.slots().push(Reverse(free_at));
    }
}

/// Asks until the answer is good for the caller, or time is up.
///
/// Without a wait: one call, and more only if it fails. With a wait: until the answer is no longer
/// pending; then a failure is no reason to give up, but to ask less often. What is returned is the
/// last thing known: "pending" if it was ever heard, else the last failure, and `None` if there was
/// no time for any answer.
pub(crate) async fn settle<T, F>(
    pace: &RateLimiter,
    plan: RetryPolicy,
    ask: impl Fn(Reason) -> F,
) -> Option<T>
where
    T: Answer,
    F: Future<Output = T>,
{
    match plan.wait_until {
        None => ask_with_retries(pace, plan, ask).await,
        Some(wait_until) => wait(pace, plan.deadline, wait_until.min(plan.deadline), ask).await,
    }
}

async fn ask_with_retries<T, F>(
    pace: &RateLimiter,
    plan: RetryPolicy,
    ask: impl Fn(Reason) -> F,
) -> Option<T>
where
    T: Answer,
    F: Future<Output = T>,
{
    let mut last = None;
    let mut reason = Reason::First;
    let mut backoff = BACKOFF;
    let mut throttled = false;
    for attempt in 1..=plan.max_attempts {
        let Ok(answer) = timeout_at(plan.deadline, pace.run(ask(reason))).await else {
            return last;
        };
        match answer.outlook() {
            RetryClass::Settled | RetryClass::Pending | RetryClass::FailedForNow => {
                return Some(answer);
            }
            // Asking again is what was asked too often: once, and no more.
            RetryClass::Throttled if throttled => return Some(answer),
            RetryClass::Throttled => throttled = true,
            RetryClass::Failed => {}
        }
        last = Some(answer);
        let pause = jittered(backoff, 1.0..2.0);
        let next = later(Instant::now(), pause);
        if attempt == plan.max_attempts || next >= plan.deadline {
            return last;
        }
        sleep_until(next).await;
        reason = Reason::Retry;
        backoff = backoff.saturating_mul(2);
    }
    last
}

async fn wait<T, F>(
    pace: &RateLimiter,
    deadline: Instant,
    wait_until: Instant,
    ask: impl Fn(Reason) -> F,
) -> Option<T>
where
    T: Answer,
    F: Future<Output = T>,
{
    let mut pending = None;
    let mut failure = None;
    let mut reason = Reason::First;
    let mut spacing = POLL_INTERVALS.into_iter();
    let mut space = BACKOFF;
    loop {
        // Once something is known it can be said when the wait is over. Before that, the first
        // answer is worth as much time as it would get without a wait.
        let give_up = match pending.is_some() || failure.is_some() {
            true => wait_until,
            false => deadline,
        };
        let Ok(answer) = timeout_at(give_up, pace.run(ask(reason))).await else {
            break;
        };
        space = spacing.next().unwrap_or(space);
        let slower = match answer.outlook() {
            RetryClass::Settled => return Some(answer),
            RetryClass::Pending => {
                pending = Some(answer);
                reason = Reason::Poll;
                1
            }
            RetryClass::Throttled | RetryClass::Failed | RetryClass::FailedForNow => {
                failure = Some(answer);
                reason = Reason::Retry;
                FAILURE_BACKOFF_FACTOR
            }
        };
        let next = later(
            Instant::now(),
            jittered(space, 0.9..1.1).saturating_mul(slower),
        );
        sleep_until(next.min(wait_until)).await;
        if next >= wait_until {
            break;
        }
    }
    pending.or(failure)
}

/// `duration` times a random factor, so that clients which were cut off together fall out of step.
fn jittered(duration: Duration, factor: std::ops::Range<f64>) -> Duration {
    let width = factor.end - factor.start;
    duration.mul_f64(factor.start + width * fastrand::f64())
}

/// An instant so far away that it cannot be told is as good as one in a year.
fn later(instant: Instant, duration: Duration) -> Instant {
    const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    instant.checked_add(duration.min(A_YEAR)).unwrap_or(instant)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::join_all;
    use proptest::prelude::*;

    use super::*;

    const FAR: Duration = Duration::from_secs(28);

    impl Answer for RetryClass {
        fn outlook(&self) -> RetryClass {
            *self
        }
    }

    /// Runs `test` on a clock that jumps to the next thing that is due.
    fn on_a_paused_clock<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
            .block_on(test)
    }

    fn plan(wait: Option<u64>) -> RetryPolicy {
        let now = Instant::now();
        RetryPolicy {
            deadline: now + FAR,
            wait_until: wait.map(|seconds| now + Duration::from_secs(seconds)),
            max_attempts: 3,
        }
    }

    /// Asks something that says one thing after the other, the last one for ever, each after
    /// `latency`; tells the outcome, when each call began, and when it was over.
    async fn ask(
        plan: RetryPolicy,
        latency: Duration,
        script: &[RetryClass],
    ) -> (Option<RetryClass>, Vec<Duration>, Duration) {
        let start = Instant::now();
        let calls = RefCell::new(Vec::new());
        let outcome = settle(&RateLimiter::new(), plan, |_| {
            let index = calls.borrow().len();
            calls.borrow_mut().push(start.elapsed());
            let says = script
                .get(index)
                .or(script.last())
                .copied()
                .expect("a script");
            async move {
                tokio::time::sleep(latency).await;
                says
            }
        })
        .await;
        (outcome, calls.into_inner(), start.elapsed())
    }

    const QUICK: Duration = Duration::from_millis(20);

    #[test]
    fn without_a_wait_a_pending_message_costs_one_call() {
        on_a_paused_clock(async {
            let (outcome, calls, _) = ask(plan(None), QUICK, &[RetryClass::Pending]).await;
            assert_eq!((outcome, calls.len()), (Some(RetryClass::Pending), 1));
        });
    }

    #[test]
    fn the_first_call_is_made_at_once() {
        on_a_paused_clock(async {
            // Timers go off at whole milliseconds: whoever starts one between two waits for the next.
            tokio::time::advance(Duration::from_micros(300)).await;
            let asked = Instant::now();
            RateLimiter::new().run(async {}).await;
            assert_eq!(asked.elapsed(), Duration::ZERO);
        });
    }

    #[test]
    fn a_failure_is_retried_after_50_to_100_ms_and_then_100_to_200_ms() {
        on_a_paused_clock(async {
            let script = [RetryClass::Failed, RetryClass::Failed, RetryClass::Settled];
            let (outcome, calls, _) = ask(plan(None), Duration::ZERO, &script).await;
            assert_eq!(outcome, Some(RetryClass::Settled));
            let [first, second, third] = calls[..] else {
                panic!("{calls:?}");
            };
            // Timers tick in whole milliseconds.
            let between = |gap: Duration, from, to| (from..=to).contains(&gap.as_millis());
            assert!(between(second - first, 50, 101), "{calls:?}");
            assert!(between(third - second, 100, 201), "{calls:?}");
        });
    }

    #[test]
    fn attempts_end_and_the_last_failure_is_told() {
        on_a_paused_clock(async {
            let (outcome, calls, _) = ask(plan(None), QUICK, &[RetryClass::Failed]).await;
            assert_eq!((outcome, calls.len()), (Some(RetryClass::Failed), 3));
            let (outcome, calls, _) = ask(plan(None), QUICK, &[RetryClass::FailedForNow]).await;
            assert_eq!((outcome, calls.len()), (Some(RetryClass::FailedForNow), 1));
        });
    }

    #[test]
    fn a_throttle_is_retried_once() {
        on_a_paused_clock(async {
            let (outcome, calls, _) = ask(plan(None), QUICK, &[RetryClass::Throttled]).await;
            assert_eq!((outcome, calls.len()), (Some(RetryClass::Throttled), 2));
        });
    }

    #[test]
    fn nothing_is_tried_beyond_the_deadline() {
        on_a_paused_clock(async {
            let soon = RetryPolicy {
                deadline: Instant::now() + Duration::from_millis(20),
                ..plan(None)
            };
            let (outcome, calls, took) = ask(soon, Duration::ZERO, &[RetryClass::Failed]).await;
            assert_eq!((outcome, calls.len()), (Some(RetryClass::Failed), 1));
            assert!(took <= Duration::from_millis(21), "{took:?}");
            let (outcome, _, took) = ask(plan(None), FAR * 2, &[RetryClass::Settled]).await;
            assert_eq!(outcome, None, "a call that hangs is given up");
            assert!(took <= FAR + Duration::from_millis(1), "{took:?}");
        });
    }

    #[test]
    fn a_full_wait_of_20_s_costs_at_most_14_calls_and_lasts_20_s() {
        for _ in 0..200 {
            on_a_paused_clock(async {
                let (outcome, calls, took) =
                    ask(plan(Some(20)), Duration::ZERO, &[RetryClass::Pending]).await;
                assert_eq!(outcome, Some(RetryClass::Pending));
                assert!((11..=14).contains(&calls.len()), "{calls:?}");
                assert_eq!(took.as_millis() / 10, 2000, "{took:?}");
            });
        }
    }

    #[test]
    fn a_wait_is_spaced_250_ms_500_ms_1_s_and_then_2_s() {
        on_a_paused_clock(async {
            let (_, calls, _) = ask(plan(Some(20)), Duration::ZERO, &[RetryClass::Pending]).await;
            let gaps = calls.windows(2).map(|pair| pair[1] - pair[0]);
            for (gap, base) in gaps.zip([250.0, 500.0, 1000.0, 2000.0, 2000.0, 2000.0]) {
                let ratio = gap.as_secs_f64() * 1000.0 / base;
                assert!((0.89..=1.11).contains(&ratio), "{calls:?}");
            }
        });
    }

    #[test]
    fn a_wait_ends_as_soon_as_the_message_is_settled() {
        on_a_paused_clock(async {
            let script = [
                RetryClass::Pending,
                RetryClass::Pending,
                RetryClass::Settled,
            ];
            let (outcome, calls, took) = ask(plan(Some(20)), QUICK, &script).await;
            assert_eq!((outcome, calls.len()), (Some(RetryClass::Settled), 3));
            assert!(took < Duration::from_secs(1), "{took:?}");
        });
    }

    #[test]
    fn a_failure_in_mid_wait_slows_it_down_and_does_not_end_it() {
        for trouble in [
            RetryClass::Failed,
            RetryClass::Throttled,
            RetryClass::FailedForNow,
        ] {
            on_a_paused_clock(async {
                let script = [RetryClass::Pending, trouble, trouble, RetryClass::Settled];
                let (outcome, calls, _) = ask(plan(Some(20)), Duration::ZERO, &script).await;
                assert_eq!(outcome, Some(RetryClass::Settled), "{trouble:?}");
                let slowed = calls[2] - calls[1];
                assert!(slowed >= Duration::from_millis(900), "{calls:?}");
                let script = [RetryClass::Pending, trouble];
                let (outcome, _, _) = ask(plan(Some(5)), Duration::ZERO, &script).await;
                assert_eq!(outcome, Some(RetryClass::Pending), "the last thing known");
                let (outcome, _, _) = ask(plan(Some(5)), Duration::ZERO, &[trouble]).await;
                assert_eq!(outcome, Some(trouble), "nothing else was ever known");
            });
        }
    }

    #[test]
    fn a_wait_does_not_cut_the_first_answer_short_but_every_later_one() {
        on_a_paused_clock(async {
            let slow = Duration::from_millis(1800);
            let (outcome, calls, took) = ask(plan(Some(1)), slow, &[RetryClass::Pending]).await;
            assert_eq!((outcome, calls.len()), (Some(RetryClass::Pending), 1));
            assert_eq!(took.as_millis() / 10, 180);
            let (outcome, calls, took) = ask(plan(Some(3)), slow, &[RetryClass::Pending]).await;
            assert_eq!((outcome, calls.len()), (Some(RetryClass::Pending), 2));
            assert_eq!(took.as_millis() / 10, 300);
        });
    }

    #[test]
    fn a_wait_never_outlasts_the_deadline() {
        on_a_paused_clock(async {
            let cut = RetryPolicy {
                deadline: Instant::now() + Duration::from_secs(2),
                ..plan(Some(20))
            };
            let (outcome, _, took) = ask(cut, QUICK, &[RetryClass::Pending]).await;
            assert_eq!(outcome, Some(RetryClass::Pending));
            assert_eq!(took.as_millis() / 10, 200);
        });
    }

    /// One message of a batch: what it says, and how long it takes to say it.
    type Script = Vec<(u64, RetryClass)>;

    /// A call on record, from its start to its end, which is where it was dropped if it was given up.
    struct Running<'c> {
        start: Instant,
        began: Duration,
        calls: &'c RefCell<Vec<(Duration, Duration)>>,
    }

    impl<'c> Running<'c> {
        fn new(start: Instant, calls: &'c RefCell<Vec<(Duration, Duration)>>) -> Self {
            let began = start.elapsed();
            Self {
                start,
                began,
                calls,
            }
        }
    }

    impl Drop for Running<'_> {
        fn drop(&mut self) {
            self.calls
                .borrow_mut()
                .push((self.began, self.start.elapsed()));
        }
    }

    fn any_script() -> impl Strategy<Value = Script> {
        let outlook = prop_oneof![
            3 => Just(RetryClass::Pending),
            1 => Just(RetryClass::Settled),
            1 => Just(RetryClass::Throttled),
            1 => Just(RetryClass::Failed),
            1 => Just(RetryClass::FailedForNow),
        ];
        let latency = prop_oneof![4 => 0_u64..80, 1 => 80_u64..5000];
        prop::collection::vec((latency, outlook), 1..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn no_second_sees_more_than_5_calls_and_no_moment_more_than_4(
            scripts in prop::collection::vec(any_script(), 1..=20),
            wait in prop::option::of(0_u64..=25),
            deadline in 1_u64..28_000,
            // Where between its start and its end each call reaches Chime.
            arrival in 0.0_f64..=1.0,
        ) {
            let (calls, took) = on_a_paused_clock(async {
                let start = Instant::now();
                let pace = RateLimiter::new();
                let calls = RefCell::new(Vec::new());
                let plan = RetryPolicy { deadline: start + Duration::from_millis(deadline), ..plan(wait) };
                join_all(scripts.iter().map(|script| {
                    let asked = RefCell::new(0);
                    let (calls, pace) = (&calls, &pace);
                    async move {
                        settle(pace, plan, |_| {
                            let index = asked.replace_with(|asked| *asked + 1);
                            let (latency, says) = script.get(index).or(script.last()).copied().expect("a script");
                            async move {
                                let _call = Running::new(start, calls);
                                tokio::time::sleep(Duration::from_millis(latency)).await;
                                says
                            }
                        }).await
                    }
                })).await;
                (calls.into_inner(), start.elapsed())
            });
            prop_assert!(took <= Duration::from_millis(deadline + 1), "{took:?}");
            for (moment, _) in &calls {
                let running = calls.iter().filter(|(from, to)| from <= moment && moment < to);
                prop_assert!(running.count() <= CALLS_IN_FLIGHT);
            }
            let mut arrivals: Vec<_> = calls
                .iter()
                .map(|(from, to)| *from + (*to - *from).mul_f64(arrival))
                .collect();
            arrivals.sort();
            for six in arrivals.windows(CALLS_PER_SECOND + 1) {
                let span = six[CALLS_PER_SECOND] - six[0];
                prop_assert!(span > Duration::from_secs(1), "{six:?}");
            }
        }
    }
}
