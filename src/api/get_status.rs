//! `GET` and `HEAD /message-status`: the status of one message.

use std::time::Duration;

use serde::Serialize;

use super::fields::{Field, FieldErrors};
use super::{Request, Response};
use crate::caller::Caller;
use crate::domain::{MessageRef, MessageStatus};
use crate::event::Event;
use crate::problem::Problem;
use crate::settle::RateLimiter;

/// Seconds after which a client that was told "pending" should ask again, by chance.
pub(super) const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u32> = 1..=4;

/// The status of one message is asked for.
pub struct GetStatus {
    caller: Caller,
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
        let mut faults = FieldErrors::default();
        let message = faults.message("", &fields, &caller);
        let wait = faults.wait(&wait);
        let message = faults.finish(message)?;
        Ok(Self {
            caller,
            message,
            wait,
        })
    }

    pub(super) async fn answer(&self, request: &Request<'_>) -> Result<Response, Problem> {
        let wait_until = request.wait(self.wait);
        let status = request
            .ask(&self.caller, &self.message, wait_until, &RateLimiter::new())
            .await?;
        request.metrics().status(status.value());

        let found = StatusBody::new(self.message.message.as_str(), &status);
        let mut response = Response::json(&found)?;
        if status.is_pending() {
            response.set(
                "retry-after",
                fastrand::u32(RETRY_AFTER_SECONDS).to_string(),
            );
        }
        Ok(response)
    }
}

/// What is said of a message: `{"messageId":"…","status":"…","detail":"…"}`.
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
