//! A call: the operation and the resource that a request names, and the record of it.

use std::sync::Arc;
use std::time::Instant;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::service::Service;
use crate::http::HttpRequest;

/// An operation of the Chime SDK messaging API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiOperation {
    /// `GET /channels/{arn}/messages/{id}?scope=message-status`
    GetChannelMessageStatus,
    /// `POST /channels/{arn}/messages`
    SendChannelMessage,
    /// `GET /channels/{arn}/messages/{id}`
    GetChannelMessage,
    /// `GET /channels/{arn}/messages`
    ListChannelMessages,
    /// `PUT /channels/{arn}/messages/{id}`
    UpdateChannelMessage,
    /// `POST /channels/{arn}/messages/{id}?operation=redact`
    RedactChannelMessage,
    /// `DELETE /channels/{arn}/messages/{id}`
    DeleteChannelMessage,
    /// `GET /endpoints/messaging-session`
    GetMessagingSessionEndpoint,
    /// Any other request.
    Unknown,
}

/// A recorded call. Rejected calls are also recorded.
#[derive(Clone, Debug)]
pub struct ChimeRequest {
    /// The operation.
    pub operation: ApiOperation,
    /// The method.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// All headers; the names in lower case.
    pub headers: Vec<(String, String)>,
    /// The first `x-amz-chime-bearer`.
    pub bearer: Option<String>,
    /// The channel in the path, decoded.
    pub channel_arn: Option<String>,
    /// The message in the path, decoded. SendChannelMessage has no id in its path.
    pub message_id: Option<String>,
    /// The sub-channel in the query or the body, decoded.
    pub sub_channel_id: Option<String>,
    /// Whether it came over TLS.
    pub secure: bool,
    /// The connection it came on. Numbers are unique in the process.
    pub connection: u64,
    /// When the head of the request had arrived.
    pub started: Instant,
    /// How many calls were in flight when it arrived, itself included. A call is in flight until its
    /// response is about to go out, or its client has left.
    pub in_flight: usize,
    /// The `x-amzn-RequestId` of the response.
    pub request_id: String,
}

impl ChimeRequest {
    pub(super) fn read(request: &HttpRequest, secure: bool, request_id: &str) -> ChimeRequest {
        use ApiOperation::*;
        let segments: Vec<&str> = request.path().split('/').collect();
        let (channel, message) = match segments[..] {
            ["", "channels", channel, "messages"] => (Some(channel), None),
            ["", "channels", channel, "messages", message] => (Some(channel), Some(message)),
            _ => (None, None),
        };
        let choice = request
            .parameter("scope")
            .or(request.parameter("operation"));
        let operation = match (request.method.as_str(), channel, message, choice.as_deref()) {
            ("GET", Some(_), Some(_), Some("message-status")) => GetChannelMessageStatus,
            ("GET", Some(_), Some(_), None) => GetChannelMessage,
            ("PUT", Some(_), Some(_), None) => UpdateChannelMessage,
            ("POST", Some(_), Some(_), Some("redact")) => RedactChannelMessage,
            ("DELETE", Some(_), Some(_), None) => DeleteChannelMessage,
            ("POST", Some(_), None, None) => SendChannelMessage,
            ("GET", Some(_), None, None) => ListChannelMessages,
            ("GET", ..) if request.path() == "/endpoints/messaging-session" => {
                GetMessagingSessionEndpoint
            }
            _ => Unknown,
        };
        let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        // Write operations have the sub-channel in the body, all others in the query.
        let in_body = || {
            let body: Value = serde_json::from_slice(&request.body).ok()?;
            Some(body.get("SubChannelId")?.as_str()?.to_owned())
        };
        ChimeRequest {
            operation,
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            bearer: request.header("x-amz-chime-bearer").map(String::from),
            channel_arn: channel.map(text),
            message_id: message.map(text),
            sub_channel_id: request.parameter("sub-channel-id").or_else(in_body),
            secure,
            connection: request.connection,
            started: request.at,
            in_flight: 0,
            request_id: request_id.into(),
        }
    }

    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let named = headers.find(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    pub(super) fn bearer(&self) -> &str {
        self.bearer.as_deref().unwrap_or_default()
    }

    pub(super) fn channel_arn(&self) -> &str {
        self.channel_arn.as_deref().unwrap_or_default()
    }

    pub(super) fn message_id(&self) -> &str {
        self.message_id.as_deref().unwrap_or_default()
    }

    /// The IAM action.
    pub(super) fn action(&self) -> String {
        format!("chime:{:?}", self.operation)
    }
}

/// A call that counts as in flight for as long as this lives.
pub(super) struct InFlight(Arc<Service>);

impl InFlight {
    /// Puts a call on record.
    pub(super) fn record(service: &Arc<Service>, call: &ChimeRequest) -> InFlight {
        let mut state = service.state();
        state.in_flight += 1;
        let in_flight = state.in_flight;
        state.calls.push(ChimeRequest {
            in_flight,
            ..call.clone()
        });
        InFlight(Arc::clone(service))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
    }
}
