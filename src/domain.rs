//! What messages, channels and users are called, and what a message can be: the types that prove a
//! value was checked. No HTTP, no JSON, no SDK.
//!
//! The rules are those of the [Amazon Chime SDK messaging API reference][api]: an id that passes
//! here can stand in a path of Chime's API without changing which resource is meant.
//!
//! [api]: https://docs.aws.amazon.com/chime-sdk/latest/APIReference/API_messaging-chime_GetChannelMessageStatus.html

use std::fmt;

mod user_arn_pattern;

pub use user_arn_pattern::{MappingError, MappingErrorKind, PatternError, UserArnPattern};

/// Longest AppInstanceUserId and ChannelId.
const MAX_ID_LENGTH: usize = 64;
/// Longest MessageId and SubChannelId.
const MAX_MESSAGE_ID_LENGTH: usize = 128;

/// The ARN of the AppInstanceUser (or AppInstanceBot) in whose name Chime is asked:
/// `arn:{partition}:chime:{region}:{account}:app-instance/{id}/user/{id}`.
///
/// It is the bearer. Its only door is [`UserArnPattern::fill`], so that a value of this type always
/// came from an authorizer. It has no `Debug` that shows it, because it must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct AppInstanceUserArn(ResourceArn);

impl AppInstanceUserArn {
    fn parse(text: &str) -> Option<Self> {
        ResourceArn::parse(text, |kind| kind == "user" || kind == "bot").map(Self)
    }

    /// The whole ARN, as it goes out in `x-amz-chime-bearer`.
    pub fn as_str(&self) -> &str {
        &self.0.whole
    }

    /// Whether `channel` belongs to the app instance of this user.
    pub fn shares_app_instance_with(&self, channel: &ChannelArn) -> bool {
        self.0.app_instance == channel.0.app_instance
    }
}

impl fmt::Debug for AppInstanceUserArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AppInstanceUserArn(…)")
    }
}

/// The ARN of a channel: `arn:{partition}:chime:{region}:{account}:app-instance/{id}/channel/{id}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChannelArn(ResourceArn);

impl ChannelArn {
    /// `None` where `text` is not the ARN of a channel in every part.
    pub fn parse(text: &str) -> Option<Self> {
        ResourceArn::parse(text, |kind| kind == "channel").map(Self)
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.0.whole
    }
}

/// An ARN of something inside an app instance, with the ARN of that app instance.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ResourceArn {
    whole: String,
    app_instance: String,
}

impl ResourceArn {
    fn parse(text: &str, is_kind: impl Fn(&str) -> bool) -> Option<Self> {
        // The resource comes last and keeps its colons: `us-east-1:…` is a usual user id.
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

fn is_partition(text: &str) -> bool {
    text.starts_with("aws") && text.bytes().all(is_name_byte)
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_resource_id(text: &str) -> bool {
    resource_id_fault(text).is_none()
}

/// An id as Chime's AppInstanceUserId and ChannelId are:
/// `[A-Za-z0-9]([A-Za-z0-9:\-_.@]{0,62}[A-Za-z0-9])?`.
fn resource_id_fault(text: &str) -> Option<IdFault> {
    let is_outer = |character: Option<char>| character.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_inner = |c: char| c.is_ascii_alphanumeric() || ":-_.@".contains(c);
    if text.len() > MAX_ID_LENGTH {
        Some(IdFault::TooLong)
    } else if let Some(character) = text.chars().find(|c| !is_inner(*c)) {
        Some(IdFault::Character(character))
    } else if !is_outer(text.chars().next()) || !is_outer(text.chars().next_back()) {
        Some(IdFault::Ends)
    } else {
        None
    }
}

fn is_app_instance_id(text: &str) -> bool {
    app_instance_id_fault(text).is_none()
}

/// The same without colons, which would read as one more field of the ARN.
fn app_instance_id_fault(text: &str) -> Option<IdFault> {
    match text.contains(':') {
        true => Some(IdFault::Character(':')),
        false => resource_id_fault(text),
    }
}

/// Why a text is no id of Chime's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdFault {
    /// More than 64 characters.
    TooLong,
    /// A character that is not allowed in this place.
    Character(char),
    /// It does not begin and end with a letter or a digit; the empty one does not either.
    Ends,
}

/// The id of a message: `[-_a-zA-Z0-9]{1,128}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// `None` where `text` is no legal MessageId.
    pub fn parse(text: &str) -> Option<Self> {
        is_message_id(text).then(|| Self(text.to_owned()))
    }

    /// The id itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a sub-channel of an elastic channel: `[-_a-zA-Z0-9]{1,128}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SubChannelId(String);

impl SubChannelId {
    /// `None` where `text` is no legal SubChannelId.
    pub fn parse(text: &str) -> Option<Self> {
        is_message_id(text).then(|| Self(text.to_owned()))
    }

    /// The id itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_message_id(text: &str) -> bool {
    (1..=MAX_MESSAGE_ID_LENGTH).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// One message, and where it was sent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageRef {
    /// The channel it was sent to.
    pub channel: ChannelArn,
    /// Its id there.
    pub message: MessageId,
    /// The sub-channel, in an elastic channel.
    pub sub_channel: Option<SubChannelId>,
}

/// What Chime said of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageStatus {
    value: StatusValue,
    detail: Option<String>,
}

impl MessageStatus {
    /// Longest status value that is taken for one.
    const MAX_VALUE_LENGTH: usize = 128;
    /// Chime documents up to 256 characters. Anything far beyond is no detail, and must not be able
    /// to make an answer too large for Lambda to return.
    const MAX_DETAIL_LENGTH: usize = 4096;

    /// `None` where Chime's answer is unusable: no value, or text that is no status. An empty
    /// detail is none.
    pub fn parse(value: &str, detail: Option<&str>) -> Option<Self> {
        let detail = detail.filter(|text| !text.is_empty());
        let usable = (1..=Self::MAX_VALUE_LENGTH).contains(&value.len())
            && detail.is_none_or(|text| text.len() <= Self::MAX_DETAIL_LENGTH);
        usable.then(|| Self {
            value: StatusValue::from(value),
            detail: detail.map(str::to_owned),
        })
    }

    /// The status itself.
    pub fn value(&self) -> &StatusValue {
        &self.value
    }

    /// Chime's own words about it, never empty.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Whether the channel flow has not decided yet.
    pub fn is_pending(&self) -> bool {
        self.value == StatusValue::Pending
    }
}

/// The value of a message's status.
#[derive(Clone, PartialEq, Eq)]
pub enum StatusValue {
    /// Delivered; with a flow whose fallback is CONTINUE, perhaps without having been processed.
    Sent,
    /// In the channel flow.
    Pending,
    /// The flow's processor failed, and the fallback is ABORT.
    Failed,
    /// The flow's processor refused it.
    Denied,
    /// A value that Chime has added since.
    Other(String),
}

impl StatusValue {
    /// The value as Chime spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sent => "SENT",
            Self::Pending => "PENDING",
            Self::Failed => "FAILED",
            Self::Denied => "DENIED",
            Self::Other(value) => value,
        }
    }
}

impl From<&str> for StatusValue {
    fn from(value: &str) -> Self {
        match value {
            "SENT" => Self::Sent,
            "PENDING" => Self::Pending,
            "FAILED" => Self::Failed,
            "DENIED" => Self::Denied,
            other => Self::Other(other.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP_INSTANCE: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c";

    fn user(id: &str) -> Option<AppInstanceUserArn> {
        AppInstanceUserArn::parse(&format!("{APP_INSTANCE}/user/{id}"))
    }

    #[test]
    fn a_user_id_is_what_the_api_reference_says() {
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
            assert!(user(id).is_some(), "{id}");
        }
        let too_long = "a".repeat(65);
        for id in [
            "",
            "-a",
            "a-",
            ":a",
            "a:",
            "auth0|a",
            "a+b@c.d",
            "a b",
            "a/b",
            "..",
            ".",
            "é",
            "a\n",
            "ａ",
            "a\u{200b}b",
            &too_long,
        ] {
            assert!(user(id).is_none(), "{id:?}");
        }
    }

    #[test]
    fn an_arn_is_wrong_when_any_part_is() {
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
    fn a_channel_shares_the_app_instance_only_when_every_part_of_it_is_equal() {
        let alice = user("alice").expect("legal");
        let shares = |channel: &str| {
            alice.shares_app_instance_with(&ChannelArn::parse(channel).expect("legal"))
        };
        assert!(shares(&format!("{APP_INSTANCE}/channel/general")));
        assert!(!shares(
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1d/channel/a"
        ));
        assert!(!shares(
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1/channel/a"
        ));
        assert!(!shares(
            "arn:aws:chime:us-east-1:111122223334:app-instance/7f1c/channel/a"
        ));
        assert!(!shares(
            "arn:aws:chime:eu-central-1:111122223333:app-instance/7f1c/channel/a"
        ));
        assert!(!shares(
            "arn:aws-cn:chime:us-east-1:111122223333:app-instance/7f1c/channel/a"
        ));
    }

    #[test]
    fn a_message_id_has_1_to_128_plain_characters() {
        let longest = "m".repeat(128);
        let too_long = "m".repeat(129);
        assert!(MessageId::parse(&longest).is_some());
        assert!(MessageId::parse("-_aZ9").is_some());
        for id in ["", "a.b", "a/b", "a b", "ä", "..", &too_long] {
            assert!(MessageId::parse(id).is_none(), "{id:?}");
            assert!(SubChannelId::parse(id).is_none(), "{id:?}");
        }
    }

    #[test]
    fn a_status_needs_a_value_and_drops_an_empty_detail() {
        assert!(MessageStatus::parse("", None).is_none());
        assert!(MessageStatus::parse(&"x".repeat(129), None).is_none());
        assert!(MessageStatus::parse("SENT", Some(&"x".repeat(4097))).is_none());
        let sent = MessageStatus::parse("SENT", Some("")).expect("usable");
        assert_eq!((sent.value().as_str(), sent.detail()), ("SENT", None));
        let new = MessageStatus::parse("HIDDEN", Some("why")).expect("usable");
        assert_eq!(
            (new.value().as_str(), new.detail()),
            ("HIDDEN", Some("why"))
        );
        assert!(!new.is_pending());
    }

    #[test]
    fn a_bearer_does_not_show_itself_in_debug_output() {
        let shown = format!("{:?}", user("alice").expect("legal"));
        assert!(!shown.contains("alice") && !shown.contains("7f1c"));
    }
}
