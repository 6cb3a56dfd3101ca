//! Retry and wait loops for the Chime calls of one request. Pure timing; no sockets, no SDK, no HTTP.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::rate_limit::{Permit, RateLimiter};

/// Shortest pause before the first retry. Each further pause is twice as long.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
/// Pauses between the polls of a wait, each ± 10 %. The last one repeats. Most flows decide within a
/// second, so the first ones are short; a wait of 20 s makes at most 14 calls.
const POLL_INTERVALS: [Duration; 12] = [
    Duration::from_millis(200),
    Duration::from_millis(200),
    Duration::from_millis(300),
    Duration::from_millis(400),
    Duration::from_millis(600),
    Duration::from_millis(800),
    Duration::from_millis(1200),
    Duration::from_millis(1800),
    Duration::from_millis(2200),
    Duration::from_millis(2500),
    Duration::from_millis(2800),
    LAST_POLL_INTERVAL,
];
const LAST_POLL_INTERVAL: Duration = Duration::from_millis(3100);
/// Factor by which a failed call of a wait stretches the pause after it.
const FAILURE_BACKOFF_FACTOR: u32 = 2;
/// Longest pause after a failed call of a wait. After a call that fails at once, two more calls still fit
/// into `MAX_FAILING_TIME`.
const MAX_FAILURE_PAUSE: Duration = Duration::from_millis(1400);
/// Failed calls in a row after which a batch or a wait ends.
const MAX_FAILURES_IN_A_ROW: u32 = 3;
/// How long the calls of a wait may fail or hang before it ends.
const MAX_FAILING_TIME: Duration = Duration::from_secs(3);
/// How long a wait goes on after its end is decided, for results that arrive at almost the same time.
const GRACE: Duration = Duration::from_millis(250);

/// How the result of a call affects the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RetryClass {
    /// No further call changes the result.
    Final,
    /// The message is still being processed.
    Pending,
    /// Worth exactly one more call.
    RetryOnce,
    /// A transient failure.
    Retryable,
    /// A failure that is not worth an immediate retry.
    RetryLater,
    /// The connection was dead. Worth one more call, on a new connection. Not a failure of Chime.
    Reconnect,
}

impl RetryClass {
    fn is_failure(self) -> bool {
        match self {
            Self::Final | Self::Pending | Self::Reconnect => false,
            Self::RetryOnce | Self::Retryable | Self::RetryLater => true,
        }
    }
}

/// Why a call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CallReason {
    /// The first call about a message.
    First,
    /// The previous call failed.
    Retry,
    /// The message was pending.
    Poll,
}

/// How long one request may take, and how often it may call.
#[derive(Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// The latest time for a result.
    pub(crate) deadline: Instant,
    /// Calls about one message of a request that does not wait, including the first one.
    pub(crate) max_attempts: u32,
    /// Whether three failed calls in a row end a request that does not wait.
    pub(crate) is_batch: bool,
    /// How to wait for messages that are pending. `None` does not wait.
    pub(crate) wait: Option<Wait>,
}

/// How to wait for messages that are pending.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    /// When the wait expires.
    pub(crate) until: Instant,
    /// Whether one decided message ends the wait, as soon as each message was called once.
    pub(crate) ends_with_first: bool,
}

/// The result for one message.
pub(crate) struct Polled<T> {
    /// The last status. If there is none, the last failure of this message. If Chime failed before this
    /// message had a result, the last failure of the request. `None` if there was no time for a result.
    pub(crate) result: Option<T>,
    /// Whether an earlier call of this request returned pending.
    pub(crate) was_pending: bool,
}

/// Schedules the Chime calls of one request, for one message or many.
pub(crate) struct Scheduler<T> {
    limiter: RateLimiter,
    policy: RetryPolicy,
    classify: fn(&T) -> RetryClass,
    progress: Mutex<Progress<T>>,
    limits: watch::Sender<Limits>,
}

/// What all messages of the request share.
struct Progress<T> {
    /// Messages without a completed call.
    not_called: usize,
    failures_in_a_row: u32,
    last_failure: Option<T>,
    first_decision: Option<Instant>,
}

/// Times that can end a request before its deadline or the end of its wait.
#[derive(Clone, Copy, Default)]
struct Limits {
    end: Option<End>,
    /// The start of the first call since the last usable response, while the request waits.
    silent_since: Option<Instant>,
}

/// The early end of a request.
#[derive(Clone, Copy)]
struct End {
    /// When calls in flight are given up.
    at: Instant,
    /// Whether calls may start until then.
    may_call: bool,
}

/// The failed calls about one message since the last usable response.
#[derive(Default)]
struct Failing {
    since: Option<Instant>,
    calls: u32,
}

impl<T: Clone> Scheduler<T> {
    /// Creates the schedule of a request about `messages` different messages.
    pub(crate) fn new(
        limiter: RateLimiter,
        policy: RetryPolicy,
        messages: usize,
        classify: fn(&T) -> RetryClass,
    ) -> Self {
        Self {
            limiter,
            policy,
            classify,
            progress: Mutex::new(Progress {
                not_called: messages,
                failures_in_a_row: 0,
                last_failure: None,
                first_decision: None,
            }),
            limits: watch::Sender::default(),
        }
    }

    /// Calls about one message until there is a result.
    ///
    /// Without a wait: one call, and more if it fails. With a wait: until the message is decided, the
    /// wait expires, or Chime fails.
    pub(crate) async fn run<F>(&self, call: impl Fn(CallReason) -> F) -> Polled<T>
    where
        F: Future<Output = T>,
    {
        let polled = match self.policy.wait {
            None => self.call_with_retries(call).await,
            Some(wait) => self.poll(wait, call).await,
        };
        let has_failed = self.limits.borrow().end.is_some_and(|end| !end.may_call);
        if polled.result.is_none() && has_failed {
            let result = self.progress().last_failure.clone();
            return Polled { result, ..polled };
        }
        polled
    }

    async fn call_with_retries<F>(&self, call: impl Fn(CallReason) -> F) -> Polled<T>
    where
        F: Future<Output = T>,
    {
        let mut last = None;
        let mut reason = CallReason::First;
        let mut backoff = INITIAL_BACKOFF;
        let mut has_retried = false;
        let mut has_reconnected = false;
        for attempt in 1..=self.policy.max_attempts {
            let Some(permit) = self.permit(self.policy.deadline).await else {
                break;
            };
            let Some(result) = self.until(self.policy.deadline, call(reason)).await else {
                break;
            };
            drop(permit);
            let class = (self.classify)(&result);
            self.record(&result, class);
            last = Some(result);
            let is_last = match class {
                RetryClass::Final | RetryClass::Pending | RetryClass::RetryLater => true,
                RetryClass::RetryOnce => std::mem::replace(&mut has_retried, true),
                RetryClass::Reconnect => std::mem::replace(&mut has_reconnected, true),
                RetryClass::Retryable => false,
            };
            let next = later(Instant::now(), jittered(backoff, 1.0..2.0));
            if is_last || attempt == self.policy.max_attempts || next >= self.policy.deadline {
                break;
            }
            if self
                .until(self.policy.deadline, sleep_until(next))
                .await
                .is_none()
            {
                break;
            }
            reason = CallReason::Retry;
            backoff = backoff.saturating_mul(2);
        }
        Polled {
            result: last,
            was_pending: false,
        }
    }

    async fn poll<F>(&self, wait: Wait, call: impl Fn(CallReason) -> F) -> Polled<T>
    where
        F: Future<Output = T>,
    {
        let wait_until = wait.until.min(self.policy.deadline);
        let mut pending = None;
        let mut failure = None;
        let mut failing = Failing::default();
        let mut reason = CallReason::First;
        let mut intervals = POLL_INTERVALS.into_iter();
        // `MAX_FAILURE_PAUSE` can make the pause after a failure shorter than the interval. The
        // difference is added to the next interval, so failures never add calls to a wait.
        let mut saved = Duration::ZERO;
        let mut is_called = false;
        let mut has_reconnected = false;
        loop {
            // Until there is a result, let the call run until the deadline. After that, stop when the
            // wait expires.
            let limit = if pending.is_some() || failure.is_some() {
                wait_until
            } else {
                self.policy.deadline
            };
            let asked = Instant::now();
            let Some(permit) = self.permit(limit).await else {
                break;
            };
            failing.call_starts(asked.elapsed());
            self.set_silent_since(|since| Some(since.unwrap_or_else(Instant::now)));
            let limit = failing.limit(limit);
            let Some(result) = self.until(limit, call(reason)).await else {
                self.record_called(&mut is_called);
                if failing.is_over() {
                    self.record_hanging_call();
                }
                break;
            };
            drop(permit);
            let class = (self.classify)(&result);
            if class != RetryClass::Reconnect {
                self.record_called(&mut is_called);
            }
            self.record(&result, class);
            let interval = jittered(intervals.next().unwrap_or(LAST_POLL_INTERVAL), 0.9..1.1);
            let interval = interval.saturating_add(std::mem::take(&mut saved));
            let pause = match class {
                RetryClass::Final => {
                    return Polled {
                        was_pending: pending.is_some(),
                        result: Some(result),
                    };
                }
                RetryClass::Pending => {
                    failing = Failing::default();
                    has_reconnected = false;
                    pending = Some(result);
                    reason = CallReason::Poll;
                    interval
                }
                RetryClass::RetryOnce
                | RetryClass::Retryable
                | RetryClass::RetryLater
                | RetryClass::Reconnect => {
                    failure = Some(result);
                    reason = CallReason::Retry;
                    if class.is_failure() && failing.call_failed() {
                        break;
                    }
                    let is_quick = class == RetryClass::Reconnect
                        && !std::mem::replace(&mut has_reconnected, true);
                    let pause = if is_quick {
                        jittered(INITIAL_BACKOFF, 1.0..2.0)
                    } else {
                        interval
                            .saturating_mul(FAILURE_BACKOFF_FACTOR)
                            .min(MAX_FAILURE_PAUSE)
                    };
                    saved = interval.saturating_sub(pause);
                    pause
                }
            };
            let next = later(Instant::now(), pause);
            let limit = failing.limit(wait_until);
            if self.until(limit, sleep_until(next)).await.is_none() || next >= limit {
                break;
            }
        }
        if pending.is_none() {
            self.record_final_failure();
        }
        Polled {
            was_pending: pending.is_some(),
            result: pending.or(failure),
        }
    }

    /// Waits until a call may start. `None` if the request ends first.
    async fn permit(&self, limit: Instant) -> Option<Permit<'_>> {
        let permit = async {
            let mut limits = self.limits.subscribe();
            tokio::select! {
                biased;
                _ = limits.wait_for(|limits| limits.end.is_some_and(|end| !end.may_call)) => None,
                permit = self.limiter.acquire() => Some(permit),
            }
        };
        self.until(limit, permit).await.flatten()
    }

    /// Runs `future` until `limit` or the early end of the request.
    async fn until<O>(&self, limit: Instant, future: impl Future<Output = O>) -> Option<O> {
        let over = async {
            let mut limits = self.limits.subscribe();
            loop {
                let at = limits.borrow_and_update().at(limit);
                tokio::select! {
                    () = sleep_until(at) => return,
                    // The sender lives as long as `self`.
                    _ = limits.changed() => {}
                }
            }
        };
        tokio::select! {
            biased;
            output = future => Some(output),
            () = over => None,
        }
    }

    /// Records the end of a call, and decides whether the request ends with it.
    fn record(&self, result: &T, class: RetryClass) {
        let mut progress = self.progress();
        if class.is_failure() {
            progress.failed(Some(result.clone()));
        } else if class != RetryClass::Reconnect {
            // Calls in flight may still succeed after the request has failed.
            if self.limits.borrow().end.is_none() {
                progress.last_failure = None;
            }
            progress.failures_in_a_row = 0;
            self.set_silent_since(|_| None);
        }
        if class == RetryClass::Final {
            progress.first_decision.get_or_insert_with(Instant::now);
        }
        self.end_if_due(&progress);
    }

    /// Records that a message was called once. A call on a dead connection does not count.
    fn record_called(&self, is_called: &mut bool) {
        if !std::mem::replace(is_called, true) {
            let mut progress = self.progress();
            progress.not_called = progress.not_called.saturating_sub(1);
        }
    }

    /// Records a call that was given up because Chime did not respond for too long.
    fn record_hanging_call(&self) {
        let mut progress = self.progress();
        progress.failed(None);
        self.end_if_due(&progress);
    }

    /// Records that a message is no longer polled, and has no status.
    fn record_final_failure(&self) {
        let mut progress = self.progress();
        progress.first_decision.get_or_insert_with(Instant::now);
        self.end_if_due(&progress);
    }

    fn end_if_due(&self, progress: &Progress<T>) {
        let now = Instant::now();
        let has_failed = progress.failures_in_a_row >= MAX_FAILURES_IN_A_ROW;
        match self.policy.wait {
            None if self.policy.is_batch && has_failed => self.end_with(End {
                at: self.policy.deadline,
                may_call: false,
            }),
            None => {}
            Some(_) if has_failed => self.end_with(End {
                at: later(now, GRACE),
                may_call: false,
            }),
            Some(wait) if wait.ends_with_first && progress.not_called == 0 => {
                if let Some(decided) = progress.first_decision {
                    self.end_with(End {
                        at: later(decided, GRACE).max(now),
                        may_call: true,
                    });
                }
            }
            Some(_) => {}
        }
    }

    /// Ends the request early, unless it already ends.
    fn end_with(&self, end: End) {
        self.limits.send_if_modified(|limits| {
            let is_new = limits.end.is_none();
            limits.end.get_or_insert(end);
            is_new
        });
    }

    /// Changes the start of the time without a usable response.
    fn set_silent_since(&self, change: impl FnOnce(Option<Instant>) -> Option<Instant>) {
        self.limits.send_if_modified(|limits| {
            let since = change(limits.silent_since);
            let is_new = since != limits.silent_since;
            limits.silent_since = since;
            is_new
        });
    }

    fn progress(&self) -> MutexGuard<'_, Progress<T>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    /// The earliest of `limit` and these times.
    fn at(&self, limit: Instant) -> Instant {
        let end = self.end.map(|end| end.at);
        let silence = self
            .silent_since
            .map(|since| later(since, MAX_FAILING_TIME));
        [end, silence]
            .into_iter()
            .flatten()
            .fold(limit, Instant::min)
    }
}

impl<T> Progress<T> {
    fn failed(&mut self, result: Option<T>) {
        self.last_failure = result;
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
    }
}

impl Failing {
    /// Begins a call that the rate limiter has delayed. The delay is not a failure of Chime.
    fn call_starts(&mut self, delay: Duration) {
        self.since = Some(
            self.since
                .map_or_else(Instant::now, |since| later(since, delay)),
        );
    }

    /// Counts a failed call. Returns whether `MAX_FAILURES_IN_A_ROW` is reached.
    fn call_failed(&mut self) -> bool {
        self.calls = self.calls.saturating_add(1);
        self.calls >= MAX_FAILURES_IN_A_ROW
    }

    /// `limit`, or `MAX_FAILING_TIME` after the start of the failing calls if that is earlier.
    fn limit(&self, limit: Instant) -> Instant {
        self.since
            .map_or(limit, |since| later(since, MAX_FAILING_TIME).min(limit))
    }

    fn is_over(&self) -> bool {
        self.since
            .is_some_and(|since| since.elapsed() >= MAX_FAILING_TIME)
    }
}

/// `duration` times a random factor, so that clients that lost their connections together do not call
/// together.
fn jittered(duration: Duration, factor: std::ops::Range<f64>) -> Duration {
    let width = factor.end - factor.start;
    duration.mul_f64(factor.start + width * fastrand::f64())
}

/// `instant` plus `duration`. No duration in this module is long enough to overflow.
fn later(instant: Instant, duration: Duration) -> Instant {
    instant.checked_add(duration).unwrap_or(instant)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::join_all;
    use proptest::prelude::*;

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
                until: now + Duration::from_secs(seconds),
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
                        let (latency, result) =
                            *script.get(call).or(script.last()).expect("a script");
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
    fn each_class_is_retried_as_often_as_it_says() {
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
        // Milliseconds, from the contract.
        let documented = [
            200.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1200.0, 1800.0, 2200.0, 2500.0, 2800.0,
            3100.0, 3100.0,
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
    fn a_wait_does_not_cut_the_first_call_short_but_every_later_one() {
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
                    wait: wait.map(|wait| Wait { until: now + Duration::from_secs(wait), ends_with_first }),
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
}
