//! The fields of a request, from wherever they stand: whatever is wrong with any of them is found
//! before anything is asked, and told all at once.

use std::time::Duration;

use crate::caller::Caller;
use crate::domain::{ChannelArn, MessageId, MessageRef, SubChannelId};
use crate::problem::{FieldError, Problem};

/// Longest name of an unknown field that is repeated to whoever sent it.
const MAX_NAME_LENGTH: usize = 128;
/// Most faults that are told: an answer must not grow with what was sent.
const MAX_ERRORS: usize = 100;

/// What is wrong so far.
#[derive(Default)]
pub(super) struct FieldErrors(Vec<FieldError>);

/// A field as it was sent: its name, and its value if that is text.
pub(super) type Field<'f> = (&'f str, Option<&'f str>);

impl FieldErrors {
    /// Adds a fault of a field; what is told of each field is the first thing that is wrong.
    pub(super) fn add(&mut self, field: impl AsRef<str>, detail: impl Into<String>) {
        let field: String = field.as_ref().chars().take(MAX_NAME_LENGTH).collect();
        if self.0.len() < MAX_ERRORS && !self.0.iter().any(|known| known.field == field) {
            let detail = detail.into();
            self.0.push(FieldError { field, detail });
        }
    }

    /// The end of parsing: what was read, or all that is wrong.
    pub(super) fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => Err(Problem::invalid(self.0)),
        }
    }

    /// One message, out of all fields that are said to describe it; `path` stands before their names.
    pub(super) fn message(
        &mut self,
        path: &str,
        fields: &[Field<'_>],
        caller: &Caller,
    ) -> Option<MessageRef> {
        for (name, _) in fields {
            if !["channelArn", "messageId", "subChannelId"].contains(name) {
                self.add(format!("{path}{name}"), "This field is not known here.");
            }
        }
        let channel = self.field(path, fields, "channelArn", true, |text| {
            let channel = ChannelArn::parse(text).ok_or("It must be the ARN of a channel.")?;
            match caller.user.shares_app_instance_with(&channel) {
                true => Ok(channel),
                false => Err("It must be a channel of the caller's own app instance."),
            }
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

    /// Whole seconds to wait; any number is one, however large.
    pub(super) fn wait(&mut self, fields: &[Field<'_>]) -> Duration {
        self.field("", fields, "wait", false, |text| {
            match text.bytes().all(|byte| byte.is_ascii_digit()) {
                // Digits that do not fit are more seconds than anybody waits.
                true => Ok(Duration::from_secs(text.parse().unwrap_or(u64::MAX))),
                false => Err("It must be whole seconds, from 0."),
            }
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
