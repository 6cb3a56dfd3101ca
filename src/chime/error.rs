//! Errors of Chime calls, and how they are classified.

use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_chimesdkmessaging::config::http::HttpResponse;
use aws_sdk_chimesdkmessaging::error::{ConnectorError, ProvideErrorMetadata, SdkError};

use super::http::{AttemptTimeout, BodyError};
use crate::polling::RetryClass;

/// The reason why a call has no result.
///
/// Its text never quotes a response, because responses can contain ARNs and this error is logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChimeError {
    kind: ErrorKind,
    /// Chime's name of the error, if it is one of `NAMES`.
    name: Option<&'static str>,
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
    /// There are no AWS credentials to sign the call with.
    NoCredentials,
    /// Chime failed, or its response was cut off. The next call may succeed.
    Failure,
    /// Chime is unavailable.
    Unavailable,
    /// No connection, or one that was lost before the response.
    Unreachable,
    /// No response in time.
    Timeout,
    /// No response in time, on a connection that may have died while it was idle.
    StaleConnection,
    /// A response that is not valid.
    Unusable,
    /// The SDK could not create the request.
    Unsendable,
}

impl ErrorKind {
    /// How the error affects the next call.
    pub(crate) fn retry_class(self) -> RetryClass {
        match self {
            Self::UnknownUser
            | Self::NoSuchMessage
            | Self::NotPermitted
            | Self::NoCredentials
            | Self::Unsendable => RetryClass::Final,
            Self::Throttled => RetryClass::RetryOnce,
            Self::StaleConnection => RetryClass::Reconnect,
            Self::Failure | Self::Unavailable | Self::Unreachable => RetryClass::Retryable,
            Self::Timeout | Self::Unusable => RetryClass::RetryLater,
        }
    }
}

impl ChimeError {
    fn new(kind: ErrorKind, cause: impl Into<String>) -> Self {
        Self {
            kind,
            name: None,
            cause: cause.into(),
        }
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Chime's name of the error, if it is a known one.
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }

    pub(super) fn from_sdk<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        match error {
            // The SDK reports a response that it cannot read as an error of the service.
            SdkError::ServiceError(service) if service.raw().status().is_success() => {
                unusable("Chime's response is not valid")
            }
            SdkError::ServiceError(service) => {
                Self::from_response(service.raw().status().as_u16(), service.err().code())
            }
            SdkError::ResponseError(_) => unusable("Chime's response is not valid"),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(error) => Self::from_connector(error),
                None => Self::new(ErrorKind::Unreachable, "the request was not sent"),
            },
            SdkError::ConstructionFailure(_) => Self::new(
                ErrorKind::Unsendable,
                "the SDK could not create the request",
            ),
            _ => Self::new(ErrorKind::Unsendable, "the SDK failed in an unknown way"),
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
        let (name, cause) = match (known, name) {
            (Some((name, _)), _) => (Some(*name), format!("Chime returned {status} {name}")),
            (None, Some(_)) => (
                None,
                format!("Chime returned {status} with an unknown error name"),
            ),
            (None, None) => (
                None,
                format!("Chime returned {status} without an error name"),
            ),
        };
        Self { kind, name, cause }
    }

    fn from_connector(error: &ConnectorError) -> Self {
        let chain = SourceChain(error);
        if let Some(timeout) = chain.find::<AttemptTimeout>() {
            let kind = if timeout.on_reused_connection {
                ErrorKind::StaleConnection
            } else {
                ErrorKind::Timeout
            };
            return Self::new(kind, "no response within CHIME_ATTEMPT_TIMEOUT_MS");
        }
        match chain.find::<BodyError>() {
            Some(error @ BodyError::TooLarge) => return unusable(&error.to_string()),
            Some(error @ BodyError::CutOff) => {
                return Self::new(ErrorKind::Failure, error.to_string());
            }
            None => {}
        }
        // The SDK reports missing credentials as a request that it cannot send.
        if chain.find::<CredentialsError>().is_some() {
            return Self::new(
                ErrorKind::NoCredentials,
                "the function has no usable AWS credentials",
            );
        }
        // There was no response, so this text cannot quote one.
        Self::new(
            ErrorKind::Unreachable,
            format!("Chime could not be reached: {chain}"),
        )
    }
}

pub(super) fn unusable(cause: &str) -> ChimeError {
    ChimeError::new(ErrorKind::Unusable, cause)
}

impl fmt::Display for ChimeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.cause)
    }
}

impl std::error::Error for ChimeError {}

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
        assert_eq!(error.name(), None);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
