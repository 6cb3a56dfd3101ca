//! Held environments: how long one request keeps an environment busy, by the state of Chime.

use std::path::Path;
use std::time::Instant;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::http::NewConnections;
use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};
use tokio::try_join;

use crate::function::{Chime, Failure, Outcome, Roots, get, post};

const USER: &str = "user";
const BATCH: usize = 20;
const MESSAGE: &str = "message-0";

/// What Chime does with every call.
#[derive(Clone, Copy)]
enum State {
    Decided,
    Undecided,
    Throttling,
    Failing,
    /// It refuses connections.
    Unreachable,
    /// It accepts connections and never speaks, not even TLS.
    NoHandshake,
    /// It takes the call and never responds.
    Hanging,
}

const STATES: [(&str, State); 7] = [
    ("all decided", State::Decided),
    ("all pending", State::Undecided),
    ("throttling", State::Throttling),
    ("failing (500)", State::Failing),
    ("refusing connections", State::Unreachable),
    ("no TLS handshake", State::NoHandshake),
    ("never responding", State::Hanging),
];

pub async fn measure(binary: &Path) -> Outcome<Value> {
    // All of them are idle most of the time, and each has its own process.
    let figures = STATES.map(|(name, state)| async move {
        let (one, one_wait, batch, batch_wait) = try_join!(
            seconds(binary, state, get(USER, MESSAGE, "")?),
            seconds(binary, state, get(USER, MESSAGE, "&wait=20")?),
            seconds(binary, state, post(USER, &ids(), "")?),
            seconds(binary, state, post(USER, &ids(), "wait=20")?),
        )?;
        let seconds = json!({
            "one": one, "one, wait=20": one_wait, "20": batch, "20, wait=20": batch_wait
        });
        Ok::<_, Failure>((name.to_owned(), seconds))
    });
    let figures = try_join_all(figures).await?;
    Ok(figures.into_iter().collect::<Map<_, _>>().into())
}

fn ids() -> Vec<String> {
    (0..BATCH)
        .map(|number| format!("message-{number}"))
        .collect()
}

async fn seconds(binary: &Path, state: State, event: String) -> Outcome<f64> {
    let chime = Chime::new(Roots::Bundle).await?;
    let outcome = match state {
        State::Undecided => FlowOutcome::Pending,
        _ => FlowOutcome::sent(),
    };
    for id in ids() {
        chime.put_message(&id, USER, outcome.clone());
    }
    chime.fake.always(match state {
        State::Throttling => Some(Fault::throttled()),
        State::Failing => Some(Fault::service_failure()),
        State::Hanging => Some(Fault::Hang),
        _ => None,
    });
    chime
        .fake
        .treat_new_connections(match state {
            State::Unreachable => NewConnections::Refuse,
            State::NoHandshake => NewConnections::Swallow,
            _ => NewConnections::Serve,
        })
        .await;
    let function = chime.start(binary, &[]).await?;
    function.at_rest(1).await?;
    let started = Instant::now();
    function.any_response(event).await?;
    Ok(started.elapsed().as_secs_f64())
}
