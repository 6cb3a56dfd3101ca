//! `SESSION_ROLE_ARN`: the IAM role whose sessions are trusted.

use crate::arn::{Arn, Part};

/// Session name that STS gives to every user of a Cognito identity pool.
const IDENTITY_POOL_SESSION: &str = "CognitoIdentityCredentials";

/// The one IAM role whose session names identify users.
///
/// It is compared by account and role name. IAM does not report the path of the role in the ARN of a
/// session.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRole {
    account: String,
    name: String,
}

impl SessionRole {
    /// Parses `arn:{partition}:iam::{account}:role/{path/}{name}`. Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (account, resource) = global_arn(text, "iam")?;
        let path = resource.strip_prefix("role/")?;
        let name = path.rsplit('/').next()?;
        let legal = path.split('/').all(is_path_segment) && is_iam_name(name);
        legal.then(|| Self {
            account: account.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Whether `session` is a session of this role.
    pub fn is_role_of(&self, session: &RoleSession<'_>) -> bool {
        self.account == session.account && self.name == session.role
    }
}

/// A session of an IAM role, read from `arn:{partition}:sts::{account}:assumed-role/{role}/{session}`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RoleSession<'a> {
    account: &'a str,
    role: &'a str,
    name: &'a str,
}

impl<'a> RoleSession<'a> {
    /// Returns `None` if `user_arn` is not the ARN of a role session.
    pub fn parse(user_arn: &'a str) -> Option<Self> {
        let (account, resource) = global_arn(user_arn, "sts")?;
        let session = resource.strip_prefix("assumed-role/")?;
        let (role, name) = session.split_once('/')?;
        let legal = is_iam_name(role) && !name.contains('/');
        legal.then_some(Self {
            account,
            role,
            name,
        })
    }

    /// The name of the session. `None` for the name that all users of an identity pool share.
    pub fn user_name(&self) -> Option<&'a str> {
        (self.name != IDENTITY_POOL_SESSION).then_some(self.name)
    }
}

/// Account and resource of an ARN of a service without regions.
fn global_arn<'a>(text: &'a str, service: &str) -> Option<(&'a str, &'a str)> {
    let arn = Arn::split(text)?;
    Part::Partition.check(arn.partition).ok()?;
    Part::Account.check(arn.account).ok()?;
    (arn.service == service && arn.region.is_empty()).then_some((arn.account, arn.resource))
}

/// Checks a segment of an IAM path: one or more printable ASCII characters.
fn is_path_segment(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Checks the name of a role: `[\w+=,.@-]{1,64}` in ASCII.
fn is_iam_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_compared_by_account_and_name() {
        let session = RoleSession::parse("arn:aws:sts::111122223333:assumed-role/chat/alice")
            .expect("a session");
        for (role, is_role) in [
            ("arn:aws:iam::111122223333:role/chat", true),
            ("arn:aws:iam::111122223333:role/some/path/chat", true),
            ("arn:aws-cn:iam::111122223333:role/chat", true),
            ("arn:aws:iam::111122223334:role/chat", false),
            ("arn:aws:iam::111122223333:role/chat2", false),
            ("arn:aws:iam::111122223333:role/Chat", false),
            ("arn:aws:iam::111122223333:role/chat/other", false),
        ] {
            let role = SessionRole::parse(role).expect("a role");
            assert_eq!(role.is_role_of(&session), is_role);
        }
        assert_eq!(session.user_name(), Some("alice"));
    }

    #[test]
    fn texts_that_are_not_a_role_are_rejected() {
        for text in [
            "",
            "chat",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/a//b",
            "arn:aws:iam::111122223333:user/chat",
            "arn:aws:iam:us-east-1:111122223333:role/chat",
            "arn:aws:iam::1111:role/chat",
            "arn:aws:sts::111122223333:assumed-role/chat/alice",
            "arn:aws:iam::111122223333:role/ch at",
            "arn:aws:iam::111122223333:role/*",
        ] {
            assert!(SessionRole::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn the_session_name_of_an_identity_pool_is_not_a_user_name() {
        let arn = "arn:aws:sts::111122223333:assumed-role/chat/CognitoIdentityCredentials";
        let session = RoleSession::parse(arn).expect("a session");
        assert_eq!(session.user_name(), None);
    }
}
