//! The state of a fake Chime, behind one lock, so every client sees changes and events in the same
//! order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::event;
use super::message::{Change, StoredMessage};
use super::record::ChimeRequest;
use super::session::Sessions;
use crate::fault::Fault;
use crate::flow::Message;

#[derive(Debug, Default)]
pub(super) struct ChimeState {
    messages: HashMap<(String, String), StoredMessage>,
    next_message: u64,
    /// By sender, channel and request token: the body of the request, and the message id.
    pub(super) tokens: HashMap<(String, String, String), (Value, String)>,
    pub(super) script: VecDeque<Fault>,
    pub(super) always: Option<Fault>,
    pub(super) by_message: HashMap<String, VecDeque<Fault>>,
    pub(super) seconds_ahead: i64,
    pub(super) calls: BTreeMap<u64, ChimeRequest>,
    pub(super) next_call: u64,
    pub(super) in_flight: usize,
    pub(super) warm_ups: usize,
    /// When each user's calls of the last second came.
    recent: HashMap<String, VecDeque<Instant>>,
    pub(super) sessions: Sessions,
}

impl ChimeState {
    /// Adds or replaces a message.
    pub(super) fn put(
        &mut self,
        message: Message,
        body: &Map<String, Value>,
        since: Instant,
        now: OffsetDateTime,
    ) {
        let key = (message.channel_arn.clone(), message.message_id.clone());
        let number = self.next_message;
        self.next_message += 1;
        let mut stored = StoredMessage::new(message, number, body, since, now);
        if body.is_empty() {
            // A message that a test adds was not sent through the API, so it causes no event.
            stored.advance(since);
        }
        self.messages.insert(key, stored);
    }

    /// A message, after results that are due have taken effect.
    pub(super) fn message(
        &mut self,
        channel_arn: &str,
        message_id: &str,
        now: Instant,
    ) -> Option<&mut StoredMessage> {
        let key = (channel_arn.to_owned(), message_id.to_owned());
        let stored = self.messages.get_mut(&key)?;
        if let Some(change) = stored.advance(now) {
            announce(&mut self.sessions, stored, change);
        }
        Some(stored)
    }

    /// Sends the event of the message's present state.
    pub(super) fn announce_change(&mut self, channel_arn: &str, message_id: &str, now: Instant) {
        let key = (channel_arn.to_owned(), message_id.to_owned());
        if let Some(stored) = self.messages.get_mut(&key) {
            let change = stored.advance(now).unwrap_or_else(|| stored.change(now));
            announce(&mut self.sessions, stored, change);
        }
    }

    /// Sends all members the event that a message was redacted or deleted.
    pub(super) fn announce_removal(
        &mut self,
        channel_arn: &str,
        message_id: &str,
        verb: &str,
        now: Instant,
    ) {
        let key = (channel_arn.to_owned(), message_id.to_owned());
        if let Some(stored) = self.messages.get(&key) {
            let payload = stored.change(now).payload;
            let frame = event::frame(&format!("{verb}_CHANNEL_MESSAGE"), stored.kind(), &payload);
            self.sessions.send_to_members(channel_arn, &frame);
        }
    }

    pub(super) fn remove(&mut self, channel_arn: &str, message_id: &str) {
        let key = (channel_arn.to_owned(), message_id.to_owned());
        self.messages.remove(&key);
    }

    /// The channel of the message with this id.
    pub(super) fn channel_of(&self, message_id: &str) -> Option<String> {
        let mut keys = self.messages.keys();
        keys.find(|(_, id)| id == message_id)
            .map(|(channel, _)| channel.clone())
    }

    /// The messages that a user may list, by channel, oldest first.
    pub(super) fn listed_for(
        &mut self,
        user: &str,
        now: Instant,
    ) -> BTreeMap<String, Vec<&StoredMessage>> {
        for stored in self.messages.values_mut() {
            if let Some(change) = stored.advance(now) {
                announce(&mut self.sessions, stored, change);
            }
        }
        let mut channels: BTreeMap<String, Vec<&StoredMessage>> = BTreeMap::new();
        for ((channel, _), stored) in &self.messages {
            if stored.listed_for(user, now) {
                channels.entry(channel.clone()).or_default().push(stored);
            }
        }
        for messages in channels.values_mut() {
            messages.sort_by_key(|stored| stored.number);
        }
        channels
    }

    pub(super) fn next_fault(&mut self, message_id: &str) -> Fault {
        let own = self.by_message.get_mut(message_id);
        own.and_then(VecDeque::pop_front)
            .or_else(|| self.script.pop_front())
            .or_else(|| self.always.clone())
            .unwrap_or(Fault::Pass)
    }

    /// Whether this call exceeds the user's quota in a second. Such a call does not count against the
    /// next ones.
    pub(super) fn over_quota(&mut self, bearer: &str, at: Instant, quota: u32) -> bool {
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

/// Sends the event of a change: of a delivered message to all members, of any other to its sender.
fn announce(sessions: &mut Sessions, stored: &StoredMessage, change: Change) {
    let Change {
        status,
        verb,
        payload,
    } = change;
    if status.value == "SENT" {
        let frame = event::frame(&format!("{verb}_CHANNEL_MESSAGE"), stored.kind(), &payload);
        sessions.send_to_members(&stored.message.channel_arn, &frame);
    } else {
        let name = format!("{}_{verb}_CHANNEL_MESSAGE", status.value);
        let frame = event::frame(&name, stored.kind(), &payload);
        sessions.send_to_user(&stored.message.sender, &frame);
    }
}
