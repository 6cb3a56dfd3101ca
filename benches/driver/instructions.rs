//! Instruction counts, which do not depend on what else the machine does.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempPath};

use crate::function::{Chime, Outcome, Roots, script};

/// Slows the clock down, because everything takes about fifty times as long under valgrind. Otherwise a
/// timeout that never expires on Lambda would end a start early, at a different place in each run.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketime.so.1";
/// Enough to average out the differences between responses.
const FURTHER: usize = 100;

pub async fn measure(binary: &Path, roots: Roots) -> Outcome<Value> {
    let start = count(binary, roots, 0).await?;
    let first = count(binary, roots, 1).await?;
    let all = count(binary, roots, 1 + FURTHER).await?;
    Ok(json!({
        "start_to_first": first,
        "first": first.saturating_sub(start),
        "further": all.saturating_sub(first) / FURTHER,
    }))
}

/// The instructions of a process that sends this number of responses and then ends.
async fn count(binary: &Path, roots: Roots, responses: usize) -> Outcome<usize> {
    let file = NamedTempFile::new()?.into_temp_path();
    profile(binary, roots, responses, &file).await?;
    let profile = std::fs::read_to_string(&file)?;
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("summary: "));
    let total: usize = total
        .ok_or("callgrind has counted nothing")?
        .trim()
        .parse()?;
    Ok(total - in_faketime(&profile)?)
}

/// The instructions of the calls into libfaketime, which the function does not make on Lambda. A real call
/// for the time takes about 50 instructions.
///
/// callgrind's format: <https://valgrind.org/docs/manual/cl-format.html>. `ob` is the object of the lines
/// that follow, `cob` the object of a callee if it is another one. The line after `calls` has the cost.
fn in_faketime(profile: &str) -> Outcome<usize> {
    let mut names = HashMap::new();
    let mut is_faketime = |object: &str| {
        let (id, name) = object.split_once(' ').unwrap_or((object, ""));
        let known = names.entry(id.to_owned()).or_insert(false);
        *known |= name.contains("libfaketime");
        *known
    };
    let (mut in_caller, mut in_callee) = (false, None);
    let mut cost = 0;
    let mut lines = profile.lines();
    while let Some(line) = lines.next() {
        if let Some(object) = line.strip_prefix("ob=") {
            in_caller = is_faketime(object);
        } else if let Some(object) = line.strip_prefix("cob=") {
            in_callee = Some(is_faketime(object));
        } else if line.starts_with("calls=") {
            let inclusive = lines.next().and_then(|line| line.split(' ').nth(1));
            let inclusive: usize = inclusive.ok_or("a call without a cost")?.parse()?;
            if !in_caller && in_callee.take().unwrap_or(in_caller) {
                cost += inclusive;
            }
            in_callee = None;
        }
    }
    Ok(cost)
}

/// Writes callgrind's profile of a process that sends this number of responses into `file`.
pub async fn profile(binary: &Path, roots: Roots, responses: usize, file: &Path) -> Outcome<()> {
    let chime = Chime::new(roots).await?;
    chime.seed_usual();
    let valgrind = under_valgrind(binary, file)?;
    let function = chime.start(&valgrind, &[]).await?;
    function.at_rest(1).await?;
    for _ in 0..responses {
        function.usual_request().await?;
    }
    function.at_rest(1 + responses).await?;
    function.end().await
}

fn under_valgrind(binary: &Path, profile: &Path) -> Outcome<TempPath> {
    script(&format!(
        "export LD_PRELOAD='{FAKETIME}' FAKETIME='+0 x0.01' NO_FAKE_STAT=1\nexec /usr/bin/valgrind --quiet --tool=callgrind --callgrind-out-file='{}' '{}'",
        profile.display(),
        binary.display()
    ))
}
