//! The function from outside: the binary as a process, Lambda's Runtime API in front of it, and a
//! stand-in for Chime behind it, over real sockets.

// A test may end by panicking: that is how it fails.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod batch;
mod configuration;
mod contract;
mod cors;
mod explain;
mod front_doors;
mod hostile;
mod identity;
mod impostor;
mod log;
mod problems;
mod requests;
// It reads `/proc`.
#[cfg(target_os = "linux")]
mod soak;
mod support;
mod templates;
mod user_arn;
mod waiting;
mod wire;
