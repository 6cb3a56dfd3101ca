//! A request's way through the fake.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::runtime::Handle;

use super::call::{ApiOperation, ChimeRequest, InFlight};
use super::state::ChimeState;
use super::{Options, Users, control, cors, session};
use crate::arn::{Arn, is_id};
use crate::fault::Fault;
use crate::http::{HttpRequest, HttpResponse, Reply};
use crate::service_error::ServiceError;
use crate::sigv4::Verifier;

/// What the HTTP server and the HTTPS server share.
pub(super) struct Service {
    pub(super) verifier: Verifier,
    pub(super) users: Users,
    /// Runs the timers of channel flows.
    pub(super) runtime: Handle,
    state: Mutex<ChimeState>,
}

impl Service {
    pub(super) fn new(options: &Options) -> Arc<Service> {
        Arc::new(Service {
            verifier: Verifier {
                credentials: options.credentials.clone(),
                region: options.region.clone(),
            },
            users: options.users.clone(),
            runtime: Handle::current(),
            state: Mutex::default(),
        })
    }

    /// Ignores poisoning: a test that panicked has failed already, and others can continue.
    pub(super) fn state(&self) -> MutexGuard<'_, ChimeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + time::Duration::seconds(self.state().seconds_ahead)
    }

    pub(super) async fn serve(self: Arc<Self>, request: HttpRequest, secure: bool) -> Reply {
        let request_id = request_id();
        let origin = request.header("origin").map(String::from);
        let finish = |response: HttpResponse| {
            let response = cors::allow(origin.as_deref(), response);
            complete(response, &request_id, self.now())
        };
        let is_warm_up = request.target == "/" && request.header("authorization").is_none();
        if is_warm_up && (request.method == "GET" || request.method == "HEAD") {
            self.state().warm_ups += 1;
            return finish(unknown_operation().response()).into();
        }
        if request.method == "GET" && request.path() == "/connect" {
            return session::connect(&self, &request);
        }
        let unrecorded = cors::preflight(&request).or_else(|| control::respond(&self, &request));
        if let Some(response) = unrecorded {
            return finish(response).into();
        }
        let call = ChimeRequest::read(&request, secure, &request_id);
        let in_flight = InFlight::record(&self, &call);
        if call.operation == ApiOperation::Unknown {
            return finish(unknown_operation().response()).into();
        }
        if let Err(refused) = self.verifier.verify(&request, self.now().into()) {
            return finish(refused.response()).into();
        }
        let fault = match call.operation {
            ApiOperation::GetChannelMessageStatus | ApiOperation::GetChannelMessage => {
                self.state().faults.next(call.message_id(), request.at)
            }
            _ => Fault::Pass,
        };
        let (delay, fault) = fault.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let response = fault.response(|| {
            let response = self.operate(&request, &call);
            response.unwrap_or_else(|service_error| service_error.response())
        });
        fault.reply(finish(response), Box::new(in_flight))
    }

    /// The response of a working service.
    fn operate(
        self: &Arc<Self>,
        request: &HttpRequest,
        call: &ChimeRequest,
    ) -> Result<HttpResponse, ServiceError> {
        let bad = |message: String| Err(ServiceError::bad_request(message));
        if call.operation == ApiOperation::GetMessagingSessionEndpoint {
            // The WebSocket is on the port of the request.
            let endpoint = json!({ "Url": request.header("host") });
            return Ok(json_response(200, &json!({ "Endpoint": endpoint })));
        }

        // 1. The caller is a known user.
        let bearer = call.bearer();
        let bearers = request.headers("x-amz-chime-bearer").count();
        if bearers != 1 || !bearer.starts_with("arn:") {
            return bad("ChimeBearer is missing or malformed".into());
        }
        let user = Arn::parse(bearer)
            .filter(|arn| arn.kind != "channel" && self.users.contains(bearer))
            .ok_or_else(|| ServiceError::unauthorized_client(bearer))?;

        // 2. The channel is in the caller's app instance.
        let channel_arn = call.channel_arn();
        let channel = Arn::parse(channel_arn).filter(|arn| arn.kind == "channel");
        let Some(channel) = channel else {
            return bad(format!("ChannelArn {channel_arn} is not valid"));
        };
        if channel.app_instance != user.app_instance {
            return Err(ServiceError::forbidden(bearer, &call.action(), channel_arn));
        }
        for id in call.sub_channel_id.iter().chain(&call.message_id) {
            if !is_id(id) {
                return bad(format!("{id} is not a valid id"));
            }
        }

        // 3. The checks of the operation itself.
        match call.operation {
            ApiOperation::GetChannelMessageStatus => self.status(call),
            ApiOperation::SendChannelMessage => self.send(call, &request.body),
            ApiOperation::GetChannelMessage => self.get(call),
            ApiOperation::ListChannelMessages => self.list(call, request),
            ApiOperation::UpdateChannelMessage => self.update(call, &request.body),
            ApiOperation::RedactChannelMessage => self.redact(call),
            ApiOperation::DeleteChannelMessage => self.delete(call),
            ApiOperation::GetMessagingSessionEndpoint | ApiOperation::Unknown => {
                Err(unknown_operation())
            }
        }
    }
}

fn unknown_operation() -> ServiceError {
    let message = "The requested operation is not recognized by the service.";
    ServiceError::new(404, "UnknownOperationException", message)
}

pub(super) fn json_response(status: u16, body: &Value) -> HttpResponse {
    HttpResponse::new(status, "application/json", body.to_string())
}

/// Adds the headers of every AWS response. SDKs correct their clock by the date.
fn complete(response: HttpResponse, request_id: &str, now: OffsetDateTime) -> HttpResponse {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = now.format(format).unwrap_or_default();
    response
        .with("x-amzn-RequestId", request_id)
        .with("date", &date)
}

/// A version 4 UUID.
pub(super) fn request_id() -> String {
    let (first, last) = (fastrand::u32(..), fastrand::u64(..1 << 48));
    let [second, third] = [(); 2].map(|()| fastrand::u16(..));
    format!(
        "{first:08x}-{second:04x}-4{:03x}-8{:03x}-{last:012x}",
        third >> 4,
        second >> 4
    )
}
