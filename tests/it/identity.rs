//! Attacks on the identity: the bearer is the authenticated caller, or Chime is not called.

use std::time::Duration;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use serde_json::{Value, json};

use crate::support::{
    ALICE, APP_INSTANCE, MESSAGE, TestEnv, get_status, get_with_claims, sample, user, user_pattern,
};

const MALLORY: &str = "mallory";

/// A sample event with another `requestContext.authorizer`.
fn with_authorizer(source: &str, authorizer: &Value) -> Value {
    let mut event = sample(source);
    event["requestContext"]["authorizer"] = authorizer.clone();
    event
}

async fn assert_unauthenticated(env: &TestEnv, events: &[Value]) {
    for event in events {
        env.assert_problem(event, 401, "unauthenticated").await;
    }
}

async fn assert_not_mapped(env: &TestEnv, events: &[Value]) {
    for event in events {
        env.assert_problem(event, 403, "identity-not-mapped").await;
    }
}

#[tokio::test]
async fn no_client_input_changes_the_bearer() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    let mallory = user(MALLORY);
    let sub = json!({"sub": MALLORY});
    let context = json!({"authorizer": {"jwt": {"claims": sub}}});
    let mut event = get_status(MESSAGE, "");
    for name in [
        "x-amz-chime-bearer",
        "X-Amz-Chime-Bearer",
        "sub",
        "x-amzn-oidc-identity",
    ] {
        event["headers"][name] = mallory.clone().into();
    }
    event["headers"]["x-amzn-request-context"] = context.to_string().into();
    event["cookies"] = json!([format!("sub={MALLORY}")]);
    event["body"] = json!({"chimeBearer": mallory, "sub": MALLORY})
        .to_string()
        .into();
    event["pathParameters"] = sub.clone();
    event["stageVariables"] = sub.clone();
    event["sub"] = MALLORY.into();
    event["requestContext"]["sub"] = MALLORY.into();
    event["requestContext"]["identity"] = json!({"userArn": mallory, "sub": MALLORY});
    event["requestContext"]["authorizer"]["sub"] = MALLORY.into();
    env.assert_status(&event, "SENT").await;
    let [call] = &env.calls()[..] else {
        panic!("one call");
    };
    assert_eq!(call.bearer, Some(user(ALICE)));
    assert!(!format!("{call:?}").contains(MALLORY));
}

#[tokio::test]
async fn an_invalid_user_id_is_rejected_and_its_record_names_the_rule_but_not_the_value() {
    const NO_TEXT: &str = "missing, empty or not a string";
    const CHARACTER: &str = "a character that is not allowed";
    let env = TestEnv::new().await;
    for (value, rule) in [
        (json!(null), NO_TEXT),
        (json!(""), NO_TEXT),
        (json!(true), NO_TEXT),
        (json!(42), NO_TEXT),
        (json!([ALICE]), NO_TEXT),
        (json!({"sub": ALICE}), NO_TEXT),
        (json!("auth0|alice"), CHARACTER),
        (json!(format!(" {ALICE}")), CHARACTER),
        (json!(format!("{ALICE}\n")), CHARACTER),
        (json!(format!("{ALICE}\0")), CHARACTER),
        (json!("alice/user/bob"), CHARACTER),
        (json!("alice%2Fbob"), CHARACTER),
        (json!(user(ALICE)), CHARACTER),
        (json!("_alice"), "first or last character"),
        (json!("a".repeat(65)), "length"),
        (json!("a".repeat(100_000)), "length"),
    ] {
        let claims = json!({"sub": value, "Sub": ALICE, "username": ALICE});
        let (reply, record) = env.send_recorded(&get_with_claims(claims)).await;
        reply.assert_problem(403, "identity-not-mapped");
        let cause = record["cause"].as_str().expect("a cause");
        let names_rule = cause.contains("{sub}") && cause.contains(rule);
        assert!(names_rule, "{value}: {cause}");
        let text = value.as_str().filter(|text| !text.is_empty());
        assert!(!text.is_some_and(|text| cause.contains(text)), "{cause}");
    }
    env.assert_no_call();
}

#[tokio::test]
async fn claims_outside_the_pattern_may_have_any_value() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let claim = format!("\"sub\":\"{ALICE}\"");
    for source in [
        "http-api-jwt",
        "http-api-lambda-authorizer",
        "rest-api-jwt",
        "rest-api-lambda-authorizer",
    ] {
        let text = sample(source).to_string();
        assert!(text.contains(&claim), "{source}");
        for odd in [
            r#""groups":["a",1],"address":{"x":null},"ok":true"#,
            r#""x":"\ud800""#,
            r#""\udc00":1"#,
            r#""x":1e400"#,
            &format!("\"x\":{deep}"),
        ] {
            let text = text.replace(&claim, &format!("{odd},{claim}"));
            env.send_bytes(text).await.assert_status("SENT");
        }
        // In the claim that the pattern names, it is a value that is not text.
        for odd in [r#""\ud800""#, "1e400", &deep] {
            let text = text.replace(&claim, &format!("\"sub\":{odd}"));
            let reply = env.send_bytes(text).await;
            reply.assert_problem(403, "identity-not-mapped");
        }
    }
}

#[tokio::test]
async fn events_without_exactly_one_identity_get_a_401() {
    const NONE: &str = "no authorizer context";
    const TWO: &str = "two authorizers, or other keys beside claims";
    let alice = json!({"sub": ALICE});
    let format_2 = [
        (json!(null), NONE),
        (json!({}), NONE),
        (json!([]), NONE),
        (json!("x"), NONE),
        (json!({"jwt": {}}), NONE),
        (json!({"jwt": {"claims": null}}), NONE),
        (json!({"jwt": {"claims": {}}}), NONE),
        (json!({"jwt": {"claims": {"sub": null}}}), NONE),
        (json!({"jwt": {"claims": [["sub", ALICE]]}}), NONE),
        (json!({"jwt": {"scopes": ["x"]}}), NONE),
        (json!({"claims": alice}), NONE),
        (json!({"sub": ALICE}), NONE),
        (json!({"lambda": {"sub": null}}), NONE),
        (json!({"jwt": {}, "lambda": null, "iam": {}}), NONE),
        (json!({"iam": {"sub": ALICE, "userArn": user(ALICE)}}), NONE),
        (json!({"jwt": {"claims": alice}, "lambda": alice}), TWO),
        (json!({"jwt": {"claims": {}}, "lambda": alice}), TWO),
        (
            json!({"jwt": {"claims": alice}, "iam": {"userId": "x"}}),
            TWO,
        ),
    ];
    let rest = [
        json!(null),
        json!({}),
        json!({"claims": null, "scopes": null}),
        json!({"claims": {}}),
        json!({"claims": {"sub": null}}),
        json!({"claims": {}, "sub": ALICE}),
        json!({"sub": null, "principalId": null}),
        json!("x"),
        json!([]),
    ];
    let format_1 = ["principalId", "sub", "integrationLatency", "jwt"];
    let format_1 = format_1.map(|beside| json!({"claims": alice, beside: MALLORY}));
    let rows = format_2
        .map(|(authorizer, cause)| ("http-api-jwt", authorizer, cause))
        .into_iter()
        .chain(rest.map(|authorizer| ("rest-api-cognito", authorizer, NONE)))
        .chain(format_1.map(|authorizer| ("http-api-format-1.0-jwt", authorizer, TWO)));
    let env = TestEnv::new().await;
    for (source, authorizer, cause) in rows {
        env.function.forget_log();
        let event = with_authorizer(source, &authorizer);
        let (reply, record) = env.send_recorded(&event).await;
        reply.assert_problem(401, "unauthenticated");
        let logged = record["cause"].as_str().expect("a cause");
        assert!(logged.contains(cause), "{authorizer}: {logged}");
    }
    env.assert_no_call();
}

#[tokio::test]
async fn one_context_has_one_reading() {
    let alice = json!({"sub": ALICE});
    let mut events = Vec::new();
    for (source, authorizer) in [
        // Local gateways send these.
        (
            "http-api-jwt",
            json!({"jwt": {"claims": alice, "scopes": null}, "lambda": {}}),
        ),
        (
            "http-api-jwt",
            json!({"jwt": {"claims": alice}, "lambda": null, "iam": {}}),
        ),
        ("http-api-jwt", json!({"jwt": {}, "lambda": alice})),
        // In a REST event, an object `claims` is the gateway's own.
        (
            "rest-api-cognito",
            json!({"claims": alice, "principalId": "offline"}),
        ),
        (
            "rest-api-cognito",
            json!({"claims": alice, "scopes": ["a"], "integrationLatency": 3}),
        ),
        ("rest-api-cognito", json!({"claims": alice, "sub": MALLORY})),
        (
            "rest-api-cognito",
            json!({"claims": alice, "jwt": {"claims": {"sub": MALLORY}}}),
        ),
        (
            "rest-api-lambda-authorizer",
            json!({"claims": "not an object", "sub": ALICE}),
        ),
        (
            "http-api-format-1.0-jwt",
            json!({"claims": alice, "scopes": ["a"], "principalId": null}),
        ),
    ] {
        events.push(with_authorizer(source, &authorizer));
    }
    // A pattern without a signer's name does not look at the signer.
    let mut signed = sample("rest-api-cognito");
    let mut identity = sample("rest-api-iam")["requestContext"]["identity"].take();
    identity["cognitoAuthenticationType"] = "unauthenticated".into();
    signed["requestContext"]["identity"] = identity;
    events.push(signed);
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    for event in &events {
        env.assert_status(event, "SENT").await;
    }
    let calls = env.calls();
    assert_eq!(calls.len(), events.len());
    assert!(calls.iter().all(|call| call.bearer == Some(user(ALICE))));
}

#[tokio::test]
async fn names_of_claims_are_read_in_the_authorizer_context_only() {
    // Also those that a signer has.
    for name in ["userArn", "userId", "caller", "user", "accountId"] {
        let env = TestEnv::of_pattern(&user_pattern(name)).await;
        env.seed(FlowOutcome::sent());
        let claims = get_with_claims(json!({ name: ALICE }));
        env.assert_status(&claims, "SENT").await;
        let signed = [
            ("http-api-iam", "/requestContext/authorizer/iam"),
            ("function-url-iam", "/requestContext/authorizer/iam"),
            ("rest-api-iam", "/requestContext/identity"),
        ];
        let signed = signed.map(|(source, signer)| {
            let mut event = sample(source);
            event.pointer_mut(signer).expect("a signer")[name] = ALICE.into();
            event
        });
        assert_unauthenticated(&env, &signed).await;
        assert_eq!(env.calls().len(), 1);
    }
}

#[tokio::test]
async fn names_of_signers_are_never_read_in_claims_or_a_context() {
    for name in ["cognitoIdentityId", "roleSessionName"] {
        let env = TestEnv::of_pattern(&user_pattern(name)).await;
        let context = json!({ name: ALICE });
        let iam = json!({"userArn": user(ALICE)});
        let events = [
            ("http-api-jwt", json!({"jwt": {"claims": context}})),
            ("http-api-jwt", json!({ "lambda": context })),
            ("http-api-jwt", json!({"iam": iam, "lambda": context})),
            ("rest-api-cognito", json!({ "claims": context })),
            ("rest-api-lambda-authorizer", context),
        ];
        let events = events.map(|(source, authorizer)| with_authorizer(source, &authorizer));
        assert_unauthenticated(&env, &events).await;
        env.assert_no_call();
    }
}

#[tokio::test]
async fn with_an_issuer_only_its_claims_are_accepted() {
    let issuer = "https://login.example.com/";
    let env = TestEnv::with(&[("TOKEN_ISSUER", issuer)]).await;
    env.seed(FlowOutcome::sent());
    let with_claims = |claims: Value| {
        let claims = json!({ "claims": claims });
        [
            with_authorizer("http-api-jwt", &json!({ "jwt": claims })),
            with_authorizer("rest-api-jwt", &claims),
            with_authorizer("http-api-format-1.0-jwt", &claims),
        ]
    };
    let ours = json!({"iss": issuer, "sub": ALICE});
    for event in with_claims(ours.clone()) {
        env.assert_status(&event, "SENT").await;
    }
    for other in [
        json!("https://other.example.com/"),
        json!("https://login.example.com"),
        json!("https://login.example.com/ "),
        json!("HTTPS://login.example.com/"),
        json!([issuer]),
        json!(null),
        json!(7),
    ] {
        let claims = json!({"iss": other, "sub": ALICE});
        assert_unauthenticated(&env, &with_claims(claims)).await;
    }
    assert_unauthenticated(&env, &with_claims(json!({"sub": ALICE}))).await;
    let contexts = [
        with_authorizer("http-api-jwt", &json!({ "lambda": ours })),
        with_authorizer("rest-api-lambda-authorizer", &ours),
    ];
    assert_unauthenticated(&env, &contexts).await;
    assert_eq!(env.calls().len(), 3);
}

#[tokio::test]
async fn guest_cognito_identities_are_unauthenticated() {
    let env = TestEnv::of_pattern(&user_pattern("cognitoIdentityId")).await;
    let amrs = [
        json!(null),
        json!([]),
        json!(["unauthenticated"]),
        json!("unauthenticated"),
        json!({"authenticated": 1}),
    ];
    let http = amrs.map(|amr| {
        let mut event = sample("http-api-iam");
        event["requestContext"]["authorizer"]["iam"]["cognitoIdentity"]["amr"] = amr;
        event
    });
    let types = [json!("unauthenticated"), json!(""), json!(1), json!(null)];
    let rest = types.map(|kind| {
        let mut event = sample("rest-api-iam");
        event["requestContext"]["identity"]["cognitoAuthenticationType"] = kind;
        event
    });
    assert_unauthenticated(&env, &http).await;
    assert_unauthenticated(&env, &rest).await;
    env.assert_no_call();
}

#[tokio::test]
async fn cognito_identities_in_function_url_events_are_not_mapped() {
    let env = TestEnv::of_pattern(&user_pattern("cognitoIdentityId")).await;
    let mut event = sample("function-url-iam");
    event["requestContext"]["authorizer"]["iam"]["cognitoIdentity"] =
        json!({"amr": ["authenticated"], "identityId": ALICE});
    assert_not_mapped(&env, &[event]).await;
    env.assert_no_call();
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
    let env = TestEnv::of_pattern(&user_pattern("roleSessionName")).await;
    env.seed_message_of("session", MESSAGE, FlowOutcome::sent());
    // The role is `chat/chat-user`. Its sessions do not show the path.
    let sessions = "arn:aws:sts::111122223333:assumed-role";
    for event in signed_as(&format!("{sessions}/chat-user/session")) {
        env.assert_status(&event, "SENT").await;
    }
    for arn in [
        format!("{sessions}/chat-user2/session"),
        format!("{sessions}/chat/session"),
        "arn:aws:sts::111122223334:assumed-role/chat-user/session".to_owned(),
    ] {
        assert_unauthenticated(&env, &signed_as(&arn)).await;
    }
    for arn in [
        "arn:aws:iam::111122223333:user/chat-user/session".to_owned(),
        "arn:aws:sts::111122223333:federated-user/chat-user/session".to_owned(),
        format!("{sessions}/chat-user"),
        format!("{sessions}/chat-user/x/session"),
        format!("{sessions}/chat-user/CognitoIdentityCredentials"),
        format!("{sessions}/chat-user/a=b"),
        "session".to_owned(),
    ] {
        assert_not_mapped(&env, &signed_as(&arn)).await;
    }
    assert_eq!(env.calls().len(), 3);
}

#[tokio::test]
async fn users_of_a_tenant_reach_their_own_app_instance_only() {
    let own = APP_INSTANCE.rsplit('/').next().expect("an id");
    let pattern = user_pattern("sub").replace(own, "{custom:tenant}");
    let env = TestEnv::of_pattern(&pattern).await;
    env.seed(FlowOutcome::sent());
    let of_tenant = |tenant: &str| get_with_claims(json!({"sub": ALICE, "custom:tenant": tenant}));
    env.assert_status(&of_tenant(own), "SENT").await;
    env.assert_fields(&of_tenant("another"), "channelArn").await;
    let illegal = ["a:b", "a/user/b", "", "x/app-instance/y"];
    assert_not_mapped(&env, &illegal.map(of_tenant)).await;
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn a_claim_that_is_the_whole_arn_must_be_a_user_arn() {
    let env = TestEnv::of_pattern("{arn}").await;
    env.seed(FlowOutcome::sent());
    let of_arn = |arn: String| get_with_claims(json!({ "arn": arn }));
    env.assert_status(&of_arn(user(ALICE)), "SENT").await;
    let bot = format!("{APP_INSTANCE}/bot/{ALICE}");
    let refused = [ALICE.to_owned(), bot, user("a/b"), user("a ")];
    assert_not_mapped(&env, &refused.map(of_arn)).await;
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn concurrent_callers_get_their_own_bearers_and_responses() {
    const MANY: u64 = 50;
    let env = &TestEnv::with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "50")]).await;
    let requests = (0..MANY).map(|index| async move {
        let (id, sender) = (format!("m{index}"), format!("user-{index}"));
        let detail = format!("result {index}");
        let outcome = FlowOutcome::Decided("FAILED".into(), Some(detail.clone()));
        env.seed_message_of(&sender, &id, outcome);
        // Responses arrive in another order than requests: 7 and 50 have no common divisor.
        let delay = Duration::from_millis(200 + index * 7 % MANY * 10);
        env.chime.fault_for(&id, vec![Fault::Latency(delay)]);
        let mut event = get_status(&id, "");
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = sender.into();
        let expected = json!({"messageId": id, "status": "FAILED", "detail": detail});
        assert_eq!(env.send(&event).await.json(), expected);
    });
    futures_util::future::join_all(requests).await;
    let calls = env.calls();
    assert!(calls.iter().any(|call| call.in_flight > 1), "{calls:?}");
    for call in calls {
        let id = call.message_id.expect("an id");
        assert_eq!(call.bearer, Some(user(&id.replace('m', "user-"))));
    }
}
