//! CORS, for event sources that leave it to the function. Which origins are legal, and which are equal, is tested
//! beside the parser.

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
    let headers = event["headers"].as_object_mut().expect("headers");
    headers.retain(|name, _| !name.eq_ignore_ascii_case("origin"));
    event["headers"]["Origin"] = origin.into();
    event
}

/// The headers of CORS, as lines in order, and `vary`.
fn cors_headers(reply: &GatewayResponse) -> Vec<String> {
    let headers = reply.headers.as_object().expect("headers").iter();
    let headers = headers
        .filter(|(name, _)| name.starts_with("access-control-") || *name == "vary")
        .map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or_default()));
    headers.collect()
}

async fn env(origins: &str) -> TestEnv {
    let env = TestEnv::with(&[("ALLOWED_ORIGINS", origins)]).await;
    env.seed(FlowOutcome::Pending);
    env
}

async fn env_of_two() -> TestEnv {
    env(&format!("http://localhost:5173, {ALLOWED}")).await
}

#[tokio::test]
async fn an_allowed_origin_may_read_responses_and_problems() {
    let env = env_of_two().await;
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
        let expected = [
            &format!("access-control-allow-origin: {ALLOWED}"),
            "access-control-expose-headers: retry-after",
            "vary: origin",
        ];
        assert_eq!(cors_headers(&reply), expected);
    }
}

#[tokio::test]
async fn other_origins_get_no_cors_headers() {
    let env = env_of_two().await;
    for origin in [
        "https://chat.example.com:8443",
        "https://chat.example.com.evil.test",
        "https://evil-chat.example.com",
        "HTTPS://CHAT.EXAMPLE.COM",
        "https://chat.example.com, https://evil.test",
        "null",
        "*",
        "",
    ] {
        for (event, status) in [(get_from(origin), 200), (preflight(origin), 204)] {
            let reply = env.send(&event).await;
            assert_eq!(reply.status, status, "{origin}: {reply:?}");
            assert_eq!(cors_headers(&reply), ["vary: origin"], "{origin}");
        }
    }
}

#[tokio::test]
async fn a_preflight_needs_no_identity_and_is_cached() {
    let env = env_of_two().await;
    let reply = env.send(&preflight(ALLOWED)).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    let expected = [
        // Tracing tools add headers of their own. The wildcard does not include `authorization`.
        "access-control-allow-headers: authorization, *",
        "access-control-allow-methods: GET, POST",
        &format!("access-control-allow-origin: {ALLOWED}"),
        "access-control-expose-headers: retry-after",
        "access-control-max-age: 7200",
        "vary: origin",
    ];
    assert_eq!(cors_headers(&reply), expected);
    env.assert_no_call();
}

#[tokio::test]
async fn allow_has_options_only_if_origins_are_configured() {
    for (env, allow) in [
        (env_of_two().await, "GET, POST, OPTIONS"),
        (TestEnv::new().await, "GET, POST"),
    ] {
        let mut event = get_from(ALLOWED);
        event["requestContext"]["http"]["method"] = "PUT".into();
        let reply = env.send(&event).await;
        reply.assert_problem(405, "method-not-allowed");
        assert_eq!(reply.header("allow"), Some(allow));
    }
}

#[tokio::test]
async fn any_origin_may_read_responses_but_never_with_credentials() {
    let env = env("*").await;
    let reply = env.send(&get_from("https://anywhere.test")).await;
    let expected = [
        "access-control-allow-origin: *",
        "access-control-expose-headers: retry-after",
    ];
    assert_eq!(cors_headers(&reply), expected);
    let reply = env.send(&preflight("null")).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn without_allowed_origins_responses_have_no_cors_headers() {
    let env = env("").await;
    let reply = env.send(&get_from(ALLOWED)).await;
    reply.assert_status("PENDING");
    assert!(cors_headers(&reply).is_empty(), "{reply:?}");
    let event = preflight(ALLOWED);
    env.assert_problem(&event, 405, "method-not-allowed").await;
}
