//! The operations of the API, and which of them a request calls.

use serde_json::Value;

use crate::http::HttpRequest;
use crate::sigv4::{decode, query_parameters};

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

impl ApiOperation {
    /// The IAM action.
    pub fn action(self) -> String {
        format!("chime:{self:?}")
    }
}

/// The operation that a request calls, and the resource that it names.
pub(super) struct RequestTarget {
    pub(super) operation: ApiOperation,
    pub(super) channel_arn: Option<String>,
    pub(super) message_id: Option<String>,
    pub(super) sub_channel_id: Option<String>,
}

impl RequestTarget {
    pub(super) fn read(request: &HttpRequest) -> RequestTarget {
        let text = |part: &str| String::from_utf8_lossy(&decode(part)).into_owned();
        let query = query_parameters(request.query());
        let parameter = |name: &str| {
            let mut pairs = query.iter();
            pairs.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
        };
        let segments: Vec<&str> = request.path().split('/').collect();
        let choice = parameter("scope").or(parameter("operation"));
        let (channel, message) = match segments[..] {
            ["", "channels", channel, "messages"] => (Some(channel), None),
            ["", "channels", channel, "messages", message] => (Some(channel), Some(message)),
            _ => (None, None),
        };
        let operation = match (request.method.as_str(), channel, message, choice) {
            ("GET", Some(_), Some(_), Some("message-status")) => {
                ApiOperation::GetChannelMessageStatus
            }
            ("GET", Some(_), Some(_), None) => ApiOperation::GetChannelMessage,
            ("PUT", Some(_), Some(_), None) => ApiOperation::UpdateChannelMessage,
            ("POST", Some(_), Some(_), Some("redact")) => ApiOperation::RedactChannelMessage,
            ("DELETE", Some(_), Some(_), None) => ApiOperation::DeleteChannelMessage,
            ("POST", Some(_), None, None) => ApiOperation::SendChannelMessage,
            ("GET", Some(_), None, None) => ApiOperation::ListChannelMessages,
            ("GET", ..) if request.path() == "/endpoints/messaging-session" => {
                ApiOperation::GetMessagingSessionEndpoint
            }
            _ => {
                return RequestTarget {
                    operation: ApiOperation::Unknown,
                    channel_arn: None,
                    message_id: None,
                    sub_channel_id: None,
                };
            }
        };
        // Write operations have the sub-channel in the body, all others in the query.
        let in_body = || {
            let body: Value = serde_json::from_slice(&request.body).ok()?;
            Some(body.get("SubChannelId")?.as_str()?.to_owned())
        };
        RequestTarget {
            operation,
            channel_arn: channel.map(text),
            message_id: message.map(text),
            sub_channel_id: parameter("sub-channel-id")
                .map(String::from)
                .or_else(in_body),
        }
    }
}
