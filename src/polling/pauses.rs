//! Pauses between the calls about one message.

use std::array;
use std::ops::Range;
use std::time::Duration;

/// Shortest pause before the first retry. Each further pause is twice as long.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
/// Pauses between the polls of a wait, each ± 10 %. The last one repeats. Most flows decide within a
/// second, so the first ones are short. A wait of 20 s makes at most 14 calls.
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
/// Longest pause after a failed call of a wait. If calls fail at once, three of them fit into
/// `MAX_FAILING_TIME`.
const MAX_FAILURE_PAUSE: Duration = Duration::from_millis(1400);

/// Pauses between the retries of a request that does not wait.
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(INITIAL_BACKOFF)
    }
}

impl Backoff {
    /// The pause before the next retry.
    pub(super) fn next(&mut self) -> Duration {
        let pause = jittered(self.0, 1.0..2.0);
        self.0 = self.0.saturating_mul(2);
        pause
    }
}

/// Pauses between the calls of a wait. Each call uses up one interval.
pub(super) struct PollPauses {
    intervals: array::IntoIter<Duration, 12>,
    /// By how much the last pause was shorter than its interval. The next interval is longer by that, so
    /// failures never add calls to a wait.
    saved: Duration,
}

impl Default for PollPauses {
    fn default() -> Self {
        Self {
            intervals: POLL_INTERVALS.into_iter(),
            saved: Duration::ZERO,
        }
    }
}

impl PollPauses {
    /// The pause after a message was pending.
    pub(super) fn after_pending(&mut self) -> Duration {
        self.next_interval()
    }

    /// The pause after a failed call.
    pub(super) fn after_failure(&mut self) -> Duration {
        let interval = self.next_interval();
        let pause = interval.saturating_mul(FAILURE_BACKOFF_FACTOR);
        self.shorten(interval, pause.min(MAX_FAILURE_PAUSE))
    }

    /// The pause after a call on a dead connection.
    pub(super) fn after_dead_connection(&mut self) -> Duration {
        let interval = self.next_interval();
        self.shorten(interval, jittered(INITIAL_BACKOFF, 1.0..2.0))
    }

    fn next_interval(&mut self) -> Duration {
        let interval = self.intervals.next().unwrap_or(LAST_POLL_INTERVAL);
        jittered(interval, 0.9..1.1).saturating_add(std::mem::take(&mut self.saved))
    }

    fn shorten(&mut self, interval: Duration, pause: Duration) -> Duration {
        self.saved = interval.saturating_sub(pause);
        pause
    }
}

/// `duration` times a random factor, so that clients that lost their connections together do not call
/// together.
fn jittered(duration: Duration, factor: Range<f64>) -> Duration {
    let width = factor.end - factor.start;
    duration.mul_f64(factor.start + width * fastrand::f64())
}
