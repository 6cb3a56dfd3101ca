//! SendChannelMessage and UpdateChannelMessage: the operations that a channel flow processes.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::message::status_json;
use super::{CallContext, Service, json_response};
use crate::flow::{FlowOutcome, Message};
use crate::http::HttpResponse;
use crate::service_error::ServiceError;

impl Service {
    pub(super) fn send(
        self: &Arc<Self>,
        caller: &CallContext<'_>,
        body: &[u8],
    ) -> Result<HttpResponse, ServiceError> {
        let body = members(body)?;
        let token = check_message(&body)?;
        let outcome = self.outcome(&body)?;

        let (now, clock) = (Instant::now(), self.now());
        let mut state = self.state();
        let token = (
            caller.bearer.to_owned(),
            caller.channel_arn.to_owned(),
            token.to_owned(),
        );
        let sent = Value::from(body.clone());
        let message_id = match state.tokens.get(&token) {
            Some((before, _)) if *before != sent => return Err(ServiceError::conflict()),
            Some((_, message_id)) => message_id.clone(),
            None => {
                let message_id = new_message_id();
                let message = Message {
                    channel_arn: caller.channel_arn.into(),
                    sub_channel_id: caller.sub_channel_id.map(String::from),
                    message_id: message_id.clone(),
                    sender: caller.bearer.into(),
                    outcome: outcome.clone(),
                };
                state.put(message, &body, now, clock);
                state.tokens.insert(token, (sent, message_id.clone()));
                state.announce_change(caller.channel_arn, &message_id, now);
                self.announce_later(caller.channel_arn, &message_id, &outcome);
                message_id
            }
        };
        let status = outcome.at(now, now);
        let mut response = caller.message_json(&message_id);
        response["Status"] = json!({ "Value": status.value });
        Ok(json_response(201, &response))
    }

    pub(super) fn update(
        self: &Arc<Self>,
        caller: &CallContext<'_>,
        message_id: &str,
        body: &[u8],
    ) -> Result<HttpResponse, ServiceError> {
        let body = members(body)?;
        text(&body, "Content")?;
        let outcome = self.outcome(&body)?;
        let (now, clock) = (Instant::now(), self.now());
        let mut state = self.state();
        let stored = caller.own_message(&mut state, message_id, now)?;
        stored.update(&body, outcome.clone(), now, clock);
        let status = status_json(&stored.status(now));
        state.announce_change(caller.channel_arn, message_id, now);
        self.announce_later(caller.channel_arn, message_id, &outcome);
        let mut response = caller.message_json(message_id);
        response["Status"] = status;
        Ok(json_response(200, &response))
    }

    /// The outcome that the metadata of a message chooses, or the usual one.
    fn outcome(&self, body: &Map<String, Value>) -> Result<FlowOutcome, ServiceError> {
        let chosen = body
            .get("Metadata")
            .and_then(Value::as_str)
            .map_or(Ok(None), FlowOutcome::from_metadata)
            .map_err(|text| ServiceError::bad_request(format!("Metadata: {text}")))?;
        Ok(chosen.unwrap_or_else(|| self.flow.clone()))
    }

    /// Sends the event of a result when it is due, even if no client makes a request.
    fn announce_later(
        self: &Arc<Self>,
        channel_arn: &str,
        message_id: &str,
        outcome: &FlowOutcome,
    ) {
        let FlowOutcome::PendingThen { after, .. } = *outcome else {
            return;
        };
        let service = Arc::downgrade(self);
        let (channel_arn, message_id) = (channel_arn.to_owned(), message_id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            if let Some(service) = service.upgrade() {
                let mut state = service.state();
                state.message(&channel_arn, &message_id, Instant::now());
            }
        });
    }
}

fn members(body: &[u8]) -> Result<Map<String, Value>, ServiceError> {
    serde_json::from_slice(body)
        .map_err(|_| ServiceError::bad_request("The request body is not a JSON object"))
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a str, ServiceError> {
    let text = body.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
        .ok_or_else(|| ServiceError::bad_request(format!("{name} is missing or malformed")))
}

/// Checks the members of a SendChannelMessage that are required, and returns its request token.
fn check_message(body: &Map<String, Value>) -> Result<&str, ServiceError> {
    text(body, "Content")?;
    for (name, values) in [
        ("Type", ["STANDARD", "CONTROL"]),
        ("Persistence", ["PERSISTENT", "NON_PERSISTENT"]),
    ] {
        if !values.contains(&text(body, name)?) {
            let message = format!("{name} must be {}", values.join(" or "));
            return Err(ServiceError::bad_request(message));
        }
    }
    text(body, "ClientRequestToken")
}

/// A random id, as long as Chime's ids.
fn new_message_id() -> String {
    format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..))
}
