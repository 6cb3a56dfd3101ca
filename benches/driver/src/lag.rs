//! Result lag: the time from Chime's decision about a message to the response that reports it.
//!
//! [`simulated`] runs the function's own polling on a simulated clock, so its figures are the same on
//! every machine. [`measured`] measures a release binary and the JavaScript SDK.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant as WallInstant};

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::function::{Chime, Failure, Outcome, Roots, get, poll_of};
use crate::poller::Poller;
use crate::polling::{RetryClass, RetryPolicy, Scheduler, Wait};
use crate::rate_limit::RateLimiter;

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
const MEASURED: usize = 300;

/// How long a channel flow takes to decide.
#[derive(Clone, Copy)]
enum Flow {
    /// Log-normal with a median of 0.4 s and a sigma of 0.8.
    Fast,
    /// Log-uniform from 0.1 to 20 s.
    Slow,
}

impl Flow {
    fn decision(self) -> Duration {
        let seconds = match self {
            Self::Fast => 0.4 * (0.8 * normal()).exp(),
            Self::Slow => 0.1 * 200_f64.powf(fastrand::f64()),
        };
        Duration::from_secs_f64(seconds)
    }
}

/// A number from the standard normal distribution (Box and Muller).
fn normal() -> f64 {
    let radius = (-2.0 * (1.0 - fastrand::f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * fastrand::f64()).cos()
}

/// How a front end learns of decisions.
#[derive(Clone, Copy)]
enum Method {
    /// Requests with `wait=20`, which respond when all messages are decided.
    WaitForAll,
    /// Requests with `wait=20&until=any`.
    WaitForAny,
    /// A call for each message once a second.
    Polling,
    /// A WebSocket that stays connected: the smallest possible lag.
    WebSocket,
}

/// Lags and calls of one try.
#[derive(Default)]
struct Sample {
    lags: Vec<Duration>,
    calls: usize,
}

pub fn simulated() -> Outcome<Value> {
    let on_a_paused_clock = || -> Outcome<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        Ok(runtime.block_on(all()))
    };
    std::thread::spawn(on_a_paused_clock)
        .join()
        .map_err(|_| "the simulation panicked")?
}

async fn all() -> Value {
    let methods = [
        ("wait", Method::WaitForAll),
        ("polling", Method::Polling),
        ("WebSocket", Method::WebSocket),
    ];
    let mut figures = json!({"undecided": {"calls": undecided().await}});
    for (name, flow) in [("fast", Flow::Fast), ("slow", Flow::Slow)] {
        for (method_name, method) in methods {
            figures[name][method_name] = figure(flow, method, DECISIONS, 1).await;
        }
        let batch = format!("{name}, 20 messages");
        let any = ("wait, until=any", Method::WaitForAny);
        for (method_name, method) in methods.into_iter().chain([any]) {
            figures[&batch][method_name] = figure(flow, method, BATCHES, BATCH).await;
        }
    }
    figures
}

async fn figure(flow: Flow, method: Method, tries: usize, messages: usize) -> Value {
    fastrand::seed(SEED);
    let mut lags = Vec::new();
    let mut calls = 0;
    for _ in 0..tries {
        let decisions: Vec<Duration> = (0..messages).map(|_| flow.decision()).collect();
        let sample = sample(method, &decisions).await;
        lags.extend(sample.lags);
        calls += sample.calls;
    }
    lags.sort_unstable();
    let at = |share: f64| lags[(share * (lags.len() - 1) as f64) as usize].as_secs_f64();
    json!({
        "median_s": at(0.5),
        "p95_s": at(0.95),
        "calls": calls as f64 / (tries * messages) as f64,
    })
}

/// The most calls that a full wait for one message costs.
async fn undecided() -> usize {
    fastrand::seed(SEED);
    let mut most = 0;
    for _ in 0..DECISIONS / 20 {
        let calls = Cell::new(0);
        let never = Instant::now() + 2 * DEADLINE;
        request(Method::WaitForAll, &[never], &calls).await;
        most = most.max(calls.get());
    }
    most
}

async fn sample(method: Method, decisions: &[Duration]) -> Sample {
    let start = Instant::now();
    let decided: Vec<Instant> = decisions.iter().map(|after| start + *after).collect();
    match method {
        Method::WebSocket => Sample {
            lags: vec![PUSH; decided.len()],
            calls: 0,
        },
        Method::Polling => {
            let samples = join_all(decided.into_iter().map(poll)).await;
            samples.into_iter().fold(Sample::default(), |mut sum, one| {
                sum.lags.extend(one.lags);
                sum.calls += one.calls;
                sum
            })
        }
        Method::WaitForAll | Method::WaitForAny => requests(method, decided).await,
    }
}

async fn poll(decided: Instant) -> Sample {
    let start = Instant::now();
    for calls in 1.. {
        let is_decided = call(decided).await == RetryClass::Final;
        if is_decided {
            return Sample {
                lags: vec![Instant::now() - decided],
                calls,
            };
        }
        sleep_until(start + Duration::from_secs(calls as u64)).await;
    }
    Sample::default()
}

/// Requests until each message is decided: at once after a response with a decision, and otherwise
/// after the pause of `retry-after`.
async fn requests(method: Method, mut pending: Vec<Instant>) -> Sample {
    let calls = Cell::new(0);
    let mut lags = Vec::new();
    while !pending.is_empty() {
        let results = request(method, &pending, &calls).await;
        let now = Instant::now();
        let left: Vec<Instant> = pending
            .iter()
            .zip(results)
            .filter_map(|(at, is_decided)| (!is_decided).then_some(*at))
            .collect();
        lags.extend(
            pending
                .iter()
                .filter(|at| !left.contains(at))
                .map(|at| now - *at),
        );
        if left.len() == pending.len() {
            sleep(Duration::from_secs_f64(1.0 + 3.0 * fastrand::f64())).await;
        }
        pending = left;
    }
    Sample {
        lags,
        calls: calls.get(),
    }
}

/// Makes one request with `wait=20`. Returns which of the messages are decided.
async fn request(method: Method, decisions: &[Instant], calls: &Cell<usize>) -> Vec<bool> {
    let now = Instant::now();
    let policy = RetryPolicy {
        deadline: now + DEADLINE,
        max_attempts: 3,
        is_batch: decisions.len() > 1,
        wait: Some(Wait {
            expires_at: now + WAIT,
            ends_with_first: matches!(method, Method::WaitForAny),
        }),
    };
    let limiter = RateLimiter::new(CALLS_PER_SECOND);
    let scheduler = &Scheduler::new(limiter, policy, decisions.len(), |class| *class);
    let results = decisions.iter().map(|decided| async move {
        let polled = scheduler.run(|_| {
            calls.set(calls.get() + 1);
            call(*decided)
        });
        polled.await.result == Some(RetryClass::Final)
    });
    join_all(results).await
}

/// A call. Chime reads the status after half of its time.
async fn call(decided: Instant) -> RetryClass {
    sleep(CALL / 2).await;
    let class = if Instant::now() < decided {
        RetryClass::Pending
    } else {
        RetryClass::Final
    };
    sleep(CALL / 2).await;
    class
}

/// Lags with fast flows and many messages at once: of a release binary with a wait for each message, and
/// of a program that polls each message once a second.
pub async fn measured(binary: &Path, poller: &Path) -> Outcome<Value> {
    Ok(json!({"wait": waits(binary).await?, "polling": polls(poller).await?}))
}

/// The waits run in one environment.
async fn waits(binary: &Path) -> Outcome<Value> {
    let chime = slow_chime().await?;
    let concurrency = MEASURED.to_string();
    let function = chime
        .start(binary, &[("AWS_LAMBDA_MAX_CONCURRENCY", &concurrency)])
        .await?;
    function.at_rest(MEASURED).await?;
    measure(&chime, async |user, message| {
        let body = function
            .response_body(get(user, message, "&wait=20")?)
            .await?;
        if body == json!({"messageId": message, "status": "SENT"}) {
            Ok(())
        } else {
            Err(format!("a wrong response: {body}").into())
        }
    })
    .await
}

async fn polls(poller: &Path) -> Outcome<Value> {
    let chime = slow_chime().await?;
    let poller = Poller::start(poller, &chime)?;
    measure(&chime, async |user, message| {
        poller.decided(&poll_of(user, message), message).await
    })
    .await
}

async fn slow_chime() -> Outcome<Chime> {
    fastrand::seed(SEED);
    let chime = Chime::new(Roots::Bundle).await?;
    chime.fake.always(Some(Fault::Latency(CALL)));
    Ok(chime)
}

/// Sends messages one after the other, and measures when `decided` returns for each.
async fn measure(
    chime: &Chime,
    decided: impl AsyncFn(&str, &str) -> Outcome<()>,
) -> Outcome<Value> {
    let decided = &decided;
    let lags = (0..MEASURED).map(|number| {
        let (user, message) = (format!("user-{number}"), format!("message-{number}"));
        let decision = Flow::Fast.decision().min(WAIT.mul_f64(0.75));
        async move {
            tokio::time::sleep(WAIT.mul_f64(number as f64 / MEASURED as f64)).await;
            let sent = WallInstant::now();
            chime.put_message(&message, &user, FlowOutcome::sent_after(decision));
            decided(&user, &message).await?;
            Ok::<_, Failure>(sent.elapsed() - decision)
        }
    });
    let mut lags = try_join_all(lags).await?;
    lags.sort_unstable();
    let at = |share: f64| lags[(share * (lags.len() - 1) as f64) as usize].as_secs_f64();
    let calls = chime.fake.calls().len() as f64 / MEASURED as f64;
    Ok(json!({"messages": MEASURED, "median_s": at(0.5), "p95_s": at(0.95), "calls": calls}))
}
