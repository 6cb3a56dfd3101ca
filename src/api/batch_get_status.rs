//! `POST /message-status`: the statuses of up to 20 messages, after a reconnect.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::fields::{Field, FieldErrors};
use super::get_status::{RETRY_AFTER_SECONDS, StatusBody};
use super::{Request, Response};
use crate::caller::Caller;
use crate::domain::{MessageRef, MessageStatus};
use crate::event::{Body, Event};
use crate::json::{Json, Members};
use crate::problem::{Problem, ProblemBody, ProblemType};
use crate::settle::RateLimiter;

/// Most bytes of a body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most messages of one request.
const MAX_MESSAGES: usize = 20;

/// The statuses of many messages are asked for.
pub struct BatchGetStatus {
    caller: Caller,
    pub(super) messages: Vec<MessageRef>,
    wait: Duration,
}

impl BatchGetStatus {
    pub(super) fn read(event: &Event<'_>, caller: Caller) -> Result<Self, Problem> {
        let body = body(event)?;
        let mut faults = FieldErrors::default();
        let messages = messages(&mut faults, &body, &caller);
        let query = event.query();
        let fields: Vec<Field<'_>> = query
            .iter()
            .map(|(name, value)| (name.as_ref(), Some(value.as_ref())))
            .collect();
        for (name, _) in fields.iter().filter(|(name, _)| *name != "wait") {
            faults.add(name, "This parameter is not known here.");
        }
        let wait = faults.wait(&fields);
        let messages = faults.finish(messages)?;
        Ok(Self {
            caller,
            messages,
            wait,
        })
    }

    pub(super) async fn answer(&self, request: &Request<'_>) -> Result<Response, Problem> {
        // However often a message is asked for, Chime is asked once.
        let wait_until = request.wait(self.wait);
        let mut different: Vec<&MessageRef> = Vec::new();
        for message in &self.messages {
            if !different.contains(&message) {
                different.push(message);
            }
        }
        let pace = &RateLimiter::new();
        let asked = different.into_iter().map(|message| async move {
            let heard = request.ask(&self.caller, message, wait_until, pace).await;
            let mut metrics = request.metrics();
            match &heard {
                Ok(status) => metrics.status(status.value()),
                Err(problem) => metrics.problem(problem),
            }
            (message, heard)
        });
        let heard: HashMap<_, _> = join_all(asked).await.into_iter().collect();

        let results: Vec<_> = self
            .messages
            .iter()
            .filter_map(|message| {
                let heard = heard.get(message)?;
                Some(BatchItem::new(message, heard, request.id))
            })
            .collect();
        let mut response = Response::json(&Results { results })?;
        if heard.values().any(is_worth_asking_again) {
            response.set(
                "retry-after",
                fastrand::u32(RETRY_AFTER_SECONDS).to_string(),
            );
        }
        Ok(response)
    }
}

/// The body, if it is one that is worth looking into.
fn body(event: &Event<'_>) -> Result<String, Problem> {
    let media_type = event.headers.content_type.as_deref().unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(ProblemType::UnsupportedMediaType));
    }
    match event.body() {
        Body::Text(text) if text.len() > MAX_BODY_BYTES => {
            Err(Problem::new(ProblemType::PayloadTooLarge))
        }
        Body::Text(text) => Ok(text.into_owned()),
        Body::Undecodable => {
            let mut faults = FieldErrors::default();
            faults.add("body", "It is not UTF-8 text.");
            faults.finish(None)
        }
    }
}

/// The messages that a body asks about, or faults.
fn messages(faults: &mut FieldErrors, body: &str, caller: &Caller) -> Option<Vec<MessageRef>> {
    let body: Json<'_> = match serde_json::from_str(body) {
        Ok(body) => body,
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            faults.add("body", format!("It is not JSON ({place})."));
            return None;
        }
    };
    let Some(members) = body.as_object() else {
        faults.add("body", "It must be a JSON object.");
        return None;
    };
    for (name, _) in members.iter().filter(|(name, _)| *name != "messages") {
        faults.add(name, "This member is not known here.");
    }
    let mut given = members.iter().filter(|(name, _)| *name == "messages");
    let items = match (given.next(), given.next()) {
        (Some((_, Json::Array(items))), None) => items,
        (None, _) => {
            faults.add("messages", "It is required.");
            return None;
        }
        (_, Some(_)) => {
            faults.add("messages", "It is given more than once.");
            return None;
        }
        (Some(_), None) => {
            faults.add("messages", "It must be an array.");
            return None;
        }
    };
    if !(1..=MAX_MESSAGES).contains(&items.len()) {
        faults.add(
            "messages",
            format!("It must have 1 to {MAX_MESSAGES} items."),
        );
        return None;
    }
    items
        .iter()
        .enumerate()
        // All of them, so that all that is wrong is told.
        .map(|(index, item)| message(faults, index, item, caller))
        .collect::<Vec<_>>()
        .into_iter()
        .collect()
}

fn message(
    faults: &mut FieldErrors,
    index: usize,
    item: &Json<'_>,
    caller: &Caller,
) -> Option<MessageRef> {
    let Some(members) = item.as_object() else {
        faults.add(format!("messages[{index}]"), "It must be a JSON object.");
        return None;
    };
    faults.message(&format!("messages[{index}]."), &texts(members), caller)
}

fn texts<'m>(members: &'m Members<'_>) -> Vec<Field<'m>> {
    members
        .iter()
        .map(|(name, value)| (name, value.as_str()))
        .collect()
}

fn is_worth_asking_again(heard: &Result<MessageStatus, Problem>) -> bool {
    match heard {
        Ok(status) => status.is_pending(),
        Err(problem) => problem.retry_after().is_some(),
    }
}

#[derive(Serialize)]
struct Results<'r> {
    results: Vec<BatchItem<'r>>,
}

/// What became of one message of many: its status, or `{"messageId":"…","problem":{…}}`.
#[derive(Serialize)]
#[serde(untagged)]
enum BatchItem<'r> {
    StatusBody(StatusBody<'r>),
    #[serde(rename_all = "camelCase")]
    Failed {
        message_id: &'r str,
        problem: ProblemBody<'r>,
    },
}

impl<'r> BatchItem<'r> {
    fn new(
        message: &'r MessageRef,
        heard: &'r Result<MessageStatus, Problem>,
        request_id: &'r str,
    ) -> Self {
        let message_id = message.message.as_str();
        match heard {
            Ok(status) => Self::StatusBody(StatusBody::new(message_id, status)),
            Err(problem) => Self::Failed {
                message_id,
                problem: problem.document(request_id),
            },
        }
    }
}
