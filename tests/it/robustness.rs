//! Every invocation, valid or not, gets a well-formed response, and the function continues.

use fakes::flow::FlowOutcome;
use fakes::lambda::InvocationResult;
use serde_json::{Value, json};

use crate::support::{
    GatewayResponse, MESSAGE, SECOND, TIMEOUT, TestEnv, get_status, request_id, sample,
};

/// Payloads that are not the event of a supported gateway, one a line. The first one is empty.
const NOT_EVENTS: &str = r#"
null
[]
{}
"x"
0
true
{
NaN
{"Records":[{"eventSource":"aws:sqs","body":"x"}]}
{"version":"0","detail-type":"x","detail":{}}
{"requestContext":{"routeKey":"$connect","eventType":"CONNECT","connectionId":"x"},"isBase64Encoded":false}
{"version":"2.0"}
{"version":2.0,"requestContext":{}}"#;

#[tokio::test]
async fn payloads_that_are_not_gateway_events_get_a_problem() {
    let env = TestEnv::new().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(5_000_000));
    let others: [&[u8]; 5] = [
        b"\0",
        b"\xff\xfe",
        b"{\"a\":\"\xff\"}",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for bytes in NOT_EVENTS.lines().map(str::as_bytes).chain(others) {
        let reply = env.send_bytes(bytes).await;
        reply.assert_problem(500, "internal-error");
        let id = reply.json()["requestId"].take();
        let record = env.logged(|record| record["requestId"] == id).await;
        assert_eq!(record["problem"], "internal-error");
        assert_eq!(record["level"], "ERROR");
    }
    // A load balancer's event has the form of a REST API's.
    let mut event = json!({"httpMethod": "GET", "path": "/message-status", "headers": {}});
    event["requestContext"] = json!({"elb": {"targetGroupArn": "x"}});
    env.assert_problem(&event, 401, "unauthenticated").await;
    env.assert_no_call();
    env.assert_works().await;
}

#[tokio::test]
async fn events_that_make_lambda_http_panic_get_a_response() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    let mut event = get_status(MESSAGE, "");
    let query = event["rawQueryString"].as_str().expect("a query");
    event["rawQueryString"] = query.replace("messageId", " messageId").into();
    env.assert_fields(&event, " messageId messageId").await;
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
        ("d4Kf+k/1_A-EJtA=", true),
        ("canary-id", false),
        ("x\",\"level\":\"ERROR", false),
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
            let record = env.logged(|record| record["requestId"] == returned).await;
            if !is_used {
                let log = env.function.log().join("\n");
                assert!(!log.contains(&json!(id).to_string()), "{log}");
                assert_eq!(returned, record["lambdaRequestId"]);
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
        let id = reply.json()["requestId"].take();
        assert_ne!(id, chosen);
        env.logged(|record| record["requestId"] == id).await;
        assert!(!env.function.log().join("\n").contains(chosen));
    }
}

#[tokio::test]
async fn only_the_root_of_a_trace_reaches_the_record() {
    let env = TestEnv::new().await;
    let root = "1-5759e988-bd862e3fe1be46a994272793";
    for (header, trace_id) in [
        (
            &*format!("Root={root};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=canary"),
            json!(root),
        ),
        ("Root=canary", Value::Null),
    ] {
        let event = get_status("none", "");
        let deadline = Some(9 * SECOND);
        let bytes = event.to_string();
        let result = env.function.invoke_traced(bytes, deadline, header).await;
        GatewayResponse::read(result).assert_problem(404, "message-not-found");
        let record = env.record(request_id(&event)).await;
        assert_eq!(record["traceId"], trace_id, "{header}");
        assert!(!env.function.log().join("").contains("canary"));
    }
}

#[tokio::test]
async fn an_undelivered_response_is_logged_and_does_not_end_the_function() {
    for concurrency in ["1", "2"] {
        let variable = ("AWS_LAMBDA_MAX_CONCURRENCY", concurrency);
        let mut env = TestEnv::with(&[variable]).await;
        // Three, so each worker of the concurrent mode loses one.
        for _ in 0..3 {
            env.function.lose_responses(1);
            let event = get_status(MESSAGE, "").to_string();
            let result = env.function.invoke(event, Some(9 * SECOND)).await;
            assert_eq!(result, InvocationResult::Nothing);
        }
        let message = "a response was not delivered";
        let line = env.logged(|line| line["message"] == message).await;
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
    let status = env.function.exit(TIMEOUT).await.expect("an end");
    assert!(!status.success());
    let message = "the Lambda Runtime API failed";
    env.logged(|line| line["message"] == message).await;
    let log = env.function.log().join("\n");
    assert!(!log.contains("does not start"), "{log}");
}
