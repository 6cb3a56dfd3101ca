//! Fake of the Chime SDK messaging API: messages and their statuses.
//!
//! [`FakeChime`] responds over HTTP and, on another port, over HTTPS; the WebSocket is on both. It
//! checks what Chime checks, in the order of the numbered steps in `Service::operate`, and keeps a
//! record of every call.
//!
//! | module | contents |
//! |---|---|
//! | `service` | a request's way: record, signature, fault, checks, response |
//! | `call` | the operations, which of them a request calls, and the record of calls |
//! | `operations` | one function for each operation |
//! | `message` | a stored message and the channel flow that processes it |
//! | `state` | everything that changes, behind one lock, and the events of changes |
//! | `session` | the WebSocket |
//! | `control` | requests of tests: cut WebSockets, decide about a message |
//! | `cors` | access for browsers |
//!
//! AWS does not document these behaviors. The fake follows the names in the API:
//! - Lists and `CHANNEL_DETAILS` show a sender their own messages that are `PENDING` or `FAILED`.
//! - The events of an update have the time of the update as `LastUpdatedTimestamp`.
//! - After a refused update, the status is that of the update.
//!
//! The session of amazon-chime-sdk-js connects to `wss`. `tests/interop/plain-websocket.mjs` is a
//! WebSocketAdapter for the plain port.

mod call;
mod control;
mod cors;
mod message;
mod operations;
mod service;
mod session;
mod state;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::fault::{Blip, Fault};
use crate::flow::Message;
use crate::http::{End, NewConnections, Server, ServerOptions};
use crate::tls::Authority;

use service::{Service, request_id};

pub use crate::sigv4::Credentials;
pub use call::{ApiOperation, ChimeRequest};

const FREE_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Settings of a fake Chime. The defaults suit most tests: free ports on loopback, one pair of
/// credentials, and every well-formed user is known.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address for HTTP; port 0 takes a free one.
    pub http: SocketAddr,
    /// Credentials that requests must be signed with.
    pub credentials: Credentials,
    /// Region that signatures must be scoped to.
    pub region: String,
    /// Known users.
    pub users: Users,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            http: FREE_PORT,
            credentials: Credentials {
                access_key_id: "AKIDFAKECHIME".into(),
                secret_access_key: "fake-secret".into(),
                session_token: None,
            },
            region: "us-east-1".into(),
            users: Users::AllBut(Vec::new()),
            keep_alive: Duration::from_secs(60),
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
        let service = Service::new(&options);
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
        let https = serve(FREE_PORT, Some(authority.server_config())).await?;
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

    /// Adds or replaces a message. Its time starts now. It was not sent through the API, so it causes
    /// no event.
    pub fn put_message(&self, message: Message) {
        self.service.put(message);
    }

    /// Faults for the next reads of messages, one each, in order of arrival. A read is a call of
    /// GetChannelMessageStatus or GetChannelMessage. Replaces the rest of an earlier script.
    pub fn script(&self, faults: Vec<Fault>) {
        self.service.state().faults.script = faults.into();
    }

    /// Fault of each read of a message without a scripted one.
    pub fn always(&self, fault: Option<Fault>) {
        self.service.state().faults.always = fault;
    }

    /// Fault of all reads for this long from the next read on, such as a blip of 503.
    pub fn blip(&self, fault: Fault, length: Duration) {
        let began = None;
        self.service.state().faults.blip = Some(Blip {
            fault,
            length,
            began,
        });
    }

    /// Faults for the next reads of this message, one each. They precede the script's and do not use it
    /// up. An empty list removes earlier ones.
    pub fn fault_for(&self, message_id: &str, faults: Vec<Fault>) {
        let by_message = &mut self.service.state().faults.by_message;
        by_message.insert(message_id.into(), faults.into());
    }

    /// Fault of each read of this message.
    pub fn always_for(&self, message_id: &str, fault: Option<Fault>) {
        let always_for = &mut self.service.state().faults.always_for;
        always_for.insert(message_id.into(), fault);
    }

    /// Sets its clock this many seconds ahead of the machine's; negative values are behind it.
    pub fn turn_clock(&self, seconds_ahead: i64) {
        self.service.state().seconds_ahead = seconds_ahead;
    }

    /// All recorded calls, in order of arrival, without warm-ups.
    pub fn calls(&self) -> Vec<ChimeRequest> {
        self.service.state().calls.clone()
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
        let (lifetime, now) = (Duration::from_secs(10), self.service.now().into());
        let verifier = &self.service.verifier;
        let target = verifier.signed_url(&host, "/connect", &parameters, lifetime, now);
        format!("ws://{host}{target}")
    }

    /// How many WebSockets have a session.
    pub fn open_websockets(&self) -> usize {
        self.service.state().sessions.count()
    }

    /// Performs an action of the table in `control`; returns whether it had an effect.
    pub fn control(&self, action: &str, body: &Value) -> bool {
        control::perform(&self.service, action, body).is_some()
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

    /// Ends all connections without a request in flight, as those in a client's pool, and returns when
    /// they have ended. With [`End::Silence`] they stay open, and requests on them are lost.
    pub async fn end_idle_connections(&self, end: End) {
        self.http.end_idle_connections(end).await;
        self.https.end_idle_connections(end).await;
    }

    /// Treats connections in another way from now on, at both ports. Those that are open do not change.
    ///
    /// # Panics
    /// If another process has taken a port while connections to it were refused.
    pub async fn treat_new_connections(&self, treatment: NewConnections) {
        for server in [&self.http, &self.https] {
            let treated = server.treat_new_connections(treatment).await;
            treated.expect("the port is still ours");
        }
    }
}
