//! A wait for one message: its results so far, and the next call.

use std::time::Duration;

use tokio::time::Instant;

use super::pauses::PollPauses;
use super::{CallReason, MAX_FAILING_TIME, MAX_FAILURES_IN_A_ROW, Polled, RetryClass, later};

/// The results of the calls about one message of a request that waits.
pub(super) struct MessageWait<T> {
    decision: Option<T>,
    pending: Option<T>,
    failure: Option<T>,
    pub(super) failures: FailureStreak,
    has_reconnected: bool,
    pauses: PollPauses,
    /// Why the next call is made.
    pub(super) reason: CallReason,
}

impl<T> MessageWait<T> {
    pub(super) fn new() -> Self {
        Self {
            decision: None,
            pending: None,
            failure: None,
            failures: FailureStreak::default(),
            has_reconnected: false,
            pauses: PollPauses::default(),
            reason: CallReason::First,
        }
    }

    pub(super) fn has_result(&self) -> bool {
        self.pending.is_some() || self.failure.is_some()
    }

    pub(super) fn has_final_or_pending(&self) -> bool {
        self.decision.is_some() || self.pending.is_some()
    }

    /// Records a result. Returns the pause before the next call, or `None` if there is no further call.
    pub(super) fn record(&mut self, result: T, class: RetryClass) -> Option<Duration> {
        match class {
            RetryClass::Final => {
                self.decision = Some(result);
                return None;
            }
            RetryClass::Pending => {
                self.failures = FailureStreak::default();
                self.has_reconnected = false;
                self.pending = Some(result);
                self.reason = CallReason::Poll;
                return Some(self.pauses.after_pending());
            }
            RetryClass::RetryOnce
            | RetryClass::Retryable
            | RetryClass::RetryLater
            | RetryClass::Reconnect => {}
        }
        self.failure = Some(result);
        self.reason = CallReason::Retry;
        if class.is_failure() && self.failures.record_failure() {
            None
        } else if class == RetryClass::Reconnect && !self.has_reconnected {
            self.has_reconnected = true;
            Some(self.pauses.after_dead_connection())
        } else {
            Some(self.pauses.after_failure())
        }
    }

    pub(super) fn into_polled(self) -> Polled<T> {
        Polled {
            was_pending: self.pending.is_some(),
            result: self.decision.or(self.pending).or(self.failure),
        }
    }
}

/// The failed calls about one message since its last usable response.
#[derive(Default)]
pub(super) struct FailureStreak {
    since: Option<Instant>,
    calls: u32,
}

impl FailureStreak {
    /// Records the start of a call. The `delay` by the rate limiter does not count as failing time.
    pub(super) fn record_start(&mut self, delay: Duration) {
        self.since = Some(
            self.since
                .map_or_else(Instant::now, |since| later(since, delay)),
        );
    }

    /// Counts a failed call. Returns whether `MAX_FAILURES_IN_A_ROW` is reached.
    fn record_failure(&mut self) -> bool {
        self.calls = self.calls.saturating_add(1);
        self.calls >= MAX_FAILURES_IN_A_ROW
    }

    /// `limit`, or `MAX_FAILING_TIME` after the start of the streak if that is earlier.
    pub(super) fn limit(&self, limit: Instant) -> Instant {
        self.since
            .map_or(limit, |since| later(since, MAX_FAILING_TIME).min(limit))
    }

    pub(super) fn is_over(&self) -> bool {
        self.since
            .is_some_and(|since| since.elapsed() >= MAX_FAILING_TIME)
    }
}
