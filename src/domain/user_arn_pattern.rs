//! `APP_INSTANCE_USER_ARN`: the pattern that maps authorizer values to an AppInstanceUser ARN.

use std::borrow::Cow;
use std::fmt;

use super::arn::{AppInstanceUserArn, is_account, is_partition, is_region};
use super::id::{
    IdError, app_instance_id_error, is_app_instance_id, is_resource_id, resource_id_error,
};

/// Maps authorizer claims to the AppInstanceUser ARN that is sent as the Chime bearer.
///
/// Either an AppInstanceUser ARN with a `{name}` for each part that the authorizer decides, or a single
/// `{name}` whose value is the whole ARN. Names are taken literally, including `:` and `/`.
///
/// A segment of the ARN has at most one placeholder. With two, `{org}-{name}` would map
/// (`acme`, `eu-alice`) and (`acme-eu`, `alice`) to one user.
pub struct UserArnPattern {
    pieces: Vec<Piece>,
    region: Option<String>,
}

enum Piece {
    Literal(String),
    /// A placeholder. Only in the last segment may its value contain colons.
    Placeholder {
        name: String,
        in_user_id: bool,
    },
}

/// Marks a placeholder while the shape of a pattern is checked. No legal ARN contains it.
const HOLE: char = '\0';

impl UserArnPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`PatternError`] if the text is not a pattern, or can never become an AppInstanceUser ARN.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pieces = Vec::new();
        let mut skeleton = String::new();
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
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.push(Piece::Placeholder {
                name: name.to_owned(),
                in_user_id: skeleton.split('/').count() == 4,
            });
            rest = after;
        }
        if rest.contains('}') {
            return Err(PatternError::Unbalanced);
        }
        if pieces.is_empty() {
            // Every caller would be the same user.
            return Err(PatternError::Constant);
        }
        skeleton.push_str(rest);
        pieces.push(Piece::Literal(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Literal(text) if text.is_empty()));
        if segments(&skeleton).any(|segment| segment.matches(HOLE).count() > 1) {
            return Err(PatternError::SharedSegment);
        }
        let is_whole_claim = skeleton.chars().eq([HOLE]);
        let region = if is_whole_claim {
            None
        } else {
            let region = region_of(&skeleton).ok_or(PatternError::NoUserArn)?;
            (!region.contains(HOLE)).then(|| region.to_owned())
        };
        Ok(Self { pieces, region })
    }

    /// The region of the ARN, if the pattern states it literally.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The names of the placeholders, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Placeholder { name, .. } => Some(name.as_str()),
        })
    }

    /// Fills in the values of the authorizer. `value` returns the value of a name, or the reason why
    /// it has no usable value.
    ///
    /// # Errors
    /// [`MappingError`] for the first name without a value that is legal in its place. Values are
    /// refused, never repaired: two callers must not become one user.
    pub fn fill<'v>(
        &self,
        value: impl Fn(&str) -> Result<Cow<'v, str>, MappingErrorKind>,
    ) -> Result<AppInstanceUserArn, MappingError> {
        let mut arn = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => arn.push_str(text),
                Piece::Placeholder { name, in_user_id } => {
                    let error = |kind| MappingError {
                        name: name.clone(),
                        kind,
                    };
                    let value = value(name).map_err(error)?;
                    let id_error = match (self.is_whole_claim(), in_user_id) {
                        (true, _) => None,
                        (false, true) => resource_id_error(&value),
                        (false, false) => app_instance_id_error(&value),
                    };
                    if let Some(id_error) = id_error {
                        return Err(error(MappingErrorKind::NotAnId(id_error)));
                    }
                    arn.push_str(&value);
                }
            }
        }
        AppInstanceUserArn::parse(&arn).ok_or_else(|| MappingError {
            name: self.names().collect::<Vec<_>>().join(", "),
            kind: MappingErrorKind::NotAUserArn,
        })
    }

    fn is_whole_claim(&self) -> bool {
        matches!(self.pieces.as_slice(), [Piece::Placeholder { .. }])
    }
}

/// The segments of an ARN: its first five fields, then the parts of the resource between slashes.
/// The user id is one segment, even with colons in it.
fn segments(skeleton: &str) -> impl Iterator<Item = &str> {
    skeleton.splitn(6, ':').flat_map(|field| field.split('/'))
}

/// The region of a pattern in which `HOLE` replaces each placeholder. `None` if no values can make it an
/// AppInstanceUser ARN.
fn region_of(skeleton: &str) -> Option<&str> {
    let mut fields = skeleton.splitn(6, ':');
    let [arn, partition, service, region, account, resource] =
        std::array::from_fn(|_| fields.next());
    let mut segments = resource?.split('/');
    let [label, app_instance, kind, user] = std::array::from_fn(|_| segments.next());
    let open = |text: &str, rule: fn(&str) -> bool| text.contains(HOLE) || rule(text);
    let region = region?;
    let possible = arn == Some("arn")
        && open(partition?, is_partition)
        && service == Some("chime")
        && open(region, is_region)
        && open(account?, is_account)
        && label == Some("app-instance")
        && open(app_instance?, is_app_instance_id)
        && matches!(kind, Some("user" | "bot"))
        && open(user?, is_resource_id)
        && segments.next().is_none();
    possible.then_some(region)
}

/// The reason why a text is not a valid pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// A `{` without its `}`, or the reverse.
    Unbalanced,
    /// `{}`.
    Unnamed,
    /// No placeholder at all.
    Constant,
    /// Two placeholders in one segment of the ARN.
    SharedSegment,
    /// Not the shape of an AppInstanceUser ARN.
    NoUserArn,
}

impl fmt::Display for PatternError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unbalanced => "a brace is not closed or not opened",
            Self::Unnamed => "a placeholder has no name",
            Self::Constant => "it has no {placeholder}, so every caller would be the same user",
            Self::SharedSegment => {
                "two {placeholders} are in one segment of the ARN, so two callers could become one \
                 user; compose the id in a token hook or a Lambda authorizer"
            }
            Self::NoUserArn => {
                "it must be arn:PARTITION:chime:REGION:ACCOUNT:app-instance/ID/user/ID with \
                 {placeholders} for what the authorizer decides, or one {placeholder} alone"
            }
        })
    }
}

impl std::error::Error for PatternError {}

/// The reason why an identity has no AppInstanceUser. Names claims, never their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingError {
    name: String,
    kind: MappingErrorKind,
}

impl MappingError {
    /// The name of the placeholder. All names, if each value is legal but the whole ARN is not.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The reason.
    pub fn kind(&self) -> MappingErrorKind {
        self.kind
    }
}

/// The reason why a value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingErrorKind {
    /// The value is missing, or is neither a string nor a whole number.
    Missing,
    /// The request was signed, but not in a role session.
    NoRoleSession,
    /// The session name that all users of a Cognito identity pool share.
    SharedSession,
    /// The value is not a legal id. The log omits the error, which can contain a character of the value.
    NotAnId(IdError),
    /// Each value is legal, but the whole is not an AppInstanceUser ARN.
    NotAUserArn,
}

impl fmt::Display for MappingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.kind {
            MappingErrorKind::Missing => write!(
                formatter,
                "the authorizer gave no string and no whole number for {{{name}}}"
            ),
            MappingErrorKind::NoRoleSession => write!(
                formatter,
                "the request was not signed in a role session, so {{{name}}} has no value"
            ),
            MappingErrorKind::SharedSession => write!(
                formatter,
                "all users of an identity pool have the same {{{name}}}"
            ),
            MappingErrorKind::NotAnId(_) => write!(
                formatter,
                "the value of {{{name}}} is not legal at its place in an AppInstanceUser ARN"
            ),
            MappingErrorKind::NotAUserArn => write!(
                formatter,
                "with {{{name}}} filled in, the pattern is not an AppInstanceUser ARN"
            ),
        }
    }
}

impl std::error::Error for MappingError {}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/{sub}";

    fn fill(pattern: &str, values: &[(&str, &str)]) -> Option<String> {
        UserArnPattern::parse(pattern)
            .expect("a pattern")
            .fill(|name| {
                let value = values.iter().find(|(known, _)| *known == name);
                let (_, value) = value.ok_or(MappingErrorKind::Missing)?;
                Ok(Cow::Borrowed(*value))
            })
            .ok()
            .map(|arn| arn.as_str().to_owned())
    }

    #[test]
    fn the_three_usual_patterns_are_filled() {
        assert_eq!(
            fill(USUAL, &[("sub", "us-east-1:0d5a")]).as_deref(),
            Some("arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/us-east-1:0d5a")
        );
        assert_eq!(
            fill(
                "arn:aws:chime:us-east-1:111122223333:app-instance/{custom:tenant}/user/{sub}",
                &[("custom:tenant", "t-1"), ("sub", "alice")]
            )
            .as_deref(),
            Some("arn:aws:chime:us-east-1:111122223333:app-instance/t-1/user/alice")
        );
        let whole = "arn:aws:chime:eu-central-1:111122223333:app-instance/7f1c/bot/b";
        assert_eq!(fill("{arn}", &[("arn", whole)]).as_deref(), Some(whole));
    }

    #[test]
    fn a_placeholder_may_have_literal_text_in_its_segment() {
        let pattern =
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/x-{https://x.test/id}.y";
        assert_eq!(
            fill(pattern, &[("https://x.test/id", "s")]).as_deref(),
            Some("arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/x-s.y")
        );
        let long = "a".repeat(62);
        assert_eq!(
            fill(pattern, &[("https://x.test/id", &long)]),
            None,
            "the value is legal, but the whole id is too long"
        );
    }

    #[test]
    fn two_placeholders_in_one_segment_are_an_error() {
        const APP_INSTANCE: &str = "arn:aws:chime:us-east-1:111122223333:app-instance";
        for pattern in [
            format!("{APP_INSTANCE}/7f1c/user/{{org}}-{{name}}"),
            format!("{APP_INSTANCE}/7f1c/user/{{org}}{{name}}"),
            format!("{APP_INSTANCE}/7f1c/user/{{pool}}:{{name}}"),
            format!("{APP_INSTANCE}/7f1c/user/{{sub}}-{{sub}}"),
            format!("{APP_INSTANCE}/{{a}}.{{b}}/user/{{sub}}"),
            "arn:aws:chime:{a}-{b}:111122223333:app-instance/7f1c/user/{sub}".to_owned(),
            "{a}{b}".to_owned(),
        ] {
            assert_eq!(
                UserArnPattern::parse(&pattern).err(),
                Some(PatternError::SharedSegment),
                "{pattern}"
            );
        }
        for pattern in [
            format!("{APP_INSTANCE}/{{org}}/user/{{name}}"),
            "arn:{p}:chime:{r}:{a}:app-instance/{t}/user/{s}".to_owned(),
        ] {
            assert!(UserArnPattern::parse(&pattern).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn a_value_cannot_add_a_segment_or_a_field() {
        for value in [
            "",
            "a/b",
            "a/user/b",
            "../x",
            "a b",
            "a|b",
            "{sub}",
            "é",
            "a\n",
            "a\0",
            "7f1c/user/alice",
        ] {
            assert_eq!(fill(USUAL, &[("sub", value)]), None, "{value:?}");
        }
        let tenant = "arn:aws:chime:us-east-1:111122223333:app-instance/{t}/user/alice";
        assert_eq!(fill(tenant, &[("t", "a:b")]), None);
        let account = "arn:aws:chime:us-east-1:{a}:app-instance/7f1c/user/{s}";
        assert_eq!(fill(account, &[("a", "1:2"), ("s", "x")]), None);
        assert_eq!(fill(account, &[("a", "12"), ("s", "x")]), None);
        assert!(fill(account, &[("a", "111122223333"), ("s", "x")]).is_some());
    }

    #[test]
    fn a_whole_arn_claim_must_be_a_user_arn_in_every_part() {
        for value in [
            "alice",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/channel/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a ",
        ] {
            assert_eq!(fill("{arn}", &[("arn", value)]), None, "{value:?}");
        }
    }

    #[test]
    fn a_mapping_error_names_the_claim_or_all_claims() {
        let whole = "{arn}";
        let tenant = "arn:aws:chime:us-east-1:111122223333:app-instance/{t}/user/{s}";
        let account = "arn:aws:chime:us-east-1:{t}:app-instance/7f1c/user/{s}";
        for (pattern, value, name, why) in [
            (whole, "a/b", "arn", MappingErrorKind::NotAUserArn),
            (
                tenant,
                "a/b",
                "t",
                MappingErrorKind::NotAnId(IdError::Character('/')),
            ),
            (
                tenant,
                "a:b",
                "t",
                MappingErrorKind::NotAnId(IdError::Character(':')),
            ),
            (
                USUAL,
                "a/b",
                "sub",
                MappingErrorKind::NotAnId(IdError::Character('/')),
            ),
            (account, "a", "t, s", MappingErrorKind::NotAUserArn),
        ] {
            let pattern = UserArnPattern::parse(pattern).expect("a pattern");
            let refused = pattern
                .fill(|_| Ok(Cow::Borrowed(value)))
                .expect_err("refused");
            assert_eq!((refused.name(), refused.kind()), (name, why), "{value}");
        }
    }

    #[test]
    fn a_pattern_that_can_never_match_is_rejected() {
        let refused = |text: &str| UserArnPattern::parse(text).err();
        assert_eq!(refused(""), Some(PatternError::Constant));
        assert_eq!(
            refused("arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/alice"),
            Some(PatternError::Constant)
        );
        for text in ["{sub", "sub}", "{a{b}}", "{a}}", "x}{a}"] {
            assert_eq!(refused(text), Some(PatternError::Unbalanced), "{text}");
        }
        assert_eq!(refused("{}"), Some(PatternError::Unnamed));
        for text in [
            "user/{sub}",
            " {sub}",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/channel/{sub}",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/{kind}/x",
            "arn:aws:chime:us-east-1:1111:app-instance/7f1c/user/{sub}",
            "arn:aws:sns:us-east-1:111122223333:app-instance/7f1c/user/{sub}",
            "arn:aws:chime::111122223333:app-instance/7f1c/user/{sub}",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/{sub}/x",
        ] {
            assert_eq!(refused(text), Some(PatternError::NoUserArn), "{text}");
        }
    }

    #[test]
    fn each_pattern_error_has_its_own_text() {
        let said: std::collections::HashSet<String> = ["{", "{}", "", "{a}{b}", "user/{a}"]
            .iter()
            .filter_map(|text| UserArnPattern::parse(text).err())
            .map(|error| error.to_string())
            .collect();
        assert_eq!(said.len(), 5, "{said:?}");
        assert!(!said.contains(""), "{said:?}");
    }

    #[test]
    fn the_region_is_known_only_if_it_is_literal() {
        let region = |text: &str| {
            UserArnPattern::parse(text)
                .expect("a pattern")
                .region()
                .map(str::to_owned)
        };
        assert_eq!(region(USUAL).as_deref(), Some("us-east-1"));
        assert_eq!(region("{arn}"), None);
        assert_eq!(
            region("arn:aws:chime:{r}:111122223333:app-instance/7f1c/user/{sub}"),
            None
        );
    }

    #[test]
    fn a_mapping_error_names_the_claim_and_not_its_value() {
        let pattern = UserArnPattern::parse(USUAL).expect("a pattern");
        let text = pattern
            .fill(|_| Ok(Cow::Borrowed("se/cret")))
            .expect_err("refused")
            .to_string();
        assert!(text.contains("{sub}") && !text.contains("cret"), "{text}");
    }
}
