//! The input of a request: query and body → validated messages. All wrong values are named at once.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::arn::{AppInstanceUserArn, ChannelArn};
use crate::event::{BodyIsNotText, Event};
use crate::ids::{MessageId, MessageRef};
use crate::json::{self, Object};
use crate::lookup::{Until, Wait};
use crate::problem::{FieldError, Problem, ProblemType};

/// Maximum size of a body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Maximum number of messages in one request.
const MAX_MESSAGES: usize = 20;
/// Maximum length of an unknown field name in a response.
const MAX_NAME_LENGTH: usize = 128;
/// Maximum number of errors in a response. A response must not grow with its request.
const MAX_ERRORS: usize = 100;

/// Reads the query of a `GET`: one message, and how long to wait.
///
/// # Errors
/// `invalid-request`, with every field that is wrong.
pub fn of_get(event: &Event<'_>, user: &AppInstanceUserArn) -> Result<(MessageRef, Wait), Problem> {
    let (wait, fields): (Fields<'_>, Fields<'_>) = event
        .query()
        .into_iter()
        .partition(|(name, _)| name == "wait");
    let mut errors = Errors::default();
    let message = errors.message("", &fields, user);
    let wait = Wait {
        duration: errors.wait(&wait),
        until: Until::All,
    };
    Ok((errors.finish(message)?, wait))
}

/// Reads the body of a `POST`, one or more messages in order, and its query: how long to wait.
///
/// # Errors
/// `invalid-request`, with every field that is wrong, `unsupported-media-type` or `payload-too-large`.
pub fn of_post(
    event: &Event<'_>,
    user: &AppInstanceUserArn,
) -> Result<(Vec<MessageRef>, Wait), Problem> {
    let body = body(event)?;
    let mut errors = Errors::default();
    let messages = errors.messages(&body, user);
    let query = event.query();
    errors.unknown("", &query, &["wait", "until"]);
    let wait = Wait {
        duration: errors.wait(&query),
        until: errors.until(&query),
    };
    Ok((errors.finish(messages)?, wait))
}

/// Names and values of fields, in order, with repetitions.
type Fields<'f> = Vec<(Cow<'f, str>, Cow<'f, str>)>;

/// The errors found so far.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    /// Adds an error of a field, unless the field already has one.
    fn add(&mut self, field: impl AsRef<str>, detail: impl Into<String>) {
        let field: String = field.as_ref().chars().take(MAX_NAME_LENGTH).collect();
        if self.0.len() < MAX_ERRORS && !self.0.iter().any(|known| known.field == field) {
            let detail = detail.into();
            self.0.push(FieldError { field, detail });
        }
    }

    fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => Err(Problem::invalid(self.0)),
        }
    }

    /// Parses a body, `{"messages":[{…}]}`.
    fn messages(&mut self, body: &str, user: &AppInstanceUserArn) -> Option<Vec<MessageRef>> {
        let json = serde_json::from_str::<&RawValue>(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            self.add(
                "body",
                format!("It is not JSON (line {line}, column {column})."),
            );
        });
        let Some(members) = Object::parse(json.ok()?) else {
            self.add("body", "It must be a JSON object.");
            return None;
        };
        for (name, _) in members.members().filter(|(name, _)| *name != "messages") {
            self.add(name, "This field is not known.");
        }
        let given = members.members().filter(|(name, _)| *name == "messages");
        let items = match given.collect::<Vec<_>>()[..] {
            [] => Err("It is required."),
            [(_, messages)] => json::array(messages).ok_or("It must be an array."),
            _ => Err("It is given more than once."),
        };
        let items = items.and_then(|items| match items.len() {
            1..=MAX_MESSAGES => Ok(items),
            _ => Err("It must have 1 to 20 items."),
        });
        let items = items.map_err(|detail| self.add("messages", detail)).ok()?;
        // No item ends the loop, because all errors are reported at once.
        let messages: Vec<_> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| {
                let Some(item) = Object::parse(item) else {
                    self.add(format!("messages[{index}]"), "It must be a JSON object.");
                    return None;
                };
                let path = format!("messages[{index}].");
                let mut fields = Fields::new();
                for (name, value) in item.members() {
                    match json::string(value) {
                        Some(value) => fields.push((name.into(), value)),
                        None => self.add(format!("{path}{name}"), "It must be a string."),
                    }
                }
                self.message(&path, &fields, user)
            })
            .collect();
        messages.into_iter().collect()
    }

    /// Parses one message from its fields. `path` precedes their names in errors.
    fn message(
        &mut self,
        path: &str,
        fields: &Fields<'_>,
        user: &AppInstanceUserArn,
    ) -> Option<MessageRef> {
        const ID: &str = "It must be 1 to 128 letters, digits, - and _.";
        self.unknown(path, fields, &["channelArn", "messageId", "subChannelId"]);
        let channel = self.required(path, fields, "channelArn", |text| {
            ChannelArn::parse_for(user, text)
                .ok_or("It must be the ARN of a channel of the caller's own app instance.")
        });
        let message = self.required(path, fields, "messageId", |text| {
            MessageId::parse(text).ok_or(ID)
        });
        let sub_channel = self.optional(path, fields, "subChannelId", |text| {
            MessageId::parse(text).ok_or(ID)
        });
        Some(MessageRef {
            channel: channel?,
            message: message?,
            sub_channel,
        })
    }

    /// Parses `wait`: whole seconds.
    fn wait(&mut self, fields: &Fields<'_>) -> Duration {
        let wait = self.optional("", fields, "wait", |text| {
            let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
            // A number that does not fit is longer than any wait.
            let seconds = text.parse().unwrap_or(u64::MAX);
            is_whole
                .then(|| Duration::from_secs(seconds))
                .ok_or("It must be whole seconds, from 0.")
        });
        wait.unwrap_or_default()
    }

    fn until(&mut self, fields: &Fields<'_>) -> Until {
        let has_wait = fields.iter().any(|(name, _)| name == "wait");
        let until = self.optional("", fields, "until", |text| match text {
            _ if !has_wait => Err("It needs `wait`."),
            "any" => Ok(Until::Any),
            "all" => Ok(Until::All),
            _ => Err("It must be `any` or `all`."),
        });
        until.unwrap_or(Until::All)
    }

    fn unknown(&mut self, path: &str, fields: &Fields<'_>, known: &[&str]) {
        for (name, _) in fields
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_ref()))
        {
            self.add(format!("{path}{name}"), "This field is not known.");
        }
    }

    fn required<T>(
        &mut self,
        path: &str,
        fields: &Fields<'_>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        if !fields.iter().any(|(known, _)| known == name) {
            self.add(format!("{path}{name}"), "It is required.");
        }
        self.optional(path, fields, name, parse)
    }

    fn optional<T>(
        &mut self,
        path: &str,
        fields: &Fields<'_>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let mut given = fields.iter().filter(|(known, _)| known == name);
        let (_, text) = given.next()?;
        let parsed = if given.next().is_some() {
            Err("It is given more than once.")
        } else if text.is_empty() {
            Err("It is empty.")
        } else {
            parse(text)
        };
        parsed
            .map_err(|detail| self.add(format!("{path}{name}"), detail))
            .ok()
    }
}

/// The text of a JSON body.
fn body(event: &Event<'_>) -> Result<String, Problem> {
    let media_type = event.header("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(ProblemType::UnsupportedMediaType));
    }
    match event.body() {
        Ok(text) if text.len() > MAX_BODY_BYTES => Err(Problem::new(ProblemType::PayloadTooLarge)),
        Ok(text) => Ok(text),
        Err(BodyIsNotText) => {
            let mut errors = Errors::default();
            errors.add("body", "It is not UTF-8 text.");
            errors.finish(None)
        }
    }
}
