//! [Cross-origin resource sharing](https://fetch.spec.whatwg.org/#http-cors-protocol), for event sources
//! that leave it to the function: REST APIs and function URLs.
//!
//! Credentials are never allowed, because a front end sets its token in a header.

use lambda_http::http::StatusCode;

use super::Response;
use crate::config::AllowedOrigins;

/// The response to a preflight. [`allow`] adds the headers.
pub(super) fn preflight() -> Response {
    Response::empty(StatusCode::NO_CONTENT)
}

/// Adds the headers that let a page of `origin` read the response, if the origin is allowed. `methods`
/// are the methods of the path, for a preflight.
pub(super) fn allow<'m>(
    response: &mut Response,
    origins: &AllowedOrigins,
    origin: Option<&str>,
    methods: impl Iterator<Item = &'m str>,
) {
    if matches!(origins, AllowedOrigins::These(_)) {
        // Set even if the request has no origin, so a cache never sends one origin's response to another.
        response.set("vary", "origin");
    }
    let Some(allowed) = origins.allow(origin) else {
        return;
    };
    response.set("access-control-allow-origin", allowed.to_owned());
    if response.status() == StatusCode::NO_CONTENT {
        let methods: Vec<_> = methods.collect();
        response.set("access-control-allow-methods", methods.join(", "));
        // What an authorizer may need: a token, an API key, or a signature.
        response.set(
            "access-control-allow-headers",
            "authorization, content-type, x-api-key, x-amz-date, x-amz-security-token, \
             x-amz-content-sha256",
        );
        // Two hours is the longest time that any browser keeps a preflight.
        response.set("access-control-max-age", "7200");
    } else {
        response.set("access-control-expose-headers", "retry-after");
    }
}
