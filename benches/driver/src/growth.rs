//! How the cost grows: many messages in one request compared with as many requests, and one wait compared
//! with polling.

use std::path::Path;
use std::time::Duration;

use fakes::chime::ApiOperation;
use fakes::flow::FlowOutcome;
use serde_json::{Value, json};

use crate::function::{Chime, Function, Outcome, Roots, get, post};

const MANY: usize = 20;
const SECONDS: usize = 20;
/// Requests before the measurement, which excludes the cost of first responses.
const BEFORE: usize = 20;
const USER: &str = "user";

pub async fn measure(binary: &Path) -> Outcome<Value> {
    // All of them are idle most of the time.
    let (first_batch, batch, singles, wait, polls) = tokio::try_join!(
        cost(binary, FlowOutcome::sent(), 0, batch),
        cost(binary, FlowOutcome::sent(), 1, batch),
        cost(binary, FlowOutcome::sent(), 0, singles),
        cost(binary, FlowOutcome::Pending, 0, wait),
        cost(binary, FlowOutcome::Pending, 0, polls),
    )?;
    Ok(json!({
        "first batch": first_batch,
        "batch": batch,
        "singles": singles,
        "wait": wait,
        "polls": polls,
    }))
}

/// What `work` costs the function in CPU time and in calls to Chime, after this number of batches. The
/// first batch opens the connections that the next ones reuse.
async fn cost(
    binary: &Path,
    outcome: FlowOutcome,
    batches: usize,
    work: impl AsyncFnOnce(&Function) -> Outcome<usize>,
) -> Outcome<Value> {
    let chime = Chime::new(Roots::Bundle).await?;
    chime.seed_usual();
    for id in ids() {
        chime.put_message(&id, USER, outcome.clone());
    }
    let function = chime.start(binary, &[]).await?;
    for _ in 0..BEFORE {
        function.usual_request().await?;
    }
    for _ in 0..batches {
        batch(&function).await?;
    }
    let started = BEFORE + batches;
    function.at_rest(started + 1).await?;
    chime.fake.forget_calls();
    let before = function.cpu()?;
    let requests = work(&function).await?;
    function.at_rest(started + 1 + requests).await?;
    let calls = chime.fake.calls_of(ApiOperation::GetChannelMessageStatus);
    Ok(json!({
        "requests": requests,
        "cpu_us": (function.cpu()? - before) / 1000,
        "calls": calls.len(),
    }))
}

fn ids() -> Vec<String> {
    (0..MANY)
        .map(|number| format!("message-{number}"))
        .collect()
}

fn expect(status: &Value, wanted: &str) -> Outcome<()> {
    if status == wanted {
        Ok(())
    } else {
        Err(format!("{status}, wanted {wanted}").into())
    }
}

async fn batch(function: &Function) -> Outcome<usize> {
    let body = function.response_body(post(USER, &ids(), "")?).await?;
    let results = body["results"].as_array().ok_or("no results")?;
    results
        .iter()
        .try_for_each(|result| expect(&result["status"], "SENT"))?;
    Ok(1)
}

async fn singles(function: &Function) -> Outcome<usize> {
    for id in ids() {
        let body = function.response_body(get(USER, &id, "")?).await?;
        expect(&body["status"], "SENT")?;
    }
    Ok(MANY)
}

async fn wait(function: &Function) -> Outcome<usize> {
    let event = get(USER, "message-0", &format!("&wait={SECONDS}"))?;
    expect(&function.response_body(event).await?["status"], "PENDING")?;
    Ok(1)
}

async fn polls(function: &Function) -> Outcome<usize> {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..=SECONDS {
        clock.tick().await;
        let body = function.response_body(get(USER, "message-0", "")?).await?;
        expect(&body["status"], "PENDING")?;
    }
    Ok(SECONDS + 1)
}
