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

/// First pause before a retry; each further one is twice as long.
const BACKOFF: Duration = Duration::from_millis(50);
/// Pauses between the calls of a wait; the last one goes on.
const SPACING: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
];
/// How much a throttled or failed call in a wait stretches the pause after it.
const SLOWER: u32 = 2;

/// How long one request has, and how often it may try.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// When the answer must be there, whatever has been heard by then.
    pub(crate) deadline: Instant,
    /// When to stop waiting for something that is pending; `None` asks once and does not wait.
    pub(crate) wait_until: Option<Instant>,
    /// Calls for one answer when nothing is waited for, the first one included.
    pub(crate) most_attempts: u32,
}

/// What an answer means for the asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outlook {
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
    fn outlook(&self) -> Outlook;
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
pub(crate) struct Pace {
    in_flight: Semaphore,
    /// When each slot that no call holds can be taken.
    free_at: Mutex<BinaryHeap<Reverse<Instant>>>,
}

impl Pace {
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
        sleep_until(slot.free_at).await;
        slot.used = true;
        call.await
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BinaryHeap<Reverse<Instant>>> {
        self.free_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of one call; given back however the call ends, also when it is given up.
struct Slot<'p> {
    pace: &'p Pace,
    free_at: Instant,
    used: bool,
}

impl<'p> Slot<'p> {
    fn take(pace: &'p Pace) -> Self {
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
pub(crate) async fn settle<T, F>(pace: &Pace, plan: Plan, ask: impl Fn(Reason) -> F) -> Option<T>
where
    T: Answer,
    F: Future<Output = T>,
{
    match plan.wait_until {
        None => ask_with_retries(pace, plan, ask).await,
        Some(wait_until) => wait(pace, plan.deadline, wait_until.min(plan.deadline), ask).await,
    }
}

async fn ask_with_retries<T, F>(pace: &Pace, plan: Plan, ask: impl Fn(Reason) -> F) -> Option<T>
where
    T: Answer,
    F: Future<Output = T>,
{
    let mut last = None;
    let mut reason = Reason::First;
    let mut backoff = BACKOFF;
    let mut throttled = false;
    for attempt in 1..=plan.most_attempts {
        let Ok(answer) = timeout_at(plan.deadline, pace.run(ask(reason))).await else {
            return last;
        };
        match answer.outlook() {
            Outlook::Settled | Outlook::Pending | Outlook::FailedForNow => return Some(answer),
            // Asking again is what was asked too often: once, and no more.
            Outlook::Throttled if throttled => return Some(answer),
            Outlook::Throttled => throttled = true,
            Outlook::Failed => {}
        }
        last = Some(answer);
        let pause = jittered(backoff, 0.5..1.5);
        let next = later(Instant::now(), pause);
        if attempt == plan.most_attempts || next >= plan.deadline {
            return last;
        }
        sleep_until(next).await;
        reason = Reason::Retry;
        backoff = backoff.saturating_mul(2);
    }
    last
}

async fn wait<T, F>(
    pace: &Pace,
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
    let mut spacing = SPACING.into_iter();
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
            Outlook::Settled => return Some(answer),
            Outlook::Pending => {
                pending = Some(answer);
                reason = Reason::Poll;
                1
            }
            Outlook::Throttled | Outlook::Failed | Outlook::FailedForNow => {
                failure = Some(answer);
                reason = Reason::Retry;
                SLOWER
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

/// `duration` times a random factor, so that a thousand clients that lost the same websocket do not
/// stay in step.
fn jittered(duration: Duration, factor: std::ops::Range<f64>) -> Duration {
    let width = factor.end - factor.start;
    duration.mul_f64(factor.start + width * fastrand::f64())
}

/// An instant so far away that it cannot be told is as good as one in a year.
fn later(instant: Instant, duration: Duration) -> Instant {
    const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    instant.checked_add(duration.min(A_YEAR)).unwrap_or(instant)
}
