//! What tests do with WebSockets and messages: by an unsigned `POST /test/{action}`, or in Rust by
//! [`FakeChime::control`](super::FakeChime::control).
//!
//! | action | body | effect |
//! |---|---|---|
//! | `cut-websockets` | | all WebSockets end without a close frame |
//! | `websockets-down` | | the same, and new ones are refused |
//! | `websockets-up` | | new ones are accepted again |
//! | `refuse-websocket` | `{"code":4401}` | the next one closes with this code before it has a session |
//! | `decide` | `{"messageId":"…","status":"SENT","detail":"…"}` | the flow decides about a pending message or update |
//!
//! After a 4401, the session of amazon-chime-sdk-js does not retry, and during a reconnect it does not
//! report its end.

use serde_json::Value;

use super::service::Service;
use crate::http::{HttpRequest, HttpResponse};

/// The response to a control request: 204, or 400 if it has no effect. `None` for any other request.
pub(super) fn respond(service: &Service, request: &HttpRequest) -> Option<HttpResponse> {
    let action = request.path().strip_prefix("/test/")?;
    let body = serde_json::from_slice(&request.body).unwrap_or_default();
    let done = request.method == "POST" && perform(service, action, &body).is_some();
    let status = if done { 204 } else { 400 };
    Some(HttpResponse::new(status, "", ""))
}

/// `None` if the action has no effect.
pub(super) fn perform(service: &Service, action: &str, body: &Value) -> Option<()> {
    if action == "decide" {
        let (message_id, status) = (body["messageId"].as_str()?, body["status"].as_str()?);
        let detail = body["detail"].as_str();
        return service.decide(message_id, status, detail).then_some(());
    }
    let sessions = &mut service.state().sessions;
    match action {
        "cut-websockets" => sessions.cut(),
        "websockets-down" => {
            sessions.down = true;
            sessions.cut();
        }
        "websockets-up" => sessions.down = false,
        "refuse-websocket" => {
            let code = u16::try_from(body["code"].as_u64()?).ok()?;
            sessions.refusals.push_back(code);
        }
        _ => return None,
    }
    Some(())
}
