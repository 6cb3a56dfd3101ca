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
    let fields = Fields::of_query(event);
    let mut errors = Errors::default();
    errors.only(
        &fields,
        &["channelArn", "messageId", "subChannelId", "wait"],
    );
    let message = errors.message(&fields, user);
    let wait = Wait {
        duration: errors.wait(&fields),
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
    let fields = Fields::of_query(event);
    errors.only(&fields, &["wait", "until"]);
    let wait = Wait {
        duration: errors.wait(&fields),
        until: errors.until(&fields),
    };
    Ok((errors.finish(messages)?, wait))
}

/// The fields of an object, in order, with repetitions.
struct Fields<'f> {
    /// Precedes the names of the fields in errors.
    path: String,
    values: Vec<(Cow<'f, str>, Cow<'f, str>)>,
}

impl<'f> Fields<'f> {
    fn of_query(event: &'f Event<'_>) -> Self {
        Self {
            path: String::new(),
            values: event.query(),
        }
    }

    fn given<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        let given = self.values.iter().filter(move |(known, _)| known == name);
        given.map(|(_, value)| value.as_ref())
    }
}

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
                let mut fields = Fields {
                    path: format!("messages[{index}]."),
                    values: Vec::new(),
                };
                for (name, value) in item.members() {
                    match json::string(value) {
                        Some(value) => fields.values.push((name.into(), value)),
                        None => self.add(format!("{}{name}", fields.path), "It must be a string."),
                    }
                }
                self.only(&fields, &["channelArn", "messageId", "subChannelId"]);
                self.message(&fields, user)
            })
            .collect();
        messages.into_iter().collect()
    }

    fn message(&mut self, fields: &Fields<'_>, user: &AppInstanceUserArn) -> Option<MessageRef> {
        let id = |text: &str| {
            MessageId::parse(text).ok_or("It must be 1 to 128 letters, digits, - and _.")
        };
        for name in ["channelArn", "messageId"] {
            if fields.given(name).next().is_none() {
                self.add(format!("{}{name}", fields.path), "It is required.");
            }
        }
        let channel = self.field(fields, "channelArn", |text| {
            ChannelArn::parse_for(user, text)
                .ok_or("It must be the ARN of a channel of the caller's own app instance.")
        });
        let message = self.field(fields, "messageId", id);
        let sub_channel = self.field(fields, "subChannelId", id);
        Some(MessageRef {
            channel: channel?,
            message: message?,
            sub_channel,
        })
    }

    /// Parses `wait`: whole seconds.
    fn wait(&mut self, fields: &Fields<'_>) -> Duration {
        let wait = self.field(fields, "wait", |text| {
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
        let has_wait = fields.given("wait").next().is_some();
        let until = self.field(fields, "until", |text| match text {
            _ if !has_wait => Err("It needs `wait`."),
            "any" => Ok(Until::Any),
            "all" => Ok(Until::All),
            _ => Err("It must be `any` or `all`."),
        });
        until.unwrap_or(Until::All)
    }

    /// Names the fields that are not `known`.
    fn only(&mut self, fields: &Fields<'_>, known: &[&str]) {
        for (name, _) in &fields.values {
            if !known.contains(&name.as_ref()) {
                self.add(format!("{}{name}", fields.path), "This field is not known.");
            }
        }
    }

    /// Parses a field, if it is given once and is not empty.
    fn field<T>(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let mut given = fields.given(name);
        let parsed = match (given.next()?, given.next()) {
            (_, Some(_)) => Err("It is given more than once."),
            ("", None) => Err("It is empty."),
            (text, None) => parse(text),
        };
        let parsed = parsed.map_err(|detail| self.add(format!("{}{name}", fields.path), detail));
        parsed.ok()
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
        Err(BodyIsNotText) => Err(Problem::invalid(vec![FieldError {
            field: "body".to_owned(),
            detail: "It is not UTF-8 text.".to_owned(),
        }])),
    }
}
