//! The operations, each as in a service that works.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::call::ChimeRequest;
use super::message::StoredMessage;
use super::service::{Service, json_response};
use super::state::ChimeState;
use crate::flow::{FlowOutcome, Message};
use crate::http::{HttpRequest, HttpResponse};
use crate::service_error::ServiceError;

/// Default of `max-results`.
const DEFAULT_RESULTS: usize = 50;

type Response = Result<HttpResponse, ServiceError>;

impl ChimeRequest {
    fn key(&self) -> (String, String) {
        (self.channel_arn().into(), self.message_id().into())
    }

    fn not_found(&self) -> ServiceError {
        ServiceError::not_found(self.message_id(), self.channel_arn())
    }

    /// The message, if it is in the channel.
    fn message<'s>(
        &self,
        state: &'s mut ChimeState,
    ) -> Result<&'s mut StoredMessage, ServiceError> {
        let stored = state.messages.get_mut(&self.key());
        let stored = stored.filter(|stored| stored.message.sub_channel_id == self.sub_channel_id);
        stored.ok_or_else(|| self.not_found())
    }

    /// The message, if the caller has sent it.
    fn own_message<'s>(
        &self,
        state: &'s mut ChimeState,
    ) -> Result<&'s mut StoredMessage, ServiceError> {
        let stored = self.message(state)?;
        if stored.message.sender == self.bearer() {
            return Ok(stored);
        }
        let (bearer, channel_arn) = (self.bearer(), self.channel_arn());
        Err(ServiceError::forbidden(bearer, &self.action(), channel_arn))
    }

    /// A response with the members that identify the channel, and these.
    fn response(&self, status: u16, mut members: Value) -> Response {
        members["ChannelArn"] = self.channel_arn().into();
        if let Some(id) = &self.sub_channel_id {
            members["SubChannelId"] = id.as_str().into();
        }
        Ok(json_response(status, &members))
    }
}

impl Service {
    pub(super) fn status(&self, call: &ChimeRequest) -> Response {
        let mut state = self.state();
        let stored = call.own_message(&mut state)?;
        match &stored.refusal {
            Some(error) => Err(error.clone()),
            None => Ok(json_response(
                200,
                &json!({ "Status": stored.status_json() }),
            )),
        }
    }

    pub(super) fn get(&self, call: &ChimeRequest) -> Response {
        let mut state = self.state();
        let stored = call.message(&mut state)?;
        if !stored.listed_for(call.bearer()) {
            return Err(call.not_found());
        }
        let message = stored.in_api();
        Ok(json_response(200, &json!({ "ChannelMessage": message })))
    }

    /// Newest first. Of the parameters, the fake knows `max-results` and `sub-channel-id`.
    pub(super) fn list(&self, call: &ChimeRequest, request: &HttpRequest) -> Response {
        let most = match request.parameter("max-results") {
            None => DEFAULT_RESULTS,
            Some(text) => text
                .parse()
                .map_err(|_| ServiceError::bad_request("max-results is malformed"))?,
        };
        let state = self.state();
        let messages = state.listed_for(call.bearer(), call.channel_arn());
        let newest_first = messages.iter().rev();
        let page: Vec<Value> = newest_first
            .filter(|stored| stored.message.sub_channel_id == call.sub_channel_id)
            .take(most)
            .map(|stored| stored.summary_in_api())
            .collect();
        call.response(200, json!({ "ChannelMessages": page }))
    }

    pub(super) fn send(self: &Arc<Self>, call: &ChimeRequest, body: &[u8]) -> Response {
        let body = members(body)?;
        check_message(&body)?;
        let outcome = Self::outcome(&body)?;
        let token = text(&body, "ClientRequestToken")?;
        let token = (
            call.bearer().into(),
            call.channel_arn().into(),
            token.into(),
        );
        let sent = Value::from(body.clone());

        let now = self.now();
        let mut state = self.state();
        let message_id = match state.tokens.get(&token) {
            Some((before, _)) if *before != sent => return Err(ServiceError::conflict()),
            Some((_, message_id)) => message_id.clone(),
            None => {
                // As long as Chime's ids.
                let message_id = format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..));
                let message = Message {
                    channel_arn: call.channel_arn().into(),
                    sub_channel_id: call.sub_channel_id.clone(),
                    message_id: message_id.clone(),
                    sender: call.bearer().into(),
                    outcome: outcome.clone(),
                };
                let key = (call.channel_arn().into(), message_id.clone());
                let stored = StoredMessage::new(message, &body, now);
                state.messages.insert(key.clone(), stored);
                state.tokens.insert(token, (sent, message_id.clone()));
                self.process(&mut state, &key, &outcome);
                state.announce(&key);
                state.forget_denied(&key);
                message_id
            }
        };
        let status = json!({ "Value": outcome.at_first().0 });
        call.response(201, json!({ "MessageId": message_id, "Status": status }))
    }

    pub(super) fn update(self: &Arc<Self>, call: &ChimeRequest, body: &[u8]) -> Response {
        let body = members(body)?;
        text(&body, "Content")?;
        let outcome = Self::outcome(&body)?;
        let now = self.now();
        let mut state = self.state();
        call.own_message(&mut state)?.update(&body, now);
        let key = call.key();
        self.process(&mut state, &key, &outcome);
        state.announce(&key);
        let status = json!({ "Value": outcome.at_first().0 });
        call.response(
            200,
            json!({ "MessageId": call.message_id, "Status": status }),
        )
    }

    /// In the fake, only the sender may redact. Chime also allows administrators.
    pub(super) fn redact(&self, call: &ChimeRequest) -> Response {
        let now = self.now();
        let mut state = self.state();
        call.own_message(&mut state)?.redact(now);
        state.announce_to_members(&state.messages[&call.key()], "REDACT");
        call.response(200, json!({ "MessageId": call.message_id }))
    }

    /// In the fake, only the sender may delete. Chime also allows administrators.
    pub(super) fn delete(&self, call: &ChimeRequest) -> Response {
        let mut state = self.state();
        call.own_message(&mut state)?;
        if let Some(deleted) = state.messages.shift_remove(&call.key()) {
            state.announce_to_members(&deleted, "DELETE");
        }
        Ok(HttpResponse::new(204, "", ""))
    }

    /// The outcome that the metadata of a message chooses, or the usual one.
    fn outcome(body: &Map<String, Value>) -> Result<FlowOutcome, ServiceError> {
        let chosen = body
            .get("Metadata")
            .and_then(Value::as_str)
            .map_or(Ok(None), FlowOutcome::from_metadata)
            .map_err(|text| ServiceError::bad_request(format!("Metadata: {text}")))?;
        Ok(chosen.unwrap_or_default())
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

/// Checks the members of a SendChannelMessage that are required.
fn check_message(body: &Map<String, Value>) -> Result<(), ServiceError> {
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
    Ok(())
}
