//! Many waits in one environment: what each costs, and whether the contract holds meanwhile.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fakes::chime::ApiOperation;
use fakes::flow::FlowOutcome;
use futures_util::future::try_join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::function::{Chime, Function, Outcome, Roots, get, script};

/// The requests arrive evenly within this time. At its end, all of them wait.
const ARRIVALS: Duration = Duration::from_secs(10);
/// Messages are decided between [`ARRIVALS`] and this time after their requests.
const DECIDED: Duration = Duration::from_secs(15);
const WAIT: Duration = Duration::from_secs(20);
/// A response is late if it takes longer than this, which is half a second more than the wait.
const LATE: Duration = Duration::from_millis(20_500);
const MOST_CALLS: usize = 14;

/// What a wait returned, other than another one's result. That is an error of the measurement.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Right,
    /// PENDING before its time. On a busy machine calls time out, and a wait ends early after three of them.
    Early,
    /// The problem `upstream-timeout`: no call returned in time.
    TimedOut,
}

/// Measures this number of waits at once in one environment with this much memory.
pub async fn measure(binary: &Path, waits: usize, memory_mib: i64) -> Outcome<Value> {
    // Each wait has a connection to the Runtime API, with a file descriptor at each end.
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, files, files)?;
    let memory_kib = memory_mib * 1024;
    let chime = Chime::new(Roots::Bundle).await?;
    let limited = script(&format!(
        "ulimit -d {memory_kib} && exec '{}'",
        binary.display()
    ))?;
    let concurrency = waits.to_string();
    let function = chime
        .start(&limited, &[("AWS_LAMBDA_MAX_CONCURRENCY", &concurrency)])
        .await?;
    function.at_rest(waits).await?;
    let idle_cpu = function.cpu()?;
    let responses =
        try_join_all((0..waits).map(|wait| one(&chime, &function, wait, waits))).await?;
    function.at_rest(2 * waits).await?;
    let (memory, cpu) = (function.peak_memory()?, function.cpu()? - idle_cpu);
    if memory > memory_kib {
        return Err(format!("{memory} KiB of memory").into());
    }
    let most = most_calls(&chime, waits)?;
    if most > MOST_CALLS {
        return Err(format!("{most} calls for a message").into());
    }
    let ended = |end| responses.iter().filter(|(_, other)| *other == end).count();
    let (ended_early, timed_out) = (ended(End::Early), ended(End::TimedOut));
    let durations: Vec<Duration> = responses.into_iter().map(|(took, _)| took).collect();
    let waited: f64 = durations.iter().map(Duration::as_secs_f64).sum();
    Ok(json!({
        "waits": waits,
        "memory_mib": memory_mib,
        "late": durations.iter().filter(|took| **took > LATE).count(),
        "peak_kib": memory,
        "cpu_us_for_each_second": cpu as f64 / 1000.0 / waited,
        "ended_early": ended_early,
        "timed_out": timed_out,
        "longest_s": durations.iter().max().map(Duration::as_secs_f64),
    }))
}

/// Waits for a message. Every second one is decided during the wait, the others are not.
async fn one(
    chime: &Chime,
    function: &Function,
    wait: usize,
    waits: usize,
) -> Outcome<(Duration, End)> {
    let (sub, message, detail) = (
        format!("user-{wait}"),
        format!("message-{wait}"),
        format!("detail of {wait}"),
    );
    let share = wait as f64 / waits as f64;
    tokio::time::sleep(ARRIVALS.mul_f64(share)).await;
    let is_decided = wait.is_multiple_of(2);
    let outcome = if is_decided {
        FlowOutcome::PendingThen {
            after: ARRIVALS + (DECIDED - ARRIVALS).mul_f64(share),
            value: "FAILED".into(),
            detail: Some(detail.clone()),
        }
    } else {
        FlowOutcome::Pending
    };
    chime.put_message(&message, &sub, outcome);
    let started = Instant::now();
    let rest = format!("&wait={}", WAIT.as_secs());
    let response = function.any_response(get(&sub, &message, &rest)?).await?;
    let took = started.elapsed();
    let body: Value = serde_json::from_str(response["body"].as_str().ok_or("no body")?)?;
    let pending = json!({"messageId": message, "status": "PENDING"});
    let failed = json!({"messageId": message, "status": "FAILED", "detail": detail});
    let end = if body == failed && is_decided || body == pending && !is_decided && took >= WAIT {
        End::Right
    } else if body == pending {
        End::Early
    } else if response["statusCode"] == 504 {
        End::TimedOut
    } else {
        return Err(format!("{response} after {took:?}").into());
    };
    Ok((took, end))
}

/// The most calls for any message. Also checks the bearer of each call.
fn most_calls(chime: &Chime, waits: usize) -> Outcome<usize> {
    let mut calls: HashMap<String, usize> = HashMap::new();
    for call in chime.fake.calls_of(ApiOperation::GetChannelMessageStatus) {
        let message = call.message_id.ok_or("a call without a message")?;
        let bearer = call.bearer.ok_or("a call without a bearer")?;
        let (_, wait) = message.split_once('-').ok_or("another message")?;
        if !bearer.ends_with(&format!("/user/user-{wait}")) {
            return Err(format!("{message} was requested as {bearer}").into());
        }
        *calls.entry(message).or_default() += 1;
    }
    if calls.len() != waits {
        return Err(format!("{} messages were requested", calls.len()).into());
    }
    Ok(calls.into_values().max().unwrap_or(0))
}
