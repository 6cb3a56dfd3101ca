//! `APP_INSTANCE_USER_ARN`: how the values of an authorizer become the ARN of an AppInstanceUser.

use std::borrow::Cow;
use std::fmt;

use super::{
    AppInstanceUserArn, IdFault, app_instance_id_fault, is_account, is_app_instance_id,
    is_partition, is_region, is_resource_id, resource_id_fault,
};

/// The mapping from what an authorizer says to whom Chime is asked as.
///
/// Either an AppInstanceUser ARN with `{name}` in the places that the authorizer fills, or one
/// `{name}` alone, whose value is the whole ARN. Names are taken literally, `:` and `/` included.
pub struct UserArnPattern {
    pieces: Vec<Piece>,
    region: Option<String>,
}

enum Piece {
    Literal(String),
    /// A placeholder, and whether it stands in the last segment, where ids may have colons.
    Placeholder {
        name: String,
        in_user_id: bool,
    },
}

/// Stands for a placeholder while the shape of a template is checked: no legal ARN has it.
const HOLE: char = '\0';

impl UserArnPattern {
    /// Reads a template.
    ///
    /// # Errors
    /// When a brace is unbalanced, a name is empty, nothing is left to the authorizer, or the
    /// whole could not become an AppInstanceUser ARN whatever the authorizer says.
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
            // Everybody would be one and the same user.
            return Err(PatternError::Constant);
        }
        skeleton.push_str(rest);
        pieces.push(Piece::Literal(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Literal(text) if text.is_empty()));
        let region = region_of(&skeleton).ok_or(PatternError::NoUserArn)?;
        Ok(Self { pieces, region })
    }

    /// The region that the template says, where the authorizer has no part in it.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The names that the template takes from the authorizer, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Placeholder { name, .. } => Some(name.as_str()),
        })
    }

    /// Fills in what the authorizer said; `value` gives nothing for a name that is missing or whose
    /// value is no text.
    ///
    /// # Errors
    /// The first name whose value is missing or not legal in its place. Values are refused, never
    /// repaired: two callers must not become one user.
    pub fn fill<'v>(
        &self,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<AppInstanceUserArn, MappingError> {
        let mut arn = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => arn.push_str(text),
                Piece::Placeholder { name, in_user_id } => {
                    let unmapped = |why| MappingError {
                        name: name.clone(),
                        why,
                    };
                    let value = value(name).ok_or_else(|| unmapped(MappingErrorKind::Missing))?;
                    let fault = match (self.is_whole_claim(), in_user_id) {
                        (true, _) => None,
                        (false, true) => resource_id_fault(&value),
                        (false, false) => app_instance_id_fault(&value),
                    };
                    if let Some(fault) = fault {
                        return Err(unmapped(MappingErrorKind::NotAnId(fault)));
                    }
                    arn.push_str(&value);
                }
            }
        }
        AppInstanceUserArn::parse(&arn).ok_or_else(|| MappingError {
            name: self.names().collect::<Vec<_>>().join(", "),
            why: MappingErrorKind::NotAUserArn,
        })
    }

    fn is_whole_claim(&self) -> bool {
        matches!(self.pieces.as_slice(), [Piece::Placeholder { .. }])
    }
}

/// The region of a template whose placeholders are holes: the outer `None` when no filling could
/// make it an AppInstanceUser ARN, the inner one when the authorizer decides the region.
fn region_of(skeleton: &str) -> Option<Option<String>> {
    if skeleton.chars().eq([HOLE]) {
        return Some(None);
    }
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
    possible.then(|| (!region.contains(HOLE)).then(|| region.to_owned()))
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// A `{` without its `}`, or the reverse.
    Unbalanced,
    /// `{}`.
    Unnamed,
    /// No placeholder at all.
    Constant,
    /// Not the shape of an AppInstanceUser ARN.
    NoUserArn,
}

impl fmt::Display for PatternError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unbalanced => "a brace has no partner",
            Self::Unnamed => "a placeholder has no name",
            Self::Constant => {
                "it has no {placeholder}, so that every caller would be the same user"
            }
            Self::NoUserArn => {
                "it must be arn:PARTITION:chime:REGION:ACCOUNT:app-instance/ID/user/ID with \
                 {placeholders} for what the authorizer decides, or one {placeholder} alone"
            }
        })
    }
}

impl std::error::Error for PatternError {}

/// Why an identity does not become an AppInstanceUser. It names claims, never their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingError {
    name: String,
    why: MappingErrorKind,
}

impl MappingError {
    /// The placeholder at fault; all of them, where only the whole is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong with it.
    pub fn why(&self) -> MappingErrorKind {
        self.why
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingErrorKind {
    /// There is none, or one that is neither a string nor a whole number.
    Missing,
    /// It is no id. What is wrong with it is not for the log.
    NotAnId(IdFault),
    /// Each value is legal, and the whole is no AppInstanceUserArn.
    NotAUserArn,
}

impl fmt::Display for MappingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.why {
            MappingErrorKind::Missing => write!(
                formatter,
                "the authorizer gave no string and no whole number for {{{name}}}"
            ),
            MappingErrorKind::NotAnId(_) => write!(
                formatter,
                "the value of {{{name}}} is not legal in its place of an AppInstanceUserArn"
            ),
            MappingErrorKind::NotAUserArn => write!(
                formatter,
                "with {{{name}}} filled in, the template is no AppInstanceUserArn"
            ),
        }
    }
}

impl std::error::Error for MappingError {}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/{sub}";

    fn fill(template: &str, values: &[(&str, &str)]) -> Option<String> {
        UserArnPattern::parse(template)
            .expect("a template")
            .fill(|name| {
                let (_, value) = values.iter().find(|(known, _)| *known == name)?;
                Some(Cow::Borrowed(*value))
            })
            .ok()
            .map(|arn| arn.as_str().to_owned())
    }

    #[test]
    fn the_three_usual_templates_are_filled() {
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
    fn a_placeholder_shares_its_segment_with_text_and_other_placeholders() {
        let template = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/{https://x.test/org}-{sub}.x";
        let arn = fill(template, &[("https://x.test/org", "o"), ("sub", "s")]);
        assert_eq!(
            arn.as_deref(),
            Some("arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/o-s.x")
        );
        let long = "a".repeat(40);
        assert_eq!(
            fill(template, &[("https://x.test/org", &long), ("sub", &long)]),
            None,
            "each value is legal, but the whole id is too long"
        );
    }

    #[test]
    fn a_value_cannot_leave_its_place() {
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
    fn a_refusal_says_whether_one_value_is_at_fault_or_the_whole() {
        let whole = "{arn}";
        let tenant = "arn:aws:chime:us-east-1:111122223333:app-instance/{t}/user/{s}";
        let account = "arn:aws:chime:us-east-1:{t}:app-instance/7f1c/user/{s}";
        for (template, value, name, why) in [
            (whole, "a/b", "arn", MappingErrorKind::NotAUserArn),
            (
                tenant,
                "a/b",
                "t",
                MappingErrorKind::NotAnId(IdFault::Character('/')),
            ),
            (
                tenant,
                "a:b",
                "t",
                MappingErrorKind::NotAnId(IdFault::Character(':')),
            ),
            (
                USUAL,
                "a/b",
                "sub",
                MappingErrorKind::NotAnId(IdFault::Character('/')),
            ),
            (account, "a", "t, s", MappingErrorKind::NotAUserArn),
        ] {
            let template = UserArnPattern::parse(template).expect("a template");
            let refused = template
                .fill(|_| Some(Cow::Borrowed(value)))
                .expect_err("refused");
            assert_eq!((refused.name(), refused.why()), (name, why), "{value}");
        }
    }

    #[test]
    fn a_template_that_could_never_work_is_refused_when_it_is_read() {
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
            "{a}{b}",
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
    fn each_way_to_be_no_template_has_words_of_its_own() {
        let said: std::collections::HashSet<String> = ["{", "{}", "", "{a}{b}"]
            .iter()
            .filter_map(|text| UserArnPattern::parse(text).err())
            .map(|error| error.to_string())
            .collect();
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(!said.contains(""), "{said:?}");
    }

    #[test]
    fn the_region_is_the_template_s_own_or_nobody_s() {
        let region = |text: &str| {
            UserArnPattern::parse(text)
                .expect("a template")
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
    fn a_refusal_names_the_claim_and_not_its_value() {
        let template = UserArnPattern::parse(USUAL).expect("a template");
        let said = template
            .fill(|_| Some(Cow::Borrowed("se/cret")))
            .expect_err("refused")
            .to_string();
        assert!(said.contains("{sub}") && !said.contains("cret/"), "{said}");
    }
}
