//! The demo page. It has another origin than the gateway, so its requests are cross-origin.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use fakes::http::{HttpRequest, HttpResponse, Server, ServerOptions};
use serde_json::Value;
use tokio::sync::SetOnce;

const FILES: [(&str, &str, &str); 7] = [
    ("/", "text/html", include_str!("page/index.html")),
    ("/page.css", "text/css", include_str!("page/page.css")),
    ("/page.js", "text/javascript", include_str!("page/page.js")),
    ("/app.js", "text/javascript", include_str!("page/app.js")),
    (
        "/session.js",
        "text/javascript",
        include_str!("page/session.js"),
    ),
    (
        "/client.js",
        "text/javascript",
        include_str!("page/client.js"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// Settings of the page.
#[derive(Debug)]
pub struct Settings {
    pub gateway: String,
    pub websocket: String,
    /// For `/settings.json`.
    pub json: Value,
}

/// Listens until the server is dropped. The settings may follow later, because the gateway needs this
/// origin before it starts.
pub async fn serve(address: SocketAddr, settings: Arc<SetOnce<Settings>>) -> io::Result<Server> {
    Server::start(ServerOptions::plain(address), move |request| {
        let settings = Arc::clone(&settings);
        async move {
            // A page of another site can point its own host name at this address.
            if !is_local(&request) {
                return HttpResponse::new(421, "text/plain", "This host is not served here.");
            }
            respond(&request, settings.wait().await)
        }
    })
    .await
}

/// Whether the `Host` header names this machine, so that DNS rebinding does not reach the tokens.
pub fn is_local(request: &HttpRequest) -> bool {
    let host = request.header("host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    ["127.0.0.1", "localhost"].contains(&name)
}

fn respond(request: &HttpRequest, settings: &Settings) -> HttpResponse {
    let file = FILES.iter().find(|(path, _, _)| *path == request.path());
    let response = match (file, request.path()) {
        (Some((_, kind, text)), _) => {
            HttpResponse::new(200, &format!("{kind}; charset=utf-8"), *text)
        }
        (None, "/settings.json") => {
            HttpResponse::new(200, "application/json", settings.json.to_string())
        }
        (None, _) => HttpResponse::new(404, "text/plain", "There is nothing here."),
    };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self' {} {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        settings.gateway, settings.websocket
    );
    response
        .with("content-security-policy", &policy)
        .with("x-content-type-options", "nosniff")
        .with("referrer-policy", "no-referrer")
        .with("cache-control", "no-store")
}
