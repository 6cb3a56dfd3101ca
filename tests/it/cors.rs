//! CORS, for event sources that leave it to the function.

use fakes::flow::FlowOutcome;
use serde_json::Value;

use crate::support::{GatewayResponse, MESSAGE, TestEnv, get_status, sample};

const ALLOWED: &str = "https://chat.example.com";

fn get_from(origin: &str) -> Value {
    let mut event = get_status(MESSAGE, "");
    event["headers"]["origin"] = origin.into();
    event
}

fn preflight(origin: &str) -> Value {
    let mut event = sample("preflight");
    event["headers"]
        .as_object_mut()
        .expect("headers")
        .retain(|name, _| !name.eq_ignore_ascii_case("origin"));
    event["headers"]["Origin"] = origin.into();
    event
}

fn cors_headers(reply: &GatewayResponse) -> Vec<&String> {
    let headers = reply.headers.as_object().expect("headers");
    headers
        .keys()
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

async fn env() -> TestEnv {
    let origins = format!("http://localhost:5173, {ALLOWED}");
    let env = TestEnv::with(&[("ALLOWED_ORIGINS", &origins)]).await;
    env.seed_alices_message(FlowOutcome::Pending);
    env
}

#[tokio::test]
async fn an_allowed_origin_may_read_responses_and_problems() {
    let env = env().await;
    let mut unauthenticated = get_from(ALLOWED);
    unauthenticated["requestContext"]["authorizer"] = Value::Null;
    let mut unknown_path = get_from(ALLOWED);
    unknown_path["rawPath"] = "/other".into();
    for (event, status) in [
        (get_from(ALLOWED), 200),
        (unauthenticated, 401),
        (unknown_path, 404),
    ] {
        let reply = env.send(&event).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("access-control-allow-origin"), Some(ALLOWED));
        assert_eq!(
            reply.header("access-control-expose-headers"),
            Some("retry-after")
        );
        assert_eq!(reply.header("vary"), Some("origin"));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn other_origins_get_no_cors_headers() {
    let env = env().await;
    for origin in [
        "https://chat.example.com:8443",
        "https://chat.example.com.evil.test",
        "https://evil-chat.example.com",
        "https://evil.test/https://chat.example.com",
        "http://chat.example.com",
        "null",
        "HTTPS://CHAT.EXAMPLE.COM",
        "https://Chat.example.com",
        "https://chat.example.com/",
        "https://chat.example.com, https://evil.test",
        "*",
        "",
    ] {
        for event in [get_from(origin), preflight(origin)] {
            let reply = env.send(&event).await;
            assert!([200, 204].contains(&reply.status), "{reply:?}");
            assert!(cors_headers(&reply).is_empty(), "{origin}: {reply:?}");
            assert_eq!(reply.header("vary"), Some("origin"));
        }
    }
}

#[tokio::test]
async fn a_preflight_needs_no_identity_and_is_cached() {
    let env = env().await;
    let reply = env.send(&preflight(ALLOWED)).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert_eq!(reply.header("access-control-allow-origin"), Some(ALLOWED));
    assert_eq!(reply.header("vary"), Some("origin"));
    assert_eq!(
        reply.header("access-control-allow-methods"),
        Some("GET, POST")
    );
    // Tracing tools add headers of their own. The wildcard does not include `authorization`.
    assert_eq!(
        reply.header("access-control-allow-headers"),
        Some("authorization, *")
    );
    let age: u32 = reply
        .header("access-control-max-age")
        .expect("an age")
        .parse()
        .expect("seconds");
    assert!(age >= 600);
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn allow_has_options_only_if_origins_are_configured() {
    let env = env().await;
    let mut event = get_from(ALLOWED);
    event["requestContext"]["http"]["method"] = "PUT".into();
    let reply = env.send(&event).await;
    reply.assert_problem(405, "method-not-allowed");
    assert_eq!(reply.header("allow"), Some("GET, POST, OPTIONS"));
}

#[tokio::test]
async fn any_origin_may_read_responses_but_never_with_credentials() {
    let env = TestEnv::with(&[("ALLOWED_ORIGINS", "*")]).await;
    env.seed_alices_message(FlowOutcome::Pending);
    for event in [get_from("https://anywhere.test"), preflight("null")] {
        let reply = env.send(&event).await;
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn without_allowed_origins_responses_have_no_cors_headers() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::Pending);
    let reply = env.send(&get_from(ALLOWED)).await;
    reply.assert_status("PENDING");
    assert!(
        cors_headers(&reply).is_empty() && reply.header("vary").is_none(),
        "{reply:?}"
    );
    env.assert_problem(&preflight(ALLOWED), 405, "method-not-allowed")
        .await;
}
