//! `GET` and `HEAD /message-status`: the status of one message.

use std::time::Duration;

use serde::Serialize;

use super::fields::{Field, FieldErrors};
use super::{RequestContext, Response};
use crate::caller::Caller;
use crate::chime::ChimeError;
use crate::chime::get_message_status::retry_class;
use crate::domain::{MessageRef, MessageStatus};
use crate::event::Event;
use crate::polling::Scheduler;
use crate::problem::Problem;

/// Seconds after which a client should request a pending message again, chosen at random.
pub(super) const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u32> = 1..=4;

/// A request for the status of one message.
pub struct GetStatus {
    pub(super) caller: Caller,
    pub(super) message: MessageRef,
    wait: Duration,
}

impl GetStatus {
    pub(super) fn read(event: &Event<'_>, caller: Caller) -> Result<Self, Problem> {
        let query = event.query();
        let fields = query
            .iter()
            .map(|(name, value)| (name.as_ref(), Some(value.as_ref())));
        let (wait, fields): (Vec<Field<'_>>, Vec<Field<'_>>) =
            fields.partition(|(name, _)| *name == "wait");
        let mut errors = FieldErrors::default();
        let message = errors.message("", &fields, &caller);
        let wait = errors.wait(&wait);
        let message = errors.finish(message)?;
        Ok(Self {
            caller,
            message,
            wait,
        })
    }

    pub(super) async fn respond(&self, request: &RequestContext<'_>) -> Result<Response, Problem> {
        let policy = request.policy(self.wait, false);
        let scheduler = Scheduler::new(request.limiter(), policy, 1, retry_class);
        let status = get_status(request, &scheduler, &self.caller, &self.message).await?;
        let body = StatusBody::new(self.message.message.as_str(), &status);
        let mut response = Response::json(&body)?;
        if status.is_pending() {
            response.set(
                "retry-after",
                fastrand::u32(RETRY_AFTER_SECONDS).to_string(),
            );
        }
        Ok(response)
    }
}

/// Gets the status of one message, and records it.
pub(super) async fn get_status(
    request: &RequestContext<'_>,
    scheduler: &Scheduler<Result<MessageStatus, ChimeError>>,
    caller: &Caller,
    message: &MessageRef,
) -> Result<MessageStatus, Problem> {
    let chime = &request.app.chime;
    let status = request
        .poll(scheduler, || chime.get_message_status(caller, message))
        .await?;
    request.metrics().status(status.value());
    Ok(status)
}

/// `{"messageId":"…","status":"…","detail":"…"}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusBody<'f> {
    message_id: &'f str,
    status: &'f str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'f str>,
}

impl<'f> StatusBody<'f> {
    pub(super) fn new(message_id: &'f str, status: &'f MessageStatus) -> Self {
        Self {
            message_id,
            status: status.value().as_str(),
            detail: status.detail(),
        }
    }
}
