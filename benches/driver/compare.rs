//! Candidates side by side. Each round starts a new process of each candidate in turn, so other load on the
//! machine affects all of them. The order is random in each round, because caches keep what the previous
//! process left.

use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::function::{Chime, Outcome, Roots};

/// Responses after the first, in each round.
const FURTHER: usize = 200;

pub async fn measure(rounds: usize, candidates: &[&str]) -> Outcome<Value> {
    let mut figures = Map::new();
    let mut candidates = candidates.to_vec();
    for round in 1..=rounds {
        fastrand::shuffle(&mut candidates);
        for candidate in &candidates {
            let [name, roots, binary] = candidate.splitn(3, ':').collect::<Vec<_>>()[..] else {
                return Err("a candidate is NAME:ROOTS:BINARY".into());
            };
            let figure = round_of(Path::new(binary), Roots::named(roots)?)
                .await
                .map_err(|error| format!("{name}: {error}"))?;
            let all = figures.entry(name).or_insert_with(|| json!([]));
            all.as_array_mut().ok_or("no list")?.push(figure);
        }
        eprintln!("round {round} of {rounds}");
    }
    Ok(figures.into())
}

async fn round_of(binary: &Path, roots: Roots) -> Outcome<Value> {
    let chime = Chime::new(roots).await?;
    chime.seed_usual();
    let function = chime.start(binary, &[]).await?;
    function.at_rest(1).await?;
    let started = function.cpu()?;
    function.usual_request().await?;
    function.at_rest(2).await?;
    let first = function.cpu()?;
    let started_further = Instant::now();
    for _ in 0..FURTHER {
        function.usual_request().await?;
    }
    let wall = started_further.elapsed() / u32::try_from(FURTHER)?;
    function.at_rest(2 + FURTHER).await?;
    let further = (function.cpu()? - first) / i64::try_from(FURTHER)?;
    Ok(json!({
        "start_to_first_ns": first,
        "first_ns": first - started,
        "further_ns": further,
        "wall_us": wall.as_secs_f64() * 1e6,
        "peak_kib": function.peak_memory()?,
    }))
}
