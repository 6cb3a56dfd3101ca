//! Fuzzer that uses any text as a user ARN pattern and the values of its names.
//!
//! An input has one pattern or more, each with its values, separated by RS.
#![no_main]

#[path = "../../tests/it/user_arn_properties.rs"]
mod user_arn;

libfuzzer_sys::fuzz_target!(|inputs: &str| {
    inputs.split('\u{1e}').for_each(user_arn::assert_invariants);
});
