//! CORS: any page may call, as with the real service.

use crate::http::{HttpRequest, HttpResponse};

/// The response to a preflight, if the request is one.
pub(super) fn preflight(request: &HttpRequest) -> Option<HttpResponse> {
    let headers = request.header("access-control-request-headers");
    (request.method == "OPTIONS").then(|| {
        HttpResponse::new(204, "", "")
            .with("access-control-allow-methods", "GET, POST, PUT, DELETE")
            .with("access-control-allow-headers", headers.unwrap_or("*"))
            .with("access-control-max-age", "600")
    })
}

/// Lets a page read the response. Requests without an origin are not from pages, and need no headers.
pub(super) fn allow(origin: Option<&str>, response: HttpResponse) -> HttpResponse {
    if origin.is_none() {
        return response;
    }
    let exposed = "x-amzn-RequestId, x-amzn-ErrorType, date";
    response
        .with("access-control-allow-origin", "*")
        .with("access-control-expose-headers", exposed)
}
