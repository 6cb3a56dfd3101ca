//! Plan of the calls of one request: all rules of retries, polls, rate and early ends.
//!
//! A plan does nothing itself. [`Plan::next`] says what to do now, [`Plan::ended`] reports a call that has
//! ended, and time is a number: the duration since the start of the request. So tests need no clock.
//!
//! 1. A message is *decided* by a final result. Without a wait, each message is called once, and some failures
//!    are retried. With a wait, it is polled until it has left `PENDING`.
//! 2. Calls share one rate and one limit of calls in flight.
//! 3. A request ends early when Chime fails: after three failures in a row, or, in a wait, after 3.5 s without
//!    a usable response.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use crate::chime::{ChimeError, ErrorKind};
use crate::status::MessageStatus;

/// Maximum number of calls in flight.
const MAX_IN_FLIGHT: usize = 4;
/// How long an ended call still counts for the rate. Chime counts a call when it arrives, which may be as late
/// as its end. The tenth of a second allows for differences in travel time.
const RATE_WINDOW: Duration = Duration::from_millis(1100);
/// Failures in a row after which a request ends.
const MAX_FAILURES_IN_A_ROW: u32 = 3;
/// Failures that end closer together than this count once. A request with several messages also pauses as long, up
/// to twice. So a short outage counts once, and does not use up the messages' retries.
const FAILURE_DISTANCE: Duration = Duration::from_millis(100);
/// How long a wait goes on without a usable response. After a failed poll, the next one comes within 3.1 s. So a
/// single failure does not end a wait, if the next response takes less than 400 ms.
const MAX_SILENCE: Duration = Duration::from_millis(3500);
/// Time for calls in flight when a wait ends early. What is missing to 250 ms is for the response.
const GRACE: Duration = Duration::from_millis(200);
/// How long a request without a wait may take, in addition to the number of messages divided by the rate. What is
/// missing to 6 s is for the response.
const MAX_TIME_WITHOUT_WAIT: Duration = Duration::from_millis(5900);
/// Shortest pause before the first retry of a request without a wait. Each further pause is twice as long.
const BACKOFF: Duration = Duration::from_millis(50);
/// Times between the starts of two polls in milliseconds, each ± 10 %. The last one repeats. Most flows decide
/// within a second, so the first ones are short. A wait of 20 s makes at most 14 calls for a message.
const POLL_INTERVALS: [u64; 12] = [
    200, 200, 300, 400, 600, 800, 1200, 1800, 2200, 2500, 2800, 3100,
];
const LAST_POLL_INTERVAL: u64 = POLL_INTERVALS[11];
/// A failed poll doubles an interval that is shorter than this, to at most this.
const MAX_INTERVAL_AFTER_FAILURE: Duration = Duration::from_millis(1400);

pub type Outcome = Result<MessageStatus, ChimeError>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Call about the message with this index, and come back at once.
    Call(usize),
    /// Come back at this time, or when a call has ended.
    WaitUntil(Duration),
    /// The request has ended. Give up calls in flight.
    Done,
}

/// What a plan must keep to.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub messages: usize,
    /// Maximum number of calls in any second.
    pub calls_per_second: usize,
    /// When the result must be there.
    pub deadline: Duration,
    pub wait: Wait,
}

/// How long a request waits for decisions, and for how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    pub duration: Duration,
    pub until: Until,
}

/// The decisions that end a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// Each message is decided.
    All,
    /// Each message was called, and at least one is decided.
    Any,
}

/// The result of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Status(MessageStatus),
    /// The message's last failure, or the request's last failure if it was never called.
    Failed(ChimeError),
    /// The message was pending earlier in this request, and no longer exists.
    Gone(ChimeError),
    /// There was no time left for a result.
    NoTime,
}

/// Counts of the calls of a request.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    pub calls: u64,
    /// Calls after a failed call for the same message.
    pub retries: u64,
    /// Durations of the calls that ended. A call that was given up has none.
    pub latencies: Vec<Duration>,
}

pub struct Plan {
    terms: Terms,
    messages: Vec<Message>,
    rate: Rate,
    failures: Failures,
    /// Since when Chime owes a usable response.
    silent_since: Option<Duration>,
    /// When calls in flight are given up. Set once the request ends early: no call begins any more.
    give_up_at: Option<Duration>,
    counts: Counts,
    rng: Rng,
}

#[derive(Default)]
struct Message {
    /// Earliest time of the next call.
    due: Duration,
    /// Start of the call in flight.
    called_at: Option<Duration>,
    /// Calls that ended.
    ended_calls: usize,
    /// Final result, which ends the calls.
    decision: Option<Outcome>,
    /// Last `PENDING` of a wait.
    pending: Option<MessageStatus>,
    last_failure: Option<ChimeError>,
}

impl Message {
    fn has_ended_call(&self) -> bool {
        self.ended_calls > 0
    }
}

impl Plan {
    /// A plan whose pauses vary by `rng`.
    pub fn new(mut terms: Terms, rng: Rng) -> Self {
        if terms.wait.duration.is_zero() {
            let rate = terms.calls_per_second.max(1) as u32;
            let own = Duration::from_secs(terms.messages as u64) / rate + MAX_TIME_WITHOUT_WAIT;
            terms.deadline = terms.deadline.min(own);
        }
        Self {
            terms,
            messages: (0..terms.messages).map(|_| Message::default()).collect(),
            rate: Rate::new(terms.calls_per_second),
            failures: Failures::default(),
            silent_since: None,
            give_up_at: None,
            counts: Counts::default(),
            rng,
        }
    }

    /// What to do at `now`. Every rule that ends a request stands here.
    pub fn next(&mut self, now: Duration) -> Step {
        if now >= self.terms.deadline || self.is_complete(now) {
            return Step::Done;
        }
        self.give_up_at = self
            .give_up_at
            .or_else(|| Some(self.early_end(now)? + GRACE));
        if let Some(at) = self.give_up_at {
            let is_over = self.rate.in_flight == 0 || now >= at;
            return if is_over {
                Step::Done
            } else {
                Step::WaitUntil(at.min(self.terms.deadline))
            };
        }
        match self.next_call(now) {
            Some((index, at)) if at <= now => {
                self.start(index, now);
                Step::Call(index)
            }
            Some((_, at)) => Step::WaitUntil(at.min(self.next_end(now))),
            None => Step::WaitUntil(self.next_end(now)),
        }
    }

    /// Reports that the call for a message has ended.
    pub fn ended(&mut self, index: usize, outcome: Outcome, now: Duration) {
        let waits = self.waits();
        let Some(message) = self.messages.get_mut(index) else {
            return;
        };
        let Some(called_at) = message.called_at.take() else {
            return;
        };
        let interval = poll_interval(message.ended_calls, &mut self.rng);
        message.ended_calls += 1;
        self.rate.ended(now);
        self.counts.latencies.push(now.saturating_sub(called_at));
        match outcome {
            Ok(status) if waits && status.is_pending() => {
                message.pending = Some(status);
                message.last_failure = None;
                message.due = called_at + interval;
                self.usable_response(now);
            }
            Err(failure) if !failure.kind().is_final() => {
                message.last_failure = Some(failure.clone());
                message.due = if waits {
                    called_at + after_failure(interval)
                } else {
                    now + backoff(message.ended_calls, &mut self.rng)
                };
                let is_last = !waits
                    && (message.ended_calls >= failure.kind().max_calls()
                        || message.due >= self.terms.deadline);
                if is_last {
                    message.decision = Some(Err(failure.clone()));
                }
                self.failures.record(failure, called_at, now, &mut self.rng);
            }
            decision => {
                message.decision = Some(decision);
                self.usable_response(now);
            }
        }
    }

    pub fn finish(self) -> (Vec<Answer>, Counts) {
        // Of the early ends, only those by failures leave messages without a result.
        let last_failure = self.failures.last.filter(|_| self.give_up_at.is_some());
        let answers = self.messages.into_iter().map(|message| {
            match (message.decision, message.pending, message.last_failure) {
                (Some(Ok(status)), _, _) => Answer::Status(status),
                (Some(Err(error)), Some(_), _) if error.kind() == ErrorKind::NoSuchMessage => {
                    Answer::Gone(error)
                }
                (Some(Err(error)), _, _) => Answer::Failed(error),
                (None, Some(pending), _) => Answer::Status(pending),
                (None, None, Some(error)) => Answer::Failed(error),
                (None, None, None) => last_failure.clone().map_or(Answer::NoTime, Answer::Failed),
            }
        });
        (answers.collect(), self.counts)
    }

    fn waits(&self) -> bool {
        !self.terms.wait.duration.is_zero()
    }

    fn is_wait_over(&self, now: Duration) -> bool {
        self.waits() && now >= self.terms.wait.duration
    }

    /// Whether no further call is needed.
    fn is_complete(&self, now: Duration) -> bool {
        let is_over = self.is_wait_over(now);
        let mut messages = self.messages.iter();
        messages.all(|message| message.decision.is_some() || is_over && message.has_ended_call())
    }

    /// When the request began to end early, if it did: Chime fails, or any message is decided that need not wait.
    fn early_end(&self, now: Duration) -> Option<Duration> {
        if let Some(silence) = self.end_of_silence()
            && now >= silence
        {
            return Some(silence);
        }
        let is_any = self.waits() && self.terms.wait.until == Until::Any;
        let is_decided = is_any
            && self.messages.iter().all(Message::has_ended_call)
            && self
                .messages
                .iter()
                .any(|message| message.decision.is_some());
        let has_failed = self.failures.in_a_row >= MAX_FAILURES_IN_A_ROW;
        (has_failed || is_decided).then_some(now)
    }

    /// The next time at which the request may end although no call ends.
    fn next_end(&self, now: Duration) -> Duration {
        let wait = self.terms.wait.duration;
        let wait = (self.waits() && now < wait).then_some(wait);
        let ends = [wait, self.end_of_silence()].into_iter().flatten();
        ends.fold(self.terms.deadline, Duration::min)
    }

    fn end_of_silence(&self) -> Option<Duration> {
        let since = self.silent_since.filter(|_| self.waits());
        since.map(|since| since + MAX_SILENCE)
    }

    /// The message to call next, and the earliest time of the call. `None` if a call in flight must end first.
    fn next_call(&self, now: Duration) -> Option<(usize, Duration)> {
        let max_in_flight = match self.failures.in_a_row + 1 {
            MAX_FAILURES_IN_A_ROW => 1,
            _ => MAX_IN_FLIGHT,
        };
        if self.rate.in_flight >= max_in_flight {
            return None;
        }
        let is_over = self.is_wait_over(now);
        let messages = self.messages.iter().enumerate();
        let callable = messages.filter(|(_, message)| {
            let is_needed = message.decision.is_none() && !(is_over && message.has_ended_call());
            is_needed && message.called_at.is_none()
        });
        let (index, message) = callable.min_by_key(|(_, message)| message.due)?;
        let mut at = message.due.max(self.rate.next_start(now)?);
        if self.messages.len() > 1 {
            at = at.max(self.failures.pause_until);
        }
        Some((index, at))
    }

    fn start(&mut self, index: usize, now: Duration) {
        if let Some(message) = self.messages.get_mut(index) {
            message.called_at = Some(now);
            self.counts.retries += u64::from(message.last_failure.is_some());
        }
        self.counts.calls += 1;
        self.rate.in_flight += 1;
        self.silent_since.get_or_insert(now);
    }

    fn usable_response(&mut self, now: Duration) {
        self.failures.reset();
        self.silent_since = (self.rate.in_flight > 0).then_some(now);
    }
}

#[derive(Default)]
struct Failures {
    in_a_row: u32,
    /// End of the last failure that counted.
    counted_at: Option<Duration>,
    pause_until: Duration,
    /// The last failure of the request.
    last: Option<ChimeError>,
}

impl Failures {
    /// Counts a failure, unless its call ran at the same time as the last one that counted.
    fn record(&mut self, failure: ChimeError, called_at: Duration, now: Duration, rng: &mut Rng) {
        self.last = Some(failure);
        let is_apart = |at| called_at >= at && now >= at + FAILURE_DISTANCE;
        if self.counted_at.is_none_or(is_apart) {
            self.in_a_row += 1;
            self.counted_at = Some(now);
            self.pause_until = now + varied(FAILURE_DISTANCE, 1.0..2.0, rng);
        }
    }

    fn reset(&mut self) {
        self.in_a_row = 0;
        self.counted_at = None;
        self.pause_until = Duration::ZERO;
    }
}

/// Limit of the calls in any second.
struct Rate {
    calls_per_second: usize,
    in_flight: usize,
    /// Ends of the last calls, oldest first.
    ends: VecDeque<Duration>,
}

impl Rate {
    fn new(calls_per_second: usize) -> Self {
        Self {
            calls_per_second: calls_per_second.max(1),
            in_flight: 0,
            ends: VecDeque::new(),
        }
    }

    fn ended(&mut self, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ends.push_back(now);
        // Older ends cannot limit a call any more.
        if self.ends.len() > self.calls_per_second {
            self.ends.pop_front();
        }
    }

    /// The earliest time of the next call. `None` if a call in flight must end first.
    fn next_start(&self, now: Duration) -> Option<Duration> {
        let free = self.calls_per_second.checked_sub(self.in_flight + 1)?;
        // With `free` calls beside the next one, the end before those must have left the window.
        let blocking = self
            .ends
            .len()
            .checked_sub(free + 1)
            .and_then(|index| self.ends.get(index));
        Some(blocking.map_or(now, |end| now.max(*end + RATE_WINDOW)))
    }
}

fn poll_interval(ended_calls: usize, rng: &mut Rng) -> Duration {
    let interval = POLL_INTERVALS
        .get(ended_calls)
        .copied()
        .unwrap_or(LAST_POLL_INTERVAL);
    varied(Duration::from_millis(interval), 0.9..1.1, rng)
}

/// The interval after a failed poll. Not longer than the last one, so the next response comes before
/// [`MAX_SILENCE`].
fn after_failure(interval: Duration) -> Duration {
    if interval < MAX_INTERVAL_AFTER_FAILURE {
        (interval * 2).min(MAX_INTERVAL_AFTER_FAILURE)
    } else {
        interval.min(Duration::from_millis(LAST_POLL_INTERVAL))
    }
}

/// The pause before a retry, after so many calls.
fn backoff(calls: usize, rng: &mut Rng) -> Duration {
    let doublings = u32::try_from(calls.saturating_sub(1)).unwrap_or(u32::MAX);
    varied(
        BACKOFF.saturating_mul(2_u32.saturating_pow(doublings)),
        1.0..2.0,
        rng,
    )
}

/// `duration` times a random factor, so that clients that lost their connections together do not call together.
fn varied(duration: Duration, factor: Range<f64>, rng: &mut Rng) -> Duration {
    let width = factor.end - factor.start;
    duration.mul_f64(factor.start + width * rng.f64())
}

#[cfg(test)]
mod tests;
