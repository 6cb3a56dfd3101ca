//! One record for each request, and nothing in it, or anywhere else, that is nobody's business.

use std::time::Duration;

use serde_json::{Value, json};
use stand_in::chime::Options;
use stand_in::fault::Fault;
use stand_in::flow::Outcome;

use crate::support::{MESSAGE, World, by_claim, get_message, request_id, user};

#[tokio::test]
async fn the_record_tells_what_happened_and_is_a_document_of_metrics() {
    let world = World::new().await;
    world.put(Outcome::sent());
    world
        .chime
        .script(vec![Fault::service_failure(), Fault::Pass]);
    let event = get_message(MESSAGE, "&wait=0");
    world.ask(&event).await.assert_status("SENT");
    let record = world.record(request_id(&event)).await;
    let ids: Vec<_> = world
        .calls()
        .into_iter()
        .map(|call| Value::from(call.request_id))
        .collect();
    for (member, value) in [
        ("level", json!("INFO")),
        ("method", json!("GET")),
        ("frontDoor", json!("http-api")),
        ("authorizer", json!("claims")),
        ("httpStatus", json!(200)),
        ("messageStatus", json!("SENT")),
        ("upstreamCalls", json!(2)),
        ("upstreamRetries", json!(1)),
        ("coldStart", json!(true)),
        ("chimeRequestIds", json!(ids)),
        ("FunctionName", json!("under-test")),
        ("Requests", json!(1)),
        ("Sent", json!(1)),
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
    let second = get_message(MESSAGE, "");
    world.ask(&second).await;
    assert_eq!(world.record(request_id(&second)).await["coldStart"], false);
    assert_eq!(
        world.function.log().len(),
        2,
        "a line for each request and no other"
    );
}

#[tokio::test]
async fn a_status_that_chime_adds_later_is_counted_and_not_repeated() {
    let world = World::new().await;
    world.put(Outcome::Settled("HIDDEN".into(), None));
    let event = get_message(MESSAGE, "");
    world.ask(&event).await.assert_status("HIDDEN");
    let record = world.record(request_id(&event)).await;
    assert_eq!(
        (&record["messageStatus"], &record["OtherStatus"]),
        (&json!("OTHER"), &json!(1))
    );
}

/// Text that stands in place of everything that must not be told.
const CANARIES: [&str; 6] = [
    "canary-token",
    "canary-claim",
    "canary-user",
    "canary-channel",
    "canary-detail",
    "canary-body",
];

fn full_of_canaries() -> Value {
    let mut event = get_message(MESSAGE, "");
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
async fn no_canary_is_found_in_any_log_or_problem_at_any_level_in_any_outcome() {
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
        let world = World::of(
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
            world.chime.put(stand_in::flow::Message {
                channel_arn: format!("{}/channel/canary-channel", crate::support::APP_INSTANCE),
                sub_channel_id: None,
                message_id: MESSAGE.into(),
                sender: user("canary-user"),
                outcome: Outcome::Settled("FAILED".into(), Some("canary-detail".into())),
            });
            world.chime.always(outcome.clone());
            let event = full_of_canaries();
            let reply = world.ask(&event).await;
            world.record(request_id(&event)).await;
            if reply.status == 200 {
                assert!(
                    reply.body.contains("canary-detail"),
                    "the sender may know why"
                );
            } else {
                assert!(
                    !CANARIES.iter().any(|canary| reply.body.contains(canary)),
                    "{outcome:?}: {reply:?}"
                );
            }
        }
        // Refusals of every kind.
        let mut refused = vec![full_of_canaries(), full_of_canaries(), full_of_canaries()];
        refused[0]["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = "canary-user/x".into();
        refused[1]["rawQueryString"] =
            "channelArn=canary-channel&messageId=canary-body.&wait=canary-body".into();
        refused[2]["requestContext"]["http"]["method"] = "canary-body".into();
        for event in refused {
            let reply = world.ask(&event).await;
            world.record(request_id(&event)).await;
            assert!(
                !CANARIES.iter().any(|canary| reply.body.contains(canary)),
                "{reply:?}"
            );
        }
        world
            .ask_bytes(
                full_of_canaries()
                    .to_string()
                    .replace("\"version\":\"2.0\"", "\"version\":\"canary-body\""),
            )
            .await;
        world.ask_bytes(&b"{\"canary-body\": \xff"[..]).await;
        let log = world.function.log().join("\n");
        for secret in
            CANARIES
                .iter()
                .chain(&["7f1c2a9e", "stand-in-secret", "Signature=", "app-instance"])
        {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }
}

#[tokio::test]
async fn a_fault_of_the_mapping_names_the_claim_and_not_its_value() {
    let world = World::with(&[("APP_INSTANCE_USER_ARN", &by_claim("email"))]).await;
    let mut event = full_of_canaries();
    event["requestContext"]["authorizer"]["jwt"]["claims"]["email"] =
        "canary-claim+x@example.com".into();
    world
        .ask(&event)
        .await
        .assert_problem(403, "identity-not-mapped");
    let record = world.record(request_id(&event)).await;
    let cause = record["cause"].as_str().expect("a cause");
    assert!(
        cause.contains("{email}") && !cause.contains("canary"),
        "{cause}"
    );
}

#[tokio::test]
async fn a_line_is_there_for_what_is_no_event_too() {
    let world = World::new().await;
    world
        .ask_bytes("null")
        .await
        .assert_problem(500, "internal-error");
    let line = world
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
