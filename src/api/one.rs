//! `GET` and `HEAD /message-status`: the status of one message.

use serde::Serialize;

use super::fields::{Faults, Field};
use super::{Request, Response};
use crate::caller::Caller;
use crate::domain::MessageStatus;
use crate::event::Event;
use crate::problem::Problem;
use crate::settle::Pace;

/// Seconds after which a client that was told "pending" should ask again, by chance.
pub(super) const ASK_AGAIN_AFTER: std::ops::RangeInclusive<u32> = 1..=4;

pub(super) async fn answer(
    request: &Request<'_>,
    event: &Event<'_>,
    caller: &Caller,
) -> Result<Response, Problem> {
    let query = event.query();
    let fields = query
        .iter()
        .map(|(name, value)| (name.as_ref(), Some(value.as_ref())));
    let (wait, fields): (Vec<Field<'_>>, Vec<Field<'_>>) =
        fields.partition(|(name, _)| *name == "wait");
    let mut faults = Faults::default();
    let message = faults.message("", &fields, caller);
    let wait = faults.wait(&wait);
    let message = faults.finish(message)?;

    let wait_until = request.wait(wait);
    let status = request
        .ask(caller, &message, wait_until, &Pace::new())
        .await?;
    request.tally().status(status.value());

    let mut response = Response::json(&Found::new(message.message.as_str(), &status))?;
    if status.is_pending() {
        response.set("retry-after", fastrand::u32(ASK_AGAIN_AFTER).to_string());
    }
    Ok(response)
}

/// What is said of a message: `{"messageId":"…","status":"…","detail":"…"}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found<'f> {
    message_id: &'f str,
    status: &'f str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'f str>,
}

impl<'f> Found<'f> {
    pub(super) fn new(message_id: &'f str, status: &'f MessageStatus) -> Self {
        Self {
            message_id,
            status: status.value().as_str(),
            detail: status.detail(),
        }
    }
}
