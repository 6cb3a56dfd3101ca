//! Attacks on the identity: the bearer is the authenticated caller, or Chime is not called.

use std::time::Duration;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use serde_json::{Value, json};

use crate::support::{
    ALICE, APP_INSTANCE, MESSAGE, TestEnv, get_status, messages, post, request_id, sample, user,
    user_pattern,
};

const MALLORY: &str = "mallory";

fn with_claims(claims: Value) -> Value {
    let mut event = get_status(MESSAGE, "");
    event["requestContext"]["authorizer"]["jwt"]["claims"] = claims;
    event
}

#[tokio::test]
async fn no_client_input_changes_the_bearer() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    let mallory = user(MALLORY);
    let mut event = get_status(MESSAGE, "");
    for name in [
        "x-amz-chime-bearer",
        "X-Amz-Chime-Bearer",
        "sub",
        "x-amzn-oidc-identity",
    ] {
        event["headers"][name] = mallory.clone().into();
    }
    event["headers"]["x-amzn-request-context"] =
        json!({"authorizer": {"jwt": {"claims": {"sub": MALLORY}}}})
            .to_string()
            .into();
    event["cookies"] = json!([format!("sub={MALLORY}")]);
    event["body"] = json!({"chimeBearer": mallory, "sub": MALLORY})
        .to_string()
        .into();
    event["pathParameters"] = json!({"sub": MALLORY});
    event["stageVariables"] = json!({"sub": MALLORY});
    event["sub"] = MALLORY.into();
    event["requestContext"]["sub"] = MALLORY.into();
    event["requestContext"]["identity"] = json!({"userArn": mallory, "sub": MALLORY});
    event["requestContext"]["authorizer"]["sub"] = MALLORY.into();
    env.send(&event).await.assert_status("SENT");
    let [call] = &env.calls()[..] else {
        panic!("one call");
    };
    assert_eq!(call.bearer, Some(user(ALICE)));
    assert!(!format!("{call:?}").contains(MALLORY));
}

#[tokio::test]
async fn a_request_that_names_a_bearer_is_rejected_without_a_call() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    let event = get_status(MESSAGE, "&chimeBearer=x&x-amz-chime-bearer=x");
    assert_eq!(
        env.send(&event).await.fields(),
        ["chimeBearer", "x-amz-chime-bearer"]
    );
    let mut body = messages(&[MESSAGE]);
    body["chimeBearer"] = user(MALLORY).into();
    body["messages"][0]["chimeBearer"] = user(MALLORY).into();
    let fields = env.send(&post("", body)).await.fields();
    assert_eq!(fields, ["chimeBearer", "messages[0].chimeBearer"]);
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn an_invalid_user_id_is_rejected_and_never_repaired() {
    let env = TestEnv::new().await;
    for value in [
        json!(null),
        json!(""),
        json!(" "),
        json!(true),
        json!(1.5),
        json!(1e3),
        json!(-1),
        json!([ALICE]),
        json!({"sub": ALICE}),
        json!("auth0|alice"),
        json!("name+tag@x.test"),
        json!(format!(" {ALICE}")),
        json!(format!("{ALICE}\n")),
        json!(format!("{ALICE}\0")),
        json!("a/b"),
        json!("alice/user/bob"),
        json!(".."),
        json!("alice%2Fbob"),
        json!("ａlice"),
        json!("al\u{200b}ice"),
        json!("аlice"),
        json!("[alice bob]"),
        json!("a".repeat(65)),
        json!("a".repeat(100_000)),
        json!(user(ALICE)),
        json!("{sub}"),
    ] {
        let reply = env
            .send(&with_claims(
                json!({"sub": value.clone(), "Sub": ALICE, "username": ALICE}),
            ))
            .await;
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (403, "identity-not-mapped"),
            "{value}"
        );
    }
    env.send(&with_claims(json!({"SUB": ALICE})))
        .await
        .assert_problem(403, "identity-not-mapped");
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn claims_outside_the_pattern_may_have_any_value() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    let claims =
        json!({"sub": ALICE, "groups": ["a", 1], "address": {"x": null}, "exp": 1.5, "ok": true});
    env.send(&with_claims(claims)).await.assert_status("SENT");
}

#[tokio::test]
async fn a_whole_number_is_a_valid_claim_value() {
    let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", &user_pattern("id"))]).await;
    env.seed_message(MESSAGE, &user("4711"), FlowOutcome::sent());
    env.send(&with_claims(json!({"id": 4711})))
        .await
        .assert_status("SENT");
}

#[tokio::test]
async fn events_without_exactly_one_identity_get_a_401() {
    let env = TestEnv::new().await;
    let mut refused = Vec::new();
    for authorizer in [
        json!(null),
        json!({}),
        json!([]),
        json!("x"),
        json!({"jwt": null}),
        json!({"jwt": {}}),
        json!({"jwt": {"claims": null}}),
        json!({"jwt": {"claims": {}}}),
        json!({"jwt": {"claims": [["sub", ALICE]]}}),
        json!({"claims": {"sub": ALICE}}),
        json!({"sub": ALICE}),
        json!({"principalId": ALICE}),
        json!({"lambda": {}}),
        json!({"lambda": null}),
        json!({"iam": {}}),
        json!({"jwt": {"scopes": ["x"]}}),
        json!({"jwt": {"claims": {"sub": ALICE}}, "lambda": {"sub": MALLORY}}),
        json!({"jwt": {"claims": {"sub": ALICE}}, "iam": {"userId": MALLORY}}),
    ] {
        let mut event = get_status(MESSAGE, "");
        event["requestContext"]["authorizer"] = authorizer;
        refused.push(event);
    }
    for authorizer in [
        json!(null),
        json!({}),
        json!({"claims": null, "scopes": null}),
        json!({"claims": {}}),
        json!("x"),
        json!([]),
    ] {
        let mut event = sample("rest-api-cognito");
        event["requestContext"]["authorizer"] = authorizer;
        refused.push(event);
    }
    let mut event = sample("rest-api-cognito");
    event["requestContext"]
        .as_object_mut()
        .expect("an object")
        .remove("authorizer");
    refused.push(event);
    for event in refused {
        let reply = env.send(&event).await;
        let context = &event["requestContext"]["authorizer"];
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (401, "unauthenticated"),
            "{context}"
        );
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn the_record_of_an_unauthenticated_request_has_the_cause() {
    let env = TestEnv::new().await;
    for (authorizer, cause) in [
        (json!({}), "the event has no authorizer context"),
        (json!({"sub": ALICE}), "the event has no authorizer context"),
        (
            json!({"jwt": {"claims": {"sub": ALICE}}, "lambda": {"sub": MALLORY}}),
            "the authorizer context has a name twice, two authorizers, or other keys beside claims",
        ),
        (
            json!({"iam": {"userId": ALICE, "cognitoIdentity": {"amr": ["unauthenticated"]}}}),
            "the Cognito identity is unauthenticated",
        ),
    ] {
        let mut event = get_status(MESSAGE, "");
        event["requestContext"]["authorizer"] = authorizer.clone();
        env.send(&event)
            .await
            .assert_problem(401, "unauthenticated");
        let record = env.record(request_id(&event)).await;
        assert_eq!(record["cause"], cause, "{authorizer}");
    }
}

#[tokio::test]
async fn a_duplicate_name_in_the_authorizer_context_is_rejected() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    let text = get_status(MESSAGE, "").to_string();
    let claim = format!("\"sub\":\"{ALICE}\"");
    assert!(text.contains(&claim));
    for twice in [
        text.replace(&claim, &format!("{claim},\"sub\":\"{MALLORY}\"")),
        text.replace(&claim, &format!("\"s\\u0075b\":\"{MALLORY}\",{claim}")),
        text.replace(
            "\"authorizer\":",
            "\"authorizer\":{\"jwt\":{\"claims\":{\"sub\":\"mallory\"}}},\"authorizer\":",
        ),
        text.replace(
            "\"requestContext\":",
            "\"requestContext\":{},\"requestContext\":",
        ),
        text.replace(
            "\"jwt\":",
            "\"jwt\":{\"claims\":{\"sub\":\"mallory\"}},\"jwt\":",
        ),
    ] {
        assert_ne!(twice, text);
        let reply = env.send_bytes(twice).await;
        assert!(
            ["unauthenticated", "internal-error"].contains(&reply.problem().as_str()),
            "{reply:?}"
        );
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn guest_cognito_identities_are_unauthenticated() {
    let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", &user_pattern("cognitoIdentityId"))]).await;
    for amr in [
        json!(null),
        json!([]),
        json!(["unauthenticated"]),
        json!("unauthenticated"),
        json!({"authenticated": 1}),
    ] {
        let mut event = sample("http-api-iam");
        event["requestContext"]["authorizer"]["iam"]["cognitoIdentity"]["amr"] = amr;
        env.send(&event)
            .await
            .assert_problem(401, "unauthenticated");
    }
    for kind in [json!("unauthenticated"), json!(""), json!(1), json!(null)] {
        let mut event = sample("rest-api-iam");
        event["requestContext"]["identity"]["cognitoAuthenticationType"] = kind;
        env.send(&event)
            .await
            .assert_problem(401, "unauthenticated");
    }
    assert!(env.calls().is_empty());
}

/// Members that describe the signer, and that no pattern can use.
const UNAVAILABLE_SIGNER_NAMES: [&str; 6] = [
    "userArn",
    "userId",
    "callerId",
    "caller",
    "user",
    "accountId",
];

#[tokio::test]
async fn other_names_of_a_signer_are_not_mapped() {
    for name in UNAVAILABLE_SIGNER_NAMES {
        let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", &user_pattern(name))]).await;
        for (mut event, principal) in [
            (sample("http-api-iam"), "/requestContext/authorizer/iam"),
            (sample("function-url-iam"), "/requestContext/authorizer/iam"),
            (sample("rest-api-iam"), "/requestContext/identity"),
        ] {
            let principal = event.pointer_mut(principal).expect("a principal");
            for known in UNAVAILABLE_SIGNER_NAMES {
                principal[known] = "id-1".into();
            }
            env.send(&event)
                .await
                .assert_problem(403, "identity-not-mapped");
        }
        assert!(env.calls().is_empty());
    }
}

#[tokio::test]
async fn claims_with_the_names_of_a_signer_are_mapped() {
    for name in UNAVAILABLE_SIGNER_NAMES {
        let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", &user_pattern(name))]).await;
        env.seed_alices_message(FlowOutcome::sent());
        env.send(&with_claims(json!({ name: ALICE })))
            .await
            .assert_status("SENT");
    }
}

#[tokio::test]
async fn cognito_identities_in_function_url_events_are_not_mapped() {
    let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", &user_pattern("cognitoIdentityId"))]).await;
    let mut event = sample("function-url-iam");
    event["requestContext"]["authorizer"]["iam"]["cognitoIdentity"] =
        json!({"amr": ["authenticated"], "identityId": ALICE});
    env.send(&event)
        .await
        .assert_problem(403, "identity-not-mapped");
    assert!(env.calls().is_empty());
}

/// Events of all sources with a signer whose ARN is `arn`.
fn signed_as(arn: &str) -> [Value; 3] {
    let mut http = sample("http-api-iam");
    http["requestContext"]["authorizer"]["iam"]["userArn"] = arn.into();
    let mut url = sample("function-url-iam");
    url["requestContext"]["authorizer"]["iam"]["userArn"] = arn.into();
    let mut rest = sample("rest-api-iam");
    rest["requestContext"]["identity"]["userArn"] = arn.into();
    [http, url, rest]
}

#[tokio::test]
async fn only_sessions_of_the_session_role_are_trusted() {
    let env = TestEnv::with(&[
        ("APP_INSTANCE_USER_ARN", &user_pattern("roleSessionName")),
        (
            "SESSION_ROLE_ARN",
            "arn:aws:iam::111122223333:role/path/chat",
        ),
    ])
    .await;
    env.seed_message(MESSAGE, &user("session"), FlowOutcome::sent());
    let sessions = "arn:aws:sts::111122223333:assumed-role";
    for event in signed_as(&format!("{sessions}/chat/session")) {
        env.send(&event).await.assert_status("SENT");
    }
    for arn in [
        format!("{sessions}/chat2/session"),
        format!("{sessions}/Chat/session"),
        format!("{sessions}/path/session"),
        "arn:aws:sts::111122223334:assumed-role/chat/session".to_owned(),
    ] {
        for event in signed_as(&arn) {
            let reply = env.send(&event).await;
            assert_eq!(
                (reply.status, reply.problem().as_str()),
                (401, "unauthenticated"),
                "{arn}"
            );
        }
    }
    for arn in [
        "arn:aws:iam::111122223333:user/chat/session".to_owned(),
        "arn:aws:sts::111122223333:federated-user/chat/session".to_owned(),
        format!("{sessions}/chat"),
        format!("{sessions}/chat/x/session"),
        format!("{sessions}/chat/CognitoIdentityCredentials"),
        format!("{sessions}/chat/a=b"),
        "session".to_owned(),
    ] {
        for event in signed_as(&arn) {
            let reply = env.send(&event).await;
            assert_eq!(
                (reply.status, reply.problem().as_str()),
                (403, "identity-not-mapped"),
                "{arn}"
            );
        }
    }
    assert_eq!(env.calls().len(), 3);
}

#[tokio::test]
async fn claims_beside_other_keys_are_unauthenticated() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    for source in ["rest-api-cognito", "http-api-format-1.0-jwt"] {
        for (other, status) in [
            (json!({}), 200),
            (
                json!({"scopes": ["a"], "integrationLatency": 3, "principalId": null}),
                200,
            ),
            (json!({"principalId": MALLORY}), 401),
            (json!({"sub": MALLORY}), 401),
            (json!({"jwt": {"claims": {"sub": MALLORY}}}), 401),
        ] {
            let mut event = sample(source);
            let authorizer = &mut event["requestContext"]["authorizer"];
            *authorizer = json!({"claims": {"sub": ALICE}});
            for (name, value) in other.as_object().expect("members") {
                authorizer[name] = value.clone();
            }
            let reply = env.send(&event).await;
            assert_eq!(reply.status, status, "{source} {other}: {reply:?}");
        }
    }
    assert_eq!(env.calls().len(), 4);
}

#[tokio::test]
async fn users_of_a_tenant_reach_their_own_app_instance_only() {
    let pattern = "arn:aws:chime:us-east-1:111122223333:app-instance/{custom:tenant}/user/{sub}";
    let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", pattern)]).await;
    env.seed_alices_message(FlowOutcome::sent());
    let own = APP_INSTANCE.rsplit('/').next().expect("an id");
    let event = with_claims(json!({"sub": ALICE, "custom:tenant": own}));
    env.send(&event).await.assert_status("SENT");
    let event = with_claims(json!({"sub": ALICE, "custom:tenant": "another"}));
    assert_eq!(env.send(&event).await.fields(), ["channelArn"]);
    for tenant in ["a:b", "a/user/b", "", "x/app-instance/y"] {
        let event = with_claims(json!({"sub": ALICE, "custom:tenant": tenant}));
        env.send(&event)
            .await
            .assert_problem(403, "identity-not-mapped");
    }
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn a_claim_that_is_the_whole_arn_must_be_a_user_arn() {
    let pattern = "{custom:appInstanceUserArn}";
    let env = TestEnv::with(&[
        ("APP_INSTANCE_USER_ARN", pattern),
        ("AWS_REGION", "us-east-1"),
    ])
    .await;
    env.seed_alices_message(FlowOutcome::sent());
    let event = |arn: &str| with_claims(json!({"custom:appInstanceUserArn": arn}));
    env.send(&event(&user(ALICE))).await.assert_status("SENT");
    for arn in [
        ALICE.to_owned(),
        APP_INSTANCE.to_owned(),
        format!("{APP_INSTANCE}/channel/x"),
        format!("{APP_INSTANCE}/user/a/b"),
        format!("{} ", user(ALICE)),
        format!("{},{}", user(ALICE), user(ALICE)),
    ] {
        env.send(&event(&arn))
            .await
            .assert_problem(403, "identity-not-mapped");
    }
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn concurrent_callers_get_their_own_bearers_and_responses() {
    const MANY: u64 = 50;
    let env = TestEnv::with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "50")]).await;
    let requests = (0..MANY).map(|index| {
        let (id, sender) = (format!("m{index}"), format!("user-{index}"));
        let detail = format!("result {index}");
        let outcome = FlowOutcome::Decided("FAILED".into(), Some(detail.clone()));
        env.seed_message(&id, &user(&sender), outcome);
        // Responses arrive in another order than requests: 7 and 50 have no common divisor.
        let delay = Duration::from_millis(200 + index * 7 % MANY * 10);
        env.chime.fault_for(&id, vec![Fault::Latency(delay)]);
        let mut event = get_status(&id, "");
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = sender.into();
        let env = &env;
        async move {
            let reply = env.send(&event).await;
            assert_eq!(
                reply.json(),
                json!({"messageId": id, "status": "FAILED", "detail": detail})
            );
        }
    });
    futures_util::future::join_all(requests).await;
    let calls = env.calls();
    assert!(calls.iter().any(|call| call.in_flight > 1), "{calls:?}");
    for call in calls {
        let id = call.message_id.as_deref().expect("an id");
        let number = id.strip_prefix('m').expect("a number");
        assert_eq!(call.bearer, Some(user(&format!("user-{number}"))));
    }
}
