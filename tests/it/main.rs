//! Tests of the function as a process: a fake Runtime API of Lambda invokes the binary, and the binary
//! calls a fake Chime, over real sockets.

// A test may end by panicking: that is how it fails.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod batch;
mod configuration;
mod connections;
mod contract;
mod cors;
mod documents;
mod event_sources;
mod explain;
mod generated;
mod identity;
mod logging;
mod robustness;
mod upstream_errors;
mod validation;
// The soak reads `/proc`.
#[cfg(target_os = "linux")]
mod soak;
mod support;
mod upstream_requests;
mod user_arn_properties;
mod waiting;
