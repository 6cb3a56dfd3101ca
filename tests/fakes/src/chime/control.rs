//! What tests in other processes can make happen, by unsigned requests to `/test/…`. Rust tests
//! call the methods of [`FakeChime`](super::FakeChime) of the same names.
//!
//! | request | effect |
//! |---|---|
//! | `POST /test/cut-websockets` | all WebSockets end without a close frame |
//! | `POST /test/websockets-down` | the same, and new ones are refused |
//! | `POST /test/websockets-up` | new ones are accepted again |
//! | `POST /test/refuse-websocket?code=4401` | the next one closes with this code before its session |
//! | `POST /test/decide?messageId=…&status=…&detail=…` | the flow decides about a pending message or update |

use crate::http::{HttpRequest, HttpResponse};
use crate::sigv4::query_parameters;

use super::Service;

/// Answers a request of a test, if it is one: 204, or 400 for one without an effect.
pub(super) fn answer(service: &Service, request: &HttpRequest) -> Option<HttpResponse> {
    let action = request.path().strip_prefix("/test/")?;
    let parameters = query_parameters(request.query());
    let parameter = |name: &str| {
        let mut pairs = parameters.iter();
        pairs.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    };
    let done = match (request.method.as_str(), action) {
        ("POST", "cut-websockets") => {
            service.state().sessions.cut();
            true
        }
        ("POST", "websockets-down") => {
            service.set_websockets_down(true);
            true
        }
        ("POST", "websockets-up") => {
            service.set_websockets_down(false);
            true
        }
        ("POST", "refuse-websocket") => match parameter("code").map(str::parse) {
            Some(Ok(code)) => {
                service.state().sessions.refusals.push_back(code);
                true
            }
            _ => false,
        },
        ("POST", "decide") => match (parameter("messageId"), parameter("status")) {
            (Some(message_id), Some(status)) => {
                service.decide(message_id, status, parameter("detail"))
            }
            _ => false,
        },
        _ => false,
    };
    let status = if done { 204 } else { 400 };
    Some(HttpResponse::new(status, "", ""))
}
