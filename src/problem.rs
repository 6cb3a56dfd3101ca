//! Everything that can go wrong, as the caller sees it: the only table of problem names and HTTP
//! status codes.
//!
//! A problem document is what [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) describes. It has
//! a safe sentence; the cause is for the log.

use std::ops::RangeInclusive;

use lambda_http::http::StatusCode;
use serde::{Serialize, Serializer};

use crate::caller::IdentityError;
use crate::chime::{ChimeError, ErrorKind};

/// The problem types. Their names are contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ProblemType {
    InvalidRequest,
    Unauthenticated,
    IdentityNotMapped,
    UserNotProvisioned,
    MessageNotFound,
    RouteNotFound,
    MethodNotAllowed,
    PayloadTooLarge,
    UnsupportedMediaType,
    Throttled,
    Misconfigured,
    InternalError,
    UpstreamFailure,
    UpstreamUnavailable,
    UpstreamTimeout,
}

/// What there is to know about a problem type.
struct ProblemSpec {
    name: &'static str,
    metric: &'static str,
    status: StatusCode,
    title: &'static str,
    detail: &'static str,
}

impl ProblemType {
    /// The last part of `type`.
    pub(crate) fn name(self) -> &'static str {
        self.entry().name
    }

    /// The metric that counts it.
    pub(crate) fn metric(self) -> &'static str {
        self.entry().metric
    }

    pub(crate) fn status(self) -> StatusCode {
        self.entry().status
    }

    /// Whether somebody of ours should look at it.
    pub(crate) fn is_our_fault(self) -> bool {
        matches!(self, Self::Misconfigured | Self::InternalError)
    }

    /// Seconds after which it is worth trying again, as a range to choose from by chance.
    fn retry_after(self) -> Option<RangeInclusive<u32>> {
        match self {
            Self::Throttled => Some(1..=5),
            Self::UpstreamUnavailable => Some(2..=10),
            _ => None,
        }
    }

    fn entry(self) -> ProblemSpec {
        let entry = |name, metric, status, title, detail| ProblemSpec {
            name,
            metric,
            status,
            title,
            detail,
        };
        match self {
            Self::InvalidRequest => entry(
                "invalid-request",
                "ProblemInvalidRequest",
                StatusCode::BAD_REQUEST,
                "The request is not valid",
                "Each entry of `errors` says which field is wrong, and how.",
            ),
            Self::Unauthenticated => entry(
                "unauthenticated",
                "ProblemUnauthenticated",
                StatusCode::UNAUTHORIZED,
                "Nobody is logged in",
                "The request came without an identity that the API's authorizer vouches for.",
            ),
            Self::IdentityNotMapped => entry(
                "identity-not-mapped",
                "ProblemIdentityNotMapped",
                StatusCode::FORBIDDEN,
                "The identity is no chat user",
                "You are logged in, but this login does not lead to a user of the chat.",
            ),
            Self::UserNotProvisioned => entry(
                "user-not-provisioned",
                "ProblemUserNotProvisioned",
                StatusCode::FORBIDDEN,
                "The chat does not know the user",
                "You are logged in, but no such user exists in the chat yet.",
            ),
            Self::MessageNotFound => entry(
                "message-not-found",
                "ProblemMessageNotFound",
                StatusCode::NOT_FOUND,
                "There is no such message of yours",
                "No such message exists, or it is somebody else's, or it was denied and not kept.",
            ),
            Self::RouteNotFound => entry(
                "route-not-found",
                "ProblemRouteNotFound",
                StatusCode::NOT_FOUND,
                "There is nothing at this path",
                "The path must end in /message-status.",
            ),
            Self::MethodNotAllowed => entry(
                "method-not-allowed",
                "ProblemMethodNotAllowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "The method is not allowed here",
                "The `allow` header lists the methods that are.",
            ),
            Self::PayloadTooLarge => entry(
                "payload-too-large",
                "ProblemPayloadTooLarge",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
                "A body has at most 65536 bytes.",
            ),
            Self::UnsupportedMediaType => entry(
                "unsupported-media-type",
                "ProblemUnsupportedMediaType",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is not JSON",
                "The `content-type` of the body must be application/json.",
            ),
            Self::Throttled => entry(
                "throttled",
                "ProblemThrottled",
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests",
                "The chat allows each user a number of requests a second, and it is used up.",
            ),
            Self::Misconfigured => entry(
                "misconfigured",
                "ProblemMisconfigured",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The service is set up wrongly",
                "The operators have been told. Trying again does not help.",
            ),
            Self::InternalError => entry(
                "internal-error",
                "ProblemInternalError",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The service failed",
                "This is a fault of the service, not of the request.",
            ),
            Self::UpstreamFailure => entry(
                "upstream-failure",
                "ProblemUpstreamFailure",
                StatusCode::BAD_GATEWAY,
                "The chat failed",
                "The chat could not answer the question.",
            ),
            Self::UpstreamUnavailable => entry(
                "upstream-unavailable",
                "ProblemUpstreamUnavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The chat is unavailable",
                "The chat is unavailable, or could not be reached.",
            ),
            Self::UpstreamTimeout => entry(
                "upstream-timeout",
                "ProblemUpstreamTimeout",
                StatusCode::GATEWAY_TIMEOUT,
                "The chat did not answer in time",
                "The chat did not answer in time.",
            ),
        }
    }
}

/// One field of the request and what is wrong with it.
#[derive(Clone, Serialize, PartialEq, Eq, Debug)]
pub struct FieldError {
    pub(crate) field: String,
    pub(crate) detail: String,
}

impl FieldError {
    /// Its name, as it was sent.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong, in a sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// Something that went wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(crate) kind: ProblemType,
    pub(crate) errors: Vec<FieldError>,
    /// For the log.
    pub(crate) cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemType) -> Self {
        Self {
            kind,
            errors: Vec::new(),
            cause: None,
        }
    }

    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::new(ProblemType::InvalidRequest)
        }
    }

    pub(crate) fn because(kind: ProblemType, cause: impl ToString) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(kind)
        }
    }

    /// The name, which is contract.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.kind.status().as_u16()
    }

    /// The sentence that the caller is told.
    pub fn detail(&self) -> &'static str {
        self.kind.entry().detail
    }

    /// The fields at fault, of an `invalid-request`.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// What the log says of it.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Seconds for a `retry-after`, different each time.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        self.kind.retry_after().map(fastrand::u32)
    }

    /// The document about it, for the request with the gateway's id `request_id`.
    pub(crate) fn document<'p>(&'p self, request_id: &'p str) -> ProblemBody<'p> {
        ProblemBody {
            problem: self,
            request_id,
        }
    }
}

impl From<IdentityError> for Problem {
    fn from(refusal: IdentityError) -> Self {
        let kind = match refusal {
            IdentityError::Unauthenticated(_) => ProblemType::Unauthenticated,
            IdentityError::Unmapped(_) => ProblemType::IdentityNotMapped,
        };
        Self::because(kind, refusal)
    }
}

impl From<&ChimeError> for Problem {
    fn from(error: &ChimeError) -> Self {
        let kind = match error.kind {
            ErrorKind::UnknownUser => ProblemType::UserNotProvisioned,
            ErrorKind::NoSuchMessage => ProblemType::MessageNotFound,
            ErrorKind::Throttled => ProblemType::Throttled,
            ErrorKind::NotPermitted => ProblemType::Misconfigured,
            ErrorKind::Failure | ErrorKind::Unusable => ProblemType::UpstreamFailure,
            ErrorKind::Unavailable | ErrorKind::Unreachable => ProblemType::UpstreamUnavailable,
            ErrorKind::Timeout => ProblemType::UpstreamTimeout,
            ErrorKind::Unsendable => ProblemType::InternalError,
        };
        Self::because(kind, error)
    }
}

/// A problem document: `type`, `title`, `status`, `detail`, `requestId`, and `errors` where fields
/// of the request are wrong.
pub(crate) struct ProblemBody<'p> {
    problem: &'p Problem,
    request_id: &'p str,
}

impl Serialize for ProblemBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'p> {
            r#type: String,
            title: &'static str,
            status: u16,
            detail: &'static str,
            request_id: &'p str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'p [FieldError],
        }
        let entry = self.problem.kind.entry();
        Wire {
            r#type: format!("urn:problem-type:message-status:{}", entry.name),
            title: entry.title,
            status: entry.status.as_u16(),
            detail: entry.detail,
            request_id: self.request_id,
            errors: &self.problem.errors,
        }
        .serialize(serializer)
    }
}
