//! GetChannelMessageStatus, GetChannelMessage and ListChannelMessages.

use std::time::Instant;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::message::{StoredMessage, Timestamps, status_json};
use super::{CallContext, Service, json_response};
use crate::http::{HttpRequest, HttpResponse};
use crate::service_error::ServiceError;
use crate::sigv4::query_parameters;

/// Default of `max-results`.
const DEFAULT_RESULTS: usize = 50;

impl Service {
    pub(super) fn status(
        &self,
        caller: &CallContext<'_>,
        message_id: &str,
    ) -> Result<HttpResponse, ServiceError> {
        let now = Instant::now();
        let mut state = self.state();
        let stored = caller.own_message(&mut state, message_id, now)?;
        if let Some(error) = stored.chosen_error() {
            return Err(error.clone());
        }
        if stored.denied(now) && !self.keep_denied {
            return Err(ServiceError::not_found(message_id, caller.channel_arn));
        }
        let status = status_json(&stored.status(now));
        Ok(json_response(200, &json!({ "Status": status })))
    }

    pub(super) fn get(
        &self,
        caller: &CallContext<'_>,
        message_id: &str,
    ) -> Result<HttpResponse, ServiceError> {
        let now = Instant::now();
        let mut state = self.state();
        let stored = caller
            .message(&mut state, message_id, now)?
            .take_if(|stored| stored.listed_for(caller.bearer, now))
            .ok_or_else(|| ServiceError::not_found(message_id, caller.channel_arn))?;
        let message = stored.channel_message(Timestamps::Epoch, now);
        Ok(json_response(200, &json!({ "ChannelMessage": message })))
    }

    pub(super) fn list(
        &self,
        caller: &CallContext<'_>,
        request: &HttpRequest,
    ) -> Result<HttpResponse, ServiceError> {
        let parameters = query_parameters(request.query());
        let parameter = |name: &str| {
            let mut pairs = parameters.iter();
            pairs.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
        };
        let number = |name: &str, default: usize| match parameter(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| ServiceError::bad_request(format!("{name} is not a number"))),
        };
        let date = |name: &str| match parameter(name) {
            None => Ok(None),
            Some(text) => OffsetDateTime::parse(text, &Rfc3339)
                .map(Some)
                .map_err(|_| ServiceError::bad_request(format!("{name} is not a timestamp"))),
        };
        let most = number("max-results", DEFAULT_RESULTS)?;
        let first = number("next-token", 0)?;
        let (not_before, not_after) = (date("not-before")?, date("not-after")?);

        let now = Instant::now();
        let mut state = self.state();
        let mut messages: Vec<&StoredMessage> = state
            .listed_for(caller.bearer, now)
            .remove(caller.channel_arn)
            .unwrap_or_default();
        messages.retain(|stored| {
            stored.message.sub_channel_id.as_deref() == caller.sub_channel_id
                && not_before.is_none_or(|at| stored.created() >= at)
                && not_after.is_none_or(|at| stored.created() <= at)
        });
        if parameter("sort-order") != Some("ASCENDING") {
            messages.reverse();
        }
        let page: Vec<Value> = messages
            .iter()
            .skip(first)
            .take(most)
            .map(|stored| stored.summary(Timestamps::Epoch, now))
            .collect();
        let mut response = json!({ "ChannelArn": caller.channel_arn, "ChannelMessages": page });
        let next = first.saturating_add(most);
        if next < messages.len() {
            response["NextToken"] = next.to_string().into();
        }
        if let Some(id) = caller.sub_channel_id {
            response["SubChannelId"] = id.into();
        }
        Ok(json_response(200, &response))
    }
}
