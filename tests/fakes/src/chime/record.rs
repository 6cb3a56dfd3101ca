//! The record of calls.

use std::sync::Arc;
use std::time::Instant;

use super::Service;
use super::operation::{ApiOperation, RequestTarget};
use crate::http::{HttpRequest, ReplyObserver};

/// A recorded call. Rejected calls are also recorded.
#[derive(Clone, Debug)]
pub struct ChimeRequest {
    /// The operation.
    pub operation: ApiOperation,
    /// The method as sent.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// All headers as sent.
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
    /// When the last bytes of the reply went out. None: it is in flight, or the client left first.
    pub finished: Option<Instant>,
    /// How many calls were in flight when it arrived, itself included.
    pub in_flight: usize,
    /// The status of the response. None: no complete head was sent, or not yet.
    pub status: Option<u16>,
    /// The `x-amzn-RequestId` of the response.
    pub request_id: String,
}

impl ChimeRequest {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A call from its arrival until its reply went out or its client left.
pub(super) struct InFlight {
    service: Arc<Service>,
    call: u64,
    pub(super) status: Option<u16>,
}

impl InFlight {
    /// Puts a call on record.
    pub(super) fn record(
        service: &Arc<Service>,
        request: &HttpRequest,
        target: &RequestTarget,
        secure: bool,
        request_id: &str,
    ) -> InFlight {
        let mut state = service.state();
        state.in_flight += 1;
        let call = ChimeRequest {
            operation: target.operation,
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            bearer: request.header("x-amz-chime-bearer").map(String::from),
            channel_arn: target.channel_arn.clone(),
            message_id: target.message_id.clone(),
            sub_channel_id: target.sub_channel_id.clone(),
            secure,
            connection: request.connection,
            started: request.at,
            finished: None,
            in_flight: state.in_flight,
            status: None,
            request_id: request_id.into(),
        };
        let number = state.next_call;
        state.next_call += 1;
        state.calls.insert(number, call);
        InFlight {
            service: Arc::clone(service),
            call: number,
            status: None,
        }
    }
}

impl ReplyObserver for InFlight {
    fn finishing(&mut self, at: Instant) {
        // `forget_calls` may have removed it.
        if let Some(call) = self.service.state().calls.get_mut(&self.call) {
            call.finished = Some(at);
            call.status = self.status;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.service.state().in_flight -= 1;
    }
}
