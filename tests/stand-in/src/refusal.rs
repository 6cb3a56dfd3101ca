//! Chime's errors, in the form in which Chime sends them.
//!
//! The texts hold ARNs, as AWS's own do: a test that looks for leaks must have something to find.

use serde_json::json;

use crate::http::Answer;
use crate::sigv4::SignatureError;

/// An ARN of a role, as it stands in IAM's texts.
const ROLE: &str =
    "arn:aws:sts::111122223333:assumed-role/message-status-role/chime-message-status";

/// An error answer: `x-amzn-ErrorType` and a body of `Code` and `Message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The exception's name, for `x-amzn-ErrorType`. None: no such header and no `Code`, so that
    /// SDKs have nothing to tell the error by.
    pub name: Option<String>,
    /// The text.
    pub message: String,
}

impl Refusal {
    /// Any error.
    pub fn new(status: u16, name: &str, message: impl Into<String>) -> Refusal {
        Refusal {
            status,
            name: Some(name.into()),
            message: message.into(),
        }
    }

    /// `BadRequestException`, 400.
    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "BadRequestException", message)
    }

    /// `UnauthorizedClientException`, 401: this user is not known.
    pub fn unauthorized_client(bearer: &str) -> Refusal {
        let message = format!("{bearer} is not a valid AppInstanceUser or AppInstanceBot");
        Refusal::new(401, "UnauthorizedClientException", message)
    }

    /// `ForbiddenException`, 403: the user may not do this to that resource.
    pub fn forbidden(bearer: &str, action: &str, resource: &str) -> Refusal {
        let message = format!("{bearer} is not authorized to perform: {action} on {resource}");
        Refusal::new(403, "ForbiddenException", message)
    }

    /// `AccessDeniedException`, 403: IAM's refusal of the role.
    pub fn access_denied(resource: &str) -> Refusal {
        let action = "chime:GetChannelMessageStatus";
        let message = format!(
            "User: {ROLE} is not authorized to perform: {action} on resource: {resource} because \
             no identity-based policy allows the {action} action"
        );
        Refusal::new(403, "AccessDeniedException", message)
    }

    /// `NotFoundException`, 404, which the model of GetChannelMessageStatus does not list.
    pub fn not_found(message_id: &str, channel_arn: &str) -> Refusal {
        let message = format!("Message {message_id} was not found in {channel_arn}");
        Refusal::new(404, "NotFoundException", message)
    }

    /// `ConflictException`, 409: a request token was used before, for something else.
    pub fn conflict() -> Refusal {
        let message = "ClientRequestToken was already used with other parameters";
        Refusal::new(409, "ConflictException", message)
    }

    /// `ThrottledClientException`, 429.
    pub fn throttled(bearer: &str) -> Refusal {
        let message = format!("Rate exceeded for {bearer}");
        Refusal::new(429, "ThrottledClientException", message)
    }

    /// `ServiceFailureException`, 500.
    pub fn service_failure() -> Refusal {
        let message = format!("Internal failure while acting for {ROLE}");
        Refusal::new(500, "ServiceFailureException", message)
    }

    /// `ServiceUnavailableException`, 503.
    pub fn service_unavailable() -> Refusal {
        let message = format!("Service is unavailable to {ROLE}, try again later");
        Refusal::new(503, "ServiceUnavailableException", message)
    }

    /// `UnknownOperationException`, 404: no such operation here.
    pub fn unknown_operation() -> Refusal {
        let message = "The requested operation is not recognized by the service.";
        Refusal::new(404, "UnknownOperationException", message)
    }

    /// `ExpiredTokenException`, 403: the role's credentials are of yesterday.
    pub fn expired_token() -> Refusal {
        let message = "The security token included in the request is expired";
        Refusal::new(403, "ExpiredTokenException", message)
    }

    /// Those errors that nothing in a request brings about, by name.
    pub fn named(name: &str) -> Option<Refusal> {
        match name {
            "AccessDeniedException" => Some(Refusal::access_denied(ROLE)),
            "ExpiredTokenException" => Some(Refusal::expired_token()),
            "ServiceFailureException" => Some(Refusal::service_failure()),
            "ServiceUnavailableException" => Some(Refusal::service_unavailable()),
            "ThrottledClientException" => Some(Refusal::throttled(ROLE)),
            _ => None,
        }
    }

    /// How it looks on the wire.
    pub fn answer(&self) -> Answer {
        let Some(name) = &self.name else {
            let body = json!({ "Message": self.message }).to_string();
            return Answer::new(self.status, "application/json", body);
        };
        let body = json!({ "Code": code(name), "Message": self.message }).to_string();
        Answer::new(self.status, "application/json", body).with("x-amzn-ErrorType", name)
    }
}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Refusal {
        Refusal::new(error.status(), error.name(), error.to_string())
    }
}

/// The model's `ErrorCode` for an exception; those of other layers have none, and say their name.
fn code(name: &str) -> &str {
    match name {
        "UnauthorizedClientException" => "Unauthorized",
        "ThrottledClientException" => "Throttled",
        _ => name.strip_suffix("Exception").unwrap_or(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_exception_and_the_body_its_code() {
        let answer = Refusal::throttled("arn:who").answer();
        assert_eq!(answer.status, 429);
        let name = ("x-amzn-ErrorType", "ThrottledClientException");
        assert!(answer.headers.contains(&(name.0.into(), name.1.into())));
        assert_eq!(
            String::from_utf8(answer.body).unwrap(),
            r#"{"Code":"Throttled","Message":"Rate exceeded for arn:who"}"#
        );
    }

    #[test]
    fn an_error_without_a_name_has_nothing_to_be_told_by() {
        let refusal = Refusal {
            status: 502,
            name: None,
            message: "text".into(),
        };
        let answer = refusal.answer();
        assert_eq!(answer.headers.len(), 1, "only the content type");
        assert_eq!(answer.body, br#"{"Message":"text"}"#);
    }
}
