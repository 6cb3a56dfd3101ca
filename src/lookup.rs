//! Looking up the statuses of the messages of one request.
//!
//! [`plan`] decides which message to call about and when, without doing anything. [`run`] waits and calls.

pub mod plan;
mod run;

pub use plan::{Answer, Counts, Outcome, Plan, Terms, Until, Wait};
pub use run::{Lookup, run};
