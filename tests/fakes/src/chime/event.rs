//! The frames of the WebSocket.

use std::time::Instant;

use serde_json::{Value, json};

use super::message::{StoredMessage, Timestamps};

/// How many messages `CHANNEL_DETAILS` has at most.
const PREFETCHED_MESSAGES: usize = 20;

/// One event: its payload is JSON in a string, as Chime sends it.
pub(super) fn frame(event_type: &str, message_type: &str, payload: &Value) -> String {
    json!({
        "Headers": {
            "x-amz-chime-event-type": event_type,
            "x-amz-chime-message-type": message_type,
        },
        "Payload": payload.to_string(),
    })
    .to_string()
}

/// The event after which a client misses nothing. It has no payload.
pub(super) fn session_established() -> String {
    json!({
        "Headers": {
            "x-amz-chime-event-type": "SESSION_ESTABLISHED",
            "x-amz-chime-message-type": "SYSTEM",
        },
    })
    .to_string()
}

/// A channel with its latest messages, newest first.
pub(super) fn channel_details(
    channel_arn: &str,
    messages: &[&StoredMessage],
    now: Instant,
) -> String {
    let latest: Vec<Value> = messages
        .iter()
        .rev()
        .take(PREFETCHED_MESSAGES)
        .map(|stored| stored.summary(Timestamps::Text, now))
        .collect();
    let last = messages
        .last()
        .map(|stored| Timestamps::Text.write(stored.created()));
    let payload = json!({
        "Channel": {
            "ChannelArn": channel_arn,
            "Name": channel_arn.rsplit('/').next(),
            "Mode": "RESTRICTED",
            "Privacy": "PRIVATE",
            "LastMessageTimestamp": last,
        },
        "ChannelMessages": latest,
        "ChannelMemberships": [],
        "ReadMarkerTimestamp": null,
    });
    frame("CHANNEL_DETAILS", "SYSTEM", &payload)
}
