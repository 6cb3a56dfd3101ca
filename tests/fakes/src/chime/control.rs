//! Unsigned requests by which tests in other processes control the fake. Rust tests call the methods
//! of [`FakeChime`](super::FakeChime).
//!
//! | request | body | effect |
//! |---|---|---|
//! | `POST /test/cut-websockets` | | all WebSockets end without a close frame |
//! | `POST /test/websockets-down` | | the same, and new ones are refused |
//! | `POST /test/websockets-up` | | new ones are accepted again |
//! | `POST /test/refuse-websocket` | `{"code":4401}` | the next one closes with this code before it has a session |
//! | `POST /test/decide` | `{"messageId":"…","status":"SENT","detail":"…"}` | the flow decides about a pending message or update |

use serde_json::Value;

use super::Service;
use crate::http::{HttpRequest, HttpResponse};

/// The response to a control request: 204, or 400 if it has no effect. `None` for any other request.
pub(super) fn respond(service: &Service, request: &HttpRequest) -> Option<HttpResponse> {
    let action = request.path().strip_prefix("/test/")?;
    let done = request.method == "POST" && perform(service, action, &request.body).is_some();
    let status = if done { 204 } else { 400 };
    Some(HttpResponse::new(status, "", ""))
}

fn perform(service: &Service, action: &str, body: &[u8]) -> Option<()> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    match action {
        "cut-websockets" => service.state().sessions.cut(),
        "websockets-down" => service.set_websockets_down(true),
        "websockets-up" => service.set_websockets_down(false),
        "refuse-websocket" => {
            let code = u16::try_from(body["code"].as_u64()?).ok()?;
            service.state().sessions.refusals.push_back(code);
        }
        "decide" => {
            let (message_id, status) = (body["messageId"].as_str()?, body["status"].as_str()?);
            let detail = body["detail"].as_str();
            return service.decide(message_id, status, detail).then_some(());
        }
        _ => return None,
    }
    Some(())
}
