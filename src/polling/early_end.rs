//! Early end of a request: before its deadline, or before its wait expires. It ends all messages.
//!
//! | cause | request | calls in flight may run until |
//! |---|---|---|
//! | three failed calls in a row | batch without a wait | the deadline |
//! | three failed calls in a row | wait | `GRACE` after the failure |
//! | no usable response for `MAX_FAILING_TIME` | wait | the end of that time, at most `MAX_TIME_WITHOUT_RESPONSE` |
//! | the first decision, after one call about each message | wait with `until=any` | `GRACE` after the decision |

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{MAX_FAILING_TIME, MAX_FAILURES_IN_A_ROW, RetryClass, RetryPolicy, later};

/// How long calls in flight may run after the result that ends a wait. Others often follow soon.
pub(super) const GRACE: Duration = Duration::from_millis(250);

/// Maximum time from the first call without a usable response, pauses and delays included.
const MAX_TIME_WITHOUT_RESPONSE: Duration = Duration::from_millis(3800);

/// Decides whether a request ends early.
pub(super) struct EarlyEnd<T> {
    policy: RetryPolicy,
    progress: Mutex<Progress<T>>,
    limits: watch::Sender<Limits>,
}

struct Progress<T> {
    /// Messages about which no call has ended.
    uncalled: usize,
    failures_in_a_row: u32,
    last_failure: Option<T>,
    first_decision: Option<Instant>,
}

/// Times that can end a request early.
#[derive(Clone, Copy, Default)]
struct Limits {
    end: Option<End>,
    silence: Silence,
}

/// The time without a usable response, while calls of a wait are in flight. Pauses between calls and the
/// delay by the rate limiter do not count.
#[derive(Clone, Copy, Default)]
struct Silence {
    in_flight: usize,
    /// The start of the first call since the last usable response.
    first_call: Option<Instant>,
    /// Since when calls are in flight, or since the last usable response.
    since: Option<Instant>,
    /// Silence before that.
    before: Duration,
}

#[derive(Clone, Copy)]
struct End {
    /// When calls in flight are given up.
    at: Instant,
    /// Whether calls may start until then.
    may_call: bool,
}

impl<T: Clone> EarlyEnd<T> {
    /// For a request about `messages` different messages.
    pub(super) fn new(policy: RetryPolicy, messages: usize) -> Self {
        Self {
            policy,
            progress: Mutex::new(Progress {
                uncalled: messages,
                failures_in_a_row: 0,
                last_failure: None,
                first_decision: None,
            }),
            limits: watch::Sender::default(),
        }
    }

    /// Runs `future` until `limit` or the early end. `None` if it did not complete.
    pub(super) async fn run_until<O>(
        &self,
        limit: Instant,
        future: impl Future<Output = O>,
    ) -> Option<O> {
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

    /// Waits until no further call may start.
    pub(super) async fn calls_are_forbidden(&self) {
        let mut limits = self.limits.subscribe();
        let _closed = limits
            .wait_for(|limits| limits.end.is_some_and(|end| !end.may_call))
            .await;
    }

    /// The failure that ended the request.
    pub(super) fn failure(&self) -> Option<T> {
        let has_failed = self.limits.borrow().end.is_some_and(|end| !end.may_call);
        has_failed
            .then(|| self.progress().last_failure.clone())
            .flatten()
    }

    /// Records the start of a call of a wait.
    pub(super) fn record_start(&self) {
        self.change_silence(|silence| {
            silence.in_flight = silence.in_flight.saturating_add(1);
            let now = Instant::now();
            silence.first_call.get_or_insert(now);
            silence.since.get_or_insert(now);
        });
    }

    /// Records the end of a call of a wait, with or without a result.
    pub(super) fn record_end(&self) {
        self.change_silence(|silence| {
            silence.in_flight = silence.in_flight.saturating_sub(1);
            if silence.in_flight == 0
                && let Some(since) = silence.since.take()
            {
                silence.before = silence.before.saturating_add(since.elapsed());
            }
        });
        // Messages that wait for the rate limiter also end.
        let is_over = self.limits.borrow().silence.before >= MAX_FAILING_TIME;
        if is_over {
            self.end_with(End {
                at: Instant::now(),
                may_call: false,
            });
        }
    }

    /// Records the result of a call.
    pub(super) fn record_result(&self, result: &T, class: RetryClass) {
        let mut progress = self.progress();
        if class.is_failure() {
            progress.record_failure(Some(result.clone()));
        } else if class != RetryClass::Reconnect {
            // After the end, messages without a result still need it.
            if self.limits.borrow().end.is_none() {
                progress.last_failure = None;
            }
            progress.failures_in_a_row = 0;
            self.change_silence(|silence| {
                silence.before = Duration::ZERO;
                silence.since = (silence.in_flight > 0).then(Instant::now);
                silence.first_call = None;
            });
        }
        if class == RetryClass::Final {
            progress.first_decision.get_or_insert_with(Instant::now);
        }
        self.end_if_due(&progress);
    }

    /// Records a call that was given up because Chime did not respond for too long.
    pub(super) fn record_hanging_call(&self) {
        let mut progress = self.progress();
        progress.record_failure(None);
        self.end_if_due(&progress);
    }

    /// Records that the first call about a message has ended.
    pub(super) fn record_first_call(&self) {
        let mut progress = self.progress();
        progress.uncalled = progress.uncalled.saturating_sub(1);
    }

    /// Records that a message is no longer polled, and has no status. For `until=any`, that is a decision.
    pub(super) fn record_final_failure(&self) {
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
            Some(wait) if wait.ends_with_first && progress.uncalled == 0 => {
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

    /// Sets the early end, unless one is set.
    fn end_with(&self, end: End) {
        self.limits.send_if_modified(|limits| {
            let is_new = limits.end.is_none();
            limits.end.get_or_insert(end);
            is_new
        });
    }

    fn change_silence(&self, change: impl FnOnce(&mut Silence)) {
        self.limits
            .send_modify(|limits| change(&mut limits.silence));
    }

    fn progress(&self) -> MutexGuard<'_, Progress<T>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Progress<T> {
    fn record_failure(&mut self, result: Option<T>) {
        self.last_failure = result;
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
    }
}

impl Limits {
    /// The earliest of `limit` and these times.
    fn at(&self, limit: Instant) -> Instant {
        let end = self.end.map(|end| end.at);
        let left = MAX_FAILING_TIME.saturating_sub(self.silence.before);
        let silence = self.silence.since.map(|since| later(since, left));
        let total = self.silence.first_call;
        let total = total.map(|start| later(start, MAX_TIME_WITHOUT_RESPONSE));
        [end, silence, total]
            .into_iter()
            .flatten()
            .fold(limit, Instant::min)
    }
}
