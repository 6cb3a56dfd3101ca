//! Every invocation, valid or not, gets a well-formed response, and the function continues.

use std::time::Duration;

use fakes::flow::FlowOutcome;
use fakes::lambda::InvocationResult;
use fakes::oracle::authorized;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{
    APP_INSTANCE, GatewayResponse, MESSAGE, TestEnv, corpus, get_status, request_id, sample, user,
};

const EVENTS: [&str; 15] = [
    "http-api-jwt",
    "http-api-lambda-authorizer",
    "http-api-iam",
    "rest-api-cognito",
    "rest-api-jwt",
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
];

async fn env_without_waits() -> TestEnv {
    TestEnv::with(&[
        ("ALLOWED_ORIGINS", "https://chat.example.com"),
        ("MAX_WAIT_SECONDS", "0"),
    ])
    .await
}

/// Checks that the response is well-formed, and that the bearer of every call is the caller of `event`.
async fn assert_invariants(env: &TestEnv, bytes: impl Into<Vec<u8>>, event: &Value) {
    env.chime.forget_calls();
    let reply = env.send_bytes(bytes).await;
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
async fn payloads_that_are_not_gateway_events_get_a_problem() {
    let env = TestEnv::new().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(5_000_000));
    for bytes in [
        &b""[..], b"null", b"[]", b"{}", b"\"x\"", b"0", b"true", b"{", b"\xff\xfe", b"{\"a\":\"\xff\"}", b"NaN", b"\0",
        br#"{"Records":[{"eventSource":"aws:sqs","body":"x"}]}"#, br#"{"version":"0","detail-type":"x","detail":{}}"#,
        br#"{"requestContext":{"routeKey":"$connect","eventType":"CONNECT","connectionId":"x"},"isBase64Encoded":false}"#,
        br#"{"version":"2.0"}"#, br#"{"version":2.0,"requestContext":{}}"#, deep.as_bytes(), long.as_bytes(),
    ] {
        let reply = env.send_bytes(bytes).await;
        reply.assert_problem(500, "internal-error");
    }
    // A load balancer's event has the form of a REST API's.
    let event = br#"{"requestContext":{"elb":{"targetGroupArn":"x"}},"httpMethod":"GET","path":"/message-status","headers":{}}"#;
    let reply = env.send_bytes(event).await;
    reply.assert_problem(401, "unauthenticated");
    assert!(env.calls().is_empty());
    env.assert_works().await;
}

#[tokio::test]
async fn events_that_make_lambda_http_panic_get_a_response() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    let mut event = get_status(MESSAGE, "");
    let query = event["rawQueryString"]
        .as_str()
        .expect("a query")
        .replace("messageId", " messageId");
    event["rawQueryString"] = query.into();
    assert_eq!(env.send(&event).await.fields(), [" messageId", "messageId"]);
    let mut event = get_status(MESSAGE, "");
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
    env.assert_status(&event, "SENT").await;
}

#[tokio::test]
async fn a_request_id_that_is_not_of_a_gateway_is_neither_returned_nor_logged() {
    let env = TestEnv::new().await;
    for (id, is_used) in [
        ("4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e35", true),
        ("d4Kf5kQ1oAMEJtA=", true),
        ("d4Kf+k/1_A-EJtA=", true),
        ("d4Kf5kQ1oAMEJtA", false),
        ("d4Kf5kQ1oAMEJtAA=", false),
        ("canary-id", false),
        ("x\",\"level\":\"ERROR", false),
        ("arn:aws:chime:us-east-1:111122223333:x", false),
        ("", false),
        ("a\nb", false),
    ] {
        for (mut event, member) in [
            (get_status("none", ""), "requestId"),
            (sample("http-api-format-1.0-jwt"), "requestId"),
            (sample("rest-api-cognito"), "extendedRequestId"),
        ] {
            event["requestContext"][member] = id.into();
            env.function.forget_log();
            let reply = env.send(&event).await;
            reply.assert_problem(404, "message-not-found");
            let returned = reply.json()["requestId"].take();
            assert_eq!(returned == id, is_used, "{id:?}");
            let record = env.record(returned.as_str().expect("an id")).await;
            if !is_used && !id.is_empty() {
                let log = env.function.log().join("\n");
                assert!(!log.contains(&json!(id).to_string()), "{log}");
                assert_eq!(record["requestId"], record["lambdaRequestId"]);
            }
        }
    }
}

#[tokio::test]
async fn the_request_id_that_a_caller_of_a_rest_api_can_choose_is_not_used() {
    let env = TestEnv::new().await;
    let chosen = "4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e35";
    for extended in [json!("d4Kf5kQ1oAMEJtA="), json!(null)] {
        let mut event = sample("rest-api-cognito");
        event["requestContext"]["requestId"] = chosen.into();
        event["requestContext"]["extendedRequestId"] = extended;
        let reply = env.send(&event).await;
        assert_ne!(reply.json()["requestId"], chosen);
        let id = reply.json()["requestId"].take();
        env.record(id.as_str().expect("an id")).await;
        assert!(!env.function.log().join("\n").contains(chosen));
    }
}

#[tokio::test]
async fn only_the_root_of_a_trace_reaches_the_record() {
    let env = TestEnv::new().await;
    let root = "1-5759e988-bd862e3fe1be46a994272793";
    for (header, trace_id) in [
        (
            format!("Root={root};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=canary"),
            json!(root),
        ),
        ("Root=canary".to_owned(), Value::Null),
        ("canary".to_owned(), Value::Null),
        (format!("Root={root}canary"), Value::Null),
    ] {
        env.function.forget_log();
        let event = get_status("none", "");
        let deadline = Some(Duration::from_secs(9));
        let invocation = env
            .function
            .invoke_traced(event.to_string(), deadline, &header);
        GatewayResponse::read(invocation.await).assert_problem(404, "message-not-found");
        let record = env.record(request_id(&event)).await;
        assert_eq!(record["traceId"], trace_id, "{header}");
        assert!(!env.function.log().join("").contains("canary"));
    }
}

#[tokio::test]
async fn an_undelivered_response_is_logged_and_does_not_end_the_function() {
    for concurrency in ["1", "2"] {
        let mut env = TestEnv::with(&[("AWS_LAMBDA_MAX_CONCURRENCY", concurrency)]).await;
        // Three, so each worker of the concurrent mode loses one.
        for _ in 0..3 {
            env.function.lose_responses(1);
            let event = get_status(MESSAGE, "").to_string();
            let deadline = Some(Duration::from_secs(9));
            let result = env.function.invoke(event, deadline).await;
            assert_eq!(result, InvocationResult::Nothing);
        }
        let line = env
            .function
            .log_line(
                |line| line.contains("was not delivered"),
                Duration::from_secs(10),
            )
            .await
            .expect("a line");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(line["level"], "ERROR");
        env.assert_works().await;
        assert!(env.function.is_running());
    }
}

#[tokio::test]
async fn a_runtime_api_that_fails_is_not_logged_as_a_failed_start() {
    let mut env = TestEnv::new().await;
    env.assert_works().await;
    env.function.stop_runtime_api().await;
    let status = env
        .function
        .exit(Duration::from_secs(20))
        .await
        .expect("an end");
    assert!(!status.success());
    let line = env
        .function
        .log_line(
            |line| line.contains("Runtime API failed"),
            Duration::from_secs(10),
        )
        .await;
    assert!(line.is_some(), "{:?}", env.function.log());
    let log = env.function.log().join("\n");
    assert!(!log.contains("does not start"), "{log}");
}

/// A path into an event (the index of the member or item at each step), and the value to put there.
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

/// The number of generated events. `ROBUSTNESS_CASES` sets another number.
fn cases() -> u32 {
    std::env::var("ROBUSTNESS_CASES").map_or(3000, |cases| cases.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn mutated_events_get_a_response_and_never_another_bearer() {
    let env = env_without_waits().await;
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
        .expect("the invariants hold");
    });
    env.assert_works().await;
}

#[tokio::test]
async fn corpus_events_get_a_response_and_never_another_bearer() {
    let env = env_without_waits().await;
    for text in corpus("event") {
        match serde_json::from_str(&text) {
            Ok(event) => assert_invariants(&env, text, &event).await,
            // The oracle cannot read these: they are not JSON, or have half of a surrogate pair, which
            // serde_json accepts only in a string that it skips. So only the response is checked.
            Err(_) => {
                GatewayResponse::read(env.function.invoke(text, None).await);
            }
        }
    }
}
