//! The WebSocket of the fake Chime, from a client that is not ours.

use fakes::chime::{FakeChime, Options};
use fakes::flow::{FlowOutcome, Message};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

const APP_INSTANCE: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c";
const PENDING_MESSAGES: [(&str, &str); 3] = [("s", "SENT"), ("f", "FAILED"), ("d", "DENIED")];

fn user(name: &str) -> String {
    format!("{APP_INSTANCE}/user/{name}")
}

/// A fake Chime in which Alice has sent messages that are pending.
async fn chime() -> FakeChime {
    let chime = FakeChime::start(Options::default()).await.unwrap();
    for (message_id, _) in PENDING_MESSAGES {
        chime.put_message(Message {
            channel_arn: format!("{APP_INSTANCE}/channel/c"),
            sub_channel_id: None,
            message_id: message_id.into(),
            sender: user("alice"),
            outcome: FlowOutcome::Pending,
        });
    }
    chime
}

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn connect(url: &str) -> Client {
        let host = url.trim_start_matches("ws://").split('/').next().unwrap();
        let tcp = TcpStream::connect(host).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(url, tcp).await.unwrap();
        Client(socket)
    }

    /// The next event's type and payload.
    async fn event(&mut self) -> (String, Value) {
        let Some(Ok(Frame::Text(frame))) = self.0.next().await else {
            panic!("the connection ended");
        };
        let frame: Value = serde_json::from_str(&frame).unwrap();
        let kind = frame["Headers"]["x-amz-chime-event-type"].as_str().unwrap();
        let payload = frame["Payload"].as_str().map(serde_json::from_str);
        (kind.into(), payload.map_or(Value::Null, Result::unwrap))
    }

    async fn kind(&mut self) -> String {
        self.event().await.0
    }

    /// How the connection ended: a close code, or none after a cut.
    async fn end(&mut self) -> Option<u16> {
        match self.0.next().await {
            Some(Ok(Frame::Close(Some(frame)))) => Some(frame.code.into()),
            Some(Ok(other)) => panic!("{other}"),
            Some(Err(_)) | None => None,
        }
    }
}

#[tokio::test]
async fn signed_connections_begin_with_session_established() {
    let chime = chime().await;
    let mut alice = Client::connect(&chime.websocket_url(&user("alice"), false)).await;
    assert_eq!(
        alice.event().await,
        ("SESSION_ESTABLISHED".into(), Value::Null)
    );
    assert_eq!(chime.open_websockets(), 1);
}

#[tokio::test]
async fn changed_urls_close_with_4401() {
    let chime = chime().await;
    let url = chime.websocket_url(&user("alice"), false);
    for (part, other) in [
        ("alice", "bob"),
        ("Expires=10", "Expires=99"),
        ("Signature=", "Signature=0"),
    ] {
        let mut client = Client::connect(&url.replace(part, other)).await;
        assert_eq!(client.end().await, Some(4401), "{part}");
    }
    assert_eq!(chime.open_websockets(), 0);
}

#[tokio::test]
async fn delivered_messages_reach_members_and_refused_ones_their_sender_only() {
    let chime = chime().await;
    let mut alice = Client::connect(&chime.websocket_url(&user("alice"), false)).await;
    let mut bob = Client::connect(&chime.websocket_url(&user("bob"), false)).await;
    let stranger = user("eve").replace("7f1c", "0000");
    let mut eve = Client::connect(&chime.websocket_url(&stranger, false)).await;
    for client in [&mut alice, &mut bob, &mut eve] {
        assert_eq!(client.kind().await, "SESSION_ESTABLISHED");
    }
    assert!(chime.decide("f", "FAILED", Some("why")));
    assert!(chime.decide("d", "DENIED", None));
    assert!(chime.decide("s", "SENT", None));
    assert!(!chime.decide("s", "FAILED", None), "only once");

    let (kind, payload) = alice.event().await;
    assert_eq!(kind, "FAILED_CREATE_CHANNEL_MESSAGE");
    assert_eq!(payload["MessageId"], "f");
    assert_eq!(payload["Status"]["Value"], "FAILED");
    assert_eq!(payload["Status"]["Detail"], "why");
    assert_eq!(payload["Sender"]["Arn"], user("alice"));
    assert_eq!(alice.kind().await, "DENIED_CREATE_CHANNEL_MESSAGE");
    assert_eq!(alice.kind().await, "CREATE_CHANNEL_MESSAGE");
    assert_eq!(bob.kind().await, "CREATE_CHANNEL_MESSAGE");
    assert!(chime.control("cut-websockets", &Value::Null));
    assert_eq!(bob.end().await, None);
    assert_eq!(eve.end().await, None, "no event of another app instance");
}

#[tokio::test]
async fn prefetch_sends_the_messages_that_the_user_may_list() {
    let chime = chime().await;
    for (message_id, status) in PENDING_MESSAGES {
        chime.decide(message_id, status, None);
    }
    for (name, listed) in [("alice", vec!["f", "s"]), ("bob", vec!["s"])] {
        let mut client = Client::connect(&chime.websocket_url(&user(name), true)).await;
        assert_eq!(client.kind().await, "SESSION_ESTABLISHED");
        let (kind, payload) = client.event().await;
        assert_eq!(kind, "CHANNEL_DETAILS");
        let messages = payload["ChannelMessages"].as_array().unwrap();
        let ids: Vec<_> = messages
            .iter()
            .map(|message| &message["MessageId"])
            .collect();
        assert_eq!(ids, listed, "{name}");
        assert_eq!(
            payload["Channel"]["ChannelArn"],
            format!("{APP_INSTANCE}/channel/c")
        );
    }
}

#[tokio::test]
async fn tests_can_cut_websockets_and_refuse_the_next() {
    let chime = chime().await;
    let url = chime.websocket_url(&user("alice"), false);
    let mut first = Client::connect(&url).await;
    assert_eq!(first.kind().await, "SESSION_ESTABLISHED");
    assert!(chime.control("cut-websockets", &Value::Null));
    assert_eq!(first.end().await, None, "without a close frame");

    assert!(chime.control("refuse-websocket", &json!({ "code": 4401 })));
    assert_eq!(Client::connect(&url).await.end().await, Some(4401));
    assert_eq!(
        Client::connect(&url).await.kind().await,
        "SESSION_ESTABLISHED"
    );

    assert!(chime.control("websockets-down", &Value::Null));
    let host = chime.http_url().replace("http://", "");
    let tcp = TcpStream::connect(host).await.unwrap();
    assert!(tokio_tungstenite::client_async(&url, tcp).await.is_err());
    assert!(chime.control("websockets-up", &Value::Null));
    assert_eq!(
        Client::connect(&url).await.kind().await,
        "SESSION_ESTABLISHED"
    );
}
