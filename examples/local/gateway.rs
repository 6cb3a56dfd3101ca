//! An HTTP API of API Gateway, as far as this function sees it: a JWT authorizer, and events in
//! payload format 2.0. Its own answers have CORS headers, too, as those of an HTTP API have.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_chimesdkmessaging::Client;
use aws_sdk_chimesdkmessaging::types::{ChannelMessagePersistenceType, ChannelMessageType};
use chime_message_status::api::{App, Invocation};
use fakes::flow::FlowOutcome;
use fakes::http::{HttpRequest, HttpResponse, Server, ServerOptions};
use serde_json::{Map, Value, json};

use crate::tokens::Issuer;
use crate::user_arn;
use crate::websocket::{Events, Sent};

/// What Lambda's own limit would be.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(29);

/// The gateway and what stands behind it.
pub struct Gateway {
    pub app: App,
    pub issuer: Arc<Issuer>,
    pub sender: Client,
    pub channel: String,
    pub events: Events,
    /// The function's `ALLOWED_ORIGINS`.
    pub origins: String,
}

/// Listens until the server is dropped.
pub async fn serve(address: SocketAddr, gateway: Arc<Gateway>) -> io::Result<Server> {
    Server::start(ServerOptions::plain(address), move |request| {
        let gateway = Arc::clone(&gateway);
        async move { gateway.answer(&request).await }
    })
    .await
}

impl Gateway {
    async fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let claims = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.issuer.verify(token));
        match (claims, request.method.as_str(), request.path()) {
            // A browser asks whether it may ask before it shows a token.
            (_, "OPTIONS", "/send") => self.with_cors(request, HttpResponse::new(204, "", "")),
            (None, "OPTIONS", _) => self.invoke(request, None).await,
            (None, _, _) => {
                let refusal =
                    HttpResponse::new(401, "application/json", r#"{"message":"Unauthorized"}"#);
                self.with_cors(request, refusal.with("www-authenticate", "Bearer"))
            }
            (Some(claims), "POST", "/send") => {
                let answer = self.send(request, &claims).await;
                self.with_cors(request, answer)
            }
            (Some(claims), _, _) => self.invoke(request, Some(claims)).await,
        }
    }

    /// What lets a page read an answer that is not the function's.
    fn with_cors(&self, request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
        let answer = answer.with("vary", "origin");
        let mut allowed = self.origins.split(',').map(str::trim);
        match request.header("origin") {
            Some(origin) if allowed.any(|allowed| allowed == origin || allowed == "*") => answer
                .with("access-control-allow-origin", origin)
                .with("access-control-allow-methods", "POST")
                .with(
                    "access-control-allow-headers",
                    "authorization, content-type",
                )
                .with("access-control-expose-headers", "retry-after"),
            _ => answer,
        }
    }

    /// Calls the function as Lambda does, and unpacks what it answers.
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
        let response = self.app.respond(&event, &invocation).await;
        let answer = HttpResponse::new(response.status(), "", response.body());
        response
            .headers()
            .fold(answer, |answer, (name, value)| answer.with(name, value))
    }

    /// What a front end does with Chime itself: sends a message, whose fate the query decides, and
    /// whose text is the body. Answers with nothing but the message's id, so that a shell can keep it.
    async fn send(&self, request: &HttpRequest, claims: &Map<String, Value>) -> HttpResponse {
        let query: Map<String, Value> = form_urlencoded::parse(request.query().as_bytes())
            .map(|(name, value)| {
                let number = value.parse::<u64>().ok().map(Value::from);
                (name.into_owned(), number.unwrap_or_else(|| value.into()))
            })
            .collect();
        let metadata = json!({ "flow": query }).to_string();
        let sender = user_arn(claims);
        let content = match String::from_utf8_lossy(&request.body).into_owned() {
            empty if empty.is_empty() => "hello".to_owned(),
            text => text,
        };
        let sent = self
            .sender
            .send_channel_message()
            .chime_bearer(&sender)
            .channel_arn(&self.channel)
            .content(&content)
            .r#type(ChannelMessageType::Standard)
            .persistence(ChannelMessagePersistenceType::Persistent)
            .metadata(&metadata)
            .send()
            .await;
        match sent {
            Ok(sent) => {
                let id = sent.message_id.unwrap_or_default();
                if let Ok(Some(outcome)) = FlowOutcome::from_metadata(&metadata) {
                    let sent = Sent {
                        id: id.clone(),
                        sender,
                        content,
                    };
                    self.events.tell(sent, outcome);
                }
                HttpResponse::new(201, "text/plain", id)
            }
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

/// The event that an HTTP API makes of a request.
fn event(request: &HttpRequest, claims: Option<Map<String, Value>>, request_id: &str) -> Value {
    // The gateway decodes the path, and joins what is given more than once.
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
