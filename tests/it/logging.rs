//! One record for each request, without secrets.

use std::time::Duration;

use fakes::chime::Options;
use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fancy_regex::Regex;
use serde_json::{Value, json};

use crate::support::{MESSAGE, TestEnv, get_status, request_id, user, user_pattern};

#[tokio::test]
async fn the_record_has_the_request_and_its_metrics() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    env.chime
        .script(vec![Fault::service_failure(), Fault::Pass]);
    let event = get_status(MESSAGE, "&wait=0");
    env.send(&event).await.assert_status("SENT");
    let record = env.record(request_id(&event)).await;
    let ids: Vec<_> = env
        .calls()
        .into_iter()
        .map(|call| Value::from(call.request_id))
        .collect();
    for (member, value) in [
        ("level", json!("INFO")),
        ("method", json!("GET")),
        ("eventSource", json!("http-api")),
        ("authorizer", json!("claims")),
        ("httpStatus", json!(200)),
        ("messageStatus", json!("SENT")),
        ("upstreamCalls", json!(2)),
        ("upstreamRetries", json!(1)),
        ("coldStart", json!(true)),
        ("chimeRequestIds", json!(ids)),
        ("FunctionName", json!("under-test")),
        ("Requests", json!(1)),
        ("StatusSent", json!(1)),
        ("Messages", json!(1)),
        ("operation", json!("GetStatus")),
        ("ColdStarts", json!(1)),
        ("UpstreamCalls", json!(2)),
        ("UpstreamRetries", json!(1)),
    ] {
        assert_eq!(record[member], value, "{member} in {record}");
    }
    assert!(
        record["totalMillis"].is_u64()
            && record["upstreamMillis"].is_u64()
            && record["problem"].is_null()
    );
    assert!(record["RequestLatency"].is_u64() && record["WaitLatency"].is_null());
    let timestamp = record["timestamp"].as_str().expect("a timestamp");
    let rfc_3339 = Regex::new(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\z").expect("a pattern");
    assert!(
        rfc_3339.is_match(timestamp).expect("a match"),
        "{timestamp}"
    );
    let aws = &record["_aws"];
    assert!(
        aws["Timestamp"]
            .as_u64()
            .is_some_and(|at| at > 1_700_000_000_000)
    );
    let directive = &aws["CloudWatchMetrics"][0];
    assert_eq!(
        (&directive["Namespace"], &directive["Dimensions"]),
        (&json!("ChimeMessageStatus"), &json!([["FunctionName"]]))
    );
    let metrics = directive["Metrics"].as_array().expect("metrics");
    for metric in metrics {
        let name = metric["Name"].as_str().expect("a name");
        assert!(
            record[name].is_u64() || record[name].is_array(),
            "{name} in {record}"
        );
        assert!(["Count", "Milliseconds"].contains(&metric["Unit"].as_str().expect("a unit")));
    }
    let second = get_status(MESSAGE, "");
    env.send(&second).await;
    assert_eq!(env.record(request_id(&second)).await["coldStart"], false);
    assert_eq!(
        env.function.log().len(),
        2,
        "a line for each request and no other"
    );
}

#[tokio::test]
async fn an_unknown_status_is_counted_as_other() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::Decided("HIDDEN".into(), None));
    let event = get_status(MESSAGE, "");
    env.send(&event).await.assert_status("HIDDEN");
    let record = env.record(request_id(&event)).await;
    assert_eq!(
        (&record["messageStatus"], &record["StatusOther"]),
        (&json!("OTHER"), &json!(1))
    );
}

/// The value of each place whose content must not be logged.
const CANARIES: [&str; 6] = [
    "canary-token",
    "canary-claim",
    "canary-user",
    "canary-channel",
    "canary-detail",
    "canary-body",
];

fn full_of_canaries() -> Value {
    let mut event = get_status(MESSAGE, "");
    let query = format!(
        "channelArn={}/channel/canary-channel&messageId={MESSAGE}",
        crate::support::APP_INSTANCE
    );
    event["rawQueryString"] = query.into();
    event["headers"]["authorization"] = "Bearer canary-token".into();
    event["headers"]["cookie"] = "canary-token".into();
    event["cookies"] = json!(["canary-token"]);
    event["body"] = "canary-body".into();
    let claims = &mut event["requestContext"]["authorizer"]["jwt"]["claims"];
    claims["email"] = "canary-claim".into();
    claims["sub"] = "canary-user".into();
    event
}

#[tokio::test]
async fn secrets_never_reach_a_log_or_a_problem() {
    let answer = r#"{"Code":"canary-body","Message":"canary-detail arn:aws:chime canary-user"}"#;
    let outcomes = [
        None,
        Some(Fault::access_denied()),
        Some(Fault::not_found()),
        Some(Fault::throttled()),
        Some(Fault::service_failure()),
        Some(Fault::error(403, Some("canary-body"), "canary-detail")),
        Some(Fault::body(500, "canary-body", answer)),
        Some(Fault::body(200, "application/json", answer)),
        Some(Fault::json(r#"{"Status":{"Value":{"canary-body":1}}}"#)),
        Some(Fault::Raw(b"canary-body".to_vec())),
        Some(Fault::Reset),
        Some(Fault::Hang),
        Some(Fault::expired_token()),
    ];
    for level in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] {
        let env = TestEnv::with_options(
            Options::default(),
            &[
                ("AWS_LAMBDA_LOG_LEVEL", level),
                ("RUST_LOG", "trace"),
                ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
                ("CHIME_ATTEMPT_TIMEOUT_MS", "200"),
            ],
        )
        .await;
        for outcome in &outcomes {
            env.chime.put_message(fakes::flow::Message {
                channel_arn: format!("{}/channel/canary-channel", crate::support::APP_INSTANCE),
                sub_channel_id: None,
                message_id: MESSAGE.into(),
                sender: user("canary-user"),
                outcome: FlowOutcome::Decided("FAILED".into(), Some("canary-detail".into())),
            });
            env.chime.always(outcome.clone());
            let event = full_of_canaries();
            let reply = env.send(&event).await;
            env.record(request_id(&event)).await;
            if reply.status == 200 {
                assert!(
                    reply.body.contains("canary-detail"),
                    "the sender may read the detail"
                );
            } else {
                assert!(
                    !CANARIES.iter().any(|canary| reply.body.contains(canary)),
                    "{outcome:?}: {reply:?}"
                );
            }
        }
        // Rejected requests of every kind.
        let mut refused = vec![full_of_canaries(), full_of_canaries(), full_of_canaries()];
        refused[0]["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = "canary-user/x".into();
        refused[1]["rawQueryString"] =
            "channelArn=canary-channel&messageId=canary-body.&wait=canary-body".into();
        refused[2]["requestContext"]["http"]["method"] = "canary-body".into();
        for event in refused {
            let reply = env.send(&event).await;
            env.record(request_id(&event)).await;
            assert!(
                !CANARIES.iter().any(|canary| reply.body.contains(canary)),
                "{reply:?}"
            );
        }
        env.send_bytes(
            full_of_canaries()
                .to_string()
                .replace("\"version\":\"2.0\"", "\"version\":\"canary-body\""),
        )
        .await;
        env.send_bytes(&b"{\"canary-body\": \xff"[..]).await;
        let log = env.function.log().join("\n");
        for secret in
            CANARIES
                .iter()
                .chain(&["7f1c2a9e", "fake-secret", "Signature=", "app-instance"])
        {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }
}

#[tokio::test]
async fn a_mapping_error_in_the_record_names_the_claim_and_not_its_value() {
    let env = TestEnv::with(&[("APP_INSTANCE_USER_ARN", &user_pattern("email"))]).await;
    let mut event = full_of_canaries();
    event["requestContext"]["authorizer"]["jwt"]["claims"]["email"] =
        "canary-claim+x@example.com".into();
    env.send(&event)
        .await
        .assert_problem(403, "identity-not-mapped");
    let record = env.record(request_id(&event)).await;
    let cause = record["cause"].as_str().expect("a cause");
    assert!(
        cause.contains("{email}") && !cause.contains("canary"),
        "{cause}"
    );
}

#[tokio::test]
async fn malformed_events_are_recorded() {
    let env = TestEnv::new().await;
    env.send_bytes("null")
        .await
        .assert_problem(500, "internal-error");
    let line = env
        .function
        .log_line(
            |line| line.contains("internal-error"),
            Duration::from_secs(10),
        )
        .await;
    let record: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
    assert_eq!(
        (&record["level"], &record["method"]),
        (&json!("ERROR"), &json!("OTHER"))
    );
}
