//! `APP_INSTANCE_USER_ARN`: the pattern that maps values of the authorizer to an AppInstanceUser ARN.

use thiserror::Error;

use crate::arn::{AppInstanceUserArn, Part, PartError};

/// Maps an identity to the AppInstanceUser ARN that is sent as the Chime bearer.
///
/// Either a user ARN with a `{name}` in each part that the authorizer decides, or one `{name}` whose value
/// is the whole ARN. Names are taken literally, including `:` and `/`.
///
/// A part of the ARN has at most one placeholder. With two, `{org}-{name}` would map
/// (`acme`, `eu-alice`) and (`acme-eu`, `alice`) to one user.
pub struct UserArnPattern(Shape);

enum Shape {
    WholeArn { name: String },
    Parts(Box<[Template; 5]>),
}

/// A part of the ARN: literal text around at most one placeholder.
struct Template {
    before: String,
    name: Option<String>,
    after: String,
}

/// Stands for a placeholder while a pattern is split. No legal ARN contains it.
const HOLE: char = '\0';

impl UserArnPattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (skeleton, names) = take_names(text)?;
        let mut names = names.into_iter();
        if skeleton.chars().eq([HOLE])
            && let Some(name) = names.next()
        {
            return Ok(Self(Shape::WholeArn { name }));
        }
        if names.len() == 0 {
            // Every caller would be the same user.
            return Err(PatternError::Constant);
        }
        let parts = AppInstanceUserArn::split(&skeleton).ok_or(PatternError::NotAUserArn)?;
        if parts.iter().any(|part| part.matches(HOLE).count() > 1) {
            return Err(PatternError::SharedPart);
        }
        let templates = parts.map(|part| {
            let around = part.split_once(HOLE);
            let (before, after) = around.unwrap_or((part, ""));
            Template {
                before: before.to_owned(),
                name: around.and_then(|_| names.next()),
                after: after.to_owned(),
            }
        });
        let mut rules = AppInstanceUserArn::PARTS.iter().zip(&templates);
        if rules.all(|(rule, template)| template.can_be_legal(*rule)) {
            Ok(Self(Shape::Parts(Box::new(templates))))
        } else {
            Err(PatternError::NotAUserArn)
        }
    }

    /// The region of the ARN, if the pattern states it literally.
    pub fn region(&self) -> Option<&str> {
        let Shape::Parts(parts) = &self.0 else {
            return None;
        };
        let [_, region, ..] = parts.as_ref();
        region.name.is_none().then_some(&region.before)
    }

    /// The names of the placeholders, in order.
    pub fn names(&self) -> Vec<&str> {
        match &self.0 {
            Shape::WholeArn { name } => vec![name],
            Shape::Parts(templates) => templates
                .iter()
                .filter_map(|template| template.name.as_deref())
                .collect(),
        }
    }

    /// Fills in the values of an identity. `value` returns the value of a name, or the reason why it has none.
    ///
    /// # Errors
    /// [`MappingError`] for the first value that is missing or not legal in its place. Values are refused,
    /// never repaired: two callers must not become one user.
    pub fn fill(
        &self,
        value: impl Fn(&str) -> Result<String, MappingErrorKind>,
    ) -> Result<AppInstanceUserArn, MappingError> {
        let refused = |name: &str, kind| MappingError {
            name: name.to_owned(),
            kind,
        };
        let value = |name: &str| match value(name) {
            Ok(value) if value.is_empty() => Err(refused(name, MappingErrorKind::Missing)),
            other => other.map_err(|kind| refused(name, kind)),
        };
        match &self.0 {
            Shape::WholeArn { name } => AppInstanceUserArn::split(&value(name)?)
                .and_then(|parts| AppInstanceUserArn::join(parts).ok())
                .ok_or_else(|| refused(name, MappingErrorKind::NotAUserArn)),
            Shape::Parts(templates) => {
                let mut parts = [const { String::new() }; 5];
                for (part, template) in parts.iter_mut().zip(templates.iter()) {
                    *part = template.fill(value)?;
                }
                let arn = AppInstanceUserArn::join(parts.each_ref().map(String::as_str));
                arn.map_err(|(index, error)| {
                    let name = templates.get(index).and_then(|part| part.name.as_deref());
                    refused(name.unwrap_or_default(), MappingErrorKind::NotLegal(error))
                })
            }
        }
    }
}

impl Template {
    fn fill<E>(&self, value: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
        match &self.name {
            None => Ok(self.before.clone()),
            Some(name) => Ok(self.before.clone() + &value(name)? + &self.after),
        }
    }

    /// Whether any value makes the part legal. Tries the few values that decide it, instead of a proof for
    /// each rule: a letter, the rest of `aws`, and up to twelve digits.
    fn can_be_legal(&self, rule: Part) -> bool {
        let digits = (1..=12).map(|length| "1".repeat(length));
        let mut values = ["a", "aws", "ws", "s"]
            .map(str::to_owned)
            .into_iter()
            .chain(digits);
        values.any(|value| {
            let part = self.fill(|_| Ok::<_, PartError>(value.clone()));
            part.is_ok_and(|part| rule.check(&part).is_ok())
        })
    }
}

/// Replaces each `{name}` by [`HOLE`]. Returns the rest, and the names in order.
fn take_names(text: &str) -> Result<(String, Vec<String>), PatternError> {
    if text.contains(HOLE) {
        return Err(PatternError::NotAUserArn);
    }
    let (mut skeleton, mut names) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(PatternError::Unbalanced)?;
        if literal.contains('}') || name.contains('{') {
            return Err(PatternError::Unbalanced);
        }
        if name.is_empty() {
            return Err(PatternError::Unnamed);
        }
        skeleton.push_str(literal);
        skeleton.push(HOLE);
        names.push(name.to_owned());
        rest = after;
    }
    if rest.contains('}') {
        return Err(PatternError::Unbalanced);
    }
    skeleton.push_str(rest);
    Ok((skeleton, names))
}

/// The reason why a text is not a valid pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PatternError {
    #[error("a brace is not closed or not opened")]
    Unbalanced,
    #[error("a placeholder has no name")]
    Unnamed,
    #[error("it has no {{placeholder}}, so every caller would be the same user")]
    Constant,
    #[error(
        "two {{placeholders}} are in one part of the ARN, so two callers could become one user; compose the \
         id in a token hook or a Lambda authorizer"
    )]
    SharedPart,
    #[error(
        "no value makes it an AppInstanceUser ARN; it must be \
         arn:PARTITION:chime:REGION:ACCOUNT:app-instance/ID/user/ID with {{placeholders}} for what the \
         authorizer decides, or one {{placeholder}} alone"
    )]
    NotAUserArn,
}

/// The reason why an identity has no AppInstanceUser. Names a placeholder, never its value.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the value of {{{name}}} cannot be used: {kind}")]
pub struct MappingError {
    pub name: String,
    pub kind: MappingErrorKind,
}

/// The reason why a value cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MappingErrorKind {
    #[error("it is missing, empty or not a string")]
    Missing,
    #[error("the request was not signed in a role session")]
    NoRoleSession,
    #[error("all users of an identity pool have the same session name")]
    SharedSession,
    #[error("the part of the ARN with this value has {0}")]
    NotLegal(PartError),
    #[error("it is not the ARN of an AppInstanceUser")]
    NotAUserArn,
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/{sub}";

    fn fill(pattern: &str, values: &[(&str, &str)]) -> Result<String, MappingErrorKind> {
        let pattern = UserArnPattern::parse(pattern).expect("a pattern");
        let filled = pattern.fill(|name| {
            let value = values.iter().find(|(known, _)| *known == name);
            value
                .map(|(_, value)| (*value).to_owned())
                .ok_or(MappingErrorKind::Missing)
        });
        filled
            .map(|arn| arn.as_str().to_owned())
            .map_err(|error| error.kind)
    }

    #[test]
    fn the_three_usual_patterns_are_filled() {
        assert_eq!(
            fill(USUAL, &[("sub", "us-east-1:0d5a")]).as_deref(),
            Ok("arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/us-east-1:0d5a")
        );
        assert_eq!(
            fill(
                "arn:aws:chime:us-east-1:111122223333:app-instance/{custom:tenant}/user/{sub}",
                &[("custom:tenant", "t-1"), ("sub", "alice")]
            )
            .as_deref(),
            Ok("arn:aws:chime:us-east-1:111122223333:app-instance/t-1/user/alice")
        );
        let whole = "arn:aws:chime:eu-central-1:111122223333:app-instance/7f1c/user/b";
        assert_eq!(fill("{arn}", &[("arn", whole)]).as_deref(), Ok(whole));
    }

    #[test]
    fn length_and_ends_are_checked_on_the_filled_part() {
        let pattern =
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/u-{https://x.test/id}";
        let filled = |value: &str| fill(pattern, &[("https://x.test/id", value)]);
        for legal in ["_7vW3", "-x", "a", &"a".repeat(62)] {
            assert_eq!(
                filled(legal),
                Ok(format!(
                    "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/u-{legal}"
                ))
            );
        }
        for (illegal, error) in [
            ("", MappingErrorKind::Missing),
            ("x-", MappingErrorKind::NotLegal(PartError::Ends)),
            (
                &*"a".repeat(63),
                MappingErrorKind::NotLegal(PartError::Length),
            ),
            ("a|b", MappingErrorKind::NotLegal(PartError::Character)),
        ] {
            assert_eq!(filled(illegal), Err(error), "{illegal:?}");
        }
    }

    #[test]
    fn an_empty_value_is_refused_even_if_the_part_would_be_legal() {
        let pattern = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/u{sub}";
        assert_eq!(
            fill(pattern, &[("sub", "")]),
            Err(MappingErrorKind::Missing)
        );
    }

    #[test]
    fn two_placeholders_in_one_part_are_an_error() {
        const APP_INSTANCE: &str = "arn:aws:chime:us-east-1:111122223333:app-instance";
        for pattern in [
            format!("{APP_INSTANCE}/7f1c/user/{{org}}-{{name}}"),
            format!("{APP_INSTANCE}/7f1c/user/{{org}}{{name}}"),
            format!("{APP_INSTANCE}/7f1c/user/{{pool}}:{{name}}"),
            format!("{APP_INSTANCE}/7f1c/user/{{sub}}-{{sub}}"),
            format!("{APP_INSTANCE}/{{a}}.{{b}}/user/{{sub}}"),
            "arn:aws:chime:{a}-{b}:111122223333:app-instance/7f1c/user/{sub}".to_owned(),
        ] {
            let error = UserArnPattern::parse(&pattern).err();
            assert_eq!(error, Some(PatternError::SharedPart), "{pattern}");
        }
        for pattern in [
            format!("{APP_INSTANCE}/{{org}}/user/{{name}}"),
            "arn:{p}:chime:{r}:{a}:app-instance/{t}/user/{s}".to_owned(),
        ] {
            assert!(UserArnPattern::parse(&pattern).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn a_value_cannot_add_a_part_or_a_field() {
        for value in [
            "a/b", "a/user/b", "../x", "a b", "a|b", "{sub}", "é", "a\n", "a\0",
        ] {
            assert!(fill(USUAL, &[("sub", value)]).is_err(), "{value:?}");
        }
        let tenant = "arn:aws:chime:us-east-1:111122223333:app-instance/{t}/user/alice";
        assert!(fill(tenant, &[("t", "a:b")]).is_err());
        let account = "arn:aws:chime:us-east-1:{a}:app-instance/7f1c/user/{s}";
        assert!(fill(account, &[("a", "1:2"), ("s", "x")]).is_err());
        assert!(fill(account, &[("a", "12"), ("s", "x")]).is_err());
        assert!(fill(account, &[("a", "111122223333"), ("s", "x")]).is_ok());
    }

    #[test]
    fn a_whole_arn_claim_must_be_a_user_arn_in_every_part() {
        for value in [
            "alice",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/channel/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/bot/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a ",
        ] {
            assert_eq!(
                fill("{arn}", &[("arn", value)]),
                Err(MappingErrorKind::NotAUserArn),
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_pattern_that_no_value_makes_legal_is_an_error() {
        let refused = |text: &str| UserArnPattern::parse(text).err();
        assert_eq!(refused(""), Some(PatternError::Constant));
        let constant = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/alice";
        assert_eq!(refused(constant), Some(PatternError::Constant));
        for text in ["{sub", "sub}", "{a{b}}", "{a}}", "x}{a}"] {
            assert_eq!(refused(text), Some(PatternError::Unbalanced), "{text}");
        }
        assert_eq!(refused("{}"), Some(PatternError::Unnamed));
        let too_long = format!("{}{{sub}}", USUAL.replace("{sub}", &"a".repeat(64)));
        for text in [
            "user/{sub}",
            " {sub}",
            "{a}{b}",
            "{sub}\n",
            &format!("{USUAL} "),
            &format!("{USUAL}\n"),
            &format!("{USUAL}-"),
            &format!("{USUAL}/x"),
            &format!("{USUAL}\0"),
            &too_long,
            &USUAL.replace("{sub}", "é{sub}"),
            &USUAL.replace("{sub}", "-{sub}"),
            &USUAL.replace("user", "bot"),
            &USUAL.replace("user", "channel"),
            &USUAL.replace("user", "{kind}"),
            &USUAL.replace("7f1c", "7f:1c"),
            &USUAL.replace("111122223333", "1111222233334"),
            &USUAL.replace("111122223333", "1111"),
            &USUAL.replace("111122223333", "1111{a}2222{b}"),
            &USUAL.replace("111122223333", "111122223333{account}"),
            &USUAL.replace("chime", "sns"),
            &USUAL.replace("us-east-1", ""),
            &USUAL.replace("us-east-1", "US{region}"),
            &USUAL.replace("aws", "gcp{partition}"),
        ] {
            let error = refused(text);
            let expected = [
                Some(PatternError::NotAUserArn),
                Some(PatternError::SharedPart),
            ];
            assert!(expected.contains(&error), "{text:?}: {error:?}");
        }
        for text in ["aw{p}", "a{p}", "{p}", "aws{p}"] {
            let pattern = USUAL.replace(":aws:", &format!(":{text}:"));
            assert!(refused(&pattern).is_none(), "{pattern}");
        }
    }

    #[test]
    fn the_region_is_known_only_if_it_is_literal() {
        let region = |text: &str| {
            let pattern = UserArnPattern::parse(text).expect("a pattern");
            pattern.region().map(str::to_owned)
        };
        assert_eq!(region(USUAL).as_deref(), Some("us-east-1"));
        assert_eq!(region("{arn}"), None);
        let open = "arn:aws:chime:{r}:111122223333:app-instance/7f1c/user/{sub}";
        assert_eq!(region(open), None);
    }

    #[test]
    fn a_mapping_error_names_the_placeholder_and_not_its_value() {
        let pattern = UserArnPattern::parse(USUAL).expect("a pattern");
        let error = pattern
            .fill(|_| Ok("se/cret".to_owned()))
            .expect_err("refused");
        let text = error.to_string();
        assert!(
            text.contains("{sub}") && text.contains("character"),
            "{text}"
        );
        assert!(!text.contains("cret"), "{text}");
    }
}
