//! One record for each request, without secrets.

use fakes::fault::Fault;
use fakes::flow::{FlowOutcome, Message};
use fancy_regex::Regex;
use serde_json::{Value, json};

use crate::support::{
    ALICE, APP_INSTANCE, MESSAGE, TestEnv, get_status, get_with_claims, post_twenty, twenty_ids,
    user, user_pattern,
};

#[tokio::test]
async fn the_record_has_the_request_and_its_metrics() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    let faults = vec![Fault::service_failure(), Fault::Pass];
    env.chime.script(faults);
    let (reply, record) = env.send_recorded(&get_status(MESSAGE, "&wait=0")).await;
    reply.assert_status("SENT");
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
    let (_, second) = env.send_recorded(&get_status(MESSAGE, "&wait=1")).await;
    assert_eq!(second["coldStart"], false);
    assert!(
        second["WaitLatency"].is_u64() && second["WaitRequests"] == 1,
        "{second}"
    );
    assert_eq!(env.function.log().len(), 2, "a line for each request");
}

#[tokio::test]
async fn the_record_has_the_app_instance_also_if_it_comes_from_a_claim() {
    let own = APP_INSTANCE.rsplit('/').next().expect("an id");
    let tenant = user_pattern("sub").replace(own, "{tenant}");
    for pattern in [user_pattern("sub"), tenant, "{arn}".to_owned()] {
        let env = TestEnv::of_pattern(&pattern).await;
        for (claims, app_instance) in [
            (
                json!({"sub": ALICE, "tenant": own, "arn": user(ALICE)}),
                json!(own),
            ),
            // Before the check, the record has no id.
            (
                json!({"sub": "a/b", "tenant": "a/b", "arn": "a/b"}),
                Value::Null,
            ),
        ] {
            let (_, record) = env.send_recorded(&get_with_claims(claims)).await;
            assert_eq!(record["appInstanceId"], app_instance, "{pattern}");
        }
    }
}

#[tokio::test]
async fn the_cause_in_a_record_has_at_most_300_characters() {
    let env = TestEnv::new().await;
    env.seed_twenty(&FlowOutcome::sent());
    for (index, (id, status)) in twenty_ids().iter().zip(480..).enumerate() {
        // Every third message is healthy, so the request does not end early.
        if index % 3 != 2 {
            let fault = Fault::error(status, None, "x");
            env.chime.fault_for(id, vec![fault]);
        }
    }
    let (_, record) = env.send_recorded(&post_twenty("")).await;
    let cause = record["cause"].as_str().expect("a cause");
    assert_eq!(cause.matches("480").count(), 1, "{cause}");
    assert_eq!(cause.chars().count(), 300, "{cause}");
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
    let channel = format!("{APP_INSTANCE}/channel/canary-channel");
    event["rawQueryString"] = format!("channelArn={channel}&messageId={MESSAGE}").into();
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
            let is_clean = is_detail || !has_canary(&reply.body);
            assert!(is_clean, "{fault:?}: {reply:?}");
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
        env.send_recorded(&get_status(MESSAGE, "")).await;
        let log = env.function.log().join("\n");
        let others = ["fake-secret", "Signature=", "app-instance/", "arn:aws"];
        for secret in CANARIES.iter().chain(&others) {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }
}
