//! Chime's websocket, as far as it tells what became of messages. Its events have the shape of
//! Chime's; its handshake has not: a token stands in the query where Chime wants a signature.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use fakes::flow::FlowOutcome;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::sleep;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::tokens::Issuer;
use crate::user_arn;

/// More than anybody falls behind on one machine.
const BACKLOG: usize = 256;

/// What happens in the channel. Nothing is kept: who is not connected when it happens never hears
/// of it, as with Chime.
#[derive(Clone)]
pub struct Events {
    channel: String,
    told: broadcast::Sender<Event>,
}

/// A message that Chime has taken.
pub struct Sent {
    pub id: String,
    pub sender: String,
    pub content: String,
}

#[derive(Clone)]
struct Event {
    /// Nobody but this user hears of it; without one, all members do.
    only: Option<String>,
    frame: String,
}

impl Events {
    /// The events of this channel.
    pub fn of(channel: String) -> Self {
        Self {
            channel,
            told: broadcast::Sender::new(BACKLOG),
        }
    }

    /// Tells the sender at once that the message is pending, and later what its flow makes of it:
    /// everybody if it was sent, else the sender alone.
    pub fn tell(&self, sent: Sent, outcome: FlowOutcome) {
        self.say("PENDING", None, &sent);
        let FlowOutcome::PendingThen {
            after,
            value,
            detail,
        } = outcome
        else {
            return;
        };
        let events = self.clone();
        tokio::spawn(async move {
            sleep(after).await;
            events.say(&value, detail.as_deref(), &sent);
        });
    }

    fn say(&self, status: &str, detail: Option<&str>, message: &Sent) {
        let passed = status == "SENT";
        let prefix = if passed {
            String::new()
        } else {
            format!("{status}_")
        };
        // What a page reads of it; Chime's has more.
        let payload = json!({
            "ChannelArn": self.channel,
            "MessageId": message.id,
            "Content": message.content,
            "Sender": { "Arn": message.sender },
            "Status": { "Value": status, "Detail": detail },
        });
        let event = json!({
            "Headers": { "x-amz-chime-event-type": format!("{prefix}CREATE_CHANNEL_MESSAGE") },
            "Payload": payload.to_string(),
        });
        // That nobody is connected is no error.
        let _ = self.told.send(Event {
            only: (!passed).then(|| message.sender.clone()),
            frame: event.to_string(),
        });
    }
}

/// Listens as long as the process lives, and says where.
pub async fn serve(
    address: SocketAddr,
    issuer: Arc<Issuer>,
    events: Events,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // From before the handshake, so that who is connected misses nothing.
            let news = events.told.subscribe();
            tokio::spawn(converse(tcp, Arc::clone(&issuer), news));
        }
    });
    Ok(address)
}

/// Passes on what concerns the user, until they leave.
async fn converse(tcp: TcpStream, issuer: Arc<Issuer>, mut news: broadcast::Receiver<Event>) {
    let mut user = None;
    #[allow(clippy::result_large_err, reason = "the library's own type")]
    let admit = |request: &Request, response: Response| {
        user = request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix("token="))
            .and_then(|token| issuer.verify(token))
            .map(|claims| user_arn(&claims));
        match user {
            Some(_) => Ok(response),
            None => {
                let mut refusal = ErrorResponse::new(None);
                *refusal.status_mut() = tokio_tungstenite::tungstenite::http::StatusCode::FORBIDDEN;
                Err(refusal)
            }
        }
    };
    let Ok(mut socket) = accept_hdr_async(tcp, admit).await else {
        return;
    };
    loop {
        tokio::select! {
            event = news.recv() => match event {
                Ok(Event { only, frame }) if only.is_none() || only == user => {
                    if socket.send(Message::text(frame)).await.is_err() {
                        return;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            // Nothing is expected; but reading answers pings and the end.
            heard = socket.next() => if !matches!(heard, Some(Ok(_))) {
                return;
            },
        }
    }
}
