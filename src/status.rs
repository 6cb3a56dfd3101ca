//! Status of a message, as Chime reports it.

/// Maximum length of a status value.
const MAX_VALUE_LENGTH: usize = 128;
/// Maximum length of a detail in bytes. Chime documents 256 characters. 20 details of this size still fit into a
/// Lambda response.
const MAX_DETAIL_LENGTH: usize = 4096;

/// The status of a message: `SENT`, `PENDING`, `FAILED`, `DENIED`, or a value that Chime adds later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageStatus {
    value: String,
    detail: Option<String>,
}

impl MessageStatus {
    /// Returns `None` if the value is empty or too long, or the detail is too long. An empty detail counts as none.
    pub fn parse(value: &str, detail: Option<&str>) -> Option<Self> {
        let detail = detail.filter(|text| !text.is_empty());
        let is_usable = (1..=MAX_VALUE_LENGTH).contains(&value.len())
            && detail.is_none_or(|text| text.len() <= MAX_DETAIL_LENGTH);
        is_usable.then(|| Self {
            value: value.to_owned(),
            detail: detail.map(str::to_owned),
        })
    }

    /// The value as Chime sent it.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Chime's explanation, never empty.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Whether the channel flow is still processing the message.
    pub fn is_pending(&self) -> bool {
        self.value == "PENDING"
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
        assert_eq!((sent.value(), sent.detail()), ("SENT", None));
        let new = MessageStatus::parse("HIDDEN", Some("why")).expect("usable");
        assert_eq!((new.value(), new.detail()), ("HIDDEN", Some("why")));
        assert!(!new.is_pending());
    }
}
