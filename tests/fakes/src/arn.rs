//! ARNs of users and channels.
//!
//! Independent of the function's own parser, so each tests the other.

/// Kind of resource within an app instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An AppInstanceUser.
    User,
    /// An AppInstanceBot, which may do what a user may do.
    Bot,
    /// A channel.
    Channel,
}

/// A well-formed ARN of something that belongs to an app instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// The app instance's own ARN.
    pub app_instance: &'a str,
    /// The kind of resource.
    pub kind: Kind,
    /// The id of the user, bot or channel.
    pub id: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads an ARN; `None` unless it is well-formed in every part.
    pub fn parse(text: &'a str) -> Option<Arn<'a>> {
        let mut fields = text.splitn(6, ':');
        let (arn, partition, service) = (fields.next()?, fields.next()?, fields.next()?);
        let (region, account, resource) = (fields.next()?, fields.next()?, fields.next()?);
        let plain = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if arn != "arn" || service != "chime" || !plain(partition) || !plain(region) || !digits {
            return None;
        }
        let parts: Vec<&str> = resource.split('/').collect();
        let ["app-instance", app_instance_id, kind, id] = parts[..] else {
            return None;
        };
        let kind = match kind {
            "user" => Kind::User,
            "bot" => Kind::Bot,
            "channel" => Kind::Channel,
            _ => return None,
        };
        if !is_name(app_instance_id) || !is_name(id) {
            return None;
        }
        let app_instance = &text[..text.len() - parts[2].len() - id.len() - 2];
        Some(Arn {
            app_instance,
            kind,
            id,
        })
    }
}

/// Whether this may be an AppInstanceUserId or a ChannelId.
fn is_name(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 64
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || ":-_.@".contains(c))
}

/// Whether this may be a message's or a sub-channel's id.
pub fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c";

    #[test]
    fn users_bots_and_channels_have_a_kind_an_id_and_an_app_instance() {
        for (path, kind, id) in [
            ("user/us-east-1:0c1d", Kind::User, "us-east-1:0c1d"),
            ("bot/b", Kind::Bot, "b"),
            ("channel/a.b@c", Kind::Channel, "a.b@c"),
        ] {
            let text = format!("{APP}/{path}");
            let expected = Arn {
                app_instance: APP,
                kind,
                id,
            };
            assert_eq!(Arn::parse(&text), Some(expected));
        }
    }

    #[test]
    fn malformed_arns_are_rejected() {
        for path in [
            "/user/",
            "/user/-a",
            "/user/a|b",
            "/user/a/b",
            "/group/a",
            "",
            "/user",
        ] {
            assert_eq!(Arn::parse(&format!("{APP}{path}")), None, "{path}");
        }
        for text in [
            "",
            "arn",
            "arn:aws:s3:us-east-1:111122223333:app-instance/a/user/u",
            "arn:aws:chime:us-east-1:1111:app-instance/a/user/u",
            "arn:aws:chime::111122223333:app-instance/a/user/u",
        ] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ids_have_1_to_128_plain_characters() {
        assert!(is_id("a-B_9") && is_id(&"a".repeat(128)));
        assert!(!is_id("") && !is_id(&"a".repeat(129)) && !is_id("a.b") && !is_id("ä"));
    }
}
