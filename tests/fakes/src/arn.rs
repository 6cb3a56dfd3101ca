//! ARNs of users and channels.
//!
//! Independent of the function's own parser, so each tests the other.

use std::sync::LazyLock;

use regex_lite::Regex;

/// A well-formed ARN of something that belongs to an app instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    /// The app instance's own ARN.
    pub(crate) app_instance: &'a str,
    /// `user`, `bot` or `channel`.
    pub(crate) kind: &'a str,
    pub(crate) id: &'a str,
}

static ARN: LazyLock<Regex> = LazyLock::new(|| {
    let id = "[A-Za-z0-9](?:[A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?";
    let app_instance = format!("arn:[a-z0-9-]+:chime:[a-z0-9-]+:[0-9]{{12}}:app-instance/{id}");
    Regex::new(&format!("^({app_instance})/(user|bot|channel)/({id})$")).expect("a pattern")
});
static ID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^[A-Za-z0-9_-]{1,128}$").expect("a pattern"));

impl<'a> Arn<'a> {
    /// Reads an ARN; `None` unless it is well-formed in every part.
    pub(crate) fn parse(text: &'a str) -> Option<Arn<'a>> {
        let (_, [app_instance, kind, id]) = ARN.captures(text)?.extract();
        Some(Arn {
            app_instance,
            kind,
            id,
        })
    }
}

/// Whether this may be a message's or a sub-channel's id.
pub(crate) fn is_id(text: &str) -> bool {
    ID.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c";

    #[test]
    fn users_bots_and_channels_have_a_kind_an_id_and_an_app_instance() {
        for (path, kind, id) in [
            ("user/us-east-1:0c1d", "user", "us-east-1:0c1d"),
            ("bot/b", "bot", "b"),
            ("channel/a.b@c", "channel", "a.b@c"),
        ] {
            let text = format!("{APP}/{path}");
            let arn = Arn::parse(&text).unwrap();
            assert_eq!((arn.app_instance, arn.kind, arn.id), (APP, kind, id));
        }
    }

    #[test]
    fn malformed_arns_are_rejected() {
        let long = format!("{APP}/user/{}", "a".repeat(65));
        for text in [
            "",
            "arn",
            APP,
            &long,
            &format!("{APP}/user"),
            &format!("{APP}/user/"),
            &format!("{APP}/user/-a"),
            &format!("{APP}/user/a|b"),
            &format!("{APP}/user/a/b"),
            &format!("{APP}/user/a\n"),
            &format!("{APP}/group/a"),
            &format!("{APP}/user/a").replace(":chime:", ":s3:"),
            &format!("{APP}/user/a").replace("111122223333", "1111"),
            &format!("{APP}/user/a").replace("us-east-1", ""),
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
