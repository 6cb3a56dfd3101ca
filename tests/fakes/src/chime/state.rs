//! The state of a fake Chime, behind one lock, so every client sees changes and events in the same
//! order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::call::ChimeRequest;
use super::message::StoredMessage;
use super::service::Service;
use super::session::Sessions;
use crate::fault::Faults;
use crate::flow::{FlowOutcome, Message};

/// How many messages `CHANNEL_DETAILS` has at most.
const PREFETCHED_MESSAGES: usize = 20;

/// The ARN of the channel, and the id of the message.
type Key = (String, String);

#[derive(Debug, Default)]
pub(super) struct ChimeState {
    /// In the order in which they were stored.
    pub(super) messages: IndexMap<Key, StoredMessage>,
    versions: u64,
    /// By sender, channel and request token: the body of the request, and the message id.
    pub(super) tokens: HashMap<(String, String, String), (Value, String)>,
    pub(super) faults: Faults,
    pub(super) seconds_ahead: i64,
    pub(super) calls: Vec<ChimeRequest>,
    pub(super) in_flight: usize,
    pub(super) warm_ups: usize,
    pub(super) sessions: Sessions,
}

impl ChimeState {
    /// The messages of a channel that a user may list, oldest first.
    pub(super) fn listed_for(&self, user: &str, channel_arn: &str) -> Vec<&StoredMessage> {
        self.messages
            .values()
            .filter(|stored| stored.message.channel_arn == channel_arn && stored.listed_for(user))
            .collect()
    }

    /// Ends the flow's work on a message, unless it has ended; returns whether it did.
    fn decide(&mut self, key: &Key, status: &str, detail: Option<&str>) -> bool {
        let Some(stored) = self.messages.get_mut(key) else {
            return false;
        };
        let is_open = stored.status() == "PENDING";
        if is_open {
            stored.refusal = None;
            stored.set_status(status, detail);
            self.announce(key);
            self.forget_denied(key);
        }
        is_open
    }

    /// Chime does not keep messages that the flow has denied.
    pub(super) fn forget_denied(&mut self, key: &Key) {
        let stored = self.messages.get(key);
        if stored.is_some_and(|stored| stored.status() == "DENIED" && stored.verb() == "CREATE") {
            self.messages.shift_remove(key);
        }
    }

    /// Sends the event of a message's status: if it is `SENT` to all members, otherwise to its sender.
    pub(super) fn announce(&self, key: &Key) {
        if let Some(stored) = self.messages.get(key) {
            let verb = stored.verb();
            if stored.status() == "SENT" {
                self.announce_to_members(stored, verb);
            } else {
                let event_type = format!("{}_{verb}_CHANNEL_MESSAGE", stored.status());
                let frame = frame(&event_type, stored.kind(), &stored.event_payload());
                self.sessions.send(&stored.message.sender, frame);
            }
        }
    }

    pub(super) fn announce_to_members(&self, stored: &StoredMessage, verb: &str) {
        let event_type = format!("{verb}_CHANNEL_MESSAGE");
        let frame = frame(&event_type, stored.kind(), &stored.event_payload());
        self.sessions.send(&stored.message.channel_arn, frame);
    }

    /// The event of a channel with its latest messages, newest first.
    pub(super) fn channel_details(&self, user: &str, channel_arn: &str) -> String {
        let messages = self.listed_for(user, channel_arn);
        let newest_first = messages.iter().rev().take(PREFETCHED_MESSAGES);
        let latest: Vec<Value> = newest_first
            .map(|stored| stored.summary_in_events())
            .collect();
        let payload = json!({
            "Channel": {
                "ChannelArn": channel_arn,
                "Name": channel_arn.rsplit('/').next(),
                "Mode": "RESTRICTED",
                "Privacy": "PRIVATE",
                "LastMessageTimestamp": messages.last().map(|stored| stored.created()),
            },
            "ChannelMessages": latest,
            "ChannelMemberships": [],
            "ReadMarkerTimestamp": null,
        });
        frame("CHANNEL_DETAILS", "SYSTEM", &payload)
    }
}

impl Service {
    /// Adds or replaces a message of a test.
    pub(super) fn put(self: &Arc<Self>, message: Message) {
        let now = self.now();
        let key = (message.channel_arn.clone(), message.message_id.clone());
        let outcome = message.outcome.clone();
        let stored = StoredMessage::new(message, &Map::new(), now);
        let mut state = self.state();
        state.messages.insert(key.clone(), stored);
        self.process(&mut state, &key, &outcome);
    }

    /// Lets the flow decide now about a pending message or update; returns whether one was pending.
    pub(super) fn decide(&self, message_id: &str, status: &str, detail: Option<&str>) -> bool {
        let mut state = self.state();
        let key = state.messages.keys().find(|(_, id)| id == message_id);
        key.cloned()
            .is_some_and(|key| state.decide(&key, status, detail))
    }

    /// Begins the flow's work on the last version of a message.
    pub(super) fn process(
        self: &Arc<Self>,
        state: &mut ChimeState,
        key: &Key,
        outcome: &FlowOutcome,
    ) {
        state.versions += 1;
        let version = state.versions;
        let Some(stored) = state.messages.get_mut(key) else {
            return;
        };
        stored.version = version;
        stored.refusal = match outcome {
            FlowOutcome::Refused(error) => Some(error.clone()),
            _ => None,
        };
        let (status, detail) = outcome.at_first();
        stored.set_status(status, detail);
        if let FlowOutcome::PendingThen { after, .. } = outcome
            && status == "PENDING"
        {
            self.decide_later(*after, key.clone(), version, outcome.clone());
        }
    }

    fn decide_later(self: &Arc<Self>, after: Duration, key: Key, version: u64, then: FlowOutcome) {
        let service = Arc::downgrade(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(after).await;
            let Some(service) = service.upgrade() else {
                return;
            };
            let mut state = service.state();
            let stored = state.messages.get(&key);
            // Not if the message was updated or replaced in the meantime.
            if let (Some(true), FlowOutcome::PendingThen { value, detail, .. }) =
                (stored.map(|stored| stored.version == version), then)
            {
                state.decide(&key, &value, detail.as_deref());
            }
        });
    }
}

/// One event: its payload is JSON in a string, as Chime sends it.
fn frame(event_type: &str, message_type: &str, payload: &Value) -> String {
    json!({
        "Headers": {
            "x-amz-chime-event-type": event_type,
            "x-amz-chime-message-type": message_type,
        },
        "Payload": payload.to_string(),
    })
    .to_string()
}
