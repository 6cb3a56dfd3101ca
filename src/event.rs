//! Gateway events: one HTTP request, in one shape for all event sources.
//!
//! lambda_http's request type fails on a single claim of an unexpected type, and panics on some inputs.
//! So this module reads the few members that a response depends on. It leaves the values of the
//! authorizer to [`crate::caller`].
//!
//! Formats: [payload formats 1.0 and 2.0 of HTTP APIs and function URLs][http], [REST APIs][rest].
//!
//! [http]: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
//! [rest]: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html

use std::borrow::Cow;
use std::fmt;

use aws_smithy_types::base64;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::json::{Json, Members, Text};

/// One HTTP request, as its gateway reports it.
pub struct Event<'a> {
    pub(crate) method: Cow<'a, str>,
    pub(crate) path: Cow<'a, str>,
    pub(crate) headers: RequestHeaders,
    pub(crate) authorizer: AuthorizerData<'a>,
    query: Query<'a>,
    body: Option<Json<'a>>,
    body_is_base64: bool,
    request_id: Option<Cow<'a, str>>,
}

/// The part of the event that the gateway's authorizer wrote, unchanged.
pub(crate) enum AuthorizerData<'a> {
    /// Payload format 2.0: `requestContext.authorizer`.
    V2 {
        authorizer: Option<Json<'a>>,
        is_function_url: bool,
    },
    /// REST APIs and payload format 1.0: `requestContext.authorizer` and `requestContext.identity`.
    V1 {
        authorizer: Option<Json<'a>>,
        identity: Option<Json<'a>>,
        is_http_api: bool,
    },
}

enum Query<'a> {
    /// Encoded, as in the URL.
    Raw(Cow<'a, str>),
    /// Decoded by the gateway.
    Decoded(Vec<(String, String)>),
}

/// The body of a request.
pub(crate) enum Body<'a> {
    Text(Cow<'a, str>),
    /// Not valid base64, or not UTF-8.
    Undecodable,
}

impl<'a> Event<'a> {
    /// Parses an event.
    ///
    /// # Errors
    /// [`Malformed`] if the text is not JSON, or not the event of a supported gateway.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let wire: WireEvent<'a> = serde_json::from_str(text).map_err(Malformed::json)?;
        let context = wire.request_context;
        match wire.version.as_ref().map(|Text(version)| version.as_ref()) {
            Some("2.0") => {
                let http = context
                    .http
                    .ok_or(Malformed::lacks("requestContext.http"))?;
                let query = match (wire.raw_query_string, wire.query_string_parameters) {
                    (Some(Text(raw)), _) => Query::Raw(raw),
                    (None, Some(single)) => Query::Decoded(single.0),
                    (None, None) => Query::Raw(Cow::Borrowed("")),
                };
                Ok(Self {
                    method: http.method.0,
                    path: wire.raw_path.ok_or(Malformed::lacks("rawPath"))?.0,
                    headers: wire.headers.unwrap_or_default(),
                    authorizer: AuthorizerData::V2 {
                        authorizer: context.authorizer,
                        is_function_url: context
                            .domain_name
                            .is_some_and(|Text(domain)| domain.contains(".lambda-url.")),
                    },
                    query,
                    body: wire.body,
                    body_is_base64: wire.is_base64_encoded.unwrap_or(false),
                    request_id: context.request_id.and_then(request_id),
                })
            }
            version @ (None | Some("1.0")) => Ok(Self {
                method: wire.http_method.ok_or(Malformed::lacks("httpMethod"))?.0,
                path: wire.path.ok_or(Malformed::lacks("path"))?.0,
                headers: wire.headers.unwrap_or_default(),
                authorizer: AuthorizerData::V1 {
                    authorizer: context.authorizer,
                    identity: context.identity,
                    is_http_api: version.is_some(),
                },
                query: Query::Decoded(
                    wire.multi_value_query_string_parameters
                        .or(wire.query_string_parameters)
                        .unwrap_or_default()
                        .0,
                ),
                body: wire.body,
                body_is_base64: wire.is_base64_encoded.unwrap_or(false),
                request_id: context.request_id.and_then(request_id),
            }),
            Some(_) => Err(Malformed::lacks("a known version")),
        }
    }

    /// The HTTP method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The query parameters, decoded, in order, with repetitions.
    pub(crate) fn query(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        match &self.query {
            Query::Raw(raw) => form_urlencoded::parse(raw.as_bytes()).collect(),
            Query::Decoded(pairs) => pairs
                .iter()
                .map(|(name, value)| (Cow::from(name), Cow::from(value)))
                .collect(),
        }
    }

    /// The body, decoded.
    pub(crate) fn body(&self) -> Body<'_> {
        match &self.body {
            None | Some(Json::Null) => Body::Text(Cow::Borrowed("")),
            Some(Json::String(text)) if self.body_is_base64 => base64::decode(text)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .map_or(Body::Undecodable, |text| Body::Text(Cow::Owned(text))),
            Some(Json::String(text)) => Body::Text(Cow::Borrowed(text)),
            Some(_) => Body::Undecodable,
        }
    }

    /// Whether the event has payload format 2.0 (HTTP APIs and function URLs).
    pub(crate) fn is_format_2_0(&self) -> bool {
        matches!(self.authorizer, AuthorizerData::V2 { .. })
    }

    /// The gateway's request id, which joins its access log with the function's records.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

/// Accepts the ids that gateways make: a UUID, or 15 characters of base64 and `=`. A REST caller can
/// choose the id, and it reaches logs and responses, so any other text is dropped.
fn request_id(Text(id): Text<'_>) -> Option<Cow<'_, str>> {
    (is_uuid(&id) || is_extended_request_id(&id)).then_some(id)
}

fn is_uuid(text: &str) -> bool {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let is_hex = |group: &str| group.bytes().all(|b| b.is_ascii_hexdigit());
    text.split('-').map(str::len).eq(GROUPS) && text.split('-').all(is_hex)
}

fn is_extended_request_id(text: &str) -> bool {
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/_-".contains(&b);
    text.strip_suffix('=')
        .is_some_and(|id| id.len() == 15 && id.bytes().all(is_base64))
}

/// The payload is not a gateway event. Reports line and column, never content, because events contain
/// tokens.
#[derive(Debug)]
pub struct Malformed(String);

impl Malformed {
    fn json(error: serde_json::Error) -> Self {
        let fault = match error.classify() {
            serde_json::error::Category::Data => "is not what a gateway sends",
            serde_json::error::Category::Eof => "is cut off",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "is not JSON",
        };
        Self(format!(
            "the event {fault} (line {}, column {})",
            error.line(),
            error.column()
        ))
    }

    fn lacks(what: &str) -> Self {
        Self(format!("the event lacks {what}"))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEvent<'a> {
    #[serde(borrow)]
    version: Option<Text<'a>>,
    raw_path: Option<Text<'a>>,
    path: Option<Text<'a>>,
    http_method: Option<Text<'a>>,
    raw_query_string: Option<Text<'a>>,
    query_string_parameters: Option<Pairs>,
    multi_value_query_string_parameters: Option<Pairs>,
    headers: Option<RequestHeaders>,
    body: Option<Json<'a>>,
    is_base64_encoded: Option<bool>,
    request_context: WireContext<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContext<'a> {
    #[serde(borrow)]
    request_id: Option<Text<'a>>,
    domain_name: Option<Text<'a>>,
    http: Option<WireHttp<'a>>,
    authorizer: Option<Json<'a>>,
    identity: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct WireHttp<'a> {
    #[serde(borrow)]
    method: Text<'a>,
}

/// Decoded query parameters: `{"name": "value"}` or `{"name": ["value", …]}`.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Json::Object(members) = Json::deserialize(deserializer)? else {
            return Err(serde::de::Error::custom("not an object"));
        };
        Self::flatten(&members).ok_or_else(|| serde::de::Error::custom("not strings"))
    }
}

impl Pairs {
    fn flatten(members: &Members<'_>) -> Option<Self> {
        let mut pairs = Vec::new();
        for (name, value) in members.iter() {
            match value {
                Json::Array(values) => {
                    for value in values {
                        pairs.push((name.to_owned(), value.as_str()?.to_owned()));
                    }
                }
                value => pairs.push((name.to_owned(), value.as_str()?.to_owned())),
            }
        }
        Some(Self(pairs))
    }
}

/// The headers that a response depends on. The caller never depends on a header.
#[derive(Default)]
pub(crate) struct RequestHeaders {
    pub(crate) content_type: Option<String>,
    pub(crate) origin: Option<String>,
}

impl<'de> Deserialize<'de> for RequestHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequestHeadersVisitor)
    }
}

struct RequestHeadersVisitor;

impl<'de> Visitor<'de> for RequestHeadersVisitor {
    type Value = RequestHeaders;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("headers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<RequestHeaders, A::Error> {
        let mut headers = RequestHeaders::default();
        while let Some(Text(name)) = members.next_key()? {
            let wanted = if name.eq_ignore_ascii_case("content-type") {
                &mut headers.content_type
            } else if name.eq_ignore_ascii_case("origin") {
                &mut headers.origin
            } else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = members.next_value::<Json<'_>>()?;
            if wanted.is_none() {
                *wanted = value.as_str().map(str::to_owned);
            }
        }
        Ok(headers)
    }
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
            assert_eq!(request_id(Text(id.into())).is_some(), accepted, "{id:?}");
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
