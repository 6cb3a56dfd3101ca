//! Rate limiter for the Chime calls of one request. Pure timing; no sockets, no SDK, no HTTP.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// Maximum number of calls in flight for one request.
const MAX_IN_FLIGHT: usize = 4;
/// How long a call still counts after its end: one second and a margin. Chime counts calls when they
/// arrive, and a call that was given up may still be on its way.
const HOLD_AFTER_CALL: Duration = Duration::from_millis(1100);

/// Limits the calls of one request: at most N calls in any one second, and at most 4 in flight.
///
/// There are N slots. A call holds one slot while it runs and for `HOLD_AFTER_CALL` after its end. So two
/// calls in one slot reach Chime more than a second apart, even if the first one arrives only when it ends.
pub(crate) struct RateLimiter {
    in_flight: Semaphore,
    /// When each unused slot becomes free.
    free_at: Mutex<BinaryHeap<Reverse<Instant>>>,
    calls_per_second: usize,
}

impl RateLimiter {
    /// Creates a limiter with N = `calls_per_second`, which is at least 1.
    pub(crate) fn new(calls_per_second: usize) -> Self {
        let slots = calls_per_second.max(1);
        let now = Instant::now();
        Self {
            // Never more permits than slots, so a call with a permit always finds a slot.
            in_flight: Semaphore::new(slots.min(MAX_IN_FLIGHT)),
            free_at: Mutex::new((0..slots).map(|_| Reverse(now)).collect()),
            calls_per_second: slots,
        }
    }

    /// Waits until a call may start. First come, first served. The permit must be dropped when
    /// the call ends.
    pub(crate) async fn acquire(&self) -> Permit<'_> {
        // The semaphore is never closed, so this cannot fail.
        let in_flight = self.in_flight.acquire().await;
        let mut slot = Slot::take(self);
        if slot.free_at > Instant::now() {
            sleep_until(slot.free_at).await;
        }
        slot.used = true;
        Permit {
            _slot: slot,
            _in_flight: in_flight,
        }
    }

    /// How long the limiter delays the last of `calls` calls, if each call ends at once.
    pub(crate) fn delay_of(&self, calls: usize) -> Duration {
        let rounds = calls.saturating_sub(1).checked_div(self.calls_per_second);
        let rounds = rounds.and_then(|rounds| u32::try_from(rounds).ok());
        HOLD_AFTER_CALL.saturating_mul(rounds.unwrap_or(u32::MAX))
    }

    fn slots(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Instant>>> {
        self.free_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permission for one call.
pub(crate) struct Permit<'l> {
    // Fields are dropped in this order, so the next call with a permit finds a slot.
    _slot: Slot<'l>,
    _in_flight: Result<SemaphorePermit<'l>, AcquireError>,
}

/// A slot that a call holds. Returned when dropped, also if the call was given up.
struct Slot<'l> {
    limiter: &'l RateLimiter,
    free_at: Instant,
    used: bool,
}

impl<'l> Slot<'l> {
    fn take(limiter: &'l RateLimiter) -> Self {
        let free_at = limiter.slots().pop();
        Self {
            limiter,
            free_at: free_at.map_or_else(Instant::now, |Reverse(at)| at),
            used: false,
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let free_at = if self.used {
            let now = Instant::now();
            now.checked_add(HOLD_AFTER_CALL).unwrap_or(now)
        } else {
            self.free_at
        };
        self.limiter.slots().push(Reverse(free_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_call_starts_without_a_delay() {
        // Timers fire at whole milliseconds. A timer that starts between two of them waits for the next.
        tokio::time::advance(Duration::from_micros(300)).await;
        let start = Instant::now();
        drop(RateLimiter::new(5).acquire().await);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_of_n_calls_is_the_time_that_they_take() {
        for (rate, calls) in [(5, 1), (5, 5), (5, 6), (5, 20), (3, 20), (1, 4)] {
            let limiter = RateLimiter::new(rate);
            let start = Instant::now();
            for _ in 0..calls {
                drop(limiter.acquire().await);
            }
            assert_eq!(start.elapsed(), limiter.delay_of(calls), "{rate}, {calls}");
        }
    }
}
