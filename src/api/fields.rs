//! Fields of a request, from the query or from JSON. All errors are collected before Chime is called.

use std::time::Duration;

use crate::caller::Caller;
use crate::domain::{ChannelArn, ChannelArnError, MessageId, MessageRef, SubChannelId};
use crate::problem::{FieldError, Problem};

/// Maximum length of an unknown field name in a response.
const MAX_NAME_LENGTH: usize = 128;
/// Maximum number of errors in a response. A response must not grow with its request.
const MAX_ERRORS: usize = 100;

/// The errors found so far.
#[derive(Default)]
pub(super) struct FieldErrors(Vec<FieldError>);

/// A field of the request: its name, and its value if that is a string.
pub(super) type Field<'f> = (&'f str, Option<&'f str>);

impl FieldErrors {
    /// Adds an error of a field, unless the field already has one.
    pub(super) fn add(&mut self, field: impl AsRef<str>, detail: impl Into<String>) {
        let field: String = field.as_ref().chars().take(MAX_NAME_LENGTH).collect();
        if self.0.len() < MAX_ERRORS && !self.0.iter().any(|known| known.field == field) {
            let detail = detail.into();
            self.0.push(FieldError { field, detail });
        }
    }

    /// Ends parsing. Returns the value, or all errors.
    pub(super) fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => Err(Problem::invalid(self.0)),
        }
    }

    /// Parses one message from its fields. `path` precedes their names in errors.
    pub(super) fn message(
        &mut self,
        path: &str,
        fields: &[Field<'_>],
        caller: &Caller,
    ) -> Option<MessageRef> {
        for (name, _) in fields {
            if !["channelArn", "messageId", "subChannelId"].contains(name) {
                self.add(format!("{path}{name}"), "This field is not known.");
            }
        }
        let channel = self.field(path, fields, "channelArn", true, |text| {
            ChannelArn::parse_for(caller.user(), text).map_err(|error| match error {
                ChannelArnError::NotAChannel => "It must be the ARN of a channel.",
                ChannelArnError::OtherAppInstance => {
                    "It must be a channel of the caller's own app instance."
                }
            })
        });
        let message = self.field(path, fields, "messageId", true, |text| {
            MessageId::parse(text).ok_or("It must be 1 to 128 letters, digits, - and _.")
        });
        let sub_channel = self.field(path, fields, "subChannelId", false, |text| {
            SubChannelId::parse(text).ok_or("It must be 1 to 128 letters, digits, - and _.")
        });
        Some(MessageRef {
            channel: channel?,
            message: message?,
            sub_channel,
        })
    }

    /// Parses `wait`: whole seconds. The policy cuts them to the maximum.
    pub(super) fn wait(&mut self, fields: &[Field<'_>]) -> Duration {
        self.field("", fields, "wait", false, |text| {
            if text.bytes().all(|byte| byte.is_ascii_digit()) {
                // A number that does not fit is longer than any wait.
                Ok(Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
            } else {
                Err("It must be whole seconds, from 0.")
            }
        })
        .unwrap_or_default()
    }

    /// Parses `until`. Returns whether the first decided message ends the wait.
    pub(super) fn until(&mut self, fields: &[Field<'_>]) -> bool {
        let has_wait = fields.iter().any(|(name, _)| *name == "wait");
        self.field("", fields, "until", false, |text| match text {
            _ if !has_wait => Err("It needs `wait`."),
            "any" => Ok(true),
            "all" => Ok(false),
            _ => Err("It must be `any` or `all`."),
        })
        .unwrap_or_default()
    }

    fn field<T>(
        &mut self,
        path: &str,
        fields: &[Field<'_>],
        name: &str,
        required: bool,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let mut given = fields.iter().filter(|(known, _)| *known == name);
        let parsed = match (given.next(), given.next()) {
            (None, _) if required => Err("It is required."),
            (None, _) => return None,
            (Some(_), Some(_)) => Err("It is given more than once."),
            (Some((_, None)), None) => Err("It must be a string."),
            (Some((_, Some(""))), None) => Err("It is empty."),
            (Some((_, Some(text))), None) => parse(text),
        };
        parsed
            .map_err(|detail| self.add(format!("{path}{name}"), detail))
            .ok()
    }
}
