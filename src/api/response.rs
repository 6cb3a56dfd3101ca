//! HTTP response, in the form that all gateways accept.

use std::borrow::Cow;

use lambda_http::http::StatusCode;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::problem::{Problem, ProblemType};

/// The response to the gateway: `{"statusCode":…,"headers":{…},"body":"…","isBase64Encoded":false}`.
///
/// REST APIs, HTTP APIs with either payload format and function URLs accept it. In format 2.0 it also has
/// `"cookies":[]`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    #[serde(serialize_with = "status_code")]
    status_code: StatusCode,
    headers: ResponseHeaders,
    body: String,
    is_base64_encoded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<[&'static str; 0]>,
}

struct ResponseHeaders(Vec<(&'static str, Cow<'static, str>)>);

impl Serialize for ResponseHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn status_code<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Response {
    /// A response without a body.
    pub(super) fn empty(status_code: StatusCode) -> Self {
        Self {
            status_code,
            headers: ResponseHeaders(Vec::with_capacity(6)),
            body: String::new(),
            is_base64_encoded: false,
            cookies: None,
        }
    }

    /// Adds the member that only payload format 2.0 has. It is optional, but `cargo lambda watch` rejects
    /// a response without it.
    pub(super) fn in_format_2_0(&mut self) {
        self.cookies = Some([]);
    }

    /// A 200 with JSON that must not be cached.
    pub(super) fn json(body: &impl Serialize) -> Result<Self, Problem> {
        Self::document(StatusCode::OK, "application/json", body)
            .map_err(|error| Problem::because(ProblemType::InternalError, error))
    }

    /// A response that reports a problem.
    pub(super) fn problem(problem: &Problem, request_id: &str) -> Self {
        let status = problem.problem_type().status();
        let body = problem.body(request_id);
        let mut response = Self::document(status, "application/problem+json", &body)
            .unwrap_or_else(|_| Self::empty(status));
        if problem.problem_type() == ProblemType::Unauthenticated {
            response.set("www-authenticate", "Bearer");
        }
        if let Some(methods) = problem.allowed_methods() {
            response.set("allow", methods.to_owned());
        }
        if let Some(seconds) = problem.retry_after() {
            response.set("retry-after", seconds.to_string());
        }
        response
    }

    fn document(
        status: StatusCode,
        content_type: &'static str,
        body: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let mut response = Self::empty(status);
        response.body = serde_json::to_string(body)?;
        response.set("content-type", content_type);
        response.set("cache-control", "no-store");
        Ok(response)
    }

    /// Adds a header. `name` must be in lower case and not set before.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.headers.0.push((name, value.into()));
    }

    pub(super) fn drop_body(&mut self) {
        self.body.clear();
    }

    /// The HTTP status code.
    pub fn status(&self) -> u16 {
        self.status_code.as_u16()
    }

    /// Names and values of the headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .0
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
    }

    /// The body, which is always text.
    pub fn body(&self) -> &str {
        &self.body
    }
}
