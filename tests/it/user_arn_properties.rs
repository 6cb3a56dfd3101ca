//! Any template of a user's ARN, filled with anything: what comes out is an AppInstanceUserArn in
//! which the literal parts stand as they were written, or nothing.
//!
//! The first line of the input is the template; each other one is `name=value`.

use std::borrow::Cow;
use std::sync::LazyLock;

use chime_message_status::domain::UserArnPattern;
use fancy_regex::Regex;

static USER_ARN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"\Aarn:aws[a-z0-9-]*:chime:[a-z0-9-]+:[0-9]{12}:",
        r"app-instance/[A-Za-z0-9]([A-Za-z0-9\-_.@]{0,62}[A-Za-z0-9])?/",
        r"(user|bot)/[A-Za-z0-9]([A-Za-z0-9:\-_.@]{0,62}[A-Za-z0-9])?\z",
    ))
    .expect("a pattern")
});

/// Holds, or panics; the fuzzer `user_arn_pattern` calls it, too.
pub fn assert_invariants(input: &str) {
    let mut lines = input.split('\n');
    let text = lines.next().unwrap_or_default();
    let values: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once('=')).collect();
    let Ok(template) = UserArnPattern::parse(text) else {
        return;
    };
    let value = |name: &str| {
        let (_, value) = values.iter().find(|(known, _)| *known == name)?;
        Some(Cow::Borrowed(*value))
    };
    let Ok(arn) = template.fill(value) else {
        return;
    };
    let arn = arn.as_str();
    assert!(USER_ARN.is_match(arn).expect("a match"), "{arn:?}");
    let naive = template.names().fold(text.to_owned(), |text, name| {
        text.replacen(&format!("{{{name}}}"), &value(name).unwrap_or_default(), 1)
    });
    assert_eq!(arn, naive);
    let whole = text.starts_with('{') && text.ends_with('}') && template.names().count() == 1;
    if let (Some(region), false) = (template.region(), whole) {
        assert_eq!(arn.split(':').nth(3), Some(region));
    }
    // A value never adds a segment or a field in front of the user's id.
    if !whole {
        let (before, _user) = arn.rsplit_once('/').unwrap_or_default();
        assert_eq!(
            (before.matches('/').count(), before.matches(':').count()),
            (2, 5),
            "{arn:?}"
        );
    }
}

#[test]
fn any_template_filled_with_anything_is_a_user_s_arn_or_nothing() {
    for input in crate::support::corpus("user_arn_pattern") {
        assert_invariants(&input);
    }
}
