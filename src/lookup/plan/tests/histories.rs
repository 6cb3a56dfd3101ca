//! Random histories. An oracle judges every step: it states the rules of the plan again, as checks of what has
//! happened instead of decisions. Then each promise is a property of the whole history.
//!
//! The cases are the same in each run. After a change of the plan, run once with more cases and another seed.

use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop};
use proptest::test_runner::RngSeed;
use proptest::{prop_oneof, proptest};

use super::*;

const RATE_WINDOW: Duration = ms(1100);
/// 50 ms of the 250 ms are for the response.
const GRACE: Duration = ms(200);
const SILENCE: Duration = ms(3500);
const COUNTED_APART: Duration = ms(100);

/// A call that Chime is about to get.
struct Calling {
    message: usize,
    start: Duration,
}

#[derive(Clone, Debug)]
struct Called {
    message: usize,
    start: Duration,
    end: Duration,
    outcome: Outcome,
}

/// What happened to a request.
#[derive(Debug)]
struct Story {
    calls: Vec<Called>,
    done: Duration,
    answers: Vec<Answer>,
    counts: Counts,
}

impl Story {
    fn is_usable(call: &Called) -> bool {
        !FAILURES
            .iter()
            .any(|(kind, _)| call.outcome == fails(*kind))
    }
}

/// Runs a plan against `chime`, which says how long a call takes and how it ends. Every step is judged.
fn simulate(
    terms: Terms,
    seed: u64,
    mut chime: impl FnMut(&Calling) -> (Duration, Outcome),
) -> Story {
    let mut dice = Rng::with_seed(seed);
    let mut plan = Plan::new(terms, Rng::with_seed(seed));
    let mut oracle = Oracle::new(terms);
    let mut running: Vec<Called> = Vec::new();
    let mut calls: Vec<Called> = Vec::new();
    let mut now = Duration::ZERO;
    for _ in 0..5000 {
        match plan.next(now) {
            Step::Call(message) => {
                oracle.check_call(message, now);
                let (latency, outcome) = chime(&Calling {
                    message,
                    start: now,
                });
                running.push(Called {
                    message,
                    start: now,
                    end: now + latency,
                    outcome,
                });
                oracle.started(message, now);
            }
            Step::WaitUntil(until) => {
                oracle.check_wait(until, now);
                let end = running.iter().map(|call| call.end).min();
                let spurious = dice.u64(0..20) == 0;
                now = match end {
                    Some(end) if end <= until => end,
                    _ if spurious => (now + until) / 2,
                    _ => until,
                };
                // Calls that end at the same time may be reported with or without a step between them.
                while let Some(ended) = pick_ended(&mut running, now, &mut dice) {
                    plan.ended(ended.message, ended.outcome.clone(), now);
                    oracle.ended(&ended, now);
                    calls.push(ended);
                    if dice.bool() {
                        break;
                    }
                }
            }
            Step::Done => {
                oracle.check_done(now);
                assert_eq!(plan.next(now + ms(1)), Step::Done);
                calls.extend(running.into_iter().map(|call| Called {
                    end: now,
                    outcome: fails(Timeout),
                    ..call
                }));
                calls.sort_by_key(|call| call.start);
                let (answers, counts) = plan.finish();
                assert_eq!(answers, oracle.answers());
                assert_eq!(counts.calls as usize, calls.len());
                assert_eq!(counts.retries, oracle.retries);
                assert_eq!(counts.latencies, oracle.latencies);
                return Story {
                    calls,
                    done: now,
                    answers,
                    counts,
                };
            }
        }
    }
    panic!("no end after 5000 steps");
}

fn pick_ended(running: &mut Vec<Called>, now: Duration, dice: &mut Rng) -> Option<Called> {
    let ended: Vec<_> = (0..running.len())
        .filter(|&index| running[index].end <= now)
        .collect();
    (!ended.is_empty()).then(|| running.swap_remove(ended[dice.usize(..ended.len())]))
}

/// The rules, as checks of what has happened.
struct Oracle {
    terms: Terms,
    deadline: Duration,
    messages: Vec<Seen>,
    /// Start, and end once it has ended, of each call.
    calls: Vec<(usize, Duration, Option<Duration>)>,
    in_a_row: usize,
    last_counted: Option<Duration>,
    silent_since: Option<Duration>,
    last_failure: Option<ChimeError>,
    /// When the request began to end, and whether because Chime failed.
    ending: Option<(Duration, bool)>,
    retries: u64,
    latencies: Vec<Duration>,
}

#[derive(Clone, Default)]
struct Seen {
    calls: usize,
    is_running: bool,
    started: Duration,
    ended: Duration,
    pending: Option<Outcome>,
    own_failure: Option<ChimeError>,
    has_ended: bool,
    has_just_failed: bool,
    result: Option<Answer>,
}

impl Oracle {
    fn new(terms: Terms) -> Self {
        let messages = Duration::from_secs(terms.messages as u64);
        let batch_time = messages / terms.calls_per_second as u32 + ms(5900);
        let deadline = match terms.wait.duration.is_zero() {
            true => terms.deadline.min(batch_time),
            false => terms.deadline,
        };
        Self {
            terms,
            deadline,
            messages: vec![Seen::default(); terms.messages],
            calls: Vec::new(),
            in_a_row: 0,
            last_counted: None,
            silent_since: None,
            last_failure: None,
            ending: None,
            retries: 0,
            latencies: Vec::new(),
        }
    }

    fn waits(&self) -> bool {
        !self.terms.wait.duration.is_zero()
    }

    fn is_over(&self, now: Duration) -> bool {
        self.waits() && now >= self.terms.wait.duration
    }

    fn in_flight(&self) -> usize {
        self.calls.iter().filter(|call| call.2.is_none()).count()
    }

    fn started(&mut self, index: usize, now: Duration) {
        let message = &mut self.messages[index];
        message.calls += 1;
        message.is_running = true;
        message.started = now;
        self.retries += u64::from(message.has_just_failed);
        // Older calls cannot limit the rate.
        self.calls
            .retain(|call| call.2.is_none_or(|end| end + RATE_WINDOW > now));
        self.calls.push((index, now, None));
        self.silent_since.get_or_insert(now);
    }

    fn ended(&mut self, called: &Called, now: Duration) {
        let ended =
            |call: &&mut (usize, _, Option<_>)| call.0 == called.message && call.2.is_none();
        self.calls.iter_mut().find(ended).unwrap().2 = Some(now);
        self.latencies.push(now - called.start);
        let in_flight = self.in_flight();
        let waits = self.waits();
        let message = &mut self.messages[called.message];
        message.is_running = false;
        message.ended = now;
        message.has_ended = true;
        message.has_just_failed = called.outcome.is_err();
        match &called.outcome {
            Ok(status) if waits && status.is_pending() => {
                message.pending = Some(called.outcome.clone());
            }
            Ok(status) => message.result = Some(Answer::Status(status.clone())),
            Err(error) if Story::is_usable(called) => {
                let is_gone = message.pending.is_some() && error.kind() == NoSuchMessage;
                message.result = Some(match is_gone {
                    true => Answer::Gone(error.clone()),
                    false => Answer::Failed(error.clone()),
                });
            }
            Err(error) => {
                message.own_failure = Some(error.clone());
                if !waits && message.calls >= attempts(error.kind()) {
                    message.result = Some(Answer::Failed(error.clone()));
                }
                self.last_failure = Some(error.clone());
                let counts = self
                    .last_counted
                    .is_none_or(|last| called.start >= last && now >= last + COUNTED_APART);
                if counts {
                    self.in_a_row += 1;
                    self.last_counted = Some(now);
                }
            }
        }
        if Story::is_usable(called) {
            self.in_a_row = 0;
            self.last_counted = None;
            self.silent_since = (in_flight > 0).then_some(now);
        }
        if self.in_a_row >= 3 {
            self.ending.get_or_insert((now, true));
        }
        let has_ended = |seen: &Seen| seen.has_ended;
        if waits
            && self.terms.wait.until == Until::Any
            && self.messages.iter().all(has_ended)
            && self.messages.iter().any(|seen| seen.result.is_some())
        {
            self.ending.get_or_insert((now, false));
        }
    }

    fn observe_silence(&mut self, now: Duration) {
        if self.waits()
            && let Some(since) = self.silent_since
            && now >= since + SILENCE
        {
            self.ending.get_or_insert((now, true));
        }
    }

    /// Whether the request must have ended, or, `leniently`, may have: the backoff of a retry may reach the deadline.
    fn is_done(&self, now: Duration, leniently: bool) -> bool {
        let is_settled = |seen: &Seen| {
            let (earliest, latest) = seen.due(self.waits());
            let retry = if leniently { latest } else { earliest };
            seen.result.is_some()
                || (!self.waits()
                    && seen.has_just_failed
                    && !seen.is_running
                    && retry >= self.deadline)
        };
        let has_result = |seen: &Seen| seen.has_ended;
        now >= self.deadline
            || self.messages.iter().all(is_settled)
            || (self.is_over(now) && self.messages.iter().all(has_result))
            || self
                .ending
                .is_some_and(|(since, _)| self.in_flight() == 0 || now >= since + GRACE)
    }

    fn check_done(&mut self, now: Duration) {
        self.observe_silence(now);
        assert!(self.is_done(now, true), "{now:?}: ended without a reason");
    }

    fn check_call(&mut self, index: usize, now: Duration) {
        self.observe_silence(now);
        let seen = &self.messages[index];
        assert!(!self.is_done(now, false), "{now:?}: call after the end");
        assert!(self.ending.is_none(), "{now:?}: call while ending");
        assert!(!seen.is_running, "{now:?}: two calls about {index}");
        assert!(seen.result.is_none(), "{now:?}: {index} has a result");
        assert!(
            !(self.is_over(now) && seen.has_ended),
            "{now:?}: {index} after the wait"
        );
        assert!(
            now >= seen.due(self.waits()).0,
            "{now:?}: {index} too early"
        );
        assert!(self.in_flight() < 4, "{now:?}: five calls in flight");
        assert!(
            self.in_a_row < 2 || self.in_flight() == 0,
            "{now:?}: not alone"
        );
        assert!(
            self.free_at().is_some_and(|free| free <= now),
            "{now:?}: above the rate"
        );
    }

    /// When the rate allows a call, unless a call must end first.
    fn free_at(&self) -> Option<Duration> {
        let mut free: Vec<_> = self
            .calls
            .iter()
            .map(|call| call.2.map_or(Duration::MAX, |end| end + RATE_WINDOW))
            .collect();
        free.sort();
        let slot = free.len().checked_sub(self.terms.calls_per_second);
        match slot.map(|slot| free[slot]) {
            Some(Duration::MAX) => None,
            free => Some(free.unwrap_or_default()),
        }
    }

    /// A plan may wait as long as there is nothing to do.
    fn check_wait(&mut self, until: Duration, now: Duration) {
        self.observe_silence(now);
        assert!(!self.is_done(now, false), "{now:?}: no end");
        assert!(until > now, "{now:?}: no progress");
        let mut limit = self.deadline;
        if let Some((since, _)) = self.ending {
            limit = limit.min(since + GRACE);
        } else if self.waits() {
            if let Some(since) = self.silent_since {
                limit = limit.min(since + SILENCE);
            }
            if !self.is_over(now) {
                limit = limit.min(self.terms.wait.duration);
            }
        }
        assert!(
            until <= limit,
            "{now:?}: waits until {until:?}, beyond {limit:?}"
        );
        let may_call = self.ending.is_none()
            && self.in_flight() < 4
            && (self.in_a_row < 2 || self.in_flight() == 0);
        let is_open = |seen: &&Seen| {
            let is_over = self.is_over(now) && seen.has_ended;
            seen.result.is_none() && !seen.is_running && !is_over
        };
        let open = self.messages.iter().filter(is_open);
        if may_call
            && let Some(free) = self.free_at()
            && let Some(due) = open.map(|seen| seen.due(self.waits()).1).min()
        {
            let pause = self
                .last_counted
                .map_or(Duration::ZERO, |last| last + ms(200));
            let latest = free.max(due).max(pause);
            assert!(
                until <= latest,
                "{now:?}: waits until {until:?}, a call is due at {latest:?}"
            );
        }
    }

    fn answers(&self) -> Vec<Answer> {
        let failed = self.ending.is_some_and(|(_, failed)| failed);
        let answer = |seen: &Seen| {
            if let Some(result) = &seen.result {
                result.clone()
            } else if let Some(pending) = &seen.pending {
                Answer::Status(pending.clone().unwrap())
            } else if let Some(error) = &seen.own_failure {
                Answer::Failed(error.clone())
            } else if let Some(error) = self.last_failure.as_ref().filter(|_| failed) {
                Answer::Failed(error.clone())
            } else {
                Answer::NoTime
            }
        };
        self.messages.iter().map(answer).collect()
    }
}

impl Seen {
    /// The earliest and the latest start of the next call.
    fn due(&self, waits: bool) -> (Duration, Duration) {
        let Some(previous) = self.calls.checked_sub(1) else {
            return (Duration::ZERO, Duration::ZERO);
        };
        if !waits {
            let backoff = ms(50) * 2_u32.pow(previous as u32);
            return (self.ended + backoff, self.ended + backoff * 2);
        }
        let mut interval = INTERVALS[previous.min(11)];
        if self.has_just_failed && interval < 1400 {
            interval = (2 * interval).min(1400);
        }
        let interval = ms(interval);
        let (earliest, mut latest) = (interval * 9 / 10, interval * 11 / 10);
        if self.has_just_failed && interval >= ms(1400) {
            latest = latest.min(ms(3100));
        }
        (
            self.started + earliest,
            self.ended.max(self.started + latest),
        )
    }
}

fn attempts(kind: ErrorKind) -> usize {
    FAILURES.iter().find(|failure| failure.0 == kind).unwrap().1
}

/// What Chime does, from one time on.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// Anything, at any speed.
    Wild,
    /// Pending, within 300 ms.
    Healthy,
    Fails(ErrorKind),
    FailsInAnyWay,
}

impl Mood {
    fn call(self, dice: &mut Rng) -> (Duration, Outcome) {
        let any_failure = FAILURES[dice.usize(..FAILURES.len())].0;
        match self {
            Self::Healthy => (ms(dice.u64(0..300)), pending()),
            Self::Fails(Timeout) => (ms(2000), fails(Timeout)),
            Self::Fails(kind) => (ms(dice.u64(0..500)), fails(kind)),
            Self::FailsInAnyWay => (ms(dice.u64(0..2500)), fails(any_failure)),
            Self::Wild => {
                // On a coarse grid many calls end at the same time.
                let latency = match dice.u8(0..8) {
                    0 => 0,
                    1..4 => 50 * dice.u64(0..50),
                    4..7 => dice.u64(0..400),
                    _ => dice.u64(0..30_000),
                };
                let outcome = match dice.u8(0..10) {
                    0 => sent(),
                    1..5 => pending(),
                    5 => fails(FINAL_PROBLEMS[dice.usize(..3)]),
                    _ => fails(any_failure),
                };
                (ms(latency), outcome)
            }
        }
    }
}

fn any_failure() -> impl Strategy<Value = Mood> {
    let one = (0..FAILURES.len()).prop_map(|index| Mood::Fails(FAILURES[index].0));
    prop_oneof![3 => one, 1 => Just(Mood::FailsInAnyWay)]
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let duration = prop_oneof![1 => Just(0), 2 => 0..=25_u64];
    let until = prop_oneof![Just(Until::All), Just(Until::Any)];
    (1..=20_usize, 1..=50_usize, duration, until, 100..28_000_u64).prop_map(
        |(messages, rate, duration, until, deadline)| Terms {
            deadline: ms(deadline),
            ..terms(messages, rate, duration * 1000, until)
        },
    )
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(2026),
        ..ProptestConfig::with_cases(cases)
    }
}

/// At most the rate of calls may have arrived in any second, wherever in its time each of them arrives.
fn check_arrivals(story: &Story, rate: usize) {
    for late in &story.calls {
        let arrivals = story
            .calls
            .iter()
            .filter(|call| call.start <= late.start && call.end + ms(1000) > late.start);
        assert!(arrivals.count() <= rate, "{late:?} of {story:?}");
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn any_history_keeps_the_rules(terms in any_terms(), seed in any::<u64>()) {
        let mut dice = Rng::with_seed(seed);
        let story = simulate(terms, seed, |_| Mood::Wild.call(&mut dice));
        check_arrivals(&story, terms.calls_per_second);
        assert!(story.done <= terms.deadline);
        assert_eq!(story.answers.len(), terms.messages);
        if terms.wait.duration.is_zero() {
            let time = terms.messages as f64 / terms.calls_per_second as f64 + 6.0;
            assert!(story.done.as_secs_f64() <= time);
        }
    }

    #[test]
    fn a_lasting_failure_holds_a_wait_for_at_most_3800_ms_and_12_calls(
        (messages, rate) in (1..=20_usize, 1..=50_usize), from in 0..20_000_u64, failure in any_failure(), seed in any::<u64>(),
    ) {
        let mut dice = Rng::with_seed(seed);
        let story = simulate(terms(messages, rate, 25_000, Until::All), seed, |call| {
            let (latency, outcome) = Mood::Healthy.call(&mut dice);
            match call.start + latency < ms(from) {
                true => (latency, outcome),
                false => failure.call(&mut dice),
            }
        });
        let usable = story.calls.iter().filter(|call| Story::is_usable(call));
        let last_usable = usable.map(|call| call.end).max().unwrap_or_default();
        let failing: Vec<_> = story.calls.iter().filter(|call| call.end > last_usable).collect();
        let held = story.done - failing[0].start.max(last_usable);
        assert!(held <= ms(3800), "{held:?} {story:?}");
        assert!(failing.len() <= 12, "{story:?}");
    }

    #[test]
    fn a_failing_chime_gets_at_most_12_calls_of_a_batch(
        (messages, rate) in (1..=20_usize, 1..=50_usize), failure in any_failure(), seed in any::<u64>(),
    ) {
        let mut dice = Rng::with_seed(seed);
        let story = simulate(no_wait(messages, rate), seed, |_| failure.call(&mut dice));
        assert!(story.calls.len() <= 12, "{story:?}");
        assert!(rate < 5 || story.done <= ms(10_000));
    }

    #[test]
    fn a_single_failure_never_ends_a_wait(
        messages in prop_oneof![Just(1), 1..=20_usize],
        rate in 1..=50_usize,
        failed in 0..40_usize,
        failure in any_failure(),
        seed in any::<u64>(),
    ) {
        let mut dice = Rng::with_seed(seed);
        let mut calls = 0;
        let story = simulate(wait(messages, rate), seed, |_| {
            calls += 1;
            match (calls == failed + 1, failure) {
                (true, Mood::FailsInAnyWay) => (ms(2000), fails(Timeout)),
                (true, failure) => failure.call(&mut dice),
                (false, _) => Mood::Healthy.call(&mut dice),
            }
        });
        assert!(story.done >= ms(20_000), "{story:?}");
    }

    #[test]
    fn a_blip_of_60_ms_fails_no_message(
        (messages, rate) in (1..=20_usize, 1..=50_usize), duration in 0..=1_u64, from in 0..1000_u64,
        kind in 0..3_usize, seed in any::<u64>(),
    ) {
        // A throttle is retried once, so a single message without a wait can lose to a blip of throttles.
        // The wait must have room for a few more calls than messages.
        let duration = if messages <= 12 * rate { duration } else { 0 };
        let kind = FAILURES[if messages == 1 { kind % 2 } else { kind }].0;
        let mut dice = Rng::with_seed(seed);
        let terms = terms(messages, rate, duration * 20_000, Until::All);
        let from = if dice.bool() { 0 } else { from };
        let story = simulate(terms, seed, |call| {
            let latency = ms(dice.u64(1..60));
            match (ms(from)..ms(from + 60)).contains(&call.start) {
                true => (latency, fails(kind)),
                false => (latency, sent()),
            }
        });
        assert!(story.answers.iter().all(|answer| text(answer) == "SENT"), "{story:?}");
    }

    #[test]
    fn four_hanging_messages_fail_no_healthy_one_without_a_wait(
        rate in 3..=50_usize,
        hanging in prop::sample::subsequence((0..20).collect::<Vec<_>>(), 4),
        seed in any::<u64>(),
    ) {
        let mut dice = Rng::with_seed(seed);
        let story = simulate(no_wait(20, rate), seed, |call| match hanging.contains(&call.message) {
            true => (ms(2000), fails(Timeout)),
            false => (ms(dice.u64(1..200)), sent()),
        });
        for (index, answer) in story.answers.iter().enumerate() {
            assert!(hanging.contains(&index) || text(answer) == "SENT", "{index} {story:?}");
        }
    }
}

#[test]
fn without_a_wait_the_kind_of_the_failure_decides_the_number_of_calls() {
    for (kind, calls) in FAILURES
        .into_iter()
        .chain(FINAL_PROBLEMS.map(|kind| (kind, 1)))
    {
        let story = simulate(no_wait(1, 50), 1, |_| (ms(20), fails(kind)));
        assert_eq!(story.answers, [Answer::Failed(error(kind))]);
        let expected = Counts {
            calls: calls as u64,
            retries: calls as u64 - 1,
            latencies: vec![ms(20); calls],
        };
        assert_eq!(story.counts, expected, "{kind:?}");
    }
}

#[test]
fn a_wait_of_20_s_makes_12_to_14_calls() {
    for seed in 0..200 {
        let story = simulate(wait(1, 50), seed, |_| (ms(0), pending()));
        assert!((12..=14).contains(&story.calls.len()), "{story:?}");
    }
}

#[test]
fn the_result_lag_of_one_message_has_a_median_of_200_ms_and_a_95th_percentile_of_500_ms() {
    let mut dice = Rng::with_seed(2026);
    let mut lags: Vec<_> = (0..4000)
        .map(|seed| {
            // Log-normal by Box and Muller.
            let (u, v): (f64, f64) = (1.0 - dice.f64(), dice.f64());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let decided = Duration::from_secs_f64((0.4 * (0.8 * normal).exp()).min(19.0));
            let story = simulate(wait(1, 5), seed, |call| {
                match call.start + ms(10) < decided {
                    true => (ms(20), pending()),
                    false => (ms(20), sent()),
                }
            });
            story.done.saturating_sub(decided)
        })
        .collect();
    lags.sort();
    let (median, late) = (lags[lags.len() / 2], lags[lags.len() * 95 / 100]);
    assert!(median <= ms(200) && late <= ms(500), "{median:?} {late:?}");
}
