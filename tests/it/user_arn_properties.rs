//! Properties of the user ARN pattern.
//!
//! The first line of an input is the pattern. Each other line is `name=value`. The rules here are written
//! from the contract and share no code with the function.

use std::collections::HashMap;
use std::sync::LazyLock;

use chime_message_status::user_arn::{MappingErrorKind, UserArnPattern};
use fancy_regex::Regex;
use proptest::prelude::*;

static USER_ARN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"\Aarn:aws[a-z0-9-]*:chime:[a-z0-9-]+:[0-9]{12}:",
        r"app-instance/[A-Za-z0-9]([A-Za-z0-9\-_.@]{0,62}[A-Za-z0-9])?/",
        r"user/[A-Za-z0-9]([A-Za-z0-9:\-_.@]{0,62}[A-Za-z0-9])?\z",
    ))
    .expect("a pattern")
});

fn fill(pattern: &UserArnPattern, values: &[(&str, &str)]) -> Option<String> {
    let arn = pattern.fill(|name| {
        let value = values.iter().find(|(known, _)| *known == name);
        let (_, value) = value.ok_or(MappingErrorKind::Missing)?;
        Ok((*value).to_owned())
    });
    arn.ok().map(|arn| arn.as_str().to_owned())
}

/// Asserts what holds for every pattern and every value. The fuzzer `user_arn_pattern` calls it.
pub fn assert_invariants(input: &str) {
    let mut lines = input.split('\n');
    let text = lines.next().unwrap_or_default();
    let values: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once('=')).collect();
    let Ok(pattern) = UserArnPattern::parse(text) else {
        return;
    };
    let Some(arn) = fill(&pattern, &values) else {
        return;
    };
    assert!(USER_ARN.is_match(&arn).expect("a match"), "{arn:?}");
    let value = |name: &str| {
        let found = values.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| *value)
    };
    let replaced = pattern.names().iter().fold(text.to_owned(), |text, name| {
        text.replacen(&format!("{{{name}}}"), value(name), 1)
    });
    assert_eq!(arn, replaced, "the literal parts stay as they were written");
    let is_whole_claim = text.starts_with('{') && text.ends_with('}') && pattern.names().len() == 1;
    if let (Some(region), false) = (pattern.region(), is_whole_claim) {
        assert_eq!(arn.split(':').nth(3), Some(region));
    }
    // A value never adds a segment or a field before the user id.
    if !is_whole_claim {
        let (before, _user) = arn.rsplit_once('/').unwrap_or_default();
        assert_eq!(
            (before.matches('/').count(), before.matches(':').count()),
            (2, 5),
            "{arn:?}"
        );
    }
}

#[test]
fn corpus_patterns_give_a_user_arn_or_nothing() {
    for input in crate::support::corpus("user_arn_pattern") {
        assert_invariants(&input);
    }
}

/// Literal text or a placeholder. Short pieces from a small alphabet, so collisions are likely.
fn any_segment() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        2 => "\\{[abc]\\}",
        1 => "[xy:.-]{1,2}",
        1 => Just("x".to_owned()),
    ];
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

fn any_pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => any_segment(),
        8 => (any_segment(), any_segment()).prop_map(|(app_instance, user)| {
            format!("arn:aws:chime:us-east-1:111122223333:app-instance/{app_instance}/user/{user}")
        }),
        1 => (any_segment(), any_segment()).prop_map(|(region, user)| {
            format!("arn:aws:chime:{region}:111122223333:app-instance/i/user/{user}")
        }),
    ]
}

fn any_identity() -> impl Strategy<Value = [String; 3]> {
    [(); 3].map(|()| "[xy][xy:.-]{0,3}[xy]|[xy]")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Two identities that differ in a claim that the pattern uses never get the same bearer.
    #[test]
    fn different_identities_never_share_a_bearer(
        text in any_pattern(),
        identities in prop::collection::vec(any_identity(), 2..40),
    ) {
        let Ok(pattern) = UserArnPattern::parse(&text) else {
            return Ok(());
        };
        let mut bearers: HashMap<String, Vec<(&str, &str)>> = HashMap::new();
        for identity in &identities {
            let claims: Vec<(&str, &str)> =
                ["a", "b", "c"].into_iter().zip(identity.iter().map(String::as_str)).collect();
            let used: Vec<_> = claims
                .iter()
                .copied()
                .filter(|(name, _)| text.contains(&format!("{{{name}}}")))
                .collect();
            if let Some(arn) = fill(&pattern, &claims) {
                let known = bearers.entry(arn).or_insert_with(|| used.clone());
                prop_assert_eq!(&*known, &used, "{}", text);
            }
        }
    }

    #[test]
    fn generated_patterns_give_a_user_arn_or_nothing(
        text in any_pattern(),
        identity in any_identity(),
    ) {
        let [a, b, c] = &identity;
        assert_invariants(&format!("{text}\na={a}\nb={b}\nc={c}"));
    }
}
