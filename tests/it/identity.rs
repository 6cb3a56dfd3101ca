//! Attacks on the identity: the bearer is the authenticated caller, or Chime is not called.

use std::time::Duration;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::oracle::SESSION_ROLE;
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
    env.assert_status(&event, "SENT").await;
    let [call] = &env.calls()[..] else {
        panic!("one call");
    };
    assert_eq!(call.bearer, Some(user(ALICE)));
    assert!(!format!("{call:?}").contains(MALLORY));
}

#[tokio::test]
async fn a_request_that_names_a_bearer_is_rejected_without_a_call() {
    let env = TestEnv::new().await;
    let event = get_status(MESSAGE, "&chimeBearer=x&x-amz-chime-bearer=x");
    assert_eq!(
        env.send(&event).await.fields(),
        ["chimeBearer", "x-amz-chime-bearer"]
    );
    for place in ["", "/messages/0"] {
        let mut body = messages(&[MESSAGE]);
        body.pointer_mut(place).expect("an object")["chimeBearer"] = user(MALLORY).into();
        let fields = env.send(&post("", body)).await.fields();
        assert!(fields[0].ends_with("chimeBearer"), "{fields:?}");
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn an_invalid_user_id_is_rejected_and_never_repaired() {
    const NO_TEXT: &str = "missing, empty or not a string";
    const CHARACTER: &str = "a character that is not allowed";
    const ENDS: &str = "first or last character";
    let env = TestEnv::new().await;
    for (value, reason) in [
        (json!(null), NO_TEXT),
        (json!(""), NO_TEXT),
        (json!(true), NO_TEXT),
        (json!(42), NO_TEXT),
        (json!(1.5), NO_TEXT),
        (json!([ALICE]), NO_TEXT),
        (json!({"sub": ALICE}), NO_TEXT),
        (json!(" "), CHARACTER),
        (json!("auth0|alice"), CHARACTER),
        (json!("name+tag@x.test"), CHARACTER),
        (json!(format!(" {ALICE}")), CHARACTER),
        (json!(format!("{ALICE}\n")), CHARACTER),
        (json!(format!("{ALICE}\0")), CHARACTER),
        (json!("a/b"), CHARACTER),
        (json!("alice/user/bob"), CHARACTER),
        (json!("alice%2Fbob"), CHARACTER),
        (json!("\u{ff41}lice"), CHARACTER),
        (json!("al\u{200b}ice"), CHARACTER),
        (json!("\u{430}lice"), CHARACTER),
        (json!("[alice bob]"), CHARACTER),
        (json!(user(ALICE)), CHARACTER),
        (json!("x{sub}"), CHARACTER),
        (json!("..."), ENDS),
        (json!("_alice"), ENDS),
        (json!("alice-"), ENDS),
        (json!("a".repeat(65)), "length"),
        (json!("a".repeat(100_000)), "length"),
    ] {
        let event = with_claims(json!({"sub": value, "Sub": ALICE, "username": ALICE}));
        env.assert_problem(&event, 403, "identity-not-mapped").await;
        let record = env.record(request_id(&event)).await;
        let cause = record["cause"].as_str().expect("a cause");
        assert!(
            cause.contains("{sub}") && cause.contains(reason),
            "{value}: {cause}"
        );
        let text = value.as_str().unwrap_or_default();
        assert!(text.len() < 3 || !cause.contains(text), "{cause}");
    }
    env.assert_problem(
        &with_claims(json!({"SUB": ALICE})),
        403,
        "identity-not-mapped",
    )
    .await;
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn length_and_ends_are_checked_on_the_filled_segment() {
    let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", &user("u-{sub}"))]).await;
    env.seed_message(MESSAGE, &user("u-_alice"), FlowOutcome::sent());
    for (sub, status) in [
        ("_alice".to_owned(), 200),
        ("-alice".to_owned(), 404),
        ("a".repeat(62), 404),
        ("a".repeat(63), 403),
        ("alice_".to_owned(), 403),
        ("_".to_owned(), 403),
        ("_a/b".to_owned(), 403),
    ] {
        let reply = env.send(&with_claims(json!({ "sub": sub }))).await;
        assert_eq!(reply.status, status, "{sub}: {reply:?}");
    }
    assert_eq!(env.calls().len(), 3);
}

#[tokio::test]
async fn claims_outside_the_pattern_may_have_any_value() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
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
            env.send_bytes(text)
                .await
                .assert_problem(403, "identity-not-mapped");
        }
    }
}

/// An event of format 2.0 with this authorizer.
fn with_authorizer(authorizer: &Value) -> Value {
    let mut event = get_status(MESSAGE, "");
    event["requestContext"]["authorizer"] = authorizer.clone();
    event
}

/// An event of a REST API, or of an HTTP API with format 1.0, with this authorizer.
fn in_format_1(source: &str, authorizer: &Value) -> Value {
    let mut event = sample(source);
    event["requestContext"]["authorizer"] = authorizer.clone();
    event
}

#[tokio::test]
async fn events_without_exactly_one_identity_get_a_401() {
    const NONE: &str = "no authorizer context";
    const TWO: &str = "two authorizers, or other keys beside claims";
    let env = TestEnv::new().await;
    let alice = json!({"sub": ALICE});
    let mut refused = Vec::new();
    for (authorizer, cause) in [
        (json!(null), NONE),
        (json!({}), NONE),
        (json!([]), NONE),
        (json!("x"), NONE),
        (json!({"jwt": null}), NONE),
        (json!({"jwt": {}}), NONE),
        (json!({"jwt": {"claims": null}}), NONE),
        (json!({"jwt": {"claims": {}}}), NONE),
        (json!({"jwt": {"claims": {"sub": null}}}), NONE),
        (json!({"jwt": {"claims": [["sub", ALICE]]}}), NONE),
        (json!({"claims": alice}), NONE),
        (json!({"sub": ALICE}), NONE),
        (json!({"lambda": {}}), NONE),
        (json!({"lambda": {"sub": null}}), NONE),
        (json!({"jwt": {}, "lambda": null, "iam": {}}), NONE),
        (json!({"iam": {"sub": ALICE, "userArn": user(ALICE)}}), NONE),
        (json!({"jwt": {"scopes": ["x"]}}), NONE),
        (json!({"jwt": {"claims": alice}, "lambda": alice}), TWO),
        (json!({"jwt": {"claims": {}}, "lambda": alice}), TWO),
        (
            json!({"jwt": {"claims": alice}, "iam": {"userId": "x"}}),
            TWO,
        ),
    ] {
        refused.push((with_authorizer(&authorizer), cause));
    }
    for authorizer in [
        json!(null),
        json!({}),
        json!({"claims": null, "scopes": null}),
        json!({"claims": {}}),
        json!({"claims": {"sub": null}}),
        json!({"claims": {}, "sub": ALICE}),
        json!({"sub": null, "principalId": null}),
        json!("x"),
        json!([]),
    ] {
        refused.push((in_format_1("rest-api-cognito", &authorizer), NONE));
    }
    for beside in ["principalId", "sub", "integrationLatency", "jwt"] {
        let authorizer = json!({"claims": alice, beside: MALLORY});
        refused.push((in_format_1("http-api-format-1.0-jwt", &authorizer), TWO));
    }
    for (event, cause) in refused {
        let reply = env.send(&event).await;
        let context = &event["requestContext"]["authorizer"];
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (401, "unauthenticated"),
            "{context}"
        );
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        let record = env.record(request_id(&event)).await;
        let logged = record["cause"].as_str().expect("a cause");
        assert!(logged.contains(cause), "{context}: {logged}");
        env.function.forget_log();
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn one_context_has_one_reading() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    let alice = json!({"sub": ALICE});
    let mut events = Vec::new();
    // Local gateways send these.
    for authorizer in [
        json!({"jwt": {"claims": alice, "scopes": null}, "lambda": {}}),
        json!({"jwt": {"claims": alice}, "lambda": null, "iam": {}}),
        json!({"jwt": {}, "lambda": alice}),
    ] {
        events.push(with_authorizer(&authorizer));
    }
    // In a REST event, an object `claims` is the gateway's own.
    for (name, beside) in [
        ("principalId", json!("offline")),
        ("scopes", json!(["a"])),
        ("integrationLatency", json!(3)),
        ("sub", json!(MALLORY)),
        ("jwt", json!({"claims": {"sub": MALLORY}})),
    ] {
        let authorizer = json!({"claims": alice, name: beside});
        events.push(in_format_1("rest-api-cognito", &authorizer));
    }
    let authorizer = json!({"claims": "not an object", "sub": ALICE});
    events.push(in_format_1("rest-api-lambda-authorizer", &authorizer));
    let authorizer = json!({"claims": alice, "scopes": ["a"], "principalId": null});
    events.push(in_format_1("http-api-format-1.0-jwt", &authorizer));
    // A pattern without a signer's name does not look at the signer.
    let mut signed = sample("rest-api-cognito");
    let mut identity = sample("rest-api-iam")["requestContext"]["identity"].take();
    identity["cognitoAuthenticationType"] = "unauthenticated".into();
    signed["requestContext"]["identity"] = identity;
    events.push(signed);
    for event in &events {
        let reply = env.send(event).await;
        let context = &event["requestContext"]["authorizer"];
        assert_eq!(reply.status, 200, "{context}: {reply:?}");
    }
    let calls = env.calls();
    assert_eq!(calls.len(), events.len());
    assert!(calls.iter().all(|call| call.bearer == Some(user(ALICE))));
}

#[tokio::test]
async fn the_pattern_decides_which_part_of_the_event_is_read() {
    // These are names of claims, also in the event of a signer.
    for name in ["userArn", "userId", "caller", "user", "accountId"] {
        let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", &user_pattern(name))]).await;
        env.seed_alices_message(FlowOutcome::sent());
        env.assert_status(&with_claims(json!({ name: ALICE })), "SENT")
            .await;
        for (source, principal) in [
            ("http-api-iam", "/requestContext/authorizer/iam"),
            ("function-url-iam", "/requestContext/authorizer/iam"),
            ("rest-api-iam", "/requestContext/identity"),
        ] {
            let mut event = sample(source);
            event.pointer_mut(principal).expect("a principal")[name] = ALICE.into();
            env.assert_problem(&event, 401, "unauthenticated").await;
        }
        assert_eq!(env.calls().len(), 1);
    }
    // These are names of signers, and never of claims.
    for name in ["cognitoIdentityId", "roleSessionName"] {
        let env = TestEnv::with(&[
            ("APP_INSTANCE_USER_ARN", &user_pattern(name)),
            ("SESSION_ROLE_ARN", SESSION_ROLE),
        ])
        .await;
        for event in [
            with_claims(json!({ name: ALICE })),
            with_authorizer(&json!({"lambda": {name: ALICE}})),
            with_authorizer(&json!({"iam": {"userArn": user(ALICE)}, "lambda": {name: ALICE}})),
            in_format_1("rest-api-cognito", &json!({"claims": {name: ALICE}})),
            in_format_1("rest-api-lambda-authorizer", &json!({name: ALICE})),
        ] {
            env.assert_problem(&event, 401, "unauthenticated").await;
        }
        assert!(env.calls().is_empty());
    }
}

#[tokio::test]
async fn with_an_issuer_only_its_claims_are_accepted() {
    let issuer = "https://login.example.com/";
    let env = TestEnv::with(&[("TOKEN_ISSUER", issuer)]).await;
    env.seed_alices_message(FlowOutcome::sent());
    let claims = |issuer: &Value| json!({"iss": issuer, "sub": ALICE});
    let ours = claims(&issuer.into());
    let in_claims = json!({ "claims": ours });
    for event in [
        with_claims(ours.clone()),
        in_format_1("rest-api-jwt", &in_claims),
        in_format_1("http-api-format-1.0-jwt", &in_claims),
    ] {
        env.assert_status(&event, "SENT").await;
    }
    let mut refused = vec![
        with_claims(json!({"sub": ALICE})),
        with_authorizer(&json!({ "lambda": ours })),
        in_format_1("rest-api-lambda-authorizer", &ours),
    ];
    for other in [
        json!("https://other.example.com/"),
        json!("https://login.example.com"),
        json!("https://login.example.com/ "),
        json!("HTTPS://login.example.com/"),
        json!([issuer]),
        json!(null),
        json!(7),
    ] {
        refused.push(with_claims(claims(&other)));
        let other = json!({"claims": claims(&other)});
        refused.push(in_format_1("rest-api-jwt", &other));
    }
    for event in refused {
        env.assert_problem(&event, 401, "unauthenticated").await;
    }
    assert_eq!(env.calls().len(), 3);
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
        env.assert_problem(&event, 401, "unauthenticated").await;
    }
    for kind in [json!("unauthenticated"), json!(""), json!(1), json!(null)] {
        let mut event = sample("rest-api-iam");
        event["requestContext"]["identity"]["cognitoAuthenticationType"] = kind;
        env.assert_problem(&event, 401, "unauthenticated").await;
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn cognito_identities_in_function_url_events_are_not_mapped() {
    let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", &user_pattern("cognitoIdentityId"))]).await;
    let mut event = sample("function-url-iam");
    event["requestContext"]["authorizer"]["iam"]["cognitoIdentity"] =
        json!({"amr": ["authenticated"], "identityId": ALICE});
    env.assert_problem(&event, 403, "identity-not-mapped").await;
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
        env.assert_status(&event, "SENT").await;
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
async fn users_of_a_tenant_reach_their_own_app_instance_only() {
    let pattern = "arn:aws:chime:us-east-1:111122223333:app-instance/{custom:tenant}/user/{sub}";
    let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", pattern)]).await;
    env.seed_alices_message(FlowOutcome::sent());
    let own = APP_INSTANCE.rsplit('/').next().expect("an id");
    let event = with_claims(json!({"sub": ALICE, "custom:tenant": own}));
    env.assert_status(&event, "SENT").await;
    let event = with_claims(json!({"sub": ALICE, "custom:tenant": "another"}));
    assert_eq!(env.send(&event).await.fields(), ["channelArn"]);
    for tenant in ["a:b", "a/user/b", "", "x/app-instance/y"] {
        let event = with_claims(json!({"sub": ALICE, "custom:tenant": tenant}));
        env.assert_problem(&event, 403, "identity-not-mapped").await;
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
    env.assert_status(&event(&user(ALICE)), "SENT").await;
    for arn in [
        ALICE.to_owned(),
        APP_INSTANCE.to_owned(),
        format!("{APP_INSTANCE}/channel/x"),
        format!("{APP_INSTANCE}/bot/{ALICE}"),
        format!("{APP_INSTANCE}/user/a/b"),
        format!("{} ", user(ALICE)),
        format!("{},{}", user(ALICE), user(ALICE)),
    ] {
        env.assert_problem(&event(&arn), 403, "identity-not-mapped")
            .await;
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
