//! Memory over many invocations, one at a time.

use std::path::Path;

use fakes::lambda::TraceIds;
use serde_json::{Value, json};

use crate::function::{Chime, Outcome, Roots};

/// Invocations before the first reading, in which buffers and pools reach their size.
const BEFORE: usize = 2_000;

pub async fn measure(binary: &Path, invocations: usize, trace_ids: TraceIds) -> Outcome<Value> {
    let chime = Chime::new(Roots::Bundle).await?;
    chime.seed_usual();
    let function = chime.start(binary, &[]).await?;
    function.use_trace_ids(trace_ids);
    let mut first = 0;
    for number in 0..BEFORE + invocations {
        if number == BEFORE {
            first = function.memory()?;
        }
        function.usual_request().await?;
        // This process keeps the log and the calls. They do not count as the function's memory.
        if number.is_multiple_of(100) {
            function.forget_log();
            chime.fake.forget_calls();
        }
    }
    let grown = (function.memory()? - first) * 1024;
    Ok(json!({
        "invocations": invocations,
        "bytes_for_each": grown as f64 / invocations as f64,
        "peak_kib": function.peak_memory()?,
    }))
}
