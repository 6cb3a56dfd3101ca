//! Messages, and the outcomes of channel flows.
//!
//! No flow runs. The outcome is fixed when a message is sent, and takes effect when its time has come.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::service_error::ServiceError;

/// The outcome of a channel flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowOutcome {
    /// This status and detail from the start. It can be a status that Chime does not have.
    Decided(String, Option<String>),
    /// `PENDING` forever.
    Pending,
    /// `PENDING`, and another status later.
    PendingThen {
        /// How long the message is pending.
        after: Duration,
        /// The status after that.
        value: String,
        /// The detail after that.
        detail: Option<String>,
    },
    /// Requests for the status fail with this error.
    Refused(ServiceError),
}

impl FlowOutcome {
    /// `PENDING` for this time, then `SENT`.
    pub fn sent_after(after: Duration) -> FlowOutcome {
        FlowOutcome::PendingThen {
            after,
            value: "SENT".into(),
            detail: None,
        }
    }

    /// `SENT` from the start.
    pub fn sent() -> FlowOutcome {
        FlowOutcome::Decided("SENT".into(), None)
    }

    /// The status and detail when the flow begins its work.
    pub(crate) fn at_first(&self) -> (&str, Option<&str>) {
        match self {
            FlowOutcome::Decided(value, detail) => (value, detail.as_deref()),
            FlowOutcome::PendingThen {
                after: Duration::ZERO,
                value,
                detail,
            } => (value, detail.as_deref()),
            FlowOutcome::Pending | FlowOutcome::PendingThen { .. } | FlowOutcome::Refused(_) => {
                ("PENDING", None)
            }
        }
    }

    /// The outcome that a message's `Metadata` chooses:
    /// `{"flow":{"outcome":"SENT|FAILED|DENIED|PENDING","afterMs":3000,"detail":"…"}}`, where `afterMs`
    /// and `detail` are optional; or, as `outcome`, the name of the error that requests for the status
    /// get ([`ServiceError::named`]). `None` if it chooses no outcome.
    ///
    /// # Errors
    /// If `flow` is not valid, with the reason. A silent default would look like a bug in the function
    /// under test.
    pub fn from_metadata(metadata: &str) -> Result<Option<FlowOutcome>, String> {
        let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
        let Some(flow) = metadata.get("flow") else {
            return Ok(None);
        };
        let flow = ChosenFlow::deserialize(flow).map_err(|error| format!("flow: {error}"))?;
        Ok(Some(match flow.outcome.as_str() {
            "PENDING" => FlowOutcome::Pending,
            "SENT" | "FAILED" | "DENIED" => FlowOutcome::PendingThen {
                after: flow.after_ms.map_or(DEFAULT_DELAY, Duration::from_millis),
                value: flow.outcome,
                detail: flow.detail,
            },
            name => FlowOutcome::Refused(ServiceError::named(name).ok_or(
                "flow.outcome must be SENT, FAILED, DENIED, PENDING or an error of Chime",
            )?),
        }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ChosenFlow {
    outcome: String,
    after_ms: Option<u64>,
    detail: Option<String>,
}

/// How long a message is pending by default.
pub const DEFAULT_DELAY: Duration = Duration::from_secs(3);

impl Default for FlowOutcome {
    fn default() -> FlowOutcome {
        FlowOutcome::sent_after(DEFAULT_DELAY)
    }
}

/// A message of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The channel it is in.
    pub channel_arn: String,
    /// The sub-channel it is in, if the channel is elastic.
    pub sub_channel_id: Option<String>,
    /// Its id.
    pub message_id: String,
    /// The ARN of the user or bot that sent it. Others cannot request its status.
    pub sender: String,
    /// Its outcome; the time starts when the test adds the message.
    pub outcome: FlowOutcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_chooses_the_outcome_and_invalid_flows_are_errors() {
        let failed = FlowOutcome::PendingThen {
            after: Duration::from_millis(10),
            value: "FAILED".into(),
            detail: Some("why".into()),
        };
        let refused = ServiceError::named("ThrottledClientException").map(FlowOutcome::Refused);
        let throttled = r#"{"flow":{"outcome":"ThrottledClientException"}}"#;
        let detailed = r#"{"flow":{"outcome":"FAILED","afterMs":10,"detail":"why"}}"#;
        for (metadata, expected) in [
            ("free text", Some(None)),
            (r#"{"a":1}"#, Some(None)),
            (
                r#"{"flow":{"outcome":"PENDING"}}"#,
                Some(Some(FlowOutcome::Pending)),
            ),
            (
                r#"{"flow":{"outcome":"SENT"}}"#,
                Some(Some(FlowOutcome::default())),
            ),
            (detailed, Some(Some(failed))),
            (throttled, Some(refused)),
            (r#"{"flow":1}"#, None),
            (r#"{"flow":{}}"#, None),
            (r#"{"flow":{"outcome":"GONE"}}"#, None),
            (r#"{"flow":{"outcome":"SENT","afterMs":"1"}}"#, None),
            (r#"{"flow":{"outcome":"SENT","after":1}}"#, None),
        ] {
            let outcome = FlowOutcome::from_metadata(metadata).ok();
            assert_eq!(outcome, expected, "{metadata}");
        }
    }
}
