//! The Chime SDK messaging API, as far as sending messages and asking for their status goes.
//!
//! [`FakeChime`] answers over HTTP and, on another port, over HTTPS. It checks what Chime checks, in
//! the order of the numbered steps in `Service::operate`, and keeps a record of every call.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::arn::{Arn, Kind, is_id};
use crate::fault::Fault;
use crate::flow::{FlowOutcome, Message};
use crate::http::{
    HttpRequest, HttpResponse, ObservedReply, ReplyObserver, Server, ServerOptions, WireReply,
};
use crate::service_error::ServiceError;
use crate::sigv4::{Credentials, Verifier, decode};
use crate::tls::Authority;

/// How a fake Chime is set up. The default is what most tests want: free ports on loopback, one
/// pair of credentials, and every well-formed user known.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen for HTTP; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where to listen for HTTPS; port 0 takes a free one.
    pub https: SocketAddr,
    /// The credentials that requests have to be signed with.
    pub credentials: Credentials,
    /// The region that signatures have to be scoped to.
    pub region: String,
    /// Who is known.
    pub users: Users,
    /// What becomes of a sent message whose `Metadata` does not choose.
    pub flow: FlowOutcome,
    /// Whether a message that its flow has denied can still be asked about. Chime does not keep them.
    pub keep_denied: bool,
    /// How long a connection may be idle before the server closes it.
    pub keep_alive: Duration,
    /// How many calls a user may make in a second, sending and asking together; more are throttled.
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

/// Which ARNs of users and bots are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// These and no others.
    Only(Vec<String>),
    /// Every well-formed one, but not these.
    AllBut(Vec<String>),
}

impl Users {
    fn know(&self, arn: &str) -> bool {
        match self {
            Users::Only(known) => known.iter().any(|user| user == arn),
            Users::AllBut(unknown) => unknown.iter().all(|user| user != arn),
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiOperation {
    /// `GET /channels/{arn}/messages/{id}?scope=message-status`
    GetChannelMessageStatus,
    /// `POST /channels/{arn}/messages`
    SendChannelMessage,
    /// Anything else.
    Unknown,
}

/// One call, as it is on record. Calls are recorded whether they are refused or not.
#[derive(Clone, Debug)]
pub struct ChimeRequest {
    /// What was asked for.
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
    /// The message in the path, decoded; that of a sent message is in the answer only.
    pub message_id: Option<String>,
    /// The sub-channel in the query or the body, decoded.
    pub sub_channel_id: Option<String>,
    /// Whether it came over TLS.
    pub secure: bool,
    /// The connection it came on; the number is the process's.
    pub connection: u64,
    /// When the head of the request had arrived.
    pub started: Instant,
    /// When the last bytes of the reply went out. None: it is in flight, or the client left first.
    pub finished: Option<Instant>,
    /// How many calls were in flight when it arrived, itself included.
    pub in_flight: usize,
    /// The status that was answered. None: none yet, or no head was ever sent in full.
    pub status: Option<u16>,
    /// The answer's `x-amzn-RequestId`.
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

/// A running fake Chime for Chime. Dropping it closes its ports and connections.
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
    /// When a port is taken, with a text that names the address; or no certificate can be made.
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

    /// Puts a message in place, or another one in its place. Its time begins now.
    pub fn put(&self, message: Message) {
        self.service.state().put(message, Instant::now());
    }

    /// The statuses' faults, one for each GetChannelMessageStatus in order of arrival; replaces
    /// what is left of an earlier script.
    pub fn script(&self, faults: Vec<Fault>) {
        self.service.state().script = faults.into();
    }

    /// The fault of every GetChannelMessageStatus for which there is nothing else.
    pub fn always(&self, fault: Option<Fault>) {
        self.service.state().always = fault;
    }

    /// The faults of this message's GetChannelMessageStatus calls, one for each; they come before a
    /// script's, and leave that as it is. An empty list takes away what was there.
    pub fn fault_for(&self, message_id: &str, faults: Vec<Fault>) {
        let faults = faults.into();
        let by_message = &mut self.service.state().by_message;
        by_message.insert(message_id.into(), faults);
    }

    /// Turns its clock to so many seconds ahead of the machine's, or with a minus behind it.
    pub fn turn_clock(&self, seconds_ahead: i64) {
        self.service.state().seconds_ahead = seconds_ahead;
    }

    /// All calls on record, in order of arrival. Warm-ups are none.
    pub fn calls(&self) -> Vec<ChimeRequest> {
        self.service.state().calls.values().cloned().collect()
    }

    /// The calls of one operation, in order of arrival.
    pub fn calls_of(&self, operation: ApiOperation) -> Vec<ChimeRequest> {
        let mut calls = self.calls();
        calls.retain(|call| call.operation == operation);
        calls
    }

    /// Begins the record anew, that of warm-ups too. Calls in flight still count as such.
    pub fn forget_calls(&self) {
        let mut state = self.service.state();
        state.calls.clear();
        state.warm_ups = 0;
    }

    /// How many times somebody opened a connection with an unsigned `GET /`.
    pub fn warm_ups(&self) -> usize {
        self.service.state().warm_ups
    }

    /// How many connections are open, over both ports.
    pub fn open_connections(&self) -> usize {
        self.http.open_connections() + self.https.open_connections()
    }

    /// Closes all connections, whatever they are at, and returns when they are closed.
    pub async fn close_connections(&self) {
        self.http.close_connections().await;
        self.https.close_connections().await;
    }
}

/// What both servers share.
#[derive(Debug)]
struct Service {
    verifier: Verifier,
    users: Users,
    flow: FlowOutcome,
    keep_denied: bool,
    quota: Option<u32>,
    state: Mutex<ChimeState>,
}

#[derive(Debug, Default)]
struct ChimeState {
    messages: HashMap<(String, String), StoredMessage>,
    /// Messages by sender, channel and request token, with what was sent under it.
    tokens: HashMap<(String, String, String), (Value, String)>,
    script: VecDeque<Fault>,
    always: Option<Fault>,
    by_message: HashMap<String, VecDeque<Fault>>,
    seconds_ahead: i64,
    calls: BTreeMap<u64, ChimeRequest>,
    next_call: u64,
    in_flight: usize,
    warm_ups: usize,
    /// When each user's calls of the last second came.
    recent: HashMap<String, VecDeque<Instant>>,
}

#[derive(Debug)]
struct StoredMessage {
    message: Message,
    since: Instant,
}

impl ChimeState {
    fn put(&mut self, message: Message, since: Instant) {
        let key = (message.channel_arn.clone(), message.message_id.clone());
        self.messages.insert(key, StoredMessage { message, since });
    }

    fn next_fault(&mut self, message_id: &str) -> Fault {
        let own = self.by_message.get_mut(message_id);
        own.and_then(VecDeque::pop_front)
            .or_else(|| self.script.pop_front())
            .or_else(|| self.always.clone())
            .unwrap_or(Fault::Pass)
    }

    /// Whether this call is one too many of this user's within a second. Such a call does not count
    /// against the next ones.
    fn over_quota(&mut self, bearer: &str, at: Instant, quota: u32) -> bool {
        let recent = self.recent.entry(bearer.into()).or_default();
        while recent
            .front()
            .is_some_and(|then| at.saturating_duration_since(*then) >= Duration::from_secs(1))
        {
            recent.pop_front();
        }
        if recent.len() >= quota as usize {
            return true;
        }
        recent.push_back(at);
        false
    }
}

/// A call from its arrival until its reply went out or its client left.
struct InFlight {
    service: Arc<Service>,
    call: u64,
    status: Option<u16>,
}

impl ReplyObserver for InFlight {
    fn finishing(&mut self, at: Instant) {
        // It may have been forgotten meanwhile.
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

/// A request as far as its target tells.
struct RequestTarget {
    operation: ApiOperation,
    channel_arn: Option<String>,
    message_id: Option<String>,
    sub_channel_id: Option<String>,
}

impl RequestTarget {
    fn read(request: &HttpRequest) -> RequestTarget {
        let text = |part: &str| String::from_utf8_lossy(&decode(part)).into_owned();
        let query: Vec<(String, String)> = request
            .query()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let parameter = |name: &str| {
            let mut pairs = query.iter();
            pairs.find(|(n, _)| n == name).map(|(_, v)| v.clone())
        };
        let segments: Vec<&str> = request.path().split('/').collect();
        let scope = parameter("scope");
        match (request.method.as_str(), &segments[..], scope.as_deref()) {
            ("GET", ["", "channels", channel, "messages", message], Some("message-status")) => {
                RequestTarget {
                    operation: ApiOperation::GetChannelMessageStatus,
                    channel_arn: Some(text(channel)),
                    message_id: Some(text(message)),
                    sub_channel_id: parameter("sub-channel-id"),
                }
            }
            ("POST", ["", "channels", channel, "messages"], None) => RequestTarget {
                operation: ApiOperation::SendChannelMessage,
                channel_arn: Some(text(channel)),
                message_id: None,
                sub_channel_id: serde_json::from_slice::<Value>(&request.body)
                    .ok()
                    .and_then(|body| Some(body.get("SubChannelId")?.as_str()?.to_owned())),
            },
            _ => RequestTarget {
                operation: ApiOperation::Unknown,
                channel_arn: None,
                message_id: None,
                sub_channel_id: None,
            },
        }
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

    /// A test that failed while it held the lock has said so; the others may go on.
    fn state(&self) -> MutexGuard<'_, ChimeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + time::Duration::seconds(self.state().seconds_ahead)
    }

    async fn serve(self: Arc<Self>, request: HttpRequest, secure: bool) -> ObservedReply {
        let request_id = request_id();
        let opens = request.target == "/" && request.header("authorization").is_none();
        if opens && (request.method == "GET" || request.method == "HEAD") {
            self.state().warm_ups += 1;
            let answer = ServiceError::unknown_operation().answer();
            return complete(answer, &request_id, self.now()).into();
        }
        let asked = RequestTarget::read(&request);
        let mut in_flight = self.record(&request, &asked, secure, &request_id);
        let reply = match self.refuse_early(&request, &asked) {
            Some(service_error) => WireReply::Respond(service_error.answer()),
            None => {
                let fault = self.fault(&asked);
                let (delay, fault) = fault.delay();
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                fault.reply(|| {
                    let answered = self.operate(&request, &asked);
                    answered.unwrap_or_else(|service_error| service_error.answer())
                })
            }
        };
        let reply = reply.map_answer(&|answer| complete(answer, &request_id, self.now()));
        in_flight.status = reply.status();
        ObservedReply {
            reply,
            observer: Some(Box::new(in_flight)),
        }
    }

    fn record(
        self: &Arc<Self>,
        request: &HttpRequest,
        asked: &RequestTarget,
        secure: bool,
        request_id: &str,
    ) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        let call = ChimeRequest {
            operation: asked.operation,
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            bearer: request.header("x-amz-chime-bearer").map(String::from),
            channel_arn: asked.channel_arn.clone(),
            message_id: asked.message_id.clone(),
            sub_channel_id: asked.sub_channel_id.clone(),
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
            service: Arc::clone(self),
            call: number,
            status: None,
        }
    }

    /// What AWS refuses before the service itself has a look, and what no fault can hide.
    fn refuse_early(&self, request: &HttpRequest, asked: &RequestTarget) -> Option<ServiceError> {
        if asked.operation == ApiOperation::Unknown {
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

    fn fault(&self, asked: &RequestTarget) -> Fault {
        match (asked.operation, &asked.message_id) {
            (ApiOperation::GetChannelMessageStatus, Some(message_id)) => {
                self.state().next_fault(message_id)
            }
            _ => Fault::Pass,
        }
    }

    /// The answer of a service that works.
    fn operate(
        &self,
        request: &HttpRequest,
        asked: &RequestTarget,
    ) -> Result<HttpResponse, ServiceError> {
        // 1. Who asks?
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
            .filter(|arn| arn.kind != Kind::Channel && self.users.know(bearer))
            .ok_or_else(|| ServiceError::unauthorized_client(bearer))?;

        // 2. About a channel of the same app instance?
        let channel_arn = asked.channel_arn.as_deref().unwrap_or_default();
        let channel = Arn::parse(channel_arn)
            .filter(|arn| arn.kind == Kind::Channel)
            .ok_or_else(|| {
                ServiceError::bad_request(format!("ChannelArn {channel_arn} is not valid"))
            })?;
        if channel.app_instance != user.app_instance {
            let action = match asked.operation {
                ApiOperation::SendChannelMessage => "chime:SendChannelMessage",
                _ => "chime:GetChannelMessageStatus",
            };
            return Err(ServiceError::forbidden(bearer, action, channel_arn));
        }
        let sub_channel_id = asked.sub_channel_id.as_deref();
        if let Some(id) = sub_channel_id.filter(|id| !is_id(id)) {
            let message = format!("SubChannelId {id} is not valid");
            return Err(ServiceError::bad_request(message));
        }

        // 3. The operation's own questions.
        match asked.operation {
            ApiOperation::GetChannelMessageStatus => {
                let message_id = asked.message_id.as_deref().unwrap_or_default();
                self.status(bearer, channel_arn, sub_channel_id, message_id)
            }
            ApiOperation::SendChannelMessage => {
                self.send(bearer, channel_arn, sub_channel_id, &request.body)
            }
            ApiOperation::Unknown => Err(ServiceError::unknown_operation()),
        }
    }

    fn status(
        &self,
        bearer: &str,
        channel_arn: &str,
        sub_channel_id: Option<&str>,
        message_id: &str,
    ) -> Result<HttpResponse, ServiceError> {
        if !is_id(message_id) {
            let message = format!("MessageId {message_id} is not valid");
            return Err(ServiceError::bad_request(message));
        }
        let not_found = || ServiceError::not_found(message_id, channel_arn);
        let state = self.state();
        let key = (channel_arn.to_owned(), message_id.to_owned());
        let StoredMessage { message, since } = state
            .messages
            .get(&key)
            .filter(|stored| stored.message.sub_channel_id.as_deref() == sub_channel_id)
            .ok_or_else(not_found)?;
        if message.sender != bearer {
            let action = "chime:GetChannelMessageStatus";
            return Err(ServiceError::forbidden(bearer, action, channel_arn));
        }
        if let FlowOutcome::Refused(service_error) = &message.outcome {
            return Err(service_error.clone());
        }
        let status = message.outcome.at(*since, Instant::now());
        if status.value == "DENIED" && status.by_flow && !self.keep_denied {
            return Err(not_found());
        }
        let mut members = json!({ "Value": status.value });
        if let Some(detail) = status.detail {
            members["Detail"] = detail.into();
        }
        Ok(json_answer(200, &json!({ "Status": members })))
    }

    fn send(
        &self,
        bearer: &str,
        channel_arn: &str,
        sub_channel_id: Option<&str>,
        body: &[u8],
    ) -> Result<HttpResponse, ServiceError> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|_| ServiceError::bad_request("The request body is not JSON"))?;
        let token = check_message(&body)?;
        let chosen = body
            .get("Metadata")
            .and_then(Value::as_str)
            .map_or(Ok(None), FlowOutcome::from_metadata)
            .map_err(|text| ServiceError::bad_request(format!("Metadata: {text}")))?;
        let outcome = chosen.unwrap_or_else(|| self.flow.clone());

        let now = Instant::now();
        let mut state = self.state();
        let token = (bearer.into(), channel_arn.into(), token.to_owned());
        let message_id = match state.tokens.get(&token) {
            Some((sent, _)) if *sent != body => return Err(ServiceError::conflict()),
            Some((_, message_id)) => message_id.clone(),
            None => {
                let message_id = new_message_id();
                let message = Message {
                    channel_arn: channel_arn.into(),
                    sub_channel_id: sub_channel_id.map(String::from),
                    message_id: message_id.clone(),
                    sender: bearer.into(),
                    outcome: outcome.clone(),
                };
                state.put(message, now);
                state.tokens.insert(token, (body, message_id.clone()));
                message_id
            }
        };
        let status = outcome.at(now, now);
        let mut answer = json!({
            "ChannelArn": channel_arn,
            "MessageId": message_id,
            "Status": { "Value": status.value },
        });
        if let Some(id) = sub_channel_id {
            answer["SubChannelId"] = id.into();
        }
        Ok(json_answer(201, &answer))
    }
}

/// Checks the members of a SendChannelMessage that are required, and returns its request token.
fn check_message(body: &Value) -> Result<&str, ServiceError> {
    let member = |name: &str| {
        let text = body.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| ServiceError::bad_request(format!("{name} is missing or malformed")))
    };
    member("Content")?;
    for (name, values) in [
        ("Type", ["STANDARD", "CONTROL"]),
        ("Persistence", ["PERSISTENT", "NON_PERSISTENT"]),
    ] {
        if !values.contains(&member(name)?) {
            let message = format!("{name} is none of {}", values.join(", "));
            return Err(ServiceError::bad_request(message));
        }
    }
    member("ClientRequestToken")
}

fn json_answer(status: u16, body: &Value) -> HttpResponse {
    HttpResponse::new(status, "application/json", body.to_string())
}

/// Adds what every answer of AWS's bears. SDKs set their clock by the date.
fn complete(answer: HttpResponse, request_id: &str, now: OffsetDateTime) -> HttpResponse {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = now.format(format).unwrap_or_default();
    answer
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

/// As long as Chime's are.
fn new_message_id() -> String {
    format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..))
}
