//! Errors of Chime calls, and how they are classified.

use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_chimesdkmessaging::config::http::HttpResponse;
use aws_sdk_chimesdkmessaging::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use thiserror::Error;

use super::http::HttpError;

/// The SDK reports missing credentials, and a source of credentials that hangs, as a request that it cannot send.
const NO_CREDENTIALS: &str = "the function has no usable AWS credentials";

/// The reason why a call has no result.
///
/// Its text never quotes a response, because responses can contain ARNs and this error is logged.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
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
    /// The function may not call: permissions, signature, subscription.
    NotPermitted,
    /// There are no AWS credentials to sign the call with.
    NoCredentials,
    /// Chime failed. The next call may succeed.
    Failure,
    /// The connection was lost within the response body.
    CutOff,
    /// Chime is unavailable.
    Unavailable,
    /// No connection, or one that was lost before the response.
    Unreachable,
    /// No response in time.
    Timeout,
    /// A response that is not valid.
    Unusable,
    /// The SDK could not create the request.
    Unsendable,
}

/// Whether a failed call is worth another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The result is final.
    Never,
    /// Only a request that waits calls again.
    InWait,
    /// A request that does not wait calls once more.
    Once,
    /// A request that does not wait calls up to two times more.
    Twice,
}

impl Retry {
    /// Maximum number of calls of a request that does not wait.
    pub(crate) fn max_calls(self) -> usize {
        match self {
            Self::Never | Self::InWait => 1,
            Self::Once => 2,
            Self::Twice => 3,
        }
    }
}

impl ChimeError {
    /// An error of this kind, with the cause for the log.
    pub(crate) fn new(kind: ErrorKind, cause: impl Into<String>) -> Self {
        Self {
            kind,
            cause: cause.into(),
        }
    }

    pub(super) fn unusable(cause: &str) -> Self {
        Self::new(ErrorKind::Unusable, cause)
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the call is worth another one.
    pub(crate) fn retry(&self) -> Retry {
        match self.kind {
            ErrorKind::UnknownUser
            | ErrorKind::NoSuchMessage
            | ErrorKind::NotPermitted
            | ErrorKind::NoCredentials
            | ErrorKind::Unsendable => Retry::Never,
            ErrorKind::Timeout | ErrorKind::Unusable => Retry::InWait,
            ErrorKind::Throttled => Retry::Once,
            ErrorKind::Failure
            | ErrorKind::CutOff
            | ErrorKind::Unavailable
            | ErrorKind::Unreachable => Retry::Twice,
        }
    }

    pub(super) fn from_sdk<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        match error {
            // The SDK reports a response that it cannot read as an error of the service.
            SdkError::ServiceError(service) if service.raw().status().is_success() => {
                Self::unusable("Chime's response is not valid")
            }
            SdkError::ServiceError(service) => {
                Self::from_response(service.raw().status().as_u16(), service.err().code())
            }
            SdkError::ResponseError(_) => Self::unusable("Chime's response is not valid"),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(error) => Self::from_connector(error),
                None => Self::new(ErrorKind::NoCredentials, NO_CREDENTIALS),
            },
            _ => Self::new(
                ErrorKind::Unsendable,
                "the SDK could not create the request",
            ),
        }
    }

    fn from_response(status: u16, name: Option<&str>) -> Self {
        let name = name.filter(|name| !name.is_empty());
        let known = NAMES.iter().find(|(known, _)| name == Some(known));
        let kind = match (known, status) {
            (Some((_, Some(kind))), _) => *kind,
            (None, 400..=499) if name.is_none() => ErrorKind::Unusable,
            (_, 429) => ErrorKind::Throttled,
            (_, 400..=499) => ErrorKind::NotPermitted,
            (_, 500 | 502) => ErrorKind::Failure,
            (_, 503) => ErrorKind::Unavailable,
            (_, 504) => ErrorKind::Timeout,
            _ => ErrorKind::Unusable,
        };
        let cause = match (known, name) {
            (Some((name, _)), _) => format!("Chime returned {status} {name}"),
            (None, Some(_)) => format!("Chime returned {status} with an unknown error name"),
            (None, None) => format!("Chime returned {status} without an error name"),
        };
        Self { kind, cause }
    }

    fn from_connector(error: &ConnectorError) -> Self {
        let chain = SourceChain(error);
        // Credentials may come from a service that is called through the same connector, so the call itself may
        // not have begun.
        if chain.find::<CredentialsError>().is_none()
            && let Some(error) = chain.find::<HttpError>()
        {
            return match error {
                // There was no response, so this text cannot quote one.
                HttpError::Unreachable(_) => {
                    Self::new(ErrorKind::Unreachable, SourceChain(error).to_string())
                }
                HttpError::Timeout => Self::new(ErrorKind::Timeout, error.to_string()),
                HttpError::CutOff => Self::new(ErrorKind::CutOff, error.to_string()),
                HttpError::Request => Self::new(ErrorKind::Unsendable, error.to_string()),
                HttpError::NotHttp | HttpError::TooLarge | HttpError::Invalid => {
                    Self::unusable(&error.to_string())
                }
            };
        }
        Self::new(ErrorKind::NoCredentials, NO_CREDENTIALS)
    }
}

/// The error names that may be logged: Chime's own, and the [common errors][common] of signed AWS APIs.
/// Any other name is not logged, because a proxy could have written it.
///
/// A name with a kind decides, whatever the HTTP status is. For a name without a kind, the status decides.
///
/// [common]: https://docs.aws.amazon.com/chime-sdk/latest/APIReference/CommonErrors.html
const NAMES: [(&str, Option<ErrorKind>); 35] = [
    ("UnauthorizedClientException", Some(ErrorKind::UnknownUser)),
    ("BadRequestException", Some(ErrorKind::NoSuchMessage)),
    ("ForbiddenException", Some(ErrorKind::NoSuchMessage)),
    ("NotFoundException", Some(ErrorKind::NoSuchMessage)),
    ("ThrottledClientException", Some(ErrorKind::Throttled)),
    ("Throttling", Some(ErrorKind::Throttled)),
    ("ThrottlingException", Some(ErrorKind::Throttled)),
    ("ThrottledException", Some(ErrorKind::Throttled)),
    ("RequestThrottled", Some(ErrorKind::Throttled)),
    ("RequestThrottledException", Some(ErrorKind::Throttled)),
    ("TooManyRequestsException", Some(ErrorKind::Throttled)),
    ("RequestLimitExceeded", Some(ErrorKind::Throttled)),
    ("SlowDown", Some(ErrorKind::Throttled)),
    ("ServiceFailureException", None),
    ("InternalFailure", None),
    ("InternalServerError", None),
    ("ServiceUnavailableException", None),
    ("ServiceUnavailable", None),
    ("AccessDenied", None),
    ("AccessDeniedException", None),
    ("ExpiredToken", None),
    ("ExpiredTokenException", None),
    ("IncompleteSignature", None),
    ("IncompleteSignatureException", None),
    ("InvalidClientTokenId", None),
    ("InvalidSignatureException", None),
    ("MissingAuthenticationToken", None),
    ("MissingAuthenticationTokenException", None),
    ("NotAuthorized", None),
    ("OptInRequired", None),
    ("RequestExpired", None),
    ("RequestTimeTooSkewed", None),
    ("SignatureDoesNotMatch", None),
    ("UnrecognizedClientException", None),
    ("UnknownOperationException", None),
];

/// An error and its sources, outermost first.
struct SourceChain<'e>(&'e (dyn std::error::Error + 'static));

impl<'e> SourceChain<'e> {
    fn iter(&self) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
        std::iter::successors(Some(self.0), |error| error.source())
    }

    fn find<E: std::error::Error + 'static>(&self) -> Option<&'e E> {
        self.iter().find_map(|error| error.downcast_ref())
    }
}

impl fmt::Display for SourceChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, error) in self.iter().enumerate() {
            let separator = if depth == 0 { "" } else { ": " };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
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
