//! Errors of Chime calls, and how they are classified.

use std::error::Error;
use std::iter::successors;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_chimesdkmessaging::config::http::HttpResponse;
use aws_sdk_chimesdkmessaging::error::{ConnectorError, ProvideErrorMetadata, SdkError};

use super::http::HttpError;

/// Maximum length of an error name in the log. The longest known one has 35 characters.
const MAX_NAME_LENGTH: usize = 64;
/// The SDK reports missing credentials, and a source of credentials that hangs, as a request that it cannot send.
const NO_CREDENTIALS: &str = "the function has no usable AWS credentials";

/// The reason why a call has no result.
///
/// Its text never quotes a response, because responses can contain ARNs and this error is logged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{cause}")]
pub struct ChimeError {
    kind: ErrorKind,
    cause: String,
}

/// The kind of an error. It decides about retries and about the problem that the caller gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// Chime does not know the user.
    UnknownUser,
    /// The message does not exist, is not the caller's, or is not kept. Chime does not say which.
    NoSuchMessage,
    /// The quota of the user is used up.
    Throttled,
    /// The function may not call: permissions, credentials, signature, subscription.
    NotPermitted,
    /// Chime failed, or its response was cut off. The next call may succeed.
    Failure,
    /// Chime is unavailable, or the connection was lost before the response.
    Unavailable,
    /// No response in time.
    Timeout,
    /// A response that is not valid.
    Unusable,
    /// The SDK could not create the request.
    Unsendable,
}

impl ErrorKind {
    /// Whether another call would have the same result.
    pub(crate) fn is_final(self) -> bool {
        use ErrorKind::{NoSuchMessage, NotPermitted, UnknownUser, Unsendable};
        matches!(
            self,
            UnknownUser | NoSuchMessage | NotPermitted | Unsendable
        )
    }

    /// Maximum number of calls about a message in a request that does not wait.
    pub(crate) fn max_calls(self) -> usize {
        match self {
            Self::Failure | Self::Unavailable => 3,
            Self::Throttled => 2,
            _ => 1,
        }
    }

    /// The kind of an error with this name, whatever its HTTP status is. `None` if the status decides.
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "UnauthorizedClientException" => Some(Self::UnknownUser),
            "BadRequestException" | "ForbiddenException" | "NotFoundException" => {
                Some(Self::NoSuchMessage)
            }
            "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown"
            | "ThrottledClientException"
            | "ThrottledException"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException" => Some(Self::Throttled),
            _ => None,
        }
    }
}

impl ChimeError {
    pub(crate) fn new(kind: ErrorKind, cause: impl Into<String>) -> Self {
        let cause = cause.into();
        Self { kind, cause }
    }

    pub(super) fn unusable(cause: &str) -> Self {
        Self::new(ErrorKind::Unusable, cause)
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(super) fn from_sdk<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        match error {
            // The SDK reports a response that it cannot read as an error of the service.
            SdkError::ServiceError(service) if !service.raw().status().is_success() => {
                Self::from_response(service.raw().status().as_u16(), service.err().code())
            }
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
                Self::unusable("Chime's response is not valid")
            }
            SdkError::DispatchFailure(failure) => failure.as_connector_error().map_or_else(
                || Self::new(ErrorKind::NotPermitted, NO_CREDENTIALS),
                Self::from_connector,
            ),
            _ => Self::new(
                ErrorKind::Unsendable,
                "the SDK could not create the request",
            ),
        }
    }

    fn from_response(status: u16, name: Option<&str>) -> Self {
        let name = name.filter(|name| !name.is_empty());
        let kind = match (name.and_then(ErrorKind::of_name), status) {
            (Some(kind), _) => kind,
            (None, 400..=499) if name.is_none() => ErrorKind::Unusable,
            (None, 429) => ErrorKind::Throttled,
            (None, 400..=499) => ErrorKind::NotPermitted,
            (None, 500 | 502) => ErrorKind::Failure,
            (None, 503) => ErrorKind::Unavailable,
            (None, 504) => ErrorKind::Timeout,
            _ => ErrorKind::Unusable,
        };
        let name = match name {
            None => "without an error name",
            // A proxy could have written it, with an ARN or a token in it.
            Some(name) if !is_plain(name) => "with an unusual error name",
            Some(name) => name,
        };
        Self::new(kind, format!("Chime returned {status} {name}"))
    }

    fn from_connector(error: &ConnectorError) -> Self {
        let http = chain(error).find_map(|cause| cause.downcast_ref::<HttpError>());
        // Credentials may come from a service that is called through the same connector, so the call itself may
        // not have begun.
        let is_of_credentials = chain(error).any(|cause| cause.is::<CredentialsError>());
        let Some(error) = http.filter(|_| !is_of_credentials) else {
            return Self::new(ErrorKind::NotPermitted, NO_CREDENTIALS);
        };
        let kind = match error {
            HttpError::Unreachable(_) => ErrorKind::Unavailable,
            HttpError::Timeout => ErrorKind::Timeout,
            HttpError::CutOff => ErrorKind::Failure,
            HttpError::Unusable(_) => ErrorKind::Unusable,
            HttpError::Request => ErrorKind::Unsendable,
        };
        // None of them has read a response, so this cannot quote one.
        let causes: Vec<_> = chain(error).map(ToString::to_string).collect();
        Self::new(kind, causes.join(": "))
    }
}

/// Whether a text is a name and nothing else.
fn is_plain(name: &str) -> bool {
    name.len() <= MAX_NAME_LENGTH && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// An error and its sources, outermost first.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_name_decides_before_the_status() {
        for (status, name, kind) in [
            (400, Some("ThrottlingException"), ErrorKind::Throttled),
            (503, Some("ThrottledClientException"), ErrorKind::Throttled),
            (429, Some("SomethingNew"), ErrorKind::Throttled),
            (
                403,
                Some("UnauthorizedClientException"),
                ErrorKind::UnknownUser,
            ),
            (500, Some("NotFoundException"), ErrorKind::NoSuchMessage),
            (404, Some("ForbiddenException"), ErrorKind::NoSuchMessage),
            (403, Some("BadRequestException"), ErrorKind::NoSuchMessage),
            (
                404,
                Some("ResourceNotFoundException"),
                ErrorKind::NotPermitted,
            ),
            (400, Some("ValidationException"), ErrorKind::NotPermitted),
            (400, Some("AccessDeniedException"), ErrorKind::NotPermitted),
            (401, Some("SomethingNew"), ErrorKind::NotPermitted),
            (
                400,
                Some("ServiceFailureException"),
                ErrorKind::NotPermitted,
            ),
            (500, Some("SomethingNew"), ErrorKind::Failure),
            (
                503,
                Some("ServiceUnavailableException"),
                ErrorKind::Unavailable,
            ),
            (400, None, ErrorKind::Unusable),
            (403, Some(""), ErrorKind::Unusable),
            (401, None, ErrorKind::Unusable),
            (403, None, ErrorKind::Unusable),
            (404, None, ErrorKind::Unusable),
            (429, None, ErrorKind::Unusable),
            (500, None, ErrorKind::Failure),
            (502, None, ErrorKind::Failure),
            (503, None, ErrorKind::Unavailable),
            (504, None, ErrorKind::Timeout),
            (302, None, ErrorKind::Unusable),
        ] {
            let error = ChimeError::from_response(status, name);
            assert_eq!(error.kind(), kind, "{status} {name:?}");
        }
    }

    #[test]
    fn an_unknown_error_name_is_not_repeated() {
        let error = ChimeError::from_response(400, Some("arn:aws:chime:secret"));
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
