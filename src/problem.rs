//! Problem types ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): the only table of problem names and
//! HTTP status codes.
//!
//! The body of a problem never contains the cause, which goes into the log.

use std::ops::RangeInclusive;

use lambda_http::http::StatusCode;
use serde::{Serialize, Serializer};

use crate::caller::IdentityError;
use crate::chime::{ChimeError, ErrorKind};

/// The problem types. Their names are part of the API.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the texts below document each type")]
pub enum ProblemType {
    InvalidRequest,
    Unauthenticated,
    IdentityNotMapped,
    UserNotProvisioned,
    MessageNotFound,
    MessageGone,
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

/// The properties of a problem type.
struct ProblemSpec {
    name: &'static str,
    metric: &'static str,
    status: StatusCode,
    title: &'static str,
    detail: &'static str,
}

impl ProblemType {
    /// All problem types.
    pub const ALL: [Self; 16] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::IdentityNotMapped,
        Self::UserNotProvisioned,
        Self::MessageNotFound,
        Self::MessageGone,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::Throttled,
        Self::Misconfigured,
        Self::InternalError,
        Self::UpstreamFailure,
        Self::UpstreamUnavailable,
        Self::UpstreamTimeout,
    ];

    /// The last part of `type`.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The name of the metric that counts it.
    pub fn metric(self) -> &'static str {
        self.spec().metric
    }

    /// The HTTP status code.
    pub fn status(self) -> StatusCode {
        self.spec().status
    }

    /// A short text for people, the same for every problem of this type.
    pub fn title(self) -> &'static str {
        self.spec().title
    }

    /// A sentence for the caller.
    pub fn detail(self) -> &'static str {
        self.spec().detail
    }

    /// Whether an operator must act.
    pub(crate) fn needs_operator(self) -> bool {
        matches!(self, Self::Misconfigured | Self::InternalError)
    }

    /// Seconds after which a retry makes sense, as a range to choose from at random.
    fn retry_after(self) -> Option<RangeInclusive<u32>> {
        match self {
            Self::Throttled => Some(1..=5),
            Self::UpstreamUnavailable => Some(2..=10),
            _ => None,
        }
    }

    fn spec(self) -> ProblemSpec {
        match self {
            Self::InvalidRequest => ProblemSpec {
                name: "invalid-request",
                metric: "ProblemInvalidRequest",
                status: StatusCode::BAD_REQUEST,
                title: "Invalid request",
                detail: "Each entry of `errors` names a field and what is wrong with it.",
            },
            Self::Unauthenticated => ProblemSpec {
                name: "unauthenticated",
                metric: "ProblemUnauthenticated",
                status: StatusCode::UNAUTHORIZED,
                title: "Unauthenticated",
                detail: "The request has no identity from the API's authorizer.",
            },
            Self::IdentityNotMapped => ProblemSpec {
                name: "identity-not-mapped",
                metric: "ProblemIdentityNotMapped",
                status: StatusCode::FORBIDDEN,
                title: "Identity not mapped",
                detail: "The caller is authenticated, but the identity does not map to a chat user.",
            },
            Self::UserNotProvisioned => ProblemSpec {
                name: "user-not-provisioned",
                metric: "ProblemUserNotProvisioned",
                status: StatusCode::FORBIDDEN,
                title: "User not provisioned",
                detail: "The caller is authenticated, but the chat user does not exist yet.",
            },
            Self::MessageNotFound => ProblemSpec {
                name: "message-not-found",
                metric: "ProblemMessageNotFound",
                status: StatusCode::NOT_FOUND,
                title: "Message not found",
                detail: "The message does not exist, was sent by another user, or is not kept.",
            },
            Self::MessageGone => ProblemSpec {
                name: "message-gone",
                metric: "ProblemMessageGone",
                status: StatusCode::GONE,
                title: "Message gone",
                detail: "The message was pending and no longer exists. Most likely it was denied.",
            },
            Self::RouteNotFound => ProblemSpec {
                name: "route-not-found",
                metric: "ProblemRouteNotFound",
                status: StatusCode::NOT_FOUND,
                title: "Route not found",
                detail: "The API has no operation at this path.",
            },
            Self::MethodNotAllowed => ProblemSpec {
                name: "method-not-allowed",
                metric: "ProblemMethodNotAllowed",
                status: StatusCode::METHOD_NOT_ALLOWED,
                title: "Method not allowed",
                detail: "The `allow` header lists the allowed methods.",
            },
            Self::PayloadTooLarge => ProblemSpec {
                name: "payload-too-large",
                metric: "ProblemPayloadTooLarge",
                status: StatusCode::PAYLOAD_TOO_LARGE,
                title: "Payload too large",
                detail: "The maximum size of a body is 65536 bytes.",
            },
            Self::UnsupportedMediaType => ProblemSpec {
                name: "unsupported-media-type",
                metric: "ProblemUnsupportedMediaType",
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                title: "Unsupported media type",
                detail: "The `content-type` of the body must be application/json.",
            },
            Self::Throttled => ProblemSpec {
                name: "throttled",
                metric: "ProblemThrottled",
                status: StatusCode::TOO_MANY_REQUESTS,
                title: "Too many requests",
                detail: "The chat service limits the requests of each user, and the limit is reached.",
            },
            Self::Misconfigured => ProblemSpec {
                name: "misconfigured",
                metric: "ProblemMisconfigured",
                status: StatusCode::INTERNAL_SERVER_ERROR,
                title: "Service misconfigured",
                detail: "The service is not configured correctly. A retry does not help.",
            },
            Self::InternalError => ProblemSpec {
                name: "internal-error",
                metric: "ProblemInternalError",
                status: StatusCode::INTERNAL_SERVER_ERROR,
                title: "Internal error",
                detail: "The service failed. The request is not the cause.",
            },
            Self::UpstreamFailure => ProblemSpec {
                name: "upstream-failure",
                metric: "ProblemUpstreamFailure",
                status: StatusCode::BAD_GATEWAY,
                title: "Chat service failed",
                detail: "The chat service failed or returned an invalid response.",
            },
            Self::UpstreamUnavailable => ProblemSpec {
                name: "upstream-unavailable",
                metric: "ProblemUpstreamUnavailable",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "Chat service unavailable",
                detail: "The chat service is unavailable or could not be reached.",
            },
            Self::UpstreamTimeout => ProblemSpec {
                name: "upstream-timeout",
                metric: "ProblemUpstreamTimeout",
                status: StatusCode::GATEWAY_TIMEOUT,
                title: "Chat service timeout",
                detail: "The chat service did not respond in time.",
            },
        }
    }
}

/// A field of the request, and what is wrong with it.
#[derive(Clone, Serialize, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// The name of the field, as it was sent.
    pub field: String,
    /// What is wrong, in a sentence.
    pub detail: String,
}

/// A problem of one request or one message.
#[derive(Clone, Debug)]
pub struct Problem {
    problem_type: ProblemType,
    errors: Vec<FieldError>,
    cause: Option<String>,
    allowed_methods: Option<String>,
}

impl Problem {
    pub(crate) fn new(problem_type: ProblemType) -> Self {
        Self {
            problem_type,
            errors: Vec::new(),
            cause: None,
            allowed_methods: None,
        }
    }

    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::new(ProblemType::InvalidRequest)
        }
    }

    pub(crate) fn method_not_allowed(allowed_methods: String) -> Self {
        Self {
            allowed_methods: Some(allowed_methods),
            ..Self::new(ProblemType::MethodNotAllowed)
        }
    }

    pub(crate) fn because(problem_type: ProblemType, cause: impl ToString) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(problem_type)
        }
    }

    /// The type.
    pub fn problem_type(&self) -> ProblemType {
        self.problem_type
    }

    /// The fields that are not valid, of an `invalid-request`.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The cause, for the log.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The value of the `allow` header, of a `method-not-allowed`.
    pub(crate) fn allowed_methods(&self) -> Option<&str> {
        self.allowed_methods.as_deref()
    }

    /// Seconds for a `retry-after`, different each time.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        self.problem_type.retry_after().map(fastrand::u32)
    }

    /// The body, for the request with the id `request_id`.
    pub(crate) fn body<'p>(&'p self, request_id: &'p str) -> ProblemBody<'p> {
        ProblemBody {
            problem: self,
            request_id,
        }
    }
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        let problem_type = match error {
            IdentityError::Unauthenticated(_) => ProblemType::Unauthenticated,
            IdentityError::Unmapped(_) => ProblemType::IdentityNotMapped,
        };
        Self::because(problem_type, error)
    }
}

impl From<&ChimeError> for Problem {
    fn from(error: &ChimeError) -> Self {
        let problem_type = match error.kind() {
            ErrorKind::UnknownUser => ProblemType::UserNotProvisioned,
            ErrorKind::NoSuchMessage => ProblemType::MessageNotFound,
            ErrorKind::Throttled => ProblemType::Throttled,
            ErrorKind::NotPermitted | ErrorKind::NoCredentials => ProblemType::Misconfigured,
            ErrorKind::Failure | ErrorKind::Unusable => ProblemType::UpstreamFailure,
            ErrorKind::Unavailable | ErrorKind::Unreachable => ProblemType::UpstreamUnavailable,
            ErrorKind::Timeout | ErrorKind::StaleConnection => ProblemType::UpstreamTimeout,
            ErrorKind::Unsendable => ProblemType::InternalError,
        };
        Self::because(problem_type, error)
    }
}

/// The body of a problem: `type`, `title`, `status`, `detail`, `requestId`, and `errors` of an
/// `invalid-request`.
pub(crate) struct ProblemBody<'p> {
    problem: &'p Problem,
    request_id: &'p str,
}

impl Serialize for ProblemBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct ProblemMembers<'p> {
            r#type: String,
            title: &'static str,
            status: u16,
            detail: &'static str,
            request_id: &'p str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'p [FieldError],
        }
        let problem_type = self.problem.problem_type;
        ProblemMembers {
            r#type: format!("urn:problem-type:message-status:{}", problem_type.name()),
            title: problem_type.title(),
            status: problem_type.status().as_u16(),
            detail: problem_type.detail(),
            request_id: self.request_id,
            errors: &self.problem.errors,
        }
        .serialize(serializer)
    }
}
