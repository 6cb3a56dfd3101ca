//! Instruction counts, which do not depend on what else the machine does.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempPath};

use crate::function::{Chime, Outcome, Roots, script};

/// Slows the clock down. Under valgrind everything takes about fifty times as long. A timeout that never
/// expires on Lambda would end a start early, at a different place in each run.
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
async fn count(binary: &Path, roots: Roots, answers: usize) -> Outcome<usize> {
    let file = NamedTempFile::new()?.into_temp_path();
    profile(binary, roots, answers, &file).await?;
    let profile = std::fs::read_to_string(&file)?;
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("summary: "));
    Ok(total
        .ok_or("callgrind has counted nothing")?
        .trim()
        .parse()?)
}

/// Writes callgrind's profile of such a process into `file`.
pub async fn profile(binary: &Path, roots: Roots, answers: usize, file: &Path) -> Outcome<()> {
    let chime = Chime::new(roots).await?;
    chime.put_usual();
    let valgrind = under_valgrind(binary, file)?;
    let function = chime.start(&valgrind, &[]).await?;
    function.at_rest(1).await?;
    for _ in 0..answers {
        function.ask_usual().await?;
    }
    function.at_rest(1 + answers).await?;
    function.end().await
}

fn under_valgrind(binary: &Path, profile: &Path) -> Outcome<TempPath> {
    script(&format!(
        "export LD_PRELOAD='{FAKETIME}' FAKETIME='+0 x0.01' NO_FAKE_STAT=1\nexec /usr/bin/valgrind --quiet --tool=callgrind --callgrind-out-file='{}' '{}'",
        profile.display(),
        binary.display()
    ))
}
