//! Measures functions on loopback: a fake Runtime API invokes each one, and the function calls a fake
//! Chime over TLS. Prints JSON, from which `benches/run` makes tables.

mod compare;
mod function;
mod growth;
mod held;
mod instructions;
mod lag;
mod memory;
mod poller;
mod waits;
/// The function's own polling and rate limiter, which `lag` runs on a simulated clock.
#[path = "../../../src"]
#[allow(dead_code)]
mod function_source {
    pub(crate) mod polling;
    pub(crate) mod rate_limit;
}

use std::path::Path;
use std::process::ExitCode;

use function::{Failure, Outcome, Roots};
use serde_json::Value;
use tokio::runtime::Builder;

// The paths by which the two modules find each other.
use function_source::{polling, rate_limit};

const USAGE: &str = "driver compare ROUNDS NAME:ROOTS:BINARY… | instructions BINARY ROOTS \
    | profile BINARY ROOTS RESPONSES FILE | lag [BINARY POLLER] \
    | held BINARY | memory BINARY INVOCATIONS | waits BINARY WAITS MEMORY_MIB | growth BINARY";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // One thread, so the driver does not run beside the function that it measures. Many waits need more.
    let mut builder = match arguments.first().map(String::as_str) {
        Some("waits") => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    let figures = builder
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure(&arguments)));
    match figures {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("driver: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &[String]) -> Outcome<Value> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["compare", rounds, candidates @ ..] => compare::measure(rounds.parse()?, candidates).await,
        ["instructions", binary, roots] => {
            instructions::measure(Path::new(binary), Roots::named(roots)?).await
        }
        ["profile", binary, roots, responses, file] => {
            let (roots, responses) = (Roots::named(roots)?, responses.parse()?);
            instructions::profile(Path::new(binary), roots, responses, Path::new(file)).await?;
            Ok(Value::Null)
        }
        ["held", binary] => held::measure(Path::new(binary)).await,
        ["memory", binary, invocations] => {
            memory::measure(Path::new(binary), invocations.parse()?).await
        }
        ["waits", binary, waits, memory_mib] => {
            waits::measure(Path::new(binary), waits.parse()?, memory_mib.parse()?).await
        }
        ["lag"] => lag::simulated(),
        ["lag", binary, poller] => lag::measured(Path::new(binary), Path::new(poller)).await,
        ["growth", binary] => growth::measure(Path::new(binary)).await,
        _ => Err(USAGE.into()),
    }
}
