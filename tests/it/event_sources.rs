//! Every file in `events/`, and what its front door stands for.

use std::time::Duration;

use fakes::flow::FlowOutcome;
use fakes::lambda::InvocationResult;
use fakes::oracle::SESSION_ROLE;
use serde_json::Value;

use crate::support::{ALICE, MESSAGE, TestEnv, sample, user, user_pattern};

async fn answers_through(event: &str, claim: &str, id: &str, gateway: &str, authorizer: &str) {
    let env = TestEnv::with(&[
        ("APP_INSTANCE_USER_ARN", &user_pattern(claim)),
        ("SESSION_ROLE_ARN", SESSION_ROLE),
    ])
    .await;
    env.seed_message(MESSAGE, &user(id), FlowOutcome::sent());
    let event = sample(event);
    let reply = env.ask(&event).await;
    reply.assert_status("SENT");
    assert_eq!(
        reply.body,
        format!(r#"{{"messageId":"{MESSAGE}","status":"SENT"}}"#)
    );
    let calls = env.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].bearer, Some(user(id)));
    let id = event["requestContext"]["requestId"]
        .as_str()
        .expect("an id");
    let record = env.record(id).await;
    assert_eq!(
        (&record["eventSource"], &record["authorizer"]),
        (&gateway.into(), &authorizer.into())
    );
}

macro_rules! event_sources {
    ($($test:ident: $event:literal, $claim:literal, $id:expr, $gateway:literal, $authorizer:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                answers_through($event, $claim, $id, $gateway, $authorizer).await;
            }
        )*
    };
}

event_sources! {
    an_http_api_with_a_jwt_authorizer: "http-api-jwt", "sub", ALICE, "http-api", "claims";
    an_http_api_with_a_lambda_authorizer: "http-api-lambda-authorizer", "sub", ALICE, "http-api", "lambda";
    an_http_api_with_iam: "http-api-iam", "cognitoIdentityId", &identity_id("http-api-iam"), "http-api", "iam";
    a_rest_api_with_a_user_pool: "rest-api-cognito", "sub", ALICE, "rest-api", "claims";
    a_rest_api_with_a_lambda_authorizer: "rest-api-lambda-authorizer", "sub", ALICE, "rest-api", "lambda";
    a_rest_api_with_iam: "rest-api-iam", "cognitoIdentityId", &identity_id("rest-api-iam"), "rest-api", "iam";
    an_http_api_with_payload_format_1_0: "http-api-format-1.0-jwt", "sub", ALICE, "http-api-1.0", "claims";
    a_function_url_with_iam: "function-url-iam", "roleSessionName", ALICE, "function-url", "iam";
}

fn identity_id(event: &str) -> String {
    let context = &sample(event)["requestContext"];
    let v2 = &context["authorizer"]["iam"]["cognitoIdentity"]["identityId"];
    let v1 = &context["identity"]["cognitoIdentityId"];
    v2.as_str()
        .or(v1.as_str())
        .expect("an identity id")
        .to_owned()
}

#[tokio::test]
async fn the_refused_events_are_refused_and_nothing_is_called() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::sent());
    env.ask(&sample("refused-no-authorizer"))
        .await
        .assert_problem(401, "unauthenticated");
    env.ask(&sample("refused-unmapped-claim"))
        .await
        .assert_problem(403, "identity-not-mapped");
    let reply = env.ask(&sample("refused-other-app-instance")).await;
    assert_eq!(reply.fields(), ["channelArn"]);
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn head_answers_as_get_does_without_the_body() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::Pending);
    let reply = env.ask(&sample("head")).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.header("retry-after").is_some());
}

#[tokio::test]
async fn the_batch_and_the_wait_among_the_events_are_answered() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::sent());
    env.ask(&sample("wait")).await.assert_status("SENT");
    let batch = env.ask(&sample("batch")).await;
    assert_eq!(
        (
            batch.status,
            batch.json()["results"].as_array().map(Vec::len)
        ),
        (200, Some(3))
    );
}

#[tokio::test]
async fn a_stage_or_a_base_path_stands_in_the_way_of_nothing() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::sent());
    for path in [
        "/message-status",
        "/Prod/message-status",
        "/chat/v1/message-status",
    ] {
        let mut event = sample("http-api-jwt");
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        env.ask(&event).await.assert_status("SENT");
        let mut event = sample("rest-api-cognito");
        event["path"] = path.into();
        env.ask(&event).await.assert_status("SENT");
    }
}

#[tokio::test]
async fn the_response_has_the_members_that_its_gateway_knows() {
    let env = TestEnv::new().await;
    for (event, members) in [
        (
            "http-api-jwt",
            vec![
                "body",
                "cookies",
                "headers",
                "isBase64Encoded",
                "statusCode",
            ],
        ),
        (
            "rest-api-cognito",
            vec!["body", "headers", "isBase64Encoded", "statusCode"],
        ),
    ] {
        let bytes = sample(event).to_string();
        let outcome = env
            .function
            .invoke(bytes, Some(Duration::from_secs(9)))
            .await;
        let InvocationResult::Response(response) = outcome else {
            panic!("{outcome:?}");
        };
        let response: Value = serde_json::from_slice(&response).expect("JSON");
        let named: Vec<_> = response.as_object().expect("an object").keys().collect();
        assert_eq!(named, members);
    }
}
