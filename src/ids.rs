//! Ids of messages and sub-channels, and the reference to one message.

use crate::arn::ChannelArn;

/// Maximum length of a MessageId and a SubChannelId.
const MAX_LENGTH: usize = 128;

/// The id of a message or of a sub-channel of an elastic channel: `[-_a-zA-Z0-9]{1,128}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// Returns `None` if `text` is not a valid id.
    pub fn parse(text: &str) -> Option<Self> {
        let is_legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let legal = (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(is_legal);
        legal.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One message and the channel that it was sent to.
///
/// The channel belongs to the app instance of the caller, because [`ChannelArn`] has no other
/// constructor.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageRef {
    /// The channel that the message was sent to.
    pub channel: ChannelArn,
    /// The id of the message.
    pub message: MessageId,
    /// The sub-channel, in an elastic channel. Its id has the rule of a message id.
    pub sub_channel: Option<MessageId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_have_1_to_128_plain_characters() {
        let longest = "m".repeat(128);
        let too_long = "m".repeat(129);
        assert!(MessageId::parse(&longest).is_some());
        assert!(MessageId::parse("-_aZ9").is_some());
        for id in ["", "a.b", "a/b", "a b", "ä", "..", &too_long] {
            assert!(MessageId::parse(id).is_none(), "{id:?}");
        }
    }
}
