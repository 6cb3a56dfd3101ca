//! Gateway events: one HTTP request, in one shape for all event sources.
//!
//! The request types of lambda_http fail on a single claim of an unexpected type and panic on some inputs.
//! So this module reads only the members that a response depends on. What the authorizer wrote stays raw
//! JSON, which [`crate::identity`] reads.
//!
//! Formats: [payload formats 1.0 and 2.0 of HTTP APIs and function URLs][http], [REST APIs][rest].
//!
//! [http]: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
//! [rest]: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html

use std::borrow::Cow;

use aws_smithy_types::base64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::json::{self, Object};

/// One HTTP request, as its gateway reports it.
pub struct Event<'a> {
    pub gateway: Gateway,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The caller never depends on a header.
    headers: Option<&'a RawValue>,
    /// `requestContext.authorizer`, as the authorizer wrote it.
    pub(crate) authorizer: Option<&'a RawValue>,
    /// `requestContext.identity`, which format 2.0 does not have.
    pub(crate) identity: Option<&'a RawValue>,
    /// The gateway's id of the request, which is also in its access log.
    pub(crate) request_id: Option<String>,
    query: Query<'a>,
    body: Option<&'a RawValue>,
    body_is_base64: bool,
}

/// The gateways whose events are supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gateway {
    HttpApi,
    #[serde(rename = "http-api-1.0")]
    HttpApiFormat1,
    RestApi,
    FunctionUrl,
}

impl Gateway {
    /// Whether events and responses have payload format 2.0.
    pub(crate) fn has_format_2(self) -> bool {
        matches!(self, Self::HttpApi | Self::FunctionUrl)
    }
}

/// The query of a URL.
enum Query<'a> {
    /// Encoded, as in the URL.
    Raw(String),
    /// Decoded by the gateway: `{"name": "value"}` or `{"name": ["value", …]}`.
    Decoded(&'a RawValue),
}

/// The body is not text: not a JSON string, not valid base64, or not UTF-8.
pub(crate) struct BodyIsNotText;

impl<'a> Event<'a> {
    /// Parses an event.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let wire: WireEvent<'a> = serde_json::from_str(text)?;
        let context = wire.request_context;
        let gateway = match (wire.version.as_deref(), &context.domain_name) {
            (Some("2.0"), Some(domain)) if domain.contains(".lambda-url.") => Gateway::FunctionUrl,
            (Some("2.0"), _) => Gateway::HttpApi,
            (Some("1.0"), _) => Gateway::HttpApiFormat1,
            (None, _) => Gateway::RestApi,
            (Some(_), _) => return Err(Malformed::Lacks("a known version")),
        };
        let (method, path, raw_query) = if gateway.has_format_2() {
            let http = context
                .http
                .ok_or(Malformed::Lacks("requestContext.http"))?;
            (Some(http.method), wire.raw_path, wire.raw_query_string)
        } else {
            (wire.http_method, wire.path, None)
        };
        let decoded = wire
            .multi_value_query_string_parameters
            .or(wire.query_string_parameters);
        let query = match (raw_query, decoded) {
            (None, Some(decoded)) => Query::Decoded(decoded),
            (raw, _) => Query::Raw(raw.unwrap_or_default()),
        };
        // A caller of a REST API can choose `requestId`.
        let request_id = match gateway {
            Gateway::RestApi => context.extended_request_id,
            _ => context.request_id,
        };
        Ok(Self {
            gateway,
            method: method.ok_or(Malformed::Lacks("a method"))?,
            path: path.ok_or(Malformed::Lacks("a path"))?,
            headers: wire.headers,
            authorizer: context.authorizer,
            identity: context.identity,
            request_id: request_id.filter(|id| is_request_id(id)),
            query,
            body: wire.body,
            body_is_base64: wire.is_base64_encoded.unwrap_or(false),
        })
    }

    /// The value of a header. Gateways differ in the case of names.
    pub(crate) fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        let headers = Object::parse(self.headers?)?;
        let mut headers = headers.members();
        let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        json::string(value)
    }

    /// The query parameters, decoded, in order, with repetitions. A value that is not text is empty.
    pub(crate) fn query(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        let decoded = match &self.query {
            Query::Raw(raw) => return url::form_urlencoded::parse(raw.as_bytes()).collect(),
            Query::Decoded(decoded) => Object::parse(decoded),
        };
        let values = decoded
            .iter()
            .flat_map(Object::members)
            .flat_map(|(name, value)| {
                let values = json::array(value).unwrap_or_else(|| vec![value]);
                let values = values
                    .into_iter()
                    .map(|value| json::string(value).unwrap_or_default());
                values.map(move |value| (Cow::from(name.to_owned()), value))
            });
        values.collect()
    }

    /// The body, decoded. A request without a body has an empty one.
    pub(crate) fn body(&self) -> Result<String, BodyIsNotText> {
        let Some(body) = self.body else {
            return Ok(String::new());
        };
        let text = json::string(body).ok_or(BodyIsNotText)?;
        if !self.body_is_base64 {
            return Ok(text.into_owned());
        }
        let bytes = base64::decode(text).map_err(|_| BodyIsNotText)?;
        String::from_utf8(bytes).map_err(|_| BodyIsNotText)
    }
}

/// Accepts the ids that gateways make: a UUID, or 15 characters of base64 and `=`. Any other text is
/// dropped, because the id reaches logs and responses.
fn is_request_id(id: &str) -> bool {
    const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let is_hex = |group: &str| group.bytes().all(|b| b.is_ascii_hexdigit());
    let is_uuid = id.split('-').map(str::len).eq(UUID_GROUPS) && id.split('-').all(is_hex);
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/_-".contains(&b);
    let base64 = id.strip_suffix('=');
    is_uuid || base64.is_some_and(|id| id.len() == 15 && id.bytes().all(is_base64))
}

/// The payload is not a gateway event. Reports line and column, never content, because events contain tokens.
#[derive(Debug, Error)]
pub enum Malformed {
    #[error("the event is not the JSON of a gateway (line {}, column {})", .0.line(), .0.column())]
    Json(#[from] serde_json::Error),
    #[error("the event lacks {0}")]
    Lacks(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEvent<'a> {
    version: Option<String>,
    raw_path: Option<String>,
    path: Option<String>,
    http_method: Option<String>,
    raw_query_string: Option<String>,
    #[serde(borrow)]
    query_string_parameters: Option<&'a RawValue>,
    multi_value_query_string_parameters: Option<&'a RawValue>,
    headers: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    is_base64_encoded: Option<bool>,
    request_context: WireContext<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContext<'a> {
    request_id: Option<String>,
    extended_request_id: Option<String>,
    domain_name: Option<String>,
    http: Option<WireHttp>,
    #[serde(borrow)]
    authorizer: Option<&'a RawValue>,
    identity: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireHttp {
    method: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_event_is_described_without_its_content() {
        for text in [
            "",
            "null",
            "[]",
            "{}",
            "\"secret\"",
            r#"{"requestContext":"secret"}"#,
            r#"{"version":"2.0","requestContext":{"http":{"method":"secret"}}}"#,
            r#"{"version":"secret","requestContext":{}}"#,
            r#"{"requestContext":{},"requestContext":{}}"#,
        ] {
            let said = Event::parse(text).err().expect("malformed").to_string();
            assert!(
                said.starts_with("the event ") && !said.contains("secret"),
                "{text}: {said}"
            );
        }
    }

    #[test]
    fn only_request_ids_of_gateways_are_accepted() {
        for (id, accepted) in [
            ("4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e35", true),
            ("4D1E7C52-0B3A-4F7E-8F4D-2A9B6C1D0E35", true),
            ("JKJaXmPLvHcESHA=", true),
            ("JKJa+mP/v_c-SHA=", true),
            ("", false),
            ("JKJaXmPLvHcESHA", false),
            ("JKJaXmPLvHcESH=", false),
            ("JKJaXmPLvHcESHAA=", false),
            ("JKJaXmPLvHcE HA=", false),
            ("4d1e7c520b3a4f7e8f4d2a9b6c1d0e35", false),
            ("4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e3g", false),
            ("4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e35-", false),
            ("4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e35\n", false),
            ("{\"level\":\"ERROR\"}", false),
        ] {
            assert_eq!(is_request_id(id), accepted, "{id:?}");
        }
    }

    #[test]
    fn a_raw_query_keeps_repetitions() {
        let event = Event::parse(
            r#"{"version":"2.0","rawPath":"/x","rawQueryString":"a=1%202&a=+&b",
                "requestContext":{"http":{"method":"GET"}}}"#,
        )
        .expect("an event");
        let query = event.query();
        let pairs: Vec<_> = query
            .iter()
            .map(|(n, v)| (n.as_ref(), v.as_ref()))
            .collect();
        assert_eq!(pairs, [("a", "1 2"), ("a", " "), ("b", "")]);
    }

    #[test]
    fn the_multi_value_query_replaces_the_single_value_query() {
        let event = Event::parse(
            r#"{"path":"/x","httpMethod":"GET","requestContext":{},
                "queryStringParameters":{"a":"2"},
                "multiValueQueryStringParameters":{"a":["1","2"]}}"#,
        )
        .expect("an event");
        assert_eq!(event.query().len(), 2);
    }
}
