//! Any text as the template of a user's ARN, and as the values of its names. What has to hold is the
//! tests' own.
#![no_main]

#[path = "../../tests/it/user_arn_properties.rs"]
mod user_arn;

libfuzzer_sys::fuzz_target!(|input: &str| user_arn::assert_invariants(input));
