//! Sample events of every source in `events/`.

use std::time::Duration;

use fakes::flow::FlowOutcome;
use fakes::lambda::InvocationResult;
use fakes::oracle::SESSION_ROLE;
use serde_json::Value;

use crate::support::{ALICE, MESSAGE, TestEnv, request_id, sample, user, user_pattern};

async fn assert_source(event: &str, claim: &str, id: &str, gateway: &str, authorizer: &str) {
    let env = TestEnv::with(&[
        ("APP_INSTANCE_USER_ARN", &user_pattern(claim)),
        ("SESSION_ROLE_ARN", SESSION_ROLE),
    ])
    .await;
    env.seed_message(MESSAGE, &user(id), FlowOutcome::sent());
    let event = sample(event);
    let reply = env.send(&event).await;
    reply.assert_status("SENT");
    assert_eq!(
        reply.body,
        format!(r#"{{"messageId":"{MESSAGE}","status":"SENT"}}"#)
    );
    let calls = env.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].bearer, Some(user(id)));
    let record = env.record(request_id(&event)).await;
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
                assert_source($event, $claim, $id, $gateway, $authorizer).await;
            }
        )*
    };
}

event_sources! {
    http_api_with_jwt_authorizer_calls_chime_as_the_user: "http-api-jwt", "sub", ALICE, "http-api", "claims";
    http_api_with_lambda_authorizer_calls_chime_as_the_user: "http-api-lambda-authorizer", "sub", ALICE, "http-api", "lambda";
    http_api_with_iam_calls_chime_as_the_cognito_identity: "http-api-iam", "cognitoIdentityId", &identity_id("http-api-iam"), "http-api", "iam";
    rest_api_with_user_pool_calls_chime_as_the_user: "rest-api-cognito", "sub", ALICE, "rest-api", "claims";
    rest_api_with_jwt_authorizer_calls_chime_as_the_user: "rest-api-jwt", "sub", ALICE, "rest-api", "claims";
    rest_api_with_lambda_authorizer_calls_chime_as_the_user: "rest-api-lambda-authorizer", "sub", ALICE, "rest-api", "lambda";
    rest_api_with_iam_calls_chime_as_the_cognito_identity: "rest-api-iam", "cognitoIdentityId", &identity_id("rest-api-iam"), "rest-api", "iam";
    http_api_with_payload_format_1_0_calls_chime_as_the_user: "http-api-format-1.0-jwt", "sub", ALICE, "http-api-1.0", "claims";
    function_url_with_iam_calls_chime_as_the_session_name: "function-url-iam", "roleSessionName", ALICE, "function-url", "iam";
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
async fn sample_events_of_rejected_requests_are_rejected_without_a_call() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    env.assert_problem(&sample("refused-no-authorizer"), 401, "unauthenticated")
        .await;
    env.assert_problem(
        &sample("refused-unmapped-claim"),
        403,
        "identity-not-mapped",
    )
    .await;
    let reply = env.send(&sample("refused-other-app-instance")).await;
    assert_eq!(reply.fields(), ["channelArn"]);
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn sample_events_of_a_batch_and_a_wait_get_results() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    env.assert_status(&sample("wait"), "SENT").await;
    let batch = env.send(&sample("batch")).await;
    assert_eq!(
        (
            batch.status,
            batch.json()["results"].as_array().map(Vec::len)
        ),
        (200, Some(3))
    );
}

#[tokio::test]
async fn a_stage_or_a_base_path_may_precede_the_path_and_one_slash_may_follow_it() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    for path in [
        "/message-status",
        "/Prod/message-status",
        "/chat/v1/message-status",
        "/message-status/",
        "/Prod/message-status/",
    ] {
        let mut event = sample("http-api-jwt");
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        env.assert_status(&event, "SENT").await;
        let mut event = sample("rest-api-cognito");
        event["path"] = path.into();
        env.assert_status(&event, "SENT").await;
    }
}

#[tokio::test]
async fn a_response_has_the_members_of_its_payload_format() {
    let env = TestEnv::new().await;
    for (event, members) in [
        (
            "http-api-jwt",
            "body cookies headers isBase64Encoded statusCode",
        ),
        (
            "rest-api-cognito",
            "body headers isBase64Encoded statusCode",
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
        let named = response.as_object().expect("an object").keys();
        let named: Vec<_> = named.map(String::as_str).collect();
        assert_eq!(named.join(" "), members);
    }
}
