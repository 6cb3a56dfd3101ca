//! WebSocket sessions.
//!
//! In the fake, every user of an app instance is a member of all its channels.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::Service;
use super::event;
use crate::arn::{Arn, Kind};
use crate::http::{HttpRequest, HttpResponse, ObservedReply, Upgraded, WireReply};
use crate::sigv4::query_parameters;

/// The close code for connections that Chime does not authorize.
const UNAUTHORIZED: u16 = 4401;
/// How many `CHANNEL_DETAILS` a connection gets at most.
const PREFETCHED_CHANNELS: usize = 50;
/// How long a client has to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The open sessions, and what tests have planned for the next ones.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    next: u64,
    open: BTreeMap<u64, Session>,
    /// Close codes for the next connections, which do not get a session.
    pub(super) refusals: VecDeque<u16>,
    /// Whether connections are refused.
    pub(super) down: bool,
}

#[derive(Debug)]
struct Session {
    user: String,
    frames: UnboundedSender<String>,
}

impl Sessions {
    /// Opens a session that begins with these frames.
    fn join(&mut self, user: String, first: Vec<String>) -> (u64, UnboundedReceiver<String>) {
        let (frames, outbox) = unbounded_channel();
        let session = Session { user, frames };
        for frame in first {
            session.send_frame(&frame);
        }
        let id = self.next;
        self.next += 1;
        self.open.insert(id, session);
        (id, outbox)
    }

    pub(super) fn send_to_members(&self, channel_arn: &str, frame: &str) {
        let app_instance = |arn: &str| Arn::parse(arn).map(|arn| arn.app_instance.to_owned());
        let ours = app_instance(channel_arn);
        for session in self.open.values() {
            if app_instance(&session.user) == ours {
                session.send_frame(frame);
            }
        }
    }

    pub(super) fn send_to_user(&self, user: &str, frame: &str) {
        for session in self.open.values() {
            if session.user == user {
                session.send_frame(frame);
            }
        }
    }

    /// Ends all sessions without a close frame.
    pub(super) fn cut(&mut self) {
        self.open.clear();
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }
}

impl Session {
    fn send_frame(&self, frame: &str) {
        // A client that has just left does not need it.
        let _ = self.frames.send(frame.to_owned());
    }
}

/// Responds to `GET /connect`.
pub(super) fn connect(service: &Arc<Service>, request: &HttpRequest) -> ObservedReply {
    let Some(key) = request.header("sec-websocket-key") else {
        return HttpResponse::new(400, "text/plain", "This is a WebSocket endpoint.").into();
    };
    if service.state().sessions.down {
        return WireReply::Close.into();
    }
    let switching = HttpResponse::new(101, "", "")
        .with("connection", "Upgrade")
        .with("upgrade", "websocket")
        .with("sec-websocket-accept", &derive_accept_key(key.as_bytes()));
    let mut reply = ObservedReply::from(switching);
    let opened = open_session(service, request);
    let service = Arc::clone(service);
    reply.upgrade = Some(Box::new(move |upgraded| {
        Box::pin(async move {
            match opened {
                Ok((id, outbox)) => {
                    let _open = OpenSession { service, id };
                    send_frames(upgraded, outbox).await;
                }
                Err(code) => close(upgraded, code).await,
            }
        })
    }));
    reply
}

/// Opens a session; otherwise returns the code to close the connection with.
fn open_session(
    service: &Arc<Service>,
    request: &HttpRequest,
) -> Result<(u64, UnboundedReceiver<String>), u16> {
    let parameters = query_parameters(request.query());
    let parameter = |name: &str| {
        let mut pairs = parameters.iter();
        pairs.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    };
    let signed = service.verifier.verify_url(request, service.now().into());
    let user = parameter("userArn").unwrap_or_default();
    let known = Arn::parse(user).is_some_and(|arn| arn.kind == Kind::User)
        && service.users.contains(user)
        && parameter("sessionId").is_some_and(|id| !id.is_empty());
    let mut state = service.state();
    if let Some(code) = state.sessions.refusals.pop_front() {
        return Err(code);
    }
    if signed.is_err() || !known {
        return Err(UNAUTHORIZED);
    }
    let mut first = vec![event::session_established()];
    if parameter("prefetch-on") == Some("connect") {
        let now = Instant::now();
        let mut channels: Vec<_> = state.listed_for(user, now).into_iter().collect();
        channels.retain(|(channel, _)| same_app_instance(channel, user));
        channels.sort_by_key(|(_, messages)| messages.last().map(|last| last.number));
        let latest = channels.iter().rev().take(PREFETCHED_CHANNELS);
        first.extend(latest.map(|(arn, messages)| event::channel_details(arn, messages, now)));
    }
    Ok(state.sessions.join(user.to_owned(), first))
}

fn same_app_instance(one: &str, other: &str) -> bool {
    let app_instance = |arn| Arn::parse(arn).map(|arn: Arn<'_>| arn.app_instance);
    app_instance(one) == app_instance(other)
}

/// Ends a session when its connection ends, for any reason.
struct OpenSession {
    service: Arc<Service>,
    id: u64,
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.service.state().sessions.open.remove(&self.id);
    }
}

async fn websocket(upgraded: Upgraded) -> WebSocketStream<Box<dyn crate::http::Duplex>> {
    let Upgraded { stream, unread } = upgraded;
    WebSocketStream::from_partially_read(stream, unread, Role::Server, None).await
}

/// Sends frames until the client leaves or the session is cut.
async fn send_frames(upgraded: Upgraded, mut outbox: UnboundedReceiver<String>) {
    let mut socket = websocket(upgraded).await;
    loop {
        tokio::select! {
            frame = outbox.recv() => {
                let Some(frame) = frame else { return };
                if socket.send(Message::text(frame)).await.is_err() {
                    return;
                }
            }
            // Clients send nothing, but reading also responds to pings and the close frame.
            read = socket.next() => if !matches!(read, Some(Ok(_))) {
                return;
            },
        }
    }
}

/// Closes a connection with this code before it has a session.
async fn close(upgraded: Upgraded, code: u16) {
    let mut socket = websocket(upgraded).await;
    let frame = CloseFrame {
        code: code.into(),
        reason: "".into(),
    };
    if socket.close(Some(frame)).await.is_ok() {
        let ended = async { while let Some(Ok(_)) = socket.next().await {} };
        let _ = timeout(CLOSE_TIMEOUT, ended).await;
    }
}
