//! Problem types ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): the only table of problem names and
//! HTTP status codes.
//!
//! The body of a problem never contains the cause, which goes into the log.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use lambda_http::http::StatusCode;
use serde::Serialize;

use crate::chime::{ChimeError, ErrorKind};
use crate::event::Malformed;
use crate::identity::IdentityError;

/// Defines [`ProblemType`] from its table: variant, name, status, title, detail.
macro_rules! problem_types {
    ($($variant:ident, $name:literal, $status:ident, $title:literal, $detail:literal;)*) => {
        /// A type of problem. The names are part of the API.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum ProblemType {
            $(#[doc = $detail] $variant,)*
        }

        impl ProblemType {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The last part of `type`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The name of the metric that counts it.
            pub fn metric(self) -> &'static str {
                match self { $(Self::$variant => concat!("Problem", stringify!($variant)),)* }
            }

            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// A short text for people, the same for every problem of this type.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// A sentence for the caller.
            pub fn detail(self) -> &'static str {
                match self { $(Self::$variant => $detail,)* }
            }
        }
    };
}

problem_types! {
    InvalidRequest, "invalid-request", BAD_REQUEST, "Invalid request",
        "Each entry of `errors` names a field and what is wrong with it.";
    Unauthenticated, "unauthenticated", UNAUTHORIZED, "Unauthenticated",
        "The request has no identity from the API's authorizer.";
    IdentityNotMapped, "identity-not-mapped", FORBIDDEN, "Identity not mapped",
        "The caller is authenticated, but the identity does not map to a chat user.";
    UserNotProvisioned, "user-not-provisioned", FORBIDDEN, "User not provisioned",
        "The caller is authenticated, but the chat user does not exist yet.";
    MessageNotFound, "message-not-found", NOT_FOUND, "Message not found",
        "The message does not exist, was sent by another user, or is not kept.";
    MessageGone, "message-gone", GONE, "Message gone",
        "The message was pending and no longer exists. Most likely it was denied.";
    RouteNotFound, "route-not-found", NOT_FOUND, "Route not found",
        "The API has no operation at this path.";
    MethodNotAllowed, "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed",
        "The `allow` header lists the allowed methods.";
    PayloadTooLarge, "payload-too-large", PAYLOAD_TOO_LARGE, "Payload too large",
        "The maximum size of a body is 65536 bytes.";
    UnsupportedMediaType, "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
        "The `content-type` of the body must be application/json.";
    Throttled, "throttled", TOO_MANY_REQUESTS, "Too many requests",
        "The chat service limits the requests of each user, and the limit is reached.";
    Misconfigured, "misconfigured", INTERNAL_SERVER_ERROR, "Service misconfigured",
        "The service is not configured correctly. A retry does not help.";
    InternalError, "internal-error", INTERNAL_SERVER_ERROR, "Internal error",
        "The service failed. The request is not the cause.";
    UpstreamFailure, "upstream-failure", BAD_GATEWAY, "Chat service failed",
        "The chat service failed or returned an invalid response.";
    UpstreamUnavailable, "upstream-unavailable", SERVICE_UNAVAILABLE, "Chat service unavailable",
        "The chat service is unavailable or could not be reached.";
    UpstreamTimeout, "upstream-timeout", GATEWAY_TIMEOUT, "Chat service timeout",
        "The chat service did not respond in time.";
}

impl ProblemType {
    /// Whether an operator must act.
    pub(crate) fn needs_operator(self) -> bool {
        matches!(self, Self::Misconfigured | Self::InternalError)
    }

    /// Seconds after which a retry makes sense, to choose from at random.
    pub(crate) fn retry_after(self) -> Option<RangeInclusive<u32>> {
        match self {
            Self::Throttled => Some(1..=5),
            Self::UpstreamUnavailable => Some(2..=10),
            _ => None,
        }
    }
}

#[derive(Clone, Serialize, PartialEq, Eq, Debug)]
pub struct FieldError {
    pub field: String,
    pub detail: String,
}

#[derive(Clone, Debug)]
pub struct Problem {
    pub problem_type: ProblemType,
    /// The fields that are not valid, of an `invalid-request`.
    pub errors: Vec<FieldError>,
    pub cause: Option<Cow<'static, str>>,
}

impl Problem {
    /// A problem whose type says everything.
    pub(crate) fn new(problem_type: ProblemType) -> Self {
        Self {
            problem_type,
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

    pub(crate) fn because(problem_type: ProblemType, cause: impl Into<Cow<'static, str>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(problem_type)
        }
    }

    /// The body, for the request with the id `request_id`.
    pub(crate) fn body<'p>(&'p self, request_id: &'p str) -> ProblemBody<'p> {
        let problem_type = self.problem_type;
        ProblemBody {
            r#type: format!("urn:problem-type:message-status:{}", problem_type.name()),
            title: problem_type.title(),
            status: problem_type.status().as_u16(),
            detail: problem_type.detail(),
            request_id,
            errors: &self.errors,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemBody<'p> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    request_id: &'p str,
    /// Only of an `invalid-request`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'p [FieldError],
}

impl From<&Malformed> for Problem {
    fn from(malformed: &Malformed) -> Self {
        Self::because(ProblemType::InternalError, malformed.to_string())
    }
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        let problem_type = match error {
            IdentityError::Unmapped(_) => ProblemType::IdentityNotMapped,
            _ => ProblemType::Unauthenticated,
        };
        Self::because(problem_type, error.to_string())
    }
}

impl From<&ChimeError> for Problem {
    fn from(error: &ChimeError) -> Self {
        let problem_type = match error.kind() {
            ErrorKind::UnknownUser => ProblemType::UserNotProvisioned,
            ErrorKind::NoSuchMessage => ProblemType::MessageNotFound,
            ErrorKind::Throttled => ProblemType::Throttled,
            ErrorKind::NotPermitted => ProblemType::Misconfigured,
            ErrorKind::Failure | ErrorKind::Unusable => ProblemType::UpstreamFailure,
            ErrorKind::Unavailable => ProblemType::UpstreamUnavailable,
            ErrorKind::Timeout => ProblemType::UpstreamTimeout,
            ErrorKind::Unsendable => ProblemType::InternalError,
        };
        Self::because(problem_type, error.to_string())
    }
}
