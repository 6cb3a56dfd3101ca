//! Messages, and the outcomes of channel flows.
//!
//! No flow runs. The outcome is fixed when a message is sent; the age of the message then decides
//! whether it is still pending.

use std::time::{Duration, Instant};

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

    /// The outcome that a message's `Metadata` chooses:
    /// `{"flow":{"outcome":"SENT|FAILED|DENIED|PENDING","afterMs":3000,"detail":"…"}}`, where `afterMs`
    /// and `detail` are optional; or, as `outcome`, the name of the error that requests for the status
    /// get ([`ServiceError::named`]). `None` if it chooses no outcome.
    ///
    /// # Errors
    /// If `flow` is not valid, with the reason. A silent default would look like a bug in the function
    /// under test.
    pub fn from_metadata(metadata: &str) -> Result<Option<FlowOutcome>, String> {
        let Ok(metadata) = serde_json::from_str::<Value>(metadata) else {
            return Ok(None);
        };
        let Some(flow) = metadata.get("flow") else {
            return Ok(None);
        };
        let known = ["outcome", "afterMs", "detail"];
        let members = flow.as_object().ok_or("flow is not an object")?;
        if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("flow.{name} is not known"));
        }
        let after = match members.get("afterMs") {
            None => DEFAULT_DELAY,
            Some(ms) => Duration::from_millis(ms.as_u64().ok_or("flow.afterMs is not a number")?),
        };
        let detail = match members.get("detail") {
            None => None,
            Some(detail) => Some(
                detail
                    .as_str()
                    .ok_or("flow.detail is not a string")?
                    .to_owned(),
            ),
        };
        match members.get("outcome").and_then(Value::as_str) {
            Some("PENDING") => Ok(Some(FlowOutcome::Pending)),
            Some(value @ ("SENT" | "FAILED" | "DENIED")) => Ok(Some(FlowOutcome::PendingThen {
                after,
                value: value.into(),
                detail,
            })),
            other => other
                .and_then(ServiceError::named)
                .map(|service_error| Some(FlowOutcome::Refused(service_error)))
                .ok_or_else(|| {
                    "flow.outcome must be SENT, FAILED, DENIED, PENDING or an error of Chime".into()
                }),
        }
    }
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

/// A message's status at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlowStatus {
    pub(crate) value: String,
    pub(crate) detail: Option<String>,
    /// Whether it was pending before. Chime then deletes a denied message.
    pub(crate) by_flow: bool,
}

impl FlowOutcome {
    /// The status of a message of this age.
    pub(crate) fn at(&self, since: Instant, now: Instant) -> FlowStatus {
        match self {
            FlowOutcome::Decided(value, detail) => FlowStatus {
                value: value.clone(),
                detail: detail.clone(),
                by_flow: false,
            },
            FlowOutcome::PendingThen {
                after,
                value,
                detail,
            } if now.saturating_duration_since(since) >= *after => FlowStatus {
                value: value.clone(),
                detail: detail.clone(),
                by_flow: true,
            },
            FlowOutcome::Pending | FlowOutcome::PendingThen { .. } | FlowOutcome::Refused(_) => {
                FlowStatus {
                    value: "PENDING".into(),
                    detail: None,
                    by_flow: false,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_pending_until_their_flow_decides() {
        let sent = Instant::now();
        let outcome = FlowOutcome::sent_after(Duration::from_secs(3));
        let value = |ms| outcome.at(sent, sent + Duration::from_millis(ms)).value;
        assert_eq!(value(0), "PENDING");
        assert_eq!(value(2_999), "PENDING");
        assert_eq!(value(3_000), "SENT");
    }

    #[test]
    fn metadata_chooses_the_outcome() {
        let read = |text| FlowOutcome::from_metadata(text).unwrap();
        assert_eq!(
            read(r#"{"flow":{"outcome":"FAILED","afterMs":10,"detail":"why"}}"#),
            Some(FlowOutcome::PendingThen {
                after: Duration::from_millis(10),
                value: "FAILED".into(),
                detail: Some("why".into()),
            })
        );
        assert_eq!(
            read(r#"{"flow":{"outcome":"PENDING"}}"#),
            Some(FlowOutcome::Pending)
        );
        assert_eq!(
            read(r#"{"flow":{"outcome":"ServiceFailureException"}}"#),
            Some(FlowOutcome::Refused(ServiceError::service_failure()))
        );
        assert_eq!(
            read(r#"{"flow":{"outcome":"SENT"}}"#),
            Some(FlowOutcome::default())
        );
    }

    #[test]
    fn other_metadata_chooses_no_outcome() {
        assert_eq!(FlowOutcome::from_metadata("free text"), Ok(None));
        assert_eq!(FlowOutcome::from_metadata(r#"{"a":1}"#), Ok(None));
    }

    #[test]
    fn invalid_flows_are_errors_that_name_the_member() {
        for (text, named) in [
            (r#"{"flow":1}"#, "object"),
            (r#"{"flow":{}}"#, "outcome"),
            (r#"{"flow":{"outcome":"GONE"}}"#, "outcome"),
            (r#"{"flow":{"outcome":"SENT","afterMs":"1"}}"#, "afterMs"),
            (r#"{"flow":{"outcome":"SENT","after":1}}"#, "after"),
        ] {
            let error = FlowOutcome::from_metadata(text).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
