//! Ids of users, channels, app instances and messages.

/// Maximum length of an AppInstanceUserId and a ChannelId.
const MAX_ID_LENGTH: usize = 64;
/// Maximum length of a MessageId and a SubChannelId.
const MAX_MESSAGE_ID_LENGTH: usize = 128;

/// The reason why a text is not a valid Chime id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdError {
    /// More than 64 characters.
    TooLong,
    /// A character that is not allowed in this place.
    Character(char),
    /// The first or the last character is not a letter or a digit, or the text is empty.
    Ends,
}

pub(super) fn is_resource_id(text: &str) -> bool {
    resource_id_error(text).is_none()
}

/// Checks an AppInstanceUserId or a ChannelId: `[A-Za-z0-9]([A-Za-z0-9:\-_.@]{0,62}[A-Za-z0-9])?`.
pub(super) fn resource_id_error(text: &str) -> Option<IdError> {
    let is_outer = |character: Option<char>| character.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_inner = |c: char| c.is_ascii_alphanumeric() || ":-_.@".contains(c);
    if text.len() > MAX_ID_LENGTH {
        Some(IdError::TooLong)
    } else if let Some(character) = text.chars().find(|c| !is_inner(*c)) {
        Some(IdError::Character(character))
    } else if !is_outer(text.chars().next()) || !is_outer(text.chars().next_back()) {
        Some(IdError::Ends)
    } else {
        None
    }
}

pub(super) fn is_app_instance_id(text: &str) -> bool {
    app_instance_id_error(text).is_none()
}

/// Checks an app instance id: the rule of [`resource_id_error`] without colons, because a colon would
/// separate one more field of the ARN.
pub(super) fn app_instance_id_error(text: &str) -> Option<IdError> {
    if text.contains(':') {
        Some(IdError::Character(':'))
    } else {
        resource_id_error(text)
    }
}

/// The id of a message: `[-_a-zA-Z0-9]{1,128}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// Returns `None` if `text` is not a valid MessageId.
    pub fn parse(text: &str) -> Option<Self> {
        is_message_id(text).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a sub-channel of an elastic channel: `[-_a-zA-Z0-9]{1,128}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SubChannelId(String);

impl SubChannelId {
    /// Returns `None` if `text` is not a valid SubChannelId.
    pub fn parse(text: &str) -> Option<Self> {
        is_message_id(text).then(|| Self(text.to_owned()))
    }

    /// The id as text.
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

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(is_resource_id(id), "{id}");
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
            assert!(!is_resource_id(id), "{id:?}");
        }
    }

    #[test]
    fn message_ids_have_1_to_128_plain_characters() {
        let longest = "m".repeat(128);
        let too_long = "m".repeat(129);
        assert!(MessageId::parse(&longest).is_some());
        assert!(MessageId::parse("-_aZ9").is_some());
        for id in ["", "a.b", "a/b", "a b", "ä", "..", &too_long] {
            assert!(MessageId::parse(id).is_none(), "{id:?}");
            assert!(SubChannelId::parse(id).is_none(), "{id:?}");
        }
    }
}
