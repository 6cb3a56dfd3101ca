//! WebSocket sessions.
//!
//! In the fake, every user of an app instance is a member of all its channels.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use indexmap::IndexSet;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::service::Service;
use crate::arn::Arn;
use crate::http::{End, HttpRequest, HttpResponse, Reply, Stream, TakeOver, Then};

/// The close code for connections that Chime does not authorize.
const UNAUTHORIZED: u16 = 4401;
/// How many `CHANNEL_DETAILS` a connection gets at most.
const PREFETCHED_CHANNELS: usize = 50;
/// How long a client has to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Events that a session can miss before it lags behind.
const BACKLOG: usize = 1024;

/// What the sessions receive, and what tests have planned for the next ones.
#[derive(Debug)]
pub(super) struct Sessions {
    events: broadcast::Sender<Event>,
    /// Close codes for the next connections, which do not get a session.
    pub(super) refusals: VecDeque<u16>,
    /// Whether connections are refused.
    pub(super) down: bool,
}

#[derive(Clone, Debug)]
struct Event {
    /// The ARN of a user; or of a channel, whose members are all users of its app instance.
    audience: String,
    frame: String,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions {
            events: broadcast::Sender::new(BACKLOG),
            refusals: VecDeque::new(),
            down: false,
        }
    }
}

impl Sessions {
    /// Sends a frame to a user, or to all members of a channel.
    pub(super) fn send(&self, audience: &str, frame: String) {
        let audience = audience.to_owned();
        // An error means that the number of sessions is zero.
        let _ = self.events.send(Event { audience, frame });
    }

    /// Ends all sessions without a close frame: those of a sender that is dropped.
    pub(super) fn cut(&mut self) {
        self.events = broadcast::Sender::new(BACKLOG);
    }

    pub(super) fn count(&self) -> usize {
        self.events.receiver_count()
    }
}

impl Event {
    fn is_for(&self, user: &str) -> bool {
        let is_channel = Arn::parse(&self.audience).is_some_and(|arn| arn.kind == "channel");
        self.audience == user || is_channel && same_app_instance(&self.audience, user)
    }
}

/// Responds to `GET /connect`.
pub(super) fn connect(service: &Service, request: &HttpRequest) -> Reply {
    let Some(key) = request.header("sec-websocket-key") else {
        return HttpResponse::new(400, "text/plain", "This is a WebSocket endpoint.").into();
    };
    if service.state().sessions.down {
        return Reply::TakeOver(TakeOver::end(End::Close));
    }
    let switching = HttpResponse::new(101, "", "")
        .with("connection", "Upgrade")
        .with("upgrade", "websocket")
        .with("sec-websocket-accept", &derive_accept_key(key.as_bytes()));
    let opened = open_session(service, request);
    Reply::TakeOver(TakeOver {
        bytes: switching.head(None),
        pause: Duration::ZERO,
        guard: None,
        then: Then::Serve(Box::new(move |stream| {
            Box::pin(async move {
                let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
                match opened {
                    Ok(session) => session.serve(socket).await,
                    Err(code) => close(socket, code).await,
                }
            })
        })),
    })
}

/// A session that is open for as long as this lives.
struct Session {
    user: String,
    first: Vec<String>,
    events: broadcast::Receiver<Event>,
}

/// Opens a session; otherwise returns the code to close the connection with.
fn open_session(service: &Service, request: &HttpRequest) -> Result<Session, u16> {
    let signed = service.verifier.verify(request, service.now().into());
    let user = request.parameter("userArn").unwrap_or_default();
    let known = Arn::parse(&user).is_some_and(|arn| arn.kind == "user")
        && service.users.contains(&user)
        && request
            .parameter("sessionId")
            .is_some_and(|id| !id.is_empty());
    let mut state = service.state();
    if let Some(code) = state.sessions.refusals.pop_front() {
        return Err(code);
    }
    if signed.is_err() || !known {
        return Err(UNAUTHORIZED);
    }
    // The event after which a client misses nothing. It has no payload.
    let established = json!({
        "Headers": {
            "x-amz-chime-event-type": "SESSION_ESTABLISHED",
            "x-amz-chime-message-type": "SYSTEM",
        },
    });
    let mut first = vec![established.to_string()];
    if request.parameter("prefetch-on").as_deref() == Some("connect") {
        // The channels with the latest messages first.
        let mut channels: IndexSet<&str> = IndexSet::new();
        for stored in state.messages.values().rev() {
            let channel = stored.message.channel_arn.as_str();
            if stored.listed_for(&user) && same_app_instance(channel, &user) {
                channels.insert(channel);
            }
        }
        let latest = channels.iter().take(PREFETCHED_CHANNELS);
        first.extend(latest.map(|channel| state.channel_details(&user, channel)));
    }
    let events = state.sessions.events.subscribe();
    Ok(Session {
        user,
        first,
        events,
    })
}

fn same_app_instance(one: &str, other: &str) -> bool {
    let app_instance = |arn| Arn::parse(arn).map(|arn: Arn<'_>| arn.app_instance);
    app_instance(one) == app_instance(other)
}

impl Session {
    /// Sends frames until the client leaves or the session is cut.
    async fn serve(mut self, mut socket: WebSocketStream<Stream>) {
        for frame in self.first {
            if socket.send(Message::text(frame)).await.is_err() {
                return;
            }
        }
        loop {
            tokio::select! {
                event = self.events.recv() => {
                    let Ok(event) = event else { return };
                    let sent = match event.is_for(&self.user) {
                        true => socket.send(Message::text(event.frame)).await,
                        false => Ok(()),
                    };
                    if sent.is_err() {
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
}

/// Closes a connection with this code before it has a session.
async fn close(mut socket: WebSocketStream<Stream>, code: u16) {
    let frame = CloseFrame {
        code: code.into(),
        reason: "".into(),
    };
    if socket.close(Some(frame)).await.is_ok() {
        let ended = async { while let Some(Ok(_)) = socket.next().await {} };
        let _ = timeout(CLOSE_TIMEOUT, ended).await;
    }
}
