//! Faults that a test can inject into GetChannelMessageStatus.

use std::time::Duration;

use crate::http::{HttpResponse, WireReply};
use crate::service_error::ServiceError;

/// ARNs in the texts of faults that do not quote the request.
const USER_ARN: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/someone";
const CHANNEL_ARN: &str =
    "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/channel/somewhere";

/// What happens instead of the correct response. The signature is verified first: a wrong signature is
/// always rejected as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault: the correct response.
    Pass,
    /// The correct response, determined after this time.
    Latency(Duration),
    /// Another fault, after this time.
    After(Duration, Box<Fault>),
    /// An error response.
    Error(ServiceError),
    /// A response that Chime is not known to send. `x-amzn-RequestId` and `content-length` are
    /// added.
    Body {
        /// The HTTP status.
        status: u16,
        /// The headers, content type included.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// See [`WireReply::Close`].
    Close,
    /// See [`WireReply::Reset`].
    Reset,
    /// See [`WireReply::ResetInHead`], with the correct response.
    ResetInHead,
    /// See [`WireReply::ResetInBody`].
    ResetInBody,
    /// See [`WireReply::StallInBody`].
    StallInBody,
    /// See [`WireReply::Drip`]: the pause before each byte.
    Drip(Duration),
    /// See [`WireReply::Hang`].
    Hang,
    /// See [`WireReply::Raw`]: bytes that are not HTTP.
    Raw(Vec<u8>),
    /// See [`WireReply::ContentLength`]: ten bytes more than the body has.
    LengthTooLong,
    /// See [`WireReply::ContentLength`]: ten bytes less than the body has, or 0.
    LengthTooShort,
    /// See [`WireReply::CloseAfter`].
    CloseAfter,
}

impl Fault {
    /// Any error response. Without a name it has no `x-amzn-ErrorType` and no `Code`.
    pub fn error(status: u16, name: Option<&str>, message: &str) -> Fault {
        Fault::Error(ServiceError {
            status,
            name: name.map(String::from),
            message: message.into(),
        })
    }

    /// `BadRequestException`, 400.
    pub fn bad_request() -> Fault {
        Fault::Error(ServiceError::bad_request(format!(
            "{CHANNEL_ARN} is not valid"
        )))
    }

    /// `UnauthorizedClientException`, 401.
    pub fn unauthorized_client() -> Fault {
        Fault::Error(ServiceError::unauthorized_client(USER_ARN))
    }

    /// `ForbiddenException`, 403.
    pub fn forbidden() -> Fault {
        let action = "chime:GetChannelMessageStatus";
        Fault::Error(ServiceError::forbidden(USER_ARN, action, CHANNEL_ARN))
    }

    /// `NotFoundException`, 404.
    pub fn not_found() -> Fault {
        Fault::Error(ServiceError::not_found("some-message", CHANNEL_ARN))
    }

    /// `ThrottledClientException`, 429.
    pub fn throttled() -> Fault {
        Fault::Error(ServiceError::throttled(USER_ARN))
    }

    /// `ThrottlingException`, 429: the throttle of other layers of AWS.
    pub fn throttling() -> Fault {
        let message = format!("Rate exceeded for {USER_ARN}");
        Fault::error(429, Some("ThrottlingException"), &message)
    }

    /// `ServiceFailureException`, 500.
    pub fn service_failure() -> Fault {
        Fault::Error(ServiceError::service_failure())
    }

    /// `ServiceUnavailableException`, 503.
    pub fn service_unavailable() -> Fault {
        Fault::Error(ServiceError::service_unavailable())
    }

    /// `AccessDeniedException`, 403, from IAM.
    pub fn access_denied() -> Fault {
        Fault::Error(ServiceError::access_denied(CHANNEL_ARN))
    }

    /// `ExpiredTokenException`, 403.
    pub fn expired_token() -> Fault {
        Fault::Error(ServiceError::expired_token())
    }

    /// `UnrecognizedClientException`, 403.
    pub fn unrecognized_client() -> Fault {
        let message = "The security token included in the request is invalid.";
        Fault::error(403, Some("UnrecognizedClientException"), message)
    }

    /// `InvalidSignatureException`, 403, with the ARNs that AWS quotes in it.
    pub fn invalid_signature() -> Fault {
        let message = format!(
            "The request signature we calculated does not match the signature you provided. The \
             Canonical String for this request should have been\n'GET\n{CHANNEL_ARN}\n\n\
             x-amz-chime-bearer:{USER_ARN}'"
        );
        Fault::error(403, Some("InvalidSignatureException"), &message)
    }

    /// `MissingAuthenticationTokenException`, 403.
    pub fn missing_authentication_token() -> Fault {
        let message = "Missing Authentication Token";
        Fault::error(403, Some("MissingAuthenticationTokenException"), message)
    }

    /// `IncompleteSignatureException`, 403.
    pub fn incomplete_signature() -> Fault {
        let message = "AuthorizationHeader header requires 'Signature' parameter.";
        Fault::error(403, Some("IncompleteSignatureException"), message)
    }

    /// An HTML page of a load balancer, without an error name.
    pub fn html(status: u16) -> Fault {
        Fault::body(
            status,
            "text/html",
            "<html><body><h1>oops</h1></body></html>",
        )
    }

    /// 200, with any text as JSON.
    pub fn json(body: impl Into<Vec<u8>>) -> Fault {
        Fault::body(200, "application/json", body)
    }

    /// 200, with this status value.
    pub fn status_value(value: &str) -> Fault {
        Fault::json(serde_json::json!({ "Status": { "Value": value } }).to_string())
    }

    /// Any response.
    pub fn body(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Fault {
        Fault::Body {
            status,
            headers: vec![("content-type".into(), content_type.into())],
            body: body.into(),
        }
    }

    /// This fault, after some time.
    #[must_use]
    pub fn after(self, delay: Duration) -> Fault {
        Fault::After(delay, Box::new(self))
    }

    /// The delay, and the fault after it.
    pub(crate) fn delay(self) -> (Duration, Fault) {
        match self {
            Fault::Latency(delay) => (delay, Fault::Pass),
            Fault::After(delay, then) => {
                let (more, fault) = then.delay();
                (delay + more, fault)
            }
            fault => (Duration::ZERO, fault),
        }
    }

    /// The reply on the wire, made from the correct response.
    pub(crate) fn reply(self, correct: impl FnOnce() -> HttpResponse) -> WireReply {
        match self {
            Fault::Pass | Fault::Latency(_) | Fault::After(..) => WireReply::Respond(correct()),
            Fault::Error(service_error) => WireReply::Respond(service_error.response()),
            Fault::Body {
                status,
                headers,
                body,
            } => WireReply::Respond(HttpResponse {
                status,
                headers,
                body,
            }),
            Fault::Close => WireReply::Close,
            Fault::Reset => WireReply::Reset,
            Fault::ResetInHead => WireReply::ResetInHead(correct()),
            Fault::ResetInBody => WireReply::ResetInBody(correct()),
            Fault::StallInBody => WireReply::StallInBody(correct()),
            Fault::Drip(every) => WireReply::Drip(correct(), every),
            Fault::Hang => WireReply::Hang,
            Fault::Raw(bytes) => WireReply::Raw(bytes),
            Fault::LengthTooLong => {
                let response = correct();
                let length = response.body.len() + 10;
                WireReply::ContentLength(response, length)
            }
            Fault::LengthTooShort => {
                let response = correct();
                let length = response.body.len().saturating_sub(10);
                WireReply::ContentLength(response, length)
            }
            Fault::CloseAfter => WireReply::CloseAfter(correct()),
        }
    }
}
