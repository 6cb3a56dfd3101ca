//! [Cross-origin resource sharing](https://fetch.spec.whatwg.org/#http-cors-protocol), for event sources
//! that leave it to the function: REST APIs and function URLs.
//!
//! Credentials are never allowed, because a front end sends its token in a header.

use lambda_http::http::StatusCode;
use thiserror::Error;
use url::Url;

use crate::response::Response;

/// The origins whose pages may read responses: `ALLOWED_ORIGINS`.
pub enum AllowedOrigins {
    Any,
    /// These origins, compared exactly.
    These(Vec<String>),
}

#[derive(Debug, Error)]
#[error(
    "{0:?} is not an origin as browsers send it (scheme://host or scheme://host:port, in lower case, without \
     a path and without the default port)"
)]
pub struct NotAnOrigin(String);

impl AllowedOrigins {
    /// Parses `*`, or origins separated by commas.
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let origins = text.split(',').map(|origin| {
            let origin = origin.trim().to_owned();
            if is_origin(&origin) {
                Ok(origin)
            } else {
                Err(NotAnOrigin(origin))
            }
        });
        origins.collect::<Result<_, _>>().map(Self::These)
    }

    /// The response to a preflight from `origin`.
    pub(crate) fn preflight(&self, origin: Option<&str>, methods: &str) -> Response {
        let mut response = Response::empty(StatusCode::NO_CONTENT);
        if self.add_origin(origin, &mut response) {
            response.headers.extend([
                ("access-control-allow-methods", methods.to_owned().into()),
                // The wildcard does not include `authorization`. It admits the headers that tracing tools add.
                ("access-control-allow-headers", "authorization, *".into()),
                // Two hours is the longest time that any browser keeps a preflight.
                ("access-control-max-age", "7200".into()),
            ]);
        }
        response
    }

    /// Lets a page of `origin` read a response, if the origin is allowed.
    pub(crate) fn expose(&self, origin: Option<&str>, response: &mut Response) {
        if self.add_origin(origin, response) {
            response
                .headers
                .insert("access-control-expose-headers", "retry-after".into());
        }
    }

    fn add_origin(&self, origin: Option<&str>, response: &mut Response) -> bool {
        let allowed = match self {
            Self::Any => Some("*"),
            Self::These(origins) => {
                // Set for every request, so a cache never sends one origin's response to another.
                response.headers.insert("vary", "origin".into());
                origin.filter(|origin| origins.iter().any(|known| known == origin))
            }
        };
        if let Some(allowed) = allowed {
            response
                .headers
                .insert("access-control-allow-origin", allowed.to_owned().into());
        }
        allowed.is_some()
    }
}

/// Whether a browser or a web view would ever send `text` as an
/// [`Origin`](https://www.rfc-editor.org/rfc/rfc6454#section-7).
fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let origin = url.origin();
    // Schemes of apps, such as `capacitor://localhost`, have no origin in the URL standard.
    let is_app =
        !origin.is_tuple() && url.has_host() && url.path().is_empty() && url.as_str() == text;
    !text.contains('*') && (origin.ascii_serialization() == text || is_app)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_that_browsers_send_are_accepted() {
        for good in [
            "*",
            "https://a.example",
            "http://localhost:5173, https://b.example",
            "capacitor://localhost",
            "http://[::1]:8080",
        ] {
            assert!(AllowedOrigins::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "null",
            "https://a.example/",
            "https://A.example",
            "https://a.example:443",
            "a.example",
            "*,https://a.example",
            "https://*.example",
            "https://a.example,",
            "https://",
            "https://a.example:",
            "https://:8443",
            "https://a.example:99999",
            "https://a.example:0443",
            "https://[::1",
            "https://user@a.example",
            "https://a.example?x",
            "https://a.example#x",
            "capacitor://localhost/",
            "capacitor://local host",
            "data:x",
            "capacitor:",
            "file://",
        ] {
            assert!(AllowedOrigins::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_an_exact_origin_is_allowed() {
        let origins = AllowedOrigins::parse("https://a.example,https://b.example:8443");
        let origins = origins.expect("origins");
        let is_allowed = |origin| origins.add_origin(origin, &mut Response::empty(StatusCode::OK));
        assert!(is_allowed(Some("https://a.example")));
        for other in [
            "https://a.example:8443",
            "https://b.example",
            "https://a.example.evil.test",
            "https://evil-a.example",
            "https://A.EXAMPLE",
            "http://a.example",
            "null",
            "",
        ] {
            assert!(!is_allowed(Some(other)), "{other}");
        }
        assert!(!is_allowed(None));
    }
}
