//! Result lag: the time from Chime's decision about a message to the response that reports it.
//!
//! The simulation follows the function's own plan without a clock, so its figures are the same on every
//! machine.

use std::collections::VecDeque;
use std::time::Duration;

use chime_message_status::lookup::plan::{Answer, Plan, Step, Terms, Until, Wait};
use chime_message_status::status::MessageStatus;
use fastrand::Rng;
use serde_json::{Value, json};

/// How long Chime takes for a call, and how long a WebSocket message travels.
const CALL: Duration = Duration::from_millis(50);
const PUSH: Duration = Duration::from_millis(25);
const WAIT: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(28);
/// The default of us-east-1.
const CALLS_PER_SECOND: usize = 5;
const DECISIONS: usize = 20_000;
const BATCHES: usize = 1_000;
const BATCH: usize = 20;
/// The same decisions in every run.
const SEED: u64 = 18;

/// How long a channel flow takes to decide.
#[derive(Clone, Copy)]
enum Flow {
    /// Log-normal with a median of 0.4 s and a sigma of 0.8.
    Fast,
    /// Log-uniform from 0.1 to 20 s.
    Slow,
}

impl Flow {
    fn decision(self, rng: &mut Rng) -> Duration {
        let seconds = match self {
            Self::Fast => 0.4 * (0.8 * normal(rng)).exp(),
            Self::Slow => 0.1 * 200_f64.powf(rng.f64()),
        };
        Duration::from_secs_f64(seconds)
    }
}

/// A number from the standard normal distribution (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// How a front end learns of decisions.
#[derive(Clone, Copy)]
enum Method {
    /// Requests with `wait=20`.
    Wait(Until),
    /// A call for each message once a second.
    Polling,
    /// A WebSocket that stays connected: the smallest possible lag.
    WebSocket,
}

const METHODS: [(&str, Method); 4] = [
    ("wait", Method::Wait(Until::All)),
    ("polling", Method::Polling),
    ("WebSocket", Method::WebSocket),
    ("wait, until=any", Method::Wait(Until::Any)),
];

/// Lags and calls of one try. All times are since its start.
#[derive(Default)]
struct Sample {
    lags: Vec<Duration>,
    calls: usize,
}

pub fn simulated() -> Value {
    let mut figures = json!({"undecided": {"calls": undecided()}});
    for (name, flow) in [("fast", Flow::Fast), ("slow", Flow::Slow)] {
        for (method_name, method) in &METHODS[..3] {
            figures[name][method_name] = figure(flow, *method, DECISIONS, 1);
        }
        let batch = format!("{name}, 20 messages");
        for (method_name, method) in METHODS {
            figures[&batch][method_name] = figure(flow, method, BATCHES, BATCH);
        }
    }
    figures
}

fn figure(flow: Flow, method: Method, tries: usize, messages: usize) -> Value {
    let rng = &mut Rng::with_seed(SEED);
    let mut all = Sample::default();
    for _ in 0..tries {
        let decisions = (0..messages).map(|_| flow.decision(rng)).collect();
        let sample = match method {
            Method::Wait(until) => requests(decisions, until, rng),
            Method::Polling => polling(&decisions),
            Method::WebSocket => Sample {
                lags: vec![PUSH; messages],
                calls: 0,
            },
        };
        all.lags.extend(sample.lags);
        all.calls += sample.calls;
    }
    let (median_s, p95_s) = quantiles(&mut all.lags);
    let calls = all.calls as f64 / (tries * messages) as f64;
    json!({"median_s": median_s, "p95_s": p95_s, "calls": calls})
}

/// The median and the 95th percentile, in seconds.
fn quantiles(lags: &mut [Duration]) -> (f64, f64) {
    lags.sort_unstable();
    let at = |share: f64| lags[(share * (lags.len() - 1) as f64) as usize].as_secs_f64();
    (at(0.5), at(0.95))
}

/// The most calls that a full wait for one message costs.
fn undecided() -> usize {
    let rng = &mut Rng::with_seed(SEED);
    let requests =
        (0..DECISIONS / 20).map(|_| request(&[Duration::MAX], Until::All, Duration::ZERO, rng));
    requests.map(|request| request.calls).max().unwrap_or(0)
}

/// Calls for each message once a second, the first one at the start.
fn polling(decisions: &[Duration]) -> Sample {
    let mut sample = Sample::default();
    for decided in decisions {
        let polls = decided.saturating_sub(CALL / 2).as_secs_f64().ceil();
        sample
            .lags
            .push(Duration::from_secs_f64(polls) + CALL - *decided);
        sample.calls += polls as usize + 1;
    }
    sample
}

/// Requests until each message is decided: at once after a response with a decision, and otherwise
/// after the pause of `retry-after`.
fn requests(mut pending: Vec<Duration>, until: Until, rng: &mut Rng) -> Sample {
    let mut sample = Sample::default();
    let mut now = Duration::ZERO;
    while !pending.is_empty() {
        let request = request(&pending, until, now, rng);
        now = request.ended;
        sample.calls += request.calls;
        let before = pending.len();
        let mut is_decided = request.is_decided.into_iter();
        pending.retain(|decided| {
            let is_pending = !is_decided.next().unwrap_or(false);
            if !is_pending {
                sample.lags.push(now - *decided);
            }
            is_pending
        });
        if pending.len() == before {
            now += Duration::from_secs_f64(1.0 + 3.0 * rng.f64());
        }
    }
    sample
}

/// A request that has ended.
struct Request {
    is_decided: Vec<bool>,
    calls: usize,
    ended: Duration,
}

/// Makes one request with `wait=20` about the messages that are decided at these times. Chime reads the
/// status after half of a call.
fn request(decisions: &[Duration], until: Until, start: Duration, rng: &mut Rng) -> Request {
    let terms = Terms {
        messages: decisions.len(),
        calls_per_second: CALLS_PER_SECOND,
        deadline: DEADLINE,
        wait: Wait {
            duration: WAIT,
            until,
        },
    };
    let mut plan = Plan::new(terms, rng.fork());
    // All calls take the same time, so they end in the order of their starts.
    let mut in_flight = VecDeque::new();
    let mut now = Duration::ZERO;
    loop {
        match plan.next(now) {
            Step::Call(index) => in_flight.push_back((index, now + CALL)),
            Step::WaitUntil(time) => match in_flight.pop_front_if(|(_, end)| *end <= time) {
                Some((index, end)) => {
                    now = end;
                    let is_decided = start + end - CALL / 2 >= decisions[index];
                    plan.ended(index, Ok(status(is_decided)), now);
                }
                None => now = time,
            },
            Step::Done => break,
        }
    }
    let (answers, counts) = plan.finish();
    let is_decided = answers
        .iter()
        .map(|answer| *answer == Answer::Status(status(true)));
    Request {
        is_decided: is_decided.collect(),
        calls: counts.calls as usize,
        ended: start + now,
    }
}

fn status(is_decided: bool) -> MessageStatus {
    let value = if is_decided { "SENT" } else { "PENDING" };
    MessageStatus::parse(value, None).expect("a status of Chime")
}
