//! HTTP response, in the form that all gateways accept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use lambda_http::http::StatusCode;
use serde::Serialize;

use crate::problem::{Problem, ProblemType};

/// The response to the gateway: `{"statusCode":…,"headers":{…},"body":"…","isBase64Encoded":false}`.
///
/// REST APIs, HTTP APIs with either payload format and function URLs accept it. In format 2.0 it also has
/// `"cookies":[]`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    pub status_code: u16,
    pub headers: BTreeMap<&'static str, Cow<'static, str>>,
    pub body: String,
    is_base64_encoded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<[&'static str; 0]>,
}

impl Response {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status_code: status.as_u16(),
            headers: BTreeMap::new(),
            body: String::new(),
            is_base64_encoded: false,
            cookies: None,
        }
    }

    pub(crate) fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::json(StatusCode::OK, "application/json", body)
            .map_err(|error| Problem::because(ProblemType::InternalError, error.to_string()))
    }

    /// A response that reports a problem.
    pub(crate) fn problem(problem: &Problem, request_id: &str) -> Self {
        let problem_type = problem.problem_type;
        let (status, body) = (problem_type.status(), problem.body(request_id));
        let mut response = Self::json(status, "application/problem+json", &body)
            .unwrap_or_else(|_| Self::empty(status));
        if problem_type == ProblemType::Unauthenticated {
            response.headers.insert("www-authenticate", "Bearer".into());
        }
        if let Some(seconds) = problem_type.retry_after() {
            response.retry_after(seconds);
        }
        response
    }

    /// JSON that must not be cached.
    fn json(
        status: StatusCode,
        content_type: &'static str,
        body: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let mut response = Self::empty(status);
        response.body = serde_json::to_string(body)?;
        response.headers.insert("content-type", content_type.into());
        response.headers.insert("cache-control", "no-store".into());
        Ok(response)
    }

    /// Sets `retry-after` to one of `seconds`, so clients that failed together do not come back together.
    pub(crate) fn retry_after(&mut self, seconds: RangeInclusive<u32>) {
        let seconds = fastrand::u32(seconds).to_string();
        self.headers.insert("retry-after", seconds.into());
    }

    /// Adds the member that only payload format 2.0 has. It is optional, but `cargo lambda watch` rejects
    /// a response without it.
    pub(crate) fn in_format_2(&mut self) {
        self.cookies = Some([]);
    }
}
