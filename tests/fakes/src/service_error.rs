//! Chime's errors, in the form in which Chime sends them.
//!
//! The messages contain ARNs, as AWS's do, so tests can detect a leak.

use serde_json::json;

use crate::http::HttpResponse;
use crate::sigv4::SignatureError;

/// An ARN of a role, as in IAM's texts.
const ROLE: &str =
    "arn:aws:sts::111122223333:assumed-role/message-status-role/chime-message-status";

/// An error response: `x-amzn-ErrorType` and a body of `Code` and `Message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// The HTTP status.
    pub status: u16,
    /// The exception's name, for `x-amzn-ErrorType`. None: no such header and no `Code`, so
    /// SDKs cannot identify the error.
    pub name: Option<String>,
    /// The text.
    pub message: String,
}

impl ServiceError {
    /// Any error.
    pub fn new(status: u16, name: &str, message: impl Into<String>) -> ServiceError {
        ServiceError {
            status,
            name: Some(name.into()),
            message: message.into(),
        }
    }

    /// `BadRequestException`, 400.
    pub fn bad_request(message: impl Into<String>) -> ServiceError {
        ServiceError::new(400, "BadRequestException", message)
    }

    /// `UnauthorizedClientException`, 401: this user is not known.
    pub fn unauthorized_client(bearer: &str) -> ServiceError {
        let message = format!("{bearer} is not a valid AppInstanceUser or AppInstanceBot");
        ServiceError::new(401, "UnauthorizedClientException", message)
    }

    /// `ForbiddenException`, 403: the user may not do this to that resource.
    pub fn forbidden(bearer: &str, action: &str, resource: &str) -> ServiceError {
        let message = format!("{bearer} is not authorized to perform: {action} on {resource}");
        ServiceError::new(403, "ForbiddenException", message)
    }

    /// `AccessDeniedException`, 403: IAM denies the role.
    pub fn access_denied(resource: &str) -> ServiceError {
        let action = "chime:GetChannelMessageStatus";
        let message = format!(
            "User: {ROLE} is not authorized to perform: {action} on resource: {resource} because \
             no identity-based policy allows the {action} action"
        );
        ServiceError::new(403, "AccessDeniedException", message)
    }

    /// `NotFoundException`, 404, which the model of GetChannelMessageStatus does not list.
    pub fn not_found(message_id: &str, channel_arn: &str) -> ServiceError {
        let message = format!("Message {message_id} was not found in {channel_arn}");
        ServiceError::new(404, "NotFoundException", message)
    }

    /// `ConflictException`, 409: a request token was used before, for something else.
    pub fn conflict() -> ServiceError {
        let message = "ClientRequestToken was already used with other parameters";
        ServiceError::new(409, "ConflictException", message)
    }

    /// `ThrottledClientException`, 429.
    pub fn throttled(bearer: &str) -> ServiceError {
        let message = format!("Rate exceeded for {bearer}");
        ServiceError::new(429, "ThrottledClientException", message)
    }

    /// `ServiceFailureException`, 500.
    pub fn service_failure() -> ServiceError {
        let message = format!("Internal failure while acting for {ROLE}");
        ServiceError::new(500, "ServiceFailureException", message)
    }

    /// `ServiceUnavailableException`, 503.
    pub fn service_unavailable() -> ServiceError {
        let message = format!("Service is unavailable to {ROLE}, try again later");
        ServiceError::new(503, "ServiceUnavailableException", message)
    }

    /// `UnknownOperationException`, 404: the fake has no such operation.
    pub fn unknown_operation() -> ServiceError {
        let message = "The requested operation is not recognized by the service.";
        ServiceError::new(404, "UnknownOperationException", message)
    }

    /// `ExpiredTokenException`, 403: the role's credentials have expired.
    pub fn expired_token() -> ServiceError {
        let message = "The security token included in the request is expired";
        ServiceError::new(403, "ExpiredTokenException", message)
    }

    /// An error that no request can cause, by its name. `None` for any other name.
    pub fn named(name: &str) -> Option<ServiceError> {
        match name {
            "AccessDeniedException" => Some(ServiceError::access_denied(ROLE)),
            "ExpiredTokenException" => Some(ServiceError::expired_token()),
            "ServiceFailureException" => Some(ServiceError::service_failure()),
            "ServiceUnavailableException" => Some(ServiceError::service_unavailable()),
            "ThrottledClientException" => Some(ServiceError::throttled(ROLE)),
            _ => None,
        }
    }

    /// The HTTP response.
    pub fn response(&self) -> HttpResponse {
        let Some(name) = &self.name else {
            let body = json!({ "Message": self.message }).to_string();
            return HttpResponse::new(self.status, "application/json", body);
        };
        let body = json!({ "Code": code(name), "Message": self.message }).to_string();
        HttpResponse::new(self.status, "application/json", body).with("x-amzn-ErrorType", name)
    }
}

impl From<SignatureError> for ServiceError {
    fn from(error: SignatureError) -> ServiceError {
        ServiceError::new(error.status(), error.name(), error.to_string())
    }
}

/// The model's `ErrorCode` of an exception. The model lacks exceptions of other layers: theirs is the
/// name without `Exception`.
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
        let response = ServiceError::throttled("arn:who").response();
        assert_eq!(response.status, 429);
        let name = ("x-amzn-ErrorType", "ThrottledClientException");
        assert!(response.headers.contains(&(name.0.into(), name.1.into())));
        assert_eq!(
            String::from_utf8(response.body).unwrap(),
            r#"{"Code":"Throttled","Message":"Rate exceeded for arn:who"}"#
        );
    }

    #[test]
    fn an_error_without_a_name_has_no_error_type_header() {
        let service_error = ServiceError {
            status: 502,
            name: None,
            message: "text".into(),
        };
        let response = service_error.response();
        assert_eq!(response.headers.len(), 1, "only the content type");
        assert_eq!(response.body, br#"{"Message":"text"}"#);
    }
}
