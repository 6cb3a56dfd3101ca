//! Memory over many invocations, one at a time: with a new trace id each, as on Lambda, and with the
//! same one for all. The runtime library keeps 160 to 175 bytes for each new one.

use std::path::Path;

use fakes::lambda::TraceIds;
use serde_json::{Value, json};

use crate::function::{Chime, Outcome, Roots};

/// Invocations before the first reading, in which buffers and pools reach their size.
const BEFORE: usize = 2_000;

pub async fn measure(binary: &Path, invocations: usize) -> Outcome<Value> {
    let (changing, constant) = (TraceIds::Changing, TraceIds::Constant);
    Ok(json!({
        "changing": growth(binary, invocations, changing).await?,
        "constant": growth(binary, invocations, constant).await?,
    }))
}

async fn growth(binary: &Path, invocations: usize, trace_ids: TraceIds) -> Outcome<Value> {
    let chime = Chime::new(Roots::Bundle).await?;
    chime.seed_usual();
    let function = chime.start(binary, &[]).await?;
    function.use_trace_ids(trace_ids);
    function.at_rest(1).await?;
    let mut readings = Vec::new();
    for number in 0..BEFORE + invocations {
        if number >= BEFORE && (number - BEFORE).is_multiple_of(invocations / 4) {
            readings.push(function.memory()?);
        }
        function.usual_request().await?;
        // This process keeps the log and the calls. They do not count as the function's memory.
        if number.is_multiple_of(100) {
            function.forget_log();
            chime.fake.forget_calls();
        }
    }
    readings.push(function.memory()?);
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
        return Err("no readings".into());
    };
    Ok(json!({
        "invocations": invocations,
        "kib": readings,
        "bytes_for_each": (last - first) as f64 * 1024.0 / invocations as f64,
        "peak_kib": function.peak_memory()?,
    }))
}
