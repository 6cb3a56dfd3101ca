//! One record for each request, without secrets.

use std::time::Duration;

use fakes::fault::Fault;
use fakes::flow::{FlowOutcome, Message};
use fancy_regex::Regex;
use serde_json::{Value, json};

use crate::support::{
    ALICE, APP_INSTANCE, MESSAGE, TestEnv, get_status, post, request_id, twenty_ids,
    twenty_messages, unique_id, user, user_pattern,
};

#[tokio::test]
async fn the_record_has_the_request_and_its_metrics() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    let faults = vec![Fault::service_failure(), Fault::Pass];
    env.chime.script(faults);
    let event = get_status(MESSAGE, "&wait=0");
    env.assert_status(&event, "SENT").await;
    let record = env.record(request_id(&event)).await;
    let ids: Vec<_> = env
        .calls()
        .into_iter()
        .map(|call| call.request_id)
        .collect();
    let expected = json!({
        "level": "INFO", "operation": "GetStatus", "eventSource": "http-api",
        "authorizer": "claims", "httpStatus": 200, "messageStatus": "SENT", "coldStart": true,
        "chimeRequestIds": ids, "upstreamCalls": 2, "upstreamRetries": 1, "problem": null,
        "FunctionName": "under-test", "Requests": 1, "Messages": 1, "ColdStarts": 1, "StatusSent": 1,
        "UpstreamCalls": 2, "UpstreamRetries": 1, "WaitLatency": null,
    });
    for (member, value) in expected.as_object().expect("members") {
        assert_eq!(record[member], *value, "{member} in {record}");
    }
    for member in ["totalMillis", "upstreamMillis", "RequestLatency"] {
        assert!(record[member].is_u64(), "{member} in {record}");
    }
    let timestamp = record["timestamp"].as_str().expect("a timestamp");
    let rfc_3339 = Regex::new(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\z").expect("a pattern");
    assert!(
        rfc_3339.is_match(timestamp).expect("a match"),
        "{timestamp}"
    );
    let now = record["_aws"]["Timestamp"].as_u64().expect("milliseconds");
    assert!(now > 1_700_000_000_000);
    let directive = &record["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "ChimeMessageStatus");
    assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
    for metric in directive["Metrics"].as_array().expect("metrics") {
        let name = metric["Name"].as_str().expect("a name");
        let value = &record[name];
        assert!(value.is_u64() || value.is_array(), "{name} in {record}");
        let unit = metric["Unit"].as_str().expect("a unit");
        assert!(["Count", "Milliseconds"].contains(&unit), "{metric}");
    }
    let second = get_status(MESSAGE, "");
    env.send(&second).await;
    assert_eq!(env.record(request_id(&second)).await["coldStart"], false);
    assert_eq!(env.function.log().len(), 2, "a line for each request");
}

#[tokio::test]
async fn the_record_has_the_app_instance_also_if_it_comes_from_a_claim() {
    let app_instance = APP_INSTANCE.rsplit('/').next().expect("an id");
    let tenant = user_pattern("sub").replace(app_instance, "{tenant}");
    for pattern in [user_pattern("sub"), tenant, "{arn}".to_owned()] {
        let env = TestEnv::with(&[
            ("APP_INSTANCE_USER_ARN", pattern.as_str()),
            ("AWS_REGION", "us-east-1"),
        ])
        .await;
        env.seed_alices_message(FlowOutcome::sent());
        let mut event = get_status(MESSAGE, "");
        event["requestContext"]["authorizer"]["jwt"]["claims"] =
            json!({"sub": ALICE, "tenant": app_instance, "arn": user(ALICE)});
        env.assert_status(&event, "SENT").await;
        let record = env.record(request_id(&event)).await;
        assert_eq!(record["appInstanceId"], app_instance, "{pattern}");
        // Before the check there is none.
        event["requestContext"]["authorizer"]["jwt"]["claims"] =
            json!({"sub": "a/b", "tenant": "a/b", "arn": "a/b"});
        event["requestContext"]["requestId"] = unique_id().into();
        env.send(&event).await;
        let record = env.record(request_id(&event)).await;
        assert_eq!(record["appInstanceId"], Value::Null, "{pattern}");
    }
}

#[tokio::test]
async fn the_cause_in_a_record_has_at_most_300_characters() {
    let env = TestEnv::new().await;
    for (id, status) in twenty_ids().iter().zip(480..) {
        let fault = Fault::error(status, None, "x");
        env.chime.fault_for(id, vec![fault, Fault::Pass]);
        env.seed_message(id, &user(ALICE), FlowOutcome::sent());
    }
    // Every third message is healthy, so the request does not end early.
    for id in twenty_ids().iter().skip(2).step_by(3) {
        env.chime.fault_for(id, Vec::new());
    }
    let event = post("", twenty_messages());
    env.send(&event).await;
    let record = env.record(request_id(&event)).await;
    let cause = record["cause"].as_str().expect("a cause");
    assert_eq!(cause.matches("480").count(), 1, "{cause}");
    assert_eq!(cause.chars().count(), 300, "{cause}");
}

#[tokio::test]
async fn an_unknown_status_is_counted_as_other() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::Decided("HIDDEN".into(), None));
    let event = get_status(MESSAGE, "");
    env.assert_status(&event, "HIDDEN").await;
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
        APP_INSTANCE
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
    let faults = [
        Fault::Pass,
        Fault::access_denied(),
        Fault::not_found(),
        Fault::throttled(),
        Fault::service_failure(),
        Fault::error(403, Some("canary-body"), "canary-detail"),
        Fault::body(500, "canary-body", answer),
        Fault::body(200, "application/json", answer),
        Fault::json(r#"{"Status":{"Value":{"canary-body":1}}}"#),
        Fault::Raw(b"canary-body".to_vec()),
        Fault::Reset,
        Fault::Hang,
        Fault::expired_token(),
    ];
    let has_canary = |text: &str| CANARIES.iter().any(|canary| text.contains(canary));
    for level in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] {
        let env = TestEnv::with(&[
            ("AWS_LAMBDA_LOG_LEVEL", level),
            ("RUST_LOG", "trace"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("CHIME_ATTEMPT_TIMEOUT_MS", "200"),
        ])
        .await;
        env.chime.put_message(Message {
            channel_arn: format!("{APP_INSTANCE}/channel/canary-channel"),
            sub_channel_id: None,
            message_id: MESSAGE.into(),
            sender: user("canary-user"),
            outcome: FlowOutcome::Decided("FAILED".into(), Some("canary-detail".into())),
        });
        for fault in &faults {
            env.chime.always(Some(fault.clone()));
            let reply = env.send(&full_of_canaries()).await;
            // The sender may read the detail.
            let is_detail = reply.status == 200 && reply.body.contains("canary-detail");
            assert!(
                is_detail || !has_canary(&reply.body),
                "{fault:?}: {reply:?}"
            );
        }
        // Rejected requests of every kind.
        let mut refused = [(); 4].map(|()| full_of_canaries());
        refused[0]["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = "canary-user/x".into();
        refused[1]["rawQueryString"] =
            "channelArn=canary-channel&messageId=canary-body.&wait=canary-body".into();
        refused[2]["requestContext"]["http"]["method"] = "canary-body".into();
        refused[3]["version"] = "canary-body".into();
        for event in refused {
            let reply = env.send(&event).await;
            assert!(!has_canary(&reply.body), "{reply:?}");
        }
        env.send_bytes(&b"{\"canary-body\": \xff"[..]).await;
        let last = get_status(MESSAGE, "");
        env.send(&last).await;
        env.record(request_id(&last)).await;
        let log = env.function.log().join("\n");
        let others = ["fake-secret", "Signature=", "app-instance/", "arn:aws"];
        for secret in CANARIES.iter().chain(&others) {
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
    env.assert_problem(&event, 403, "identity-not-mapped").await;
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
    assert_eq!(record["level"], "ERROR");
}
