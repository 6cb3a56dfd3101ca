//! ARNs of users and channels in a Chime app instance.

use std::fmt;

use super::id::{is_app_instance_id, is_resource_id};

/// The ARN of an AppInstanceUser or AppInstanceBot:
/// `arn:{partition}:chime:{region}:{account}:app-instance/{id}/user/{id}`.
///
/// This is the Chime bearer. The only constructor is [`UserArnPattern::fill`]. `Debug` hides the
/// value because it must not reach a log.
///
/// [`UserArnPattern::fill`]: super::UserArnPattern::fill
#[derive(Clone, PartialEq, Eq)]
pub struct AppInstanceUserArn(ResourceArn);

impl AppInstanceUserArn {
    pub(super) fn parse(text: &str) -> Option<Self> {
        ResourceArn::parse(text, |kind| kind == "user" || kind == "bot").map(Self)
    }

    /// The whole ARN, as it is sent in `x-amz-chime-bearer`.
    pub fn as_str(&self) -> &str {
        &self.0.whole
    }

    /// The ARN of the app instance of this user.
    pub fn app_instance(&self) -> &str {
        &self.0.app_instance
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
pub struct ChannelArn(ResourceArn);

/// The reason why a text is not a channel that a user may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelArnError {
    /// The text is not the ARN of a channel.
    NotAChannel,
    /// The channel belongs to another app instance, account, region or partition.
    OtherAppInstance,
}

impl ChannelArn {
    /// Parses a channel of the app instance of `user`.
    ///
    /// # Errors
    /// [`ChannelArnError`] if `text` is not such a channel.
    pub fn parse_for(user: &AppInstanceUserArn, text: &str) -> Result<Self, ChannelArnError> {
        let arn = ResourceArn::parse(text, |kind| kind == "channel")
            .ok_or(ChannelArnError::NotAChannel)?;
        if arn.app_instance == user.0.app_instance {
            Ok(Self(arn))
        } else {
            Err(ChannelArnError::OtherAppInstance)
        }
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.0.whole
    }
}

/// The ARN of a resource inside an app instance, and the ARN of that app instance.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ResourceArn {
    whole: String,
    app_instance: String,
}

impl ResourceArn {
    fn parse(text: &str, is_kind: impl Fn(&str) -> bool) -> Option<Self> {
        // The resource is the last field and may contain colons, as in `us-east-1:…`.
        let mut fields = text.splitn(6, ':');
        let [arn, partition, service, region, account, resource] =
            std::array::from_fn(|_| fields.next());
        let mut segments = resource?.split('/');
        let [label, app_instance, kind, id] = std::array::from_fn(|_| segments.next());
        let legal = arn == Some("arn")
            && is_partition(partition?)
            && service == Some("chime")
            && is_region(region?)
            && is_account(account?)
            && label == Some("app-instance")
            && is_app_instance_id(app_instance?)
            && is_kind(kind?)
            && is_resource_id(id?)
            && segments.next().is_none();
        let (app_instance, _id) = text.rsplit_once('/')?;
        let (app_instance, _kind) = app_instance.rsplit_once('/')?;
        legal.then(|| Self {
            whole: text.to_owned(),
            app_instance: app_instance.to_owned(),
        })
    }
}

pub(super) fn is_partition(text: &str) -> bool {
    text.starts_with("aws") && text.bytes().all(is_name_byte)
}

pub(super) fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP_INSTANCE: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c";

    fn alice() -> AppInstanceUserArn {
        AppInstanceUserArn::parse(&format!("{APP_INSTANCE}/user/alice")).expect("a valid ARN")
    }

    #[test]
    fn an_arn_with_any_invalid_part_is_rejected() {
        for arn in [
            "",
            "arn",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a/b",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/channel/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance//user/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/a:b/user/a",
            "arn:aws:chime:us-east-1:111122223333:user/a",
            "arn:aws:chime:us-east-1:11112222333:app-instance/7f1c/user/a",
            "arn:aws:chime:us-east-1:11112222333x:app-instance/7f1c/user/a",
            "arn:aws:chime::111122223333:app-instance/7f1c/user/a",
            "arn:aws:chime:US-EAST-1:111122223333:app-instance/7f1c/user/a",
            "arn:aws:sns:us-east-1:111122223333:app-instance/7f1c/user/a",
            "arn:gcp:chime:us-east-1:111122223333:app-instance/7f1c/user/a",
            " arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a",
            "ARN:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/a",
        ] {
            assert!(AppInstanceUserArn::parse(arn).is_none(), "{arn:?}");
        }
        assert!(AppInstanceUserArn::parse(&format!("{APP_INSTANCE}/bot/a")).is_some());
    }

    #[test]
    fn a_channel_of_any_other_app_instance_is_rejected() {
        let parse = |text: &str| ChannelArn::parse_for(&alice(), text);
        assert!(parse(&format!("{APP_INSTANCE}/channel/general")).is_ok());
        for other in [
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1d/channel/a",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1/channel/a",
            "arn:aws:chime:us-east-1:111122223334:app-instance/7f1c/channel/a",
            "arn:aws:chime:eu-central-1:111122223333:app-instance/7f1c/channel/a",
            "arn:aws-cn:chime:us-east-1:111122223333:app-instance/7f1c/channel/a",
        ] {
            assert_eq!(
                parse(other).err(),
                Some(ChannelArnError::OtherAppInstance),
                "{other}"
            );
        }
        assert_eq!(
            parse(&format!("{APP_INSTANCE}/user/alice")).err(),
            Some(ChannelArnError::NotAChannel)
        );
    }

    #[test]
    fn debug_output_hides_the_bearer() {
        let shown = format!("{:?}", alice());
        assert!(!shown.contains("alice") && !shown.contains("7f1c"));
    }
}
