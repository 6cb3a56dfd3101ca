//! Sample events of every source in `events/`.

use fakes::flow::FlowOutcome;
use fakes::lambda::InvocationResult;
use serde_json::{Value, json};

use crate::support::{ALICE, MESSAGE, SECOND, TestEnv, sample, user, user_pattern};

const POOL_IDENTITY: &str = "us-east-1:b7f0c2d4-3e91-4a58-8c6d-5f2e1a9b0d73";

/// A sample of each event source: its name for a user and that user, its gateway and its authorizer.
#[rustfmt::skip]
pub const SOURCES: [(&str, &str, &str, &str, &str); 9] = [
    ("http-api-jwt", "sub", ALICE, "http-api", "claims"),
    ("http-api-lambda-authorizer", "sub", ALICE, "http-api", "lambda"),
    ("http-api-iam", "cognitoIdentityId", POOL_IDENTITY, "http-api", "iam"),
    ("function-url-iam", "roleSessionName", ALICE, "function-url", "iam"),
    ("rest-api-cognito", "sub", ALICE, "rest-api", "claims"),
    ("rest-api-jwt", "sub", ALICE, "rest-api", "claims"),
    ("rest-api-lambda-authorizer", "sub", ALICE, "rest-api", "lambda"),
    ("rest-api-iam", "cognitoIdentityId", POOL_IDENTITY, "rest-api", "iam"),
    ("http-api-format-1.0-jwt", "sub", ALICE, "http-api-1.0", "claims"),
];

#[tokio::test]
async fn each_event_source_calls_chime_as_the_user_that_its_authorizer_names() {
    for (source, name, id, gateway, authorizer) in SOURCES {
        let env = TestEnv::of_pattern(&user_pattern(name)).await;
        env.seed_message_of(id, MESSAGE, FlowOutcome::sent());
        let (reply, record) = env.send_recorded(&sample(source)).await;
        let body = format!(r#"{{"messageId":"{MESSAGE}","status":"SENT"}}"#);
        assert_eq!((reply.status, reply.body), (200, body), "{source}");
        let bearers: Vec<_> = env.calls().into_iter().map(|call| call.bearer).collect();
        assert_eq!(bearers, [Some(user(id))], "{source}");
        assert_eq!(record["eventSource"], gateway, "{source}");
        assert_eq!(record["authorizer"], authorizer, "{source}");
    }
}

#[tokio::test]
async fn sample_events_of_rejected_requests_are_rejected_without_a_call() {
    let env = TestEnv::new().await;
    for (source, status, problem) in [
        ("refused-no-authorizer", 401, "unauthenticated"),
        ("refused-unmapped-claim", 403, "identity-not-mapped"),
    ] {
        env.assert_problem(&sample(source), status, problem).await;
    }
    let foreign = sample("refused-other-app-instance");
    env.assert_fields(&foreign, "channelArn").await;
    env.assert_no_call();
}

#[tokio::test]
async fn sample_events_of_a_batch_and_a_wait_get_results() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    env.assert_status(&sample("wait"), "SENT").await;
    let batch = env.send(&sample("batch")).await;
    assert_eq!(batch.outcomes().len(), 3);
}

#[tokio::test]
async fn a_stage_or_a_base_path_may_precede_the_path_and_one_slash_may_follow_it() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    for path in [
        "/message-status",
        "/Prod/message-status",
        "/chat/v1/message-status",
        "/message-status/",
        "/Prod/message-status/",
    ] {
        let mut http = sample("http-api-jwt");
        http["rawPath"] = path.into();
        let mut rest = sample("rest-api-cognito");
        rest["path"] = path.into();
        for event in [http, rest] {
            env.assert_status(&event, "SENT").await;
        }
    }
}

#[tokio::test]
async fn a_response_has_the_members_of_its_payload_format() {
    let env = TestEnv::new().await;
    for (event, cookies) in [
        ("http-api-jwt", json!([])),
        ("rest-api-cognito", Value::Null),
    ] {
        let bytes = sample(event).to_string();
        let outcome = env.function.invoke(bytes, Some(9 * SECOND)).await;
        let InvocationResult::Response(response) = outcome else {
            panic!("{outcome:?}");
        };
        let response: Value = serde_json::from_slice(&response).expect("JSON");
        assert_eq!(response["cookies"], cookies, "{response}");
        let others = ["statusCode", "headers", "body", "isBase64Encoded"];
        assert!(others.iter().all(|name| !response[name].is_null()));
        let count = others.len() + usize::from(!cookies.is_null());
        assert_eq!(response.as_object().map(serde_json::Map::len), Some(count));
    }
}
