//! Whatever an invocation consists of, there is a well-formed answer, and the function lives on.

use fakes::flow::FlowOutcome;
use fakes::oracle::authorized;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{
    APP_INSTANCE, GatewayResponse, MESSAGE, TestEnv, corpus, get_message, sample, user,
};

const EVENTS: [&str; 15] = [
    "http-api-jwt",
    "http-api-lambda-authorizer",
    "http-api-iam",
    "rest-api-cognito",
    "rest-api-lambda-authorizer",
    "rest-api-iam",
    "http-api-format-1.0-jwt",
    "function-url-iam",
    "refused-no-authorizer",
    "refused-unmapped-claim",
    "refused-other-app-instance",
    "batch",
    "wait",
    "preflight",
    "head",
];

async fn a_world_that_does_not_wait() -> TestEnv {
    TestEnv::with(&[
        ("ALLOWED_ORIGINS", "https://chat.example.com"),
        ("MAX_WAIT_SECONDS", "0"),
    ])
    .await
}

/// Asks, and wants a problem document or an answer of ours, for which Chime was asked in the name
/// that `event` leads to, or not at all.
async fn assert_invariants(env: &TestEnv, bytes: impl Into<Vec<u8>>, event: &Value) {
    env.chime.forget_calls();
    let reply = env.ask_bytes(bytes).await;
    if reply.header("content-type") == Some("application/problem+json") && !reply.body.is_empty() {
        reply.problem();
    }
    let bearer = authorized(event, "sub").map(|sub| user(&sub));
    for call in env.calls() {
        assert_eq!(call.bearer, bearer, "{event}");
        let channel = call.channel_arn.expect("a channel");
        assert!(channel.starts_with(APP_INSTANCE), "{event}");
    }
}

#[tokio::test]
async fn what_is_no_event_gets_a_problem() {
    let env = TestEnv::new().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(5_000_000));
    for bytes in [
        &b""[..], b"null", b"[]", b"{}", b"\"x\"", b"0", b"true", b"{", b"\xff\xfe", b"{\"a\":\"\xff\"}", b"NaN", b"\0",
        br#"{"Records":[{"eventSource":"aws:sqs","body":"x"}]}"#, br#"{"version":"0","detail-type":"x","detail":{}}"#,
        br#"{"requestContext":{"elb":{"targetGroupArn":"x"}},"httpMethod":"GET","path":"/","headers":{}}"#,
        br#"{"requestContext":{"routeKey":"$connect","eventType":"CONNECT","connectionId":"x"},"isBase64Encoded":false}"#,
        br#"{"version":"2.0"}"#, br#"{"version":2.0,"requestContext":{}}"#, deep.as_bytes(), long.as_bytes(),
    ] {
        let reply = env.ask_bytes(bytes).await;
        assert!(reply.status >= 400, "{reply:?}");
        reply.problem();
    }
    env.assert_works().await;
}

#[tokio::test]
async fn what_lambda_http_panics_on_is_answered() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::sent());
    let mut event = get_message(MESSAGE, "");
    let query = event["rawQueryString"]
        .as_str()
        .expect("a query")
        .replace("messageId", " messageId");
    event["rawQueryString"] = query.into();
    assert_eq!(env.ask(&event).await.fields(), [" messageId", "messageId"]);
    let mut event = get_message(MESSAGE, "");
    event["isBase64Encoded"] = true.into();
    event["body"] = "*".into();
    for (name, value) in [
        ("host", "a b"),
        ("x-forwarded-proto", "\u{1}::"),
        ("bad name", "\u{7f}"),
        ("", ""),
    ] {
        event["headers"][name] = value.into();
    }
    env.ask(&event).await.assert_status("SENT");
}

#[tokio::test]
async fn a_request_id_that_nobody_could_search_for_gives_way_to_lambda_s() {
    let env = TestEnv::new().await;
    for (id, is_told) in [
        ("x".repeat(128), true),
        ("x".repeat(129), false),
        (String::new(), false),
        ("a b".to_owned(), false),
        ("a\nb".to_owned(), false),
        ("\u{e9}".to_owned(), false),
    ] {
        let mut event = get_message("none", "");
        event["requestContext"]["requestId"] = id.as_str().into();
        let reply = env.ask(&event).await;
        reply.assert_problem(404, "message-not-found");
        assert_eq!(reply.json()["requestId"] == id, is_told, "{id:?}");
    }
}

/// A path to some place in an event, by which member or item to take at each step.
fn any_mutation() -> impl Strategy<Value = (Vec<prop::sample::Index>, Value)> {
    let values = prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(1.5)),
        Just(json!([])),
        Just(json!({})),
        Just(json!("")),
        Just(json!("\u{0}\u{7f}é\u{202e}")),
        Just(json!("a".repeat(70_000))),
        Just(json!([[[[null]]]])),
        Just(json!({"sub": "mallory"})),
        Just(json!("2.0")),
        Just(json!("POST")),
        Just(json!("OPTIONS")),
        Just(json!(u64::MAX)),
        Just(json!("%%%")),
        Just(json!("application/json")),
        Just(json!(["x"])),
    ];
    (
        prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        values,
    )
}

fn mutate(event: &mut Value, path: &[prop::sample::Index], value: &Value) {
    let Some((step, rest)) = path.split_first() else {
        *event = value.clone();
        return;
    };
    match event {
        Value::Object(members) if !members.is_empty() => {
            let index = step.index(members.len());
            let member = members.values_mut().nth(index).expect("a member");
            mutate(member, rest, value);
        }
        Value::Array(items) if !items.is_empty() => {
            let index = step.index(items.len());
            mutate(&mut items[index], rest, value);
        }
        other => *other = value.clone(),
    }
}

/// How many events are made up; `ROBUSTNESS_CASES` sets another number.
fn cases() -> u32 {
    std::env::var("ROBUSTNESS_CASES").map_or(3000, |cases| cases.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutation_of_every_event_is_answered_and_the_bearer_is_the_caller_or_nothing_is_called()
 {
    let env = a_world_that_does_not_wait().await;
    let samples: Vec<Value> = EVENTS.iter().map(|name| sample(name)).collect();
    let handle = tokio::runtime::Handle::current();
    let env = &env;
    tokio::task::block_in_place(|| {
        let strategy = (
            prop::sample::select(samples),
            prop::collection::vec(any_mutation(), 1..4),
            prop::option::weighted(0.1, any::<prop::sample::Index>()),
        );
        TestRunner::new(ProptestConfig {
            cases: cases(),
            failure_persistence: None,
            ..ProptestConfig::default()
        })
        .run(&strategy, |(mut event, mutations, cut)| {
            for (path, value) in &mutations {
                mutate(&mut event, path, value);
            }
            let mut bytes = event.to_string().into_bytes();
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            handle.block_on(assert_invariants(env, bytes, &event));
            Ok(())
        })
        .expect("every case assert_invariants");
    });
    env.assert_works().await;
}

#[tokio::test]
async fn every_event_that_the_fuzzer_found_worth_trying_is_answered_too() {
    let env = a_world_that_does_not_wait().await;
    for text in corpus("event") {
        match serde_json::from_str(&text) {
            Ok(event) => assert_invariants(&env, text, &event).await,
            // Half of a surrogate pair in a string that nobody reads: only we can read that.
            Err(_) => {
                GatewayResponse::read(env.function.invoke(text, None).await);
            }
        }
    }
}
