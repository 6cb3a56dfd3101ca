//! Status of a message, as Chime reports it.

/// The status of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageStatus {
    value: StatusValue,
    detail: Option<String>,
}

impl MessageStatus {
    /// Maximum length of a status value.
    const MAX_VALUE_LENGTH: usize = 128;
    /// Maximum length of a detail in bytes. Chime documents 256 characters. 20 details of this size
    /// still fit into a Lambda response.
    const MAX_DETAIL_LENGTH: usize = 4096;

    /// Returns `None` if the value is empty or too long, or the detail is too long. An empty detail
    /// counts as no detail.
    pub fn parse(value: &str, detail: Option<&str>) -> Option<Self> {
        let detail = detail.filter(|text| !text.is_empty());
        let usable = (1..=Self::MAX_VALUE_LENGTH).contains(&value.len())
            && detail.is_none_or(|text| text.len() <= Self::MAX_DETAIL_LENGTH);
        usable.then(|| Self {
            value: StatusValue::from(value),
            detail: detail.map(str::to_owned),
        })
    }

    /// The value of the status.
    pub fn value(&self) -> &StatusValue {
        &self.value
    }

    /// Chime's explanation, never empty.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Whether the channel flow is still processing the message.
    pub fn is_pending(&self) -> bool {
        self.value == StatusValue::Pending
    }
}

/// The value of a message status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StatusValue {
    /// Delivered. If the flow's fallback is CONTINUE, possibly without being processed.
    Sent,
    /// Being processed by the channel flow.
    Pending,
    /// The flow's processor could not be reached, and the fallback is ABORT.
    Failed,
    /// Rejected by the flow's processor.
    Denied,
    /// A value that this version does not know.
    Other(String),
}

impl StatusValue {
    /// The value as Chime sends it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sent => "SENT",
            Self::Pending => "PENDING",
            Self::Failed => "FAILED",
            Self::Denied => "DENIED",
            Self::Other(value) => value,
        }
    }

    /// The name in the record, and the metric that counts it. Chime's text of an unknown value is not logged.
    pub(crate) fn recorded(&self) -> (&'static str, &'static str) {
        match self {
            Self::Sent => ("SENT", "StatusSent"),
            Self::Pending => ("PENDING", "StatusPending"),
            Self::Failed => ("FAILED", "StatusFailed"),
            Self::Denied => ("DENIED", "StatusDenied"),
            Self::Other(_) => ("OTHER", "StatusOther"),
        }
    }
}

impl From<&str> for StatusValue {
    fn from(value: &str) -> Self {
        match value {
            "SENT" => Self::Sent,
            "PENDING" => Self::Pending,
            "FAILED" => Self::Failed,
            "DENIED" => Self::Denied,
            other => Self::Other(other.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_needs_a_value_and_drops_an_empty_detail() {
        assert!(MessageStatus::parse("", None).is_none());
        assert!(MessageStatus::parse(&"x".repeat(129), None).is_none());
        assert!(MessageStatus::parse("SENT", Some(&"x".repeat(4097))).is_none());
        let sent = MessageStatus::parse("SENT", Some("")).expect("usable");
        assert_eq!((sent.value().as_str(), sent.detail()), ("SENT", None));
        let new = MessageStatus::parse("HIDDEN", Some("why")).expect("usable");
        assert_eq!(
            (new.value().as_str(), new.detail()),
            ("HIDDEN", Some("why"))
        );
        assert!(!new.is_pending());
    }
}
