//! Fake of the Chime SDK messaging API: messages and their statuses.
//!
//! [`FakeChime`] responds over HTTP and, on another port, over HTTPS; the WebSocket is on both. It
//! checks what Chime checks, in the order of the numbered steps in `Service::operate`, and keeps a
//! record of every call.
//!
//! | module | contents |
//! |---|---|
//! | `operation` | the operations, and which of them a request calls |
//! | `send`, `read`, `remove` | one function for each operation |
//! | `message` | a stored message and the channel flow that processes it |
//! | `state` | everything that changes, behind one lock |
//! | `session`, `event` | the WebSocket and its frames |
//! | `control` | requests of tests: cut WebSockets, decide about a message |
//! | `cors`, `record` | access for browsers; the record of calls |
//!
//! AWS does not document these behaviors. The fake follows the names in the API:
//! - Lists and `CHANNEL_DETAILS` show a sender their own messages that are `PENDING` or `FAILED`.
//! - The events of an update have the time of the update as `LastUpdatedTimestamp`.
//! - After a refused update, the status is that of the update.
//!
//! The session of amazon-chime-sdk-js connects to `wss`. `tests/interop/plain-websocket.mjs` is a
//! WebSocketAdapter for the plain port.

mod control;
mod cors;
mod event;
mod message;
mod operation;
mod read;
mod record;
mod remove;
mod send;
mod session;
mod state;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::arn::{Arn, Kind, is_id};
use crate::fault::Fault;
use crate::flow::{FlowOutcome, Message};
use crate::http::{HttpRequest, HttpResponse, ObservedReply, Server, ServerOptions, WireReply};
use crate::service_error::ServiceError;
use crate::sigv4::{Credentials, Verifier};
use crate::tls::Authority;

use message::StoredMessage;
use operation::RequestTarget;
use record::InFlight;
use state::ChimeState;

pub use operation::ApiOperation;
pub use record::ChimeRequest;

/// Settings of a fake Chime. The defaults suit most tests: free ports on loopback, one pair of
/// credentials, and every well-formed user is known.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address for HTTP; port 0 takes a free one.
    pub http: SocketAddr,
    /// Address for HTTPS; port 0 takes a free one.
    pub https: SocketAddr,
    /// Credentials that requests must be signed with.
    pub credentials: Credentials,
    /// Region that signatures must be scoped to.
    pub region: String,
    /// Known users.
    pub users: Users,
    /// Outcome of sent messages whose `Metadata` does not choose one.
    pub flow: FlowOutcome,
    /// Whether denied messages are kept. Chime does not keep them.
    pub keep_denied: bool,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
    /// Calls per second and user, of all operations together; more are throttled.
    pub quota: Option<u32>,
}

impl Default for Options {
    fn default() -> Options {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Options {
            http: loopback,
            https: loopback,
            credentials: Credentials {
                access_key_id: "AKIDFAKECHIME".into(),
                secret_access_key: "fake-secret".into(),
                session_token: None,
                expired: false,
            },
            region: "us-east-1".into(),
            users: Users::AllBut(Vec::new()),
            flow: FlowOutcome::default(),
            keep_denied: false,
            keep_alive: Duration::from_secs(60),
            quota: None,
        }
    }
}

/// Known ARNs of users and bots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// Only these.
    Only(Vec<String>),
    /// All well-formed ones except these.
    AllBut(Vec<String>),
}

impl Users {
    fn contains(&self, arn: &str) -> bool {
        match self {
            Users::Only(known) => known.iter().any(|user| user == arn),
            Users::AllBut(unknown) => unknown.iter().all(|user| user != arn),
        }
    }
}

/// A running fake Chime. Dropping it closes its ports and connections.
#[derive(Debug)]
pub struct FakeChime {
    service: Arc<Service>,
    authority: Authority,
    http: Server,
    https: Server,
}

impl FakeChime {
    /// Starts on the tokio runtime that this is called on.
    ///
    /// # Errors
    /// If a port is taken, with a text that names the address; or if no certificate can be made.
    pub async fn start(options: Options) -> io::Result<FakeChime> {
        let authority = Authority::new()?;
        let service = Arc::new(Service::new(&options));
        let serve = |bind, tls: Option<_>| {
            let secure = tls.is_some();
            let service = Arc::clone(&service);
            let options = ServerOptions {
                bind,
                tls,
                keep_alive: options.keep_alive,
            };
            Server::start(options, move |request| {
                Arc::clone(&service).serve(request, secure)
            })
        };
        let http = serve(options.http, None).await?;
        let https = serve(options.https, Some(authority.server_config())).await?;
        Ok(FakeChime {
            service,
            authority,
            http,
            https,
        })
    }

    /// The HTTP endpoint: `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http.addr())
    }

    /// The HTTPS endpoint: `https://127.0.0.1:PORT`, without a slash at the end.
    pub fn https_url(&self) -> String {
        format!("https://{}", self.https.addr())
    }

    /// The certificate authority of the HTTPS endpoint, in PEM.
    pub fn ca_pem(&self) -> &str {
        self.authority.ca_pem()
    }

    /// Adds or replaces a message. Its time starts now.
    pub fn put_message(&self, message: Message) {
        let clock = self.service.now();
        let mut state = self.service.state();
        state.put(message, &Map::new(), Instant::now(), clock);
    }

    /// Faults for the next reads of messages, one each, in order of arrival. A read is a call of
    /// GetChannelMessageStatus or GetChannelMessage. Replaces the rest of an earlier script.
    pub fn script(&self, faults: Vec<Fault>) {
        self.service.state().script = faults.into();
    }

    /// Fault of each read of a message without a scripted one.
    pub fn always(&self, fault: Option<Fault>) {
        self.service.state().always = fault;
    }

    /// Faults for the next reads of this message, one each. They precede the script's and do not use it
    /// up. An empty list removes earlier ones.
    pub fn fault_for(&self, message_id: &str, faults: Vec<Fault>) {
        let faults = faults.into();
        let by_message = &mut self.service.state().by_message;
        by_message.insert(message_id.into(), faults);
    }

    /// Sets its clock this many seconds ahead of the machine's; negative values are behind it.
    pub fn turn_clock(&self, seconds_ahead: i64) {
        self.service.state().seconds_ahead = seconds_ahead;
    }

    /// All recorded calls, in order of arrival, without warm-ups.
    pub fn calls(&self) -> Vec<ChimeRequest> {
        self.service.state().calls.values().cloned().collect()
    }

    /// The calls of one operation, in order of arrival.
    pub fn calls_of(&self, operation: ApiOperation) -> Vec<ChimeRequest> {
        let mut calls = self.calls();
        calls.retain(|call| call.operation == operation);
        calls
    }

    /// Clears the record, including that of warm-ups. Calls in flight still count as in flight.
    pub fn forget_calls(&self) {
        let mut state = self.service.state();
        state.calls.clear();
        state.warm_ups = 0;
    }

    /// Number of unsigned `GET /` requests, which only open a connection.
    pub fn warm_ups(&self) -> usize {
        self.service.state().warm_ups
    }

    /// Lets the flow decide now about a pending message or update; returns whether one was pending.
    pub fn decide(&self, message_id: &str, status: &str, detail: Option<&str>) -> bool {
        self.service.decide(message_id, status, detail)
    }

    /// A URL for a WebSocket of this user, signed for 10 seconds. A back end can make such a URL
    /// for a front end without AWS credentials.
    pub fn websocket_url(&self, user_arn: &str, prefetch: bool) -> String {
        let host = self.http.addr().to_string();
        let session_id = request_id();
        let mut parameters = vec![("userArn", user_arn), ("sessionId", &session_id)];
        if prefetch {
            parameters.push(("prefetch-on", "connect"));
        }
        let now = self.service.now().into();
        let verifier = &self.service.verifier;
        let target = verifier.signed_url(&host, "/connect", &parameters, 10, now);
        format!("ws://{host}{target}")
    }

    /// How many WebSockets have a session.
    pub fn open_websockets(&self) -> usize {
        self.service.state().sessions.count()
    }

    /// Ends all WebSockets without a close frame.
    pub fn cut_websockets(&self) {
        self.service.state().sessions.cut();
    }

    /// Ends all WebSockets and refuses new ones, or accepts them again.
    pub fn set_websockets_down(&self, down: bool) {
        self.service.set_websockets_down(down);
    }

    /// Closes the next WebSocket with this code, before it has a session. With 4401 the session of
    /// amazon-chime-sdk-js does not retry, and during a reconnect does not report its end.
    pub fn refuse_websocket(&self, code: u16) {
        self.service.state().sessions.refusals.push_back(code);
    }

    /// Number of open connections of both ports.
    pub fn open_connections(&self) -> usize {
        self.http.open_connections() + self.https.open_connections()
    }

    /// Closes all connections, also busy ones, and returns when they are closed.
    pub async fn close_connections(&self) {
        self.http.close_connections().await;
        self.https.close_connections().await;
    }
}

/// What the HTTP server and the HTTPS server share.
#[derive(Debug)]
struct Service {
    verifier: Verifier,
    users: Users,
    flow: FlowOutcome,
    keep_denied: bool,
    quota: Option<u32>,
    state: Mutex<ChimeState>,
}

/// The validated caller, and the channel of the call.
struct CallContext<'a> {
    bearer: &'a str,
    channel_arn: &'a str,
    sub_channel_id: Option<&'a str>,
    operation: ApiOperation,
}

impl CallContext<'_> {
    /// A message of the channel, if there is one with this id.
    fn message<'s>(
        &self,
        state: &'s mut ChimeState,
        message_id: &str,
        now: Instant,
    ) -> Result<Option<&'s mut StoredMessage>, ServiceError> {
        if !is_id(message_id) {
            let message = format!("MessageId {message_id} is not valid");
            return Err(ServiceError::bad_request(message));
        }
        let stored = state.message(self.channel_arn, message_id, now);
        Ok(stored.filter(|stored| stored.message.sub_channel_id.as_deref() == self.sub_channel_id))
    }

    /// A message that the caller has sent.
    fn own_message<'s>(
        &self,
        state: &'s mut ChimeState,
        message_id: &str,
        now: Instant,
    ) -> Result<&'s mut StoredMessage, ServiceError> {
        let stored = self
            .message(state, message_id, now)?
            .ok_or_else(|| ServiceError::not_found(message_id, self.channel_arn))?;
        if stored.message.sender == self.bearer {
            Ok(stored)
        } else {
            let action = self.operation.action();
            Err(ServiceError::forbidden(
                self.bearer,
                &action,
                self.channel_arn,
            ))
        }
    }

    /// The members that identify a message in responses.
    fn message_json(&self, message_id: &str) -> Value {
        let mut response = json!({ "ChannelArn": self.channel_arn, "MessageId": message_id });
        if let Some(id) = self.sub_channel_id {
            response["SubChannelId"] = id.into();
        }
        response
    }
}

impl Service {
    fn new(options: &Options) -> Service {
        Service {
            verifier: Verifier {
                credentials: options.credentials.clone(),
                region: options.region.clone(),
                service: "chime".into(),
            },
            users: options.users.clone(),
            flow: options.flow.clone(),
            keep_denied: options.keep_denied,
            quota: options.quota,
            state: Mutex::default(),
        }
    }

    /// Ignores poisoning: a test that panicked has failed already, and others can continue.
    fn state(&self) -> MutexGuard<'_, ChimeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + time::Duration::seconds(self.state().seconds_ahead)
    }

    fn set_websockets_down(&self, down: bool) {
        let mut state = self.state();
        state.sessions.down = down;
        if down {
            state.sessions.cut();
        }
    }

    fn decide(&self, message_id: &str, status: &str, detail: Option<&str>) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let Some(channel) = state.channel_of(message_id) else {
            return false;
        };
        let decided = state
            .message(&channel, message_id, now)
            .is_some_and(|stored| stored.decide(status, detail.map(String::from), now));
        // Sends the event of the decision.
        state.message(&channel, message_id, now);
        decided
    }

    async fn serve(self: Arc<Self>, request: HttpRequest, secure: bool) -> ObservedReply {
        let request_id = request_id();
        let origin = request.header("origin").map(String::from);
        let finish = |response: HttpResponse| {
            let response = cors::allow(origin.as_deref(), response);
            complete(response, &request_id, self.now())
        };
        let is_warm_up = request.target == "/" && request.header("authorization").is_none();
        if is_warm_up && (request.method == "GET" || request.method == "HEAD") {
            self.state().warm_ups += 1;
            return finish(ServiceError::unknown_operation().response()).into();
        }
        if request.method == "GET" && request.path() == "/connect" {
            return session::connect(&self, &request);
        }
        let unrecorded = cors::preflight(&request).or_else(|| control::respond(&self, &request));
        if let Some(response) = unrecorded {
            return finish(response).into();
        }
        let target = RequestTarget::read(&request);
        let mut in_flight = InFlight::record(&self, &request, &target, secure, &request_id);
        let reply = match self.reject_early(&request, &target) {
            Some(service_error) => WireReply::Respond(service_error.response()),
            None => {
                let fault = self.fault(&target);
                let (delay, fault) = fault.delay();
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                fault.reply(|| {
                    let response = self.operate(&request, &target);
                    response.unwrap_or_else(|service_error| service_error.response())
                })
            }
        };
        let reply = reply.map_response(&finish);
        in_flight.status = reply.status();
        ObservedReply {
            reply,
            observer: Some(Box::new(in_flight)),
            upgrade: None,
        }
    }

    /// Rejections before the operation and before any fault: unknown operation, signature, quota.
    fn reject_early(&self, request: &HttpRequest, target: &RequestTarget) -> Option<ServiceError> {
        if target.operation == ApiOperation::Unknown {
            return Some(ServiceError::unknown_operation());
        }
        if let Err(error) = self.verifier.verify(request, self.now().into()) {
            return Some(error.into());
        }
        let bearer = request.header("x-amz-chime-bearer")?;
        let over = self
            .state()
            .over_quota(bearer, request.at, self.quota.unwrap_or(u32::MAX));
        over.then(|| ServiceError::throttled(bearer))
    }

    fn fault(&self, target: &RequestTarget) -> Fault {
        match (target.operation, &target.message_id) {
            (
                ApiOperation::GetChannelMessageStatus | ApiOperation::GetChannelMessage,
                Some(message_id),
            ) => self.state().next_fault(message_id),
            _ => Fault::Pass,
        }
    }

    /// The response of a working service.
    fn operate(
        self: &Arc<Self>,
        request: &HttpRequest,
        target: &RequestTarget,
    ) -> Result<HttpResponse, ServiceError> {
        if target.operation == ApiOperation::GetMessagingSessionEndpoint {
            // The WebSocket is on the port of the request.
            let url = request.header("host");
            return Ok(json_response(200, &json!({ "Endpoint": { "Url": url } })));
        }

        // 1. The caller is a known user.
        let mut bearers = request.headers("x-amz-chime-bearer");
        let bearer = match (bearers.next(), bearers.next()) {
            (Some(bearer), None) if bearer.starts_with("arn:") => bearer,
            _ => {
                return Err(ServiceError::bad_request(
                    "ChimeBearer is missing or malformed",
                ));
            }
        };
        let user = Arn::parse(bearer)
            .filter(|arn| arn.kind != Kind::Channel && self.users.contains(bearer))
            .ok_or_else(|| ServiceError::unauthorized_client(bearer))?;

        // 2. The channel is in the caller's app instance.
        let channel_arn = target.channel_arn.as_deref().unwrap_or_default();
        let channel = Arn::parse(channel_arn)
            .filter(|arn| arn.kind == Kind::Channel)
            .ok_or_else(|| {
                ServiceError::bad_request(format!("ChannelArn {channel_arn} is not valid"))
            })?;
        if channel.app_instance != user.app_instance {
            let action = target.operation.action();
            return Err(ServiceError::forbidden(bearer, &action, channel_arn));
        }
        let sub_channel_id = target.sub_channel_id.as_deref();
        if let Some(id) = sub_channel_id.filter(|id| !is_id(id)) {
            let message = format!("SubChannelId {id} is not valid");
            return Err(ServiceError::bad_request(message));
        }

        // 3. The checks of the operation itself.
        let caller = CallContext {
            bearer,
            channel_arn,
            sub_channel_id,
            operation: target.operation,
        };
        let message_id = target.message_id.as_deref().unwrap_or_default();
        match target.operation {
            ApiOperation::GetChannelMessageStatus => self.status(&caller, message_id),
            ApiOperation::SendChannelMessage => self.send(&caller, &request.body),
            ApiOperation::GetChannelMessage => self.get(&caller, message_id),
            ApiOperation::ListChannelMessages => self.list(&caller, request),
            ApiOperation::UpdateChannelMessage => self.update(&caller, message_id, &request.body),
            ApiOperation::RedactChannelMessage => self.redact(&caller, message_id),
            ApiOperation::DeleteChannelMessage => self.delete(&caller, message_id),
            ApiOperation::GetMessagingSessionEndpoint | ApiOperation::Unknown => {
                Err(ServiceError::unknown_operation())
            }
        }
    }
}

fn json_response(status: u16, body: &Value) -> HttpResponse {
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
fn request_id() -> String {
    let random = fastrand::u128(..);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        random >> 96,
        (random >> 80) & 0xffff,
        (random >> 64) & 0xfff,
        ((random >> 48) & 0x3fff) | 0x8000,
        random & 0xffff_ffff_ffff
    )
}
