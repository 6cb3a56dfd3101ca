//! Chime's errors, in the form in which Chime sends them.
//!
//! The messages contain ARNs, as AWS's do, so tests can detect a leak.

use serde_json::json;

use crate::http::HttpResponse;

/// The app instance in the texts.
const APP_INSTANCE: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c";
/// An error of each name that Chime or another layer of AWS is known to return.
const EXAMPLES: [(u16, &str, &str); 15] = [
    (400, "BadRequestException", "CHANNEL is not valid"),
    (401, "UnauthorizedClientException", "USER is not valid"),
    (403, "ForbiddenException", "USER may not read CHANNEL"),
    (404, "NotFoundException", "Message m is not in CHANNEL"),
    (429, "ThrottledClientException", "Rate exceeded for USER"),
    (429, "ThrottlingException", "Rate exceeded for USER"),
    (
        500,
        "ServiceFailureException",
        "Failure while acting for ROLE",
    ),
    (503, "ServiceUnavailableException", "Unavailable to ROLE"),
    (403, "AccessDeniedException", "ROLE may not read CHANNEL"),
    (403, "ExpiredTokenException", "The token of ROLE is expired"),
    (403, "UnrecognizedClientException", "The token is invalid"),
    // AWS quotes what should have been signed.
    (403, "InvalidSignatureException", "'GET\nCHANNEL\nUSER'"),
    (403, "IncompleteSignatureException", "No 'Signature'"),
    (403, "MissingAuthenticationTokenException", "No token"),
    (404, "UnknownOperationException", "No such operation"),
];

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

    /// An example of an error, by its name. `None` for a name that is not known.
    pub fn named(name: &str) -> Option<ServiceError> {
        let (status, name, message) = EXAMPLES.iter().find(|example| example.1 == name)?;
        let message = message
            .replace("CHANNEL", &format!("{APP_INSTANCE}/channel/somewhere"))
            .replace("USER", &format!("{APP_INSTANCE}/user/someone"))
            .replace(
                "ROLE",
                "arn:aws:sts::111122223333:assumed-role/r/chime-message-status",
            );
        Some(ServiceError::new(*status, name, message))
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
        let throttled = ServiceError::named("ThrottledClientException").unwrap();
        let response = throttled.response();
        assert_eq!(response.status, 429);
        let name = ("x-amzn-ErrorType", "ThrottledClientException");
        assert!(response.headers.contains(&(name.0.into(), name.1.into())));
        assert_eq!(
            String::from_utf8(response.body).unwrap(),
            r#"{"Code":"Throttled","Message":"Rate exceeded for arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/someone"}"#
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
