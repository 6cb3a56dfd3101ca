//! [Cross-origin resource sharing](https://fetch.spec.whatwg.org/#http-cors-protocol), for the
//! gateways that leave it to the function: REST APIs and function URLs.
//!
//! Nothing here allows credentials: a front end sends its token in a header that it sets itself.

use lambda_http::http::StatusCode;

use super::Response;
use crate::config::AllowedOrigins;

/// The answer to a preflight, which asks before anybody is known. Who may go on is for [`allow`] to say.
pub(super) fn preflight() -> Response {
    Response::empty(StatusCode::NO_CONTENT)
}

/// Adds what lets a page of `origin` read the answer, if it may.
pub(super) fn allow(response: &mut Response, origins: &AllowedOrigins, origin: Option<&str>) {
    if matches!(origins, AllowedOrigins::These(_)) {
        // Also without an origin: a cache must not keep an answer for one origin and give it to
        // another.
        response.set("vary", "origin");
    }
    let Some(allowed) = origins.allow(origin) else {
        return;
    };
    response.set("access-control-allow-origin", allowed.to_owned());
    if response.status() == StatusCode::NO_CONTENT {
        response.set("access-control-allow-methods", "GET, HEAD, POST");
        // Whatever an authorizer may want to see: a token, a key of the API, or a signature.
        response.set(
            "access-control-allow-headers",
            "authorization, content-type, x-api-key, x-amz-date, x-amz-security-token, \
             x-amz-content-sha256",
        );
        // Two hours is the most that any browser keeps.
        response.set("access-control-max-age", "7200");
    } else {
        response.set("access-control-expose-headers", "retry-after");
    }
}
