//! Retry and wait loops for the Chime calls of one request. Pure timing; no sockets, no SDK, no HTTP.
//!
//! A request that does not wait makes one call about each message, and retries some failures. A request
//! that waits polls each message until it is decided, the wait expires, or Chime fails. Chime has failed
//! after three failed calls in a row, or after 3 s without a usable response. Both limits apply to each
//! message ([`MessageWait`]) and to the whole request ([`EarlyEnd`]).

mod early_end;
mod message_wait;
mod pauses;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests;

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use self::early_end::EarlyEnd;
use self::message_wait::MessageWait;
use self::pauses::Backoff;
use crate::rate_limit::{Permit, RateLimiter};

/// Failed calls in a row after which a batch or a wait ends.
const MAX_FAILURES_IN_A_ROW: u32 = 3;
/// How long the calls of a wait may fail or hang until the wait ends.
const MAX_FAILING_TIME: Duration = Duration::from_secs(3);

/// How the result of a call affects the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RetryClass {
    /// No further call changes the result.
    Final,
    /// The message is still being processed.
    Pending,
    /// A failure that is worth exactly one retry.
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
    /// Maximum number of calls about one message, including the first one. A wait ignores it.
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
    pub(crate) expires_at: Instant,
    /// Whether one decided message ends the wait, after one call about each message.
    pub(crate) ends_with_first: bool,
}

/// The result for one message.
pub(crate) struct Polled<T> {
    /// The first of these that exists:
    /// 1. the final result of this message;
    /// 2. its pending status;
    /// 3. its last failure;
    /// 4. the failure that ended the request before this message had a result.
    ///
    /// `None` if there was no time for a result.
    pub(crate) result: Option<T>,
    /// Whether an earlier call of this request returned pending.
    pub(crate) was_pending: bool,
}

/// Schedules the Chime calls of one request, for one message or many.
pub(crate) struct Scheduler<T> {
    limiter: RateLimiter,
    policy: RetryPolicy,
    classify: fn(&T) -> RetryClass,
    early_end: EarlyEnd<T>,
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
            early_end: EarlyEnd::new(policy, messages),
        }
    }

    /// Calls about one message until there is a result.
    pub(crate) async fn run<F>(&self, call: impl Fn(CallReason) -> F) -> Polled<T>
    where
        F: Future<Output = T>,
    {
        let polled = match self.policy.wait {
            None => self.call_with_retries(call).await,
            Some(wait) => self.poll(wait, call).await,
        };
        Polled {
            result: polled.result.or_else(|| self.early_end.failure()),
            ..polled
        }
    }

    async fn call_with_retries<F>(&self, call: impl Fn(CallReason) -> F) -> Polled<T>
    where
        F: Future<Output = T>,
    {
        let deadline = self.policy.deadline;
        let mut last = None;
        let mut reason = CallReason::First;
        let mut backoff = Backoff::default();
        let mut has_retried = false;
        let mut has_reconnected = false;
        for attempt in 1..=self.policy.max_attempts {
            let Some(permit) = self.permit(deadline).await else {
                break;
            };
            let call = call(reason);
            let Some(result) = self.early_end.run_until(deadline, call).await else {
                break;
            };
            drop(permit);
            let class = (self.classify)(&result);
            self.early_end.record_result(&result, class);
            last = Some(result);
            let is_last = match class {
                RetryClass::Final | RetryClass::Pending | RetryClass::RetryLater => true,
                RetryClass::RetryOnce => std::mem::replace(&mut has_retried, true),
                RetryClass::Reconnect => std::mem::replace(&mut has_reconnected, true),
                RetryClass::Retryable => false,
            };
            let next = later(Instant::now(), backoff.next());
            if is_last || attempt == self.policy.max_attempts || next >= deadline {
                break;
            }
            let pause = sleep_until(next);
            if self.early_end.run_until(deadline, pause).await.is_none() {
                break;
            }
            reason = CallReason::Retry;
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
        let wait_end = wait.expires_at.min(self.policy.deadline);
        let mut message = MessageWait::new();
        let mut is_called = false;
        loop {
            // Until there is a result, let the call run until the deadline. After that, stop when the
            // wait expires.
            let limit = if message.has_result() {
                wait_end
            } else {
                self.policy.deadline
            };
            let queued_at = Instant::now();
            let Some(permit) = self.permit(limit).await else {
                break;
            };
            message.failures.record_start(queued_at.elapsed());
            self.early_end.record_start();
            let (limit, call) = (message.failures.limit(limit), call(message.reason));
            let result = self.early_end.run_until(limit, call).await;
            drop(permit);
            let class = result.as_ref().map(self.classify);
            // A call on a dead connection does not count as the first one.
            if !is_called && class != Some(RetryClass::Reconnect) {
                is_called = true;
                self.early_end.record_first_call();
            }
            let (Some(result), Some(class)) = (result, class) else {
                self.early_end.record_end();
                if message.failures.is_over() {
                    self.early_end.record_hanging_call();
                }
                break;
            };
            self.early_end.record_result(&result, class);
            self.early_end.record_end();
            let Some(pause) = message.record(result, class) else {
                break;
            };
            let next = later(Instant::now(), pause);
            let (limit, pause) = (message.failures.limit(wait_end), sleep_until(next));
            let has_paused = self.early_end.run_until(limit, pause).await.is_some();
            if !has_paused || next >= limit {
                break;
            }
        }
        if !message.has_final_or_pending() {
            self.early_end.record_final_failure();
        }
        message.into_polled()
    }

    /// Waits until a call may start. `None` if the request ends first.
    async fn permit(&self, limit: Instant) -> Option<Permit<'_>> {
        let permit = async {
            tokio::select! {
                biased;
                () = self.early_end.calls_are_forbidden() => None,
                permit = self.limiter.acquire() => Some(permit),
            }
        };
        self.early_end.run_until(limit, permit).await.flatten()
    }
}

/// `instant` plus `duration`. No duration in this module is long enough to overflow.
fn later(instant: Instant, duration: Duration) -> Instant {
    instant.checked_add(duration).unwrap_or(instant)
}
