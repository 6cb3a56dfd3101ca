//! ARNs: one parser, and the validated ARNs of users and channels of a Chime app instance.
//!
//! The rules are those of the [API reference][api]. A valid id cannot change the structure of an ARN or of
//! a request path that contains it.
//!
//! [api]: https://docs.aws.amazon.com/chime-sdk/latest/APIReference/API_messaging-chime_GetChannelMessageStatus.html

use std::fmt;

use thiserror::Error;

/// The fields of an ARN, not checked: `arn:{partition}:{service}:{region}:{account}:{resource}`.
pub(crate) struct Arn<'a> {
    pub(crate) partition: &'a str,
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    /// May contain colons.
    pub(crate) resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(crate) fn split(text: &'a str) -> Option<Self> {
        let mut fields = text.strip_prefix("arn:")?.splitn(5, ':');
        Some(Self {
            partition: fields.next()?,
            service: fields.next()?,
            region: fields.next()?,
            account: fields.next()?,
            resource: fields.next()?,
        })
    }
}

/// A part of an ARN, with its rule.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// `aws`, or a text that begins with it.
    Partition,
    /// Lower-case letters, digits and hyphens.
    Region,
    /// Twelve digits.
    Account,
    /// The rule of [`Part::Resource`] without colons, which would end a field of the ARN.
    AppInstance,
    /// Id of a user or a channel: `[A-Za-z0-9]([A-Za-z0-9:\-_.@]{0,62}[A-Za-z0-9])?`.
    Resource,
}

/// The rule that a part of an ARN breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PartError {
    #[error("a character that is not allowed")]
    Character,
    #[error("a length that is not allowed")]
    Length,
    #[error("a first or last character that is not allowed")]
    Ends,
}

impl Part {
    pub(crate) fn check(self, text: &str) -> Result<(), PartError> {
        let is_ends_byte = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric());
        let (min, max) = match self {
            Self::Partition | Self::Region => (1, 63),
            Self::Account => (12, 12),
            Self::AppInstance | Self::Resource => (1, 64),
        };
        if !text.bytes().all(|byte| self.allows(byte)) {
            return Err(PartError::Character);
        }
        if !(min..=max).contains(&text.len()) {
            return Err(PartError::Length);
        }
        let ends_are_legal = match self {
            Self::Partition => text.starts_with("aws"),
            Self::Region | Self::Account => true,
            Self::AppInstance | Self::Resource => {
                is_ends_byte(text.bytes().next()) && is_ends_byte(text.bytes().next_back())
            }
        };
        ends_are_legal.then_some(()).ok_or(PartError::Ends)
    }

    fn allows(self, byte: u8) -> bool {
        match self {
            Self::Partition | Self::Region => {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
            }
            Self::Account => byte.is_ascii_digit(),
            Self::AppInstance => byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte),
            Self::Resource => byte.is_ascii_alphanumeric() || b":-_.@".contains(&byte),
        }
    }
}

/// The ARN of an AppInstanceUser:
/// `arn:{partition}:chime:{region}:{account}:app-instance/{id}/user/{id}`.
///
/// This is the Chime bearer. Only [`UserArnPattern::fill`] makes one. `Debug` hides the value, because it
/// must not reach a log.
///
/// [`UserArnPattern::fill`]: crate::user_arn::UserArnPattern::fill
#[derive(Clone, PartialEq, Eq)]
pub struct AppInstanceUserArn {
    whole: String,
    app_instance: String,
    app_instance_id: String,
}

impl AppInstanceUserArn {
    /// The parts of a user ARN that differ from user to user, in order.
    pub(crate) const PARTS: [Part; 5] = [
        Part::Partition,
        Part::Region,
        Part::Account,
        Part::AppInstance,
        Part::Resource,
    ];

    /// Splits a text into its [`PARTS`](Self::PARTS), which are not checked. `None` if the text does not have
    /// the shape of a user ARN.
    pub(crate) fn split(text: &str) -> Option<[&str; 5]> {
        let arn = Arn::split(text)?;
        let resource = arn.resource.strip_prefix("app-instance/")?;
        let (app_instance, user) = resource.split_once("/user/")?;
        (arn.service == "chime").then_some([
            arn.partition,
            arn.region,
            arn.account,
            app_instance,
            user,
        ])
    }

    /// Joins the parts of an ARN, each checked.
    ///
    /// # Errors
    /// The index of the first part that is not valid, and the rule that it breaks.
    pub(crate) fn join(parts: [&str; 5]) -> Result<Self, (usize, PartError)> {
        for (index, (rule, part)) in Self::PARTS.iter().zip(parts).enumerate() {
            rule.check(part).map_err(|error| (index, error))?;
        }
        let [partition, region, account, app_instance_id, user] = parts;
        let app_instance =
            format!("arn:{partition}:chime:{region}:{account}:app-instance/{app_instance_id}");
        Ok(Self {
            whole: format!("{app_instance}/user/{user}"),
            app_instance,
            app_instance_id: app_instance_id.to_owned(),
        })
    }

    /// The whole ARN, as it is sent in `x-amz-chime-bearer`.
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    pub fn app_instance_id(&self) -> &str {
        &self.app_instance_id
    }
}

impl fmt::Debug for AppInstanceUserArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AppInstanceUserArn(…)")
    }
}

/// The ARN of a channel: `arn:{partition}:chime:{region}:{account}:app-instance/{id}/channel/{id}`.
///
/// Each value belongs to the app instance of the user that it was parsed for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChannelArn(String);

impl ChannelArn {
    /// Parses a channel of the app instance of `user`. Returns `None` for any other text.
    pub fn parse_for(user: &AppInstanceUserArn, text: &str) -> Option<Self> {
        let id = text
            .strip_prefix(&user.app_instance)?
            .strip_prefix("/channel/")?;
        Part::Resource.check(id).ok()?;
        Some(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Option<AppInstanceUserArn> {
        AppInstanceUserArn::join(AppInstanceUserArn::split(text)?).ok()
    }

    const APP_INSTANCE: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c";

    #[test]
    fn a_user_arn_with_any_invalid_part_is_rejected() {
        assert!(user(&format!("{APP_INSTANCE}/user/alice")).is_some());
        for arn in [
            "",
            "arn",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a/b",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a/user/b",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/bot/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/channel/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance//user/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/a:b/user/a",
            "arn:aws:chime:us-east-1:111122223333:user/a",
            "arn:aws:chime:us-east-1:11112222333:app-instance/7f1c/user/a",
            "arn:aws:chime:us-east-1:1111222233334:app-instance/7f1c/user/a",
            "arn:aws:chime:us-east-1:11112222333x:app-instance/7f1c/user/a",
            "arn:aws:chime::111122223333:app-instance/7f1c/user/a",
            "arn:aws:chime:US-EAST-1:111122223333:app-instance/7f1c/user/a",
            "arn:aws:sns:us-east-1:111122223333:app-instance/7f1c/user/a",
            "arn:gcp:chime:us-east-1:111122223333:app-instance/7f1c/user/a",
            " arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a",
            "ARN:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a ",
        ] {
            assert!(user(arn).is_none(), "{arn:?}");
        }
    }

    #[test]
    fn resource_ids_follow_the_api_reference() {
        let longest = "a".repeat(64);
        for id in [
            "a",
            "7",
            "a.b",
            "us-east-1:0d5a-4f",
            "a@b.c",
            "A-_z",
            &longest,
        ] {
            assert_eq!(Part::Resource.check(id), Ok(()), "{id}");
        }
        let too_long = "a".repeat(65);
        for (id, error) in [
            ("", PartError::Length),
            (&*too_long, PartError::Length),
            ("-a", PartError::Ends),
            ("a-", PartError::Ends),
            (":a", PartError::Ends),
            (".", PartError::Ends),
            ("..", PartError::Ends),
            ("auth0|a", PartError::Character),
            ("a+b@c.d", PartError::Character),
            ("a b", PartError::Character),
            ("a/b", PartError::Character),
            ("é", PartError::Character),
            ("a\n", PartError::Character),
            ("a\u{200b}b", PartError::Character),
        ] {
            assert_eq!(Part::Resource.check(id), Err(error), "{id:?}");
        }
        assert_eq!(Part::AppInstance.check("a:b"), Err(PartError::Character));
    }

    #[test]
    fn only_channels_of_the_users_own_app_instance_are_accepted() {
        let alice = user(&format!("{APP_INSTANCE}/user/alice")).expect("a user");
        let is_accepted = |text: &str| ChannelArn::parse_for(&alice, text).is_some();
        assert!(is_accepted(&format!("{APP_INSTANCE}/channel/general")));
        for other in [
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1d/channel/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1/channel/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1cc/channel/a",
            "arn:aws:chime:us-east-1:111122223334:app-instance/7f1c/channel/a",
            "arn:aws:chime:eu-central-1:111122223333:app-instance/7f1c/channel/a",
            "arn:aws-cn:chime:us-east-1:111122223333:app-instance/7f1c/channel/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/alice",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/channel/",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/channel/a/b",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/channel/a ",
        ] {
            assert!(!is_accepted(other), "{other}");
        }
    }

    #[test]
    fn debug_output_hides_the_bearer() {
        let alice = user(&format!("{APP_INSTANCE}/user/alice")).expect("a user");
        let shown = format!("{alice:?}");
        assert!(!shown.contains("alice") && !shown.contains("7f1c"));
    }
}
