//! Measures Lambda functions on loopback: a fake Runtime API invokes each one, and the function calls a fake
//! Chime over TLS. Prints JSON, from which `benches/run` and `benches/guard` make tables.

// It is a program for a terminal, and ends when something is wrong.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod compare;
mod function;
mod held;
mod instructions;
mod lag;
mod memory;
mod waits;

use std::path::Path;
use std::process::ExitCode;

use fakes::lambda::TraceIds;
use function::{Failure, Outcome, Roots};
use serde_json::Value;
use tokio::runtime::Builder;

const USAGE: &str = "driver compare ROUNDS NAME:ROOTS:BINARY… | instructions BINARY ROOTS \
    | profile BINARY ROOTS RESPONSES FILE | lag | held BINARY | memory BINARY INVOCATIONS [constant] \
    | waits BINARY WAITS MEMORY_MIB";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // One thread, so the driver does not run beside the function that it measures. Many waits need more.
    let mut builder = match arguments.first() {
        Some(&"waits") => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().map_err(Failure::from);
    match runtime.and_then(|runtime| runtime.block_on(measure(&arguments))) {
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

async fn measure(arguments: &[&str]) -> Outcome<Value> {
    match *arguments {
        ["compare", rounds, ref candidates @ ..] => {
            compare::measure(rounds.parse()?, candidates).await
        }
        ["instructions", binary, roots] => {
            instructions::measure(Path::new(binary), Roots::named(roots)?).await
        }
        ["profile", binary, roots, responses, file] => {
            let (roots, responses) = (Roots::named(roots)?, responses.parse()?);
            instructions::profile(Path::new(binary), roots, responses, Path::new(file)).await?;
            Ok(Value::Null)
        }
        ["lag"] => Ok(lag::simulated()),
        ["held", binary] => held::measure(Path::new(binary)).await,
        ["memory", binary, invocations] => {
            memory::measure(Path::new(binary), invocations.parse()?, TraceIds::Changing).await
        }
        ["memory", binary, invocations, "constant"] => {
            memory::measure(Path::new(binary), invocations.parse()?, TraceIds::Constant).await
        }
        ["waits", binary, waits, memory_mib] => {
            waits::measure(Path::new(binary), waits.parse()?, memory_mib.parse()?).await
        }
        _ => Err(USAGE.into()),
    }
}
