//! A stored message: its content, and how far its channel flow has come.

use std::time::Instant;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::arn::Arn;
use crate::flow::{FlowOutcome, FlowStatus, Message};

/// The members that a sender chooses, which Chime repeats in every form of the message.
const SENT_MEMBERS: [&str; 7] = [
    "Content",
    "Metadata",
    "Type",
    "Persistence",
    "MessageAttributes",
    "ContentType",
    "Target",
];
/// The members that an update replaces.
const UPDATED_MEMBERS: [&str; 3] = ["Content", "Metadata", "ContentType"];

/// A message, and the processing that its last version is in.
#[derive(Debug)]
pub(super) struct StoredMessage {
    pub(super) message: Message,
    /// The order in which messages were stored.
    pub(super) number: u64,
    members: Map<String, Value>,
    created: OffsetDateTime,
    updated: OffsetDateTime,
    edited: Option<OffsetDateTime>,
    redacted: bool,
    /// Whether it was delivered to the members of the channel.
    delivered: bool,
    processing: Processing,
}

/// A channel flow at work on a new message or on an update.
#[derive(Debug)]
struct Processing {
    stage: Stage,
    outcome: FlowOutcome,
    since: Instant,
    /// Whether its result has taken effect.
    decided: bool,
}

/// The version of a message that a flow works on. The names are the middle part of event types.
#[derive(Debug)]
enum Stage {
    Create,
    /// With the members that the update changes.
    Update(Map<String, Value>),
}

/// A change of a message, for the event to its sender or to all members of the channel.
#[derive(Debug)]
pub(super) struct Change {
    /// `PENDING`, `FAILED`, `DENIED`, or `SENT`.
    pub(super) status: FlowStatus,
    /// `CREATE` or `UPDATE`.
    pub(super) verb: &'static str,
    /// The ChannelMessage with the content that the change is about.
    pub(super) payload: Value,
}

/// How timestamps are written.
#[derive(Clone, Copy)]
pub(super) enum Timestamps {
    /// As in API responses: seconds since 1970.
    Epoch,
    /// As in events: RFC 3339 with milliseconds.
    Text,
}

impl Timestamps {
    pub(super) fn write(self, at: OffsetDateTime) -> Value {
        const TEXT: &[BorrowedFormatItem<'_>] = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        match self {
            Timestamps::Text => at.format(TEXT).unwrap_or_default().into(),
            Timestamps::Epoch => {
                let milliseconds = at.unix_timestamp_nanos() / 1_000_000;
                json!(milliseconds as f64 / 1000.0)
            }
        }
    }
}

impl StoredMessage {
    /// A new message with the members of the request that sent it.
    pub(super) fn new(
        message: Message,
        number: u64,
        body: &Map<String, Value>,
        since: Instant,
        now: OffsetDateTime,
    ) -> StoredMessage {
        let processing = Processing {
            stage: Stage::Create,
            outcome: message.outcome.clone(),
            since,
            decided: false,
        };
        StoredMessage {
            message,
            number,
            members: chosen(body, &SENT_MEMBERS),
            created: now,
            updated: now,
            edited: None,
            redacted: false,
            delivered: false,
            processing,
        }
    }

    /// Begins an update, with the members of the request.
    pub(super) fn update(
        &mut self,
        body: &Map<String, Value>,
        outcome: FlowOutcome,
        since: Instant,
        now: OffsetDateTime,
    ) {
        self.updated = now;
        self.processing = Processing {
            stage: Stage::Update(chosen(body, &UPDATED_MEMBERS)),
            outcome,
            since,
            decided: false,
        };
    }

    /// Removes the content.
    pub(super) fn redact(&mut self, now: OffsetDateTime) {
        self.redacted = true;
        self.updated = now;
        for name in UPDATED_MEMBERS {
            self.members.remove(name);
        }
    }

    /// Ends the processing now, unless it has ended; returns whether it did.
    pub(super) fn decide(&mut self, value: &str, detail: Option<String>, now: Instant) -> bool {
        let open = !self.processing.decided;
        if open {
            self.processing.outcome = FlowOutcome::PendingThen {
                after: now.saturating_duration_since(self.processing.since),
                value: value.into(),
                detail,
            };
        }
        open
    }

    /// The error of requests for the status, if the test chose one.
    pub(super) fn chosen_error(&self) -> Option<&crate::service_error::ServiceError> {
        match &self.processing.outcome {
            FlowOutcome::Refused(error) => Some(error),
            _ => None,
        }
    }

    pub(super) fn status(&self, now: Instant) -> FlowStatus {
        self.processing.outcome.at(self.processing.since, now)
    }

    /// Whether the flow has denied the message itself, and not only an update of it.
    pub(super) fn denied(&self, now: Instant) -> bool {
        let status = self.status(now);
        matches!(self.processing.stage, Stage::Create) && status.value == "DENIED" && status.by_flow
    }

    /// Whether this user gets it in lists: the members once it is delivered, the sender before that.
    pub(super) fn listed_for(&self, user: &str, now: Instant) -> bool {
        let own = self.message.sender == user && self.status(now).value != "DENIED";
        let kept = self.members.get("Persistence") != Some(&"NON_PERSISTENT".into());
        kept && (self.delivered || own)
    }

    /// Lets a result that is due take effect, and returns it; each result only once.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Change> {
        let status = self.status(now);
        if self.processing.decided || status.value == "PENDING" {
            return None;
        }
        self.processing.decided = true;
        if status.value == "SENT" {
            self.delivered = true;
            if let Stage::Update(members) = &self.processing.stage {
                self.members.extend(members.clone());
                self.edited = Some(self.updated);
            }
        }
        Some(self.change(now))
    }

    /// The present state as a change, for the event that follows a request.
    pub(super) fn change(&self, now: Instant) -> Change {
        let status = self.status(now);
        let mut payload = self.channel_message(Timestamps::Text, now);
        let verb = match &self.processing.stage {
            Stage::Create => "CREATE",
            Stage::Update(members) => {
                for (name, value) in members {
                    payload[name] = value.clone();
                }
                "UPDATE"
            }
        };
        Change {
            status,
            verb,
            payload,
        }
    }

    /// The model's ChannelMessage.
    pub(super) fn channel_message(&self, timestamps: Timestamps, now: Instant) -> Value {
        let mut message = self.summary(timestamps, now);
        message["ChannelArn"] = self.message.channel_arn.as_str().into();
        if let Some(persistence) = self.members.get("Persistence") {
            message["Persistence"] = persistence.clone();
        }
        if let Some(id) = &self.message.sub_channel_id {
            message["SubChannelId"] = id.as_str().into();
        }
        message
    }

    /// The model's ChannelMessageSummary.
    pub(super) fn summary(&self, timestamps: Timestamps, now: Instant) -> Value {
        let mut message = self.members.clone();
        message.remove("Persistence");
        let name = Arn::parse(&self.message.sender).map_or("", |arn| arn.id);
        let status = status_json(&self.status(now));
        message.extend([
            ("MessageId".into(), self.message.message_id.as_str().into()),
            ("CreatedTimestamp".into(), timestamps.write(self.created)),
            (
                "LastUpdatedTimestamp".into(),
                timestamps.write(self.updated),
            ),
            ("Redacted".into(), self.redacted.into()),
            (
                "Sender".into(),
                json!({ "Arn": self.message.sender, "Name": name }),
            ),
            ("Status".into(), status),
        ]);
        if let Some(edited) = self.edited {
            message.insert("LastEditedTimestamp".into(), timestamps.write(edited));
        }
        message.into()
    }

    pub(super) fn created(&self) -> OffsetDateTime {
        self.created
    }

    /// `STANDARD` or `CONTROL`.
    pub(super) fn kind(&self) -> &str {
        let kind = self.members.get("Type").and_then(Value::as_str);
        kind.unwrap_or("STANDARD")
    }
}

/// The model's ChannelMessageStatusStructure.
pub(super) fn status_json(status: &FlowStatus) -> Value {
    let mut members = json!({ "Value": status.value });
    if let Some(detail) = &status.detail {
        members["Detail"] = detail.as_str().into();
    }
    members
}

fn chosen(body: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), body.get(*name)?.clone())))
        .collect()
}
