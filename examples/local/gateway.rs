//! A local HTTP API of API Gateway: a JWT authorizer, and events in payload format 2.0. Like an HTTP
//! API, it adds CORS headers to its own responses.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_chimesdkmessaging::Client;
use aws_sdk_chimesdkmessaging::types::{ChannelMessagePersistenceType, ChannelMessageType};
use chime_message_status::handler::{self, App, Invocation};
use fakes::chime::FakeChime;
use fakes::http::{HttpRequest, HttpResponse, Server, ServerOptions};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::page::is_local;
use crate::tokens::Issuer;
use crate::user_arn;

/// The function's timeout on Lambda.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(29);

/// The gateway, and the parts that it calls.
pub struct Gateway {
    pub app: App,
    pub issuer: Arc<Issuer>,
    pub sender: Client,
    pub channel: String,
    pub chime: Arc<FakeChime>,
    /// The function's `ALLOWED_ORIGINS`.
    pub origins: String,
}

/// Listens until the server is dropped.
pub async fn serve(address: SocketAddr, gateway: Arc<Gateway>) -> io::Result<Server> {
    Server::start(ServerOptions::plain(address), move |request| {
        let gateway = Arc::clone(&gateway);
        async move {
            if is_local(&request) {
                gateway.respond(&request).await
            } else {
                HttpResponse::new(421, "text/plain", "This host is not served here.")
            }
        }
    })
    .await
}

impl Gateway {
    async fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let claims = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.issuer.verify(token));
        match (claims, request.method.as_str(), request.path()) {
            // A browser's preflight has no token.
            (_, "OPTIONS", "/send" | "/websocket-url") => {
                self.with_cors(request, HttpResponse::new(204, "", ""))
            }
            (None, "OPTIONS", _) => self.invoke(request, None).await,
            (None, _, _) => {
                let refusal =
                    HttpResponse::new(401, "application/json", r#"{"message":"Unauthorized"}"#);
                self.with_cors(request, refusal.with("www-authenticate", "Bearer"))
            }
            (Some(claims), "POST", "/send") => {
                let response = self.send(request, &claims).await;
                self.with_cors(request, response)
            }
            // A front end without AWS credentials gets a signed URL from its back end.
            (Some(claims), "POST", "/websocket-url") => {
                let url = self.chime.websocket_url(&user_arn(&claims), false);
                self.with_cors(request, HttpResponse::new(200, "text/plain", url))
            }
            (Some(claims), _, _) => self.invoke(request, Some(claims)).await,
        }
    }

    /// Adds the CORS headers to a response of the gateway itself.
    fn with_cors(&self, request: &HttpRequest, response: HttpResponse) -> HttpResponse {
        let response = response.with("vary", "origin");
        let mut allowed = self.origins.split(',').map(str::trim);
        match request.header("origin") {
            Some(origin) if allowed.any(|allowed| allowed == origin || allowed == "*") => response
                .with("access-control-allow-origin", origin)
                .with("access-control-allow-methods", "POST")
                .with(
                    "access-control-allow-headers",
                    "authorization, content-type",
                )
                .with("access-control-expose-headers", "retry-after"),
            _ => response,
        }
    }

    /// Calls the function as Lambda does, and converts its response to HTTP.
    async fn invoke(
        &self,
        request: &HttpRequest,
        claims: Option<Map<String, Value>>,
    ) -> HttpResponse {
        let request_id = format!("local-{:016x}", fastrand::u64(..));
        let event = event(request, claims, &request_id).to_string();
        let deadline = now() + FUNCTION_TIMEOUT;
        let invocation = Invocation {
            request_id: &request_id,
            trace_header: None,
            deadline: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        };
        let (response, record) = handler::handle(&self.app, &event, &invocation).await;
        record.write();
        let without_headers = HttpResponse::new(response.status_code, "", response.body);
        response
            .headers
            .iter()
            .fold(without_headers, |response, (name, value)| {
                response.with(name, value)
            })
    }

    /// Sends a message, as a front end does with Chime itself. The query chooses its outcome, the body
    /// is its text. The response is only the message's id, so a shell variable can hold it.
    async fn send(&self, request: &HttpRequest, claims: &Map<String, Value>) -> HttpResponse {
        let query: Map<String, Value> = form_urlencoded::parse(request.query().as_bytes())
            .map(|(name, value)| {
                let number = value.parse::<u64>().ok().map(Value::from);
                (name.into_owned(), number.unwrap_or_else(|| value.into()))
            })
            .collect();
        let metadata = json!({ "flow": query }).to_string();
        let content = match String::from_utf8_lossy(&request.body).into_owned() {
            empty if empty.is_empty() => "hello".to_owned(),
            text => text,
        };
        let sent = self
            .sender
            .send_channel_message()
            .chime_bearer(user_arn(claims))
            .channel_arn(&self.channel)
            .content(content)
            .r#type(ChannelMessageType::Standard)
            .persistence(ChannelMessagePersistenceType::Persistent)
            .metadata(metadata)
            .send()
            .await;
        match sent {
            Ok(sent) => HttpResponse::new(201, "text/plain", sent.message_id.unwrap_or_default()),
            Err(error) => {
                HttpResponse::new(400, "text/plain", error.into_service_error().to_string())
            }
        }
    }
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The event that an HTTP API makes from a request.
fn event(request: &HttpRequest, claims: Option<Map<String, Value>>, request_id: &str) -> Value {
    // The gateway decodes the path, and joins repeated headers and parameters.
    let path = percent_encoding::percent_decode_str(request.path()).decode_utf8_lossy();
    let headers = joined(
        request
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone())),
    );
    let query = joined(form_urlencoded::parse(request.query().as_bytes()).into_owned());
    let body = String::from_utf8_lossy(&request.body);
    // In HTTP APIs every claim is a string.
    let claims: Option<Map<String, Value>> = claims.map(|claims| {
        claims
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name, Value::String(text)),
                other => (name, Value::String(other.to_string())),
            })
            .collect()
    });
    let route = format!("{} /message-status", request.method);
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": request.query(),
        "headers": headers,
        "requestContext": {
            "accountId": "111122223333",
            "apiId": "local",
            "domainName": "localhost",
            "domainPrefix": "localhost",
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": request.header("user-agent").unwrap_or_default(),
            },
            "requestId": request_id,
            "routeKey": route,
            "stage": "$default",
            "timeEpoch": u64::try_from(now().as_millis()).unwrap_or(u64::MAX),
        },
        "isBase64Encoded": false,
    });
    if !query.is_empty() {
        event["queryStringParameters"] = query.into();
    }
    if !body.is_empty() {
        event["body"] = body.into();
    }
    if let Some(claims) = claims {
        event["requestContext"]["authorizer"] = json!({"jwt": {"claims": claims, "scopes": null}});
    }
    event
}

fn joined(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    let mut joined = Map::new();
    for (name, value) in pairs {
        let value = match joined.get(&name).and_then(Value::as_str) {
            Some(before) => format!("{before},{value}"),
            None => value,
        };
        joined.insert(name, value.into());
    }
    joined
}
