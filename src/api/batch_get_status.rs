//! `POST /message-status`: the statuses of up to 20 messages.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::fields::{Field, FieldErrors};
use super::get_status::{RETRY_AFTER_SECONDS, StatusBody, get_status};
use super::{RequestContext, Response};
use crate::caller::Caller;
use crate::chime::get_message_status::retry_class;
use crate::domain::{MessageRef, MessageStatus};
use crate::event::{Body, Event};
use crate::json::{Json, Members};
use crate::polling::Scheduler;
use crate::problem::{Problem, ProblemBody, ProblemType};

/// Maximum size of a body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Maximum number of messages in one request.
const MAX_MESSAGES: usize = 20;
/// How long a batch without a wait may take in addition to the delay of the rate limiter.
const MAX_TIME: Duration = Duration::from_secs(6);

/// A request for the statuses of many messages.
pub struct BatchGetStatus {
    pub(super) caller: Caller,
    pub(super) messages: Vec<MessageRef>,
    wait: Duration,
    ends_with_first: bool,
}

impl BatchGetStatus {
    pub(super) fn read(event: &Event<'_>, caller: Caller) -> Result<Self, Problem> {
        let body = body(event)?;
        let mut errors = FieldErrors::default();
        let messages = messages(&mut errors, &body, &caller);
        let query = event.query();
        let fields: Vec<Field<'_>> = query
            .iter()
            .map(|(name, value)| (name.as_ref(), Some(value.as_ref())))
            .collect();
        for (name, _) in &fields {
            if !["wait", "until"].contains(name) {
                errors.add(name, "This parameter is not known.");
            }
        }
        let wait = errors.wait(&fields);
        let ends_with_first = errors.until(&fields);
        let messages = errors.finish(messages)?;
        Ok(Self {
            caller,
            messages,
            wait,
            ends_with_first,
        })
    }

    pub(super) async fn respond(&self, request: &RequestContext<'_>) -> Result<Response, Problem> {
        // The same message twice costs one call.
        let mut distinct: Vec<&MessageRef> = Vec::new();
        for message in &self.messages {
            if !distinct.contains(&message) {
                distinct.push(message);
            }
        }
        let limiter = request.limiter();
        let mut policy = request.policy(self.wait, self.ends_with_first);
        policy.is_batch = true;
        if policy.wait.is_none() {
            let max_time = limiter.delay_of(distinct.len()).saturating_add(MAX_TIME);
            policy.deadline = request.after_start(max_time).min(policy.deadline);
        }
        let scheduler = &Scheduler::new(limiter, policy, distinct.len(), retry_class);
        let results = distinct.into_iter().map(|message| async move {
            let result = get_status(request, scheduler, &self.caller, message).await;
            if let Err(problem) = &result {
                request.metrics().problem(problem);
            }
            (message, result)
        });
        let results: HashMap<_, _> = join_all(results).await.into_iter().collect();

        let items = self.messages.iter().filter_map(|message| {
            let result = results.get(message)?;
            Some(BatchItem::new(message, result, request.id))
        });
        let mut response = Response::json(&BatchBody {
            results: items.collect(),
        })?;
        if results.values().any(is_worth_a_retry) {
            response.set(
                "retry-after",
                fastrand::u32(RETRY_AFTER_SECONDS).to_string(),
            );
        }
        Ok(response)
    }
}

/// The body as text.
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
            let mut errors = FieldErrors::default();
            errors.add("body", "It is not UTF-8 text.");
            errors.finish(None)
        }
    }
}

/// Parses the messages of a body.
fn messages(errors: &mut FieldErrors, body: &str, caller: &Caller) -> Option<Vec<MessageRef>> {
    let body: Json<'_> = match serde_json::from_str(body) {
        Ok(body) => body,
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            errors.add("body", format!("It is not JSON ({place})."));
            return None;
        }
    };
    let Some(members) = body.as_object() else {
        errors.add("body", "It must be a JSON object.");
        return None;
    };
    for (name, _) in members.iter().filter(|(name, _)| *name != "messages") {
        errors.add(name, "This member is not known.");
    }
    let mut given = members.iter().filter(|(name, _)| *name == "messages");
    let items = match (given.next(), given.next()) {
        (Some((_, Json::Array(items))), None) => items,
        (None, _) => {
            errors.add("messages", "It is required.");
            return None;
        }
        (_, Some(_)) => {
            errors.add("messages", "It is given more than once.");
            return None;
        }
        (Some(_), None) => {
            errors.add("messages", "It must be an array.");
            return None;
        }
    };
    if !(1..=MAX_MESSAGES).contains(&items.len()) {
        errors.add(
            "messages",
            format!("It must have 1 to {MAX_MESSAGES} items."),
        );
        return None;
    }
    // An item that is not valid does not end the loop, because all errors are reported at once.
    let mut messages = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        messages.extend(message(errors, index, item, caller));
    }
    (messages.len() == items.len()).then_some(messages)
}

fn message(
    errors: &mut FieldErrors,
    index: usize,
    item: &Json<'_>,
    caller: &Caller,
) -> Option<MessageRef> {
    let Some(members) = item.as_object() else {
        errors.add(format!("messages[{index}]"), "It must be a JSON object.");
        return None;
    };
    errors.message(&format!("messages[{index}]."), &texts(members), caller)
}

fn texts<'m>(members: &'m Members<'_>) -> Vec<Field<'m>> {
    members
        .iter()
        .map(|(name, value)| (name, value.as_str()))
        .collect()
}

fn is_worth_a_retry(result: &Result<MessageStatus, Problem>) -> bool {
    match result {
        Ok(status) => status.is_pending(),
        Err(problem) => problem.retry_after().is_some(),
    }
}

#[derive(Serialize)]
struct BatchBody<'r> {
    results: Vec<BatchItem<'r>>,
}

/// One result: `{"messageId":"…","status":"…"}` or `{"messageId":"…","problem":{…}}`.
#[derive(Serialize)]
#[serde(untagged)]
enum BatchItem<'r> {
    Status(StatusBody<'r>),
    #[serde(rename_all = "camelCase")]
    Problem {
        message_id: &'r str,
        problem: ProblemBody<'r>,
    },
}

impl<'r> BatchItem<'r> {
    fn new(
        message: &'r MessageRef,
        result: &'r Result<MessageStatus, Problem>,
        request_id: &'r str,
    ) -> Self {
        let message_id = message.message.as_str();
        match result {
            Ok(status) => Self::Status(StatusBody::new(message_id, status)),
            Err(problem) => Self::Problem {
                message_id,
                problem: problem.body(request_id),
            },
        }
    }
}
