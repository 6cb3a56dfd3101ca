//! A stored message: its content, and how far its channel flow has come.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::arn::Arn;
use crate::flow::Message;
use crate::service_error::ServiceError;

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
/// The members that the model's ChannelMessage has, and its ChannelMessageSummary has not.
const NOT_IN_SUMMARIES: [&str; 3] = ["ChannelArn", "Persistence", "SubChannelId"];
const TIMESTAMPS: [&str; 3] = [
    "CreatedTimestamp",
    "LastUpdatedTimestamp",
    "LastEditedTimestamp",
];

/// A message, and the channel flow's work on its last version.
#[derive(Debug)]
pub(super) struct StoredMessage {
    pub(super) message: Message,
    /// The model's ChannelMessage, with timestamps as in events.
    json: Value,
    /// Whether it was delivered to the members of the channel.
    delivered: bool,
    /// The members of the last update, if there was one. They replace its own when the flow accepts it.
    update: Option<Map<String, Value>>,
    /// The error of requests for the status, if the test chose one.
    pub(super) refusal: Option<ServiceError>,
    /// Unique among all versions of all messages.
    pub(super) version: u64,
}

impl StoredMessage {
    /// A new message with the members of the request that sent it.
    pub(super) fn new(message: Message, body: &Map<String, Value>, now: OffsetDateTime) -> Self {
        let name = Arn::parse(&message.sender).map_or("", |arn| arn.id);
        let mut json = Value::from(chosen(body, &SENT_MEMBERS));
        json["ChannelArn"] = message.channel_arn.as_str().into();
        json["MessageId"] = message.message_id.as_str().into();
        json["Sender"] = json!({ "Arn": message.sender, "Name": name });
        json["Redacted"] = false.into();
        json["CreatedTimestamp"] = timestamp(now);
        json["LastUpdatedTimestamp"] = timestamp(now);
        if let Some(id) = &message.sub_channel_id {
            json["SubChannelId"] = id.as_str().into();
        }
        StoredMessage {
            message,
            json,
            delivered: false,
            update: None,
            refusal: None,
            version: 0,
        }
    }

    /// Begins an update, with the members of the request.
    pub(super) fn update(&mut self, body: &Map<String, Value>, now: OffsetDateTime) {
        self.json["LastUpdatedTimestamp"] = timestamp(now);
        self.update = Some(chosen(body, &UPDATED_MEMBERS));
    }

    /// Removes the content.
    pub(super) fn redact(&mut self, now: OffsetDateTime) {
        self.json["LastUpdatedTimestamp"] = timestamp(now);
        self.json["Redacted"] = true.into();
        remove(&mut self.json, &UPDATED_MEMBERS);
        self.update = self.update.take().map(|_| Map::new());
    }

    /// Sets the status of the last version.
    pub(super) fn set_status(&mut self, status: &str, detail: Option<&str>) {
        self.json["Status"] = json!({ "Value": status });
        if let Some(detail) = detail {
            self.json["Status"]["Detail"] = detail.into();
        }
        if status == "SENT" {
            self.delivered = true;
            if self.update.is_some() {
                self.json = self.event_payload();
                self.json["LastEditedTimestamp"] = self.json["LastUpdatedTimestamp"].clone();
            }
        }
    }

    /// The model's ChannelMessageStatusStructure.
    pub(super) fn status_json(&self) -> &Value {
        &self.json["Status"]
    }

    pub(super) fn status(&self) -> &str {
        self.json["Status"]["Value"].as_str().unwrap_or_default()
    }

    /// The version that the flow works on, as in the names of events.
    pub(super) fn verb(&self) -> &'static str {
        if self.update.is_some() {
            "UPDATE"
        } else {
            "CREATE"
        }
    }

    /// Whether this user gets it in lists: the members once it is delivered, the sender before that.
    pub(super) fn listed_for(&self, user: &str) -> bool {
        let own = self.message.sender == user && self.status() != "DENIED";
        self.json["Persistence"] != "NON_PERSISTENT" && (self.delivered || own)
    }

    /// The ChannelMessage of events about the last version.
    pub(super) fn event_payload(&self) -> Value {
        let mut payload = self.json.clone();
        for (name, value) in self.update.iter().flatten() {
            payload[name] = value.clone();
        }
        payload
    }

    /// The ChannelMessage of API responses.
    pub(super) fn in_api(&self) -> Value {
        with_epochs(self.json.clone())
    }

    /// The ChannelMessageSummary of API responses.
    pub(super) fn summary_in_api(&self) -> Value {
        with_epochs(self.summary_in_events())
    }

    /// The ChannelMessageSummary of events.
    pub(super) fn summary_in_events(&self) -> Value {
        let mut summary = self.json.clone();
        remove(&mut summary, &NOT_IN_SUMMARIES);
        summary
    }

    pub(super) fn created(&self) -> &Value {
        &self.json["CreatedTimestamp"]
    }

    /// `STANDARD` or `CONTROL`.
    pub(super) fn kind(&self) -> &str {
        self.json["Type"].as_str().unwrap_or("STANDARD")
    }
}

/// RFC 3339 with milliseconds, as in events.
fn timestamp(at: OffsetDateTime) -> Value {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.format(FORMAT).unwrap_or_default().into()
}

/// Timestamps as in API responses: seconds since 1970.
fn with_epochs(mut message: Value) -> Value {
    for name in TIMESTAMPS {
        if let Some(text) = message[name].as_str()
            && let Ok(at) = OffsetDateTime::parse(text, &Rfc3339)
        {
            message[name] = json!(at.unix_timestamp_nanos() as f64 / 1e9);
        }
    }
    message
}

fn remove(message: &mut Value, names: &[&str]) {
    if let Some(members) = message.as_object_mut() {
        members.retain(|name, _| !names.contains(&name.as_str()));
    }
}

fn chosen(body: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let mut members = body.clone();
    members.retain(|name, _| names.contains(&name.as_str()));
    members
}
