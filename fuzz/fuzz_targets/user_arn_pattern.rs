//! Any text as the user ARN pattern and the values of its names. The tests define what must hold.
//!
//! An input has one pattern or more, separated by RS.
#![no_main]

#[path = "../../tests/it/user_arn_properties.rs"]
mod user_arn;

libfuzzer_sys::fuzz_target!(|inputs: &str| {
    inputs.split('\u{1e}').for_each(user_arn::assert_invariants);
});
