//! Many messages in one request.

use std::time::Duration;

use aws_smithy_types::base64;
use fakes::chime::Options;
use fakes::fault::Fault;
use fakes::flow::{FlowOutcome, Message};
use fakes::lambda::timed;
use serde_json::{Value, json};

use crate::support::{
    ALICE, APP_INSTANCE, TestEnv, assert_all, assert_rate, channel, messages, outcomes, post,
    request_id, twenty_ids, twenty_messages, user,
};

fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(id, outcome)| ((*id).to_owned(), (*outcome).to_owned()))
        .collect()
}

#[tokio::test]
async fn each_message_has_its_own_result_in_order() {
    let env = TestEnv::new().await;
    env.seed_message("sent", &user(ALICE), FlowOutcome::sent());
    env.seed_message(
        "failed",
        &user(ALICE),
        FlowOutcome::Decided("FAILED".into(), Some("why".into())),
    );
    env.seed_message("theirs", &user("bob"), FlowOutcome::sent());
    env.seed_message("broken", &user(ALICE), FlowOutcome::sent());
    env.chime.fault_for("broken", vec![Fault::access_denied()]);
    let elsewhere = format!("{APP_INSTANCE}/channel/elsewhere");
    env.chime.put_message(Message {
        channel_arn: elsewhere.clone(),
        sub_channel_id: Some("s".into()),
        message_id: "sent".into(),
        sender: user(ALICE),
        outcome: FlowOutcome::Decided("DENIED".into(), None),
    });
    let mut body = messages(&["theirs", "sent", "broken", "failed", "sent"]);
    body["messages"][4]["channelArn"] = elsewhere.into();
    body["messages"][4]["subChannelId"] = "s".into();
    let event = post("", body);
    let reply = env.send(&event).await;
    assert_eq!(
        outcomes(&reply),
        expected(&[
            ("theirs", "message-not-found"),
            ("sent", "SENT"),
            ("broken", "misconfigured"),
            ("failed", "FAILED"),
            ("sent", "DENIED"),
        ])
    );
    let body = reply.json();
    assert_eq!(
        body["results"][3],
        json!({"messageId": "failed", "status": "FAILED", "detail": "why"})
    );
    let problem = &body["results"][0]["problem"];
    assert_eq!(
        (&problem["status"], &problem["requestId"]),
        (&404.into(), &request_id(&event).into())
    );
    assert_eq!(reply.header("retry-after"), None);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let record = env.record(request_id(&event)).await;
    assert_eq!(
        (&record["level"], &record["ProblemMisconfigured"]),
        (&"ERROR".into(), &1.into())
    );
}

#[tokio::test]
async fn the_same_message_twice_costs_one_call() {
    let env = TestEnv::new().await;
    env.seed_message("m", &user(ALICE), FlowOutcome::sent());
    env.seed_message("n", &user(ALICE), FlowOutcome::sent());
    let reply = env.send(&post("", messages(&["m", "n", "m", "m"]))).await;
    assert_eq!(
        outcomes(&reply),
        expected(&[("m", "SENT"), ("n", "SENT"), ("m", "SENT"), ("m", "SENT")])
    );
    assert_eq!(env.calls().len(), 2);
}

#[tokio::test]
async fn a_pending_or_throttled_result_comes_with_a_retry_after() {
    let env = TestEnv::new().await;
    env.seed_message("sent", &user(ALICE), FlowOutcome::sent());
    env.seed_message("pending", &user(ALICE), FlowOutcome::Pending);
    env.seed_message("throttled", &user(ALICE), FlowOutcome::sent());
    env.chime
        .fault_for("throttled", vec![Fault::throttled(), Fault::throttled()]);
    let reply = env.send(&post("", messages(&["sent", "throttled"]))).await;
    assert_eq!(
        outcomes(&reply),
        expected(&[("sent", "SENT"), ("throttled", "throttled")])
    );
    assert!(reply.header("retry-after").is_some());
    let reply = env.send(&post("", messages(&["sent", "pending"]))).await;
    assert_eq!(
        outcomes(&reply),
        expected(&[("sent", "SENT"), ("pending", "PENDING")])
    );
    assert!(reply.header("retry-after").is_some());
}

#[tokio::test]
async fn all_wrong_values_are_named_with_their_place_and_chime_is_not_called() {
    let env = TestEnv::new().await;
    let arn = channel();
    let item = json!({"channelArn": arn, "messageId": "m"});
    let wrong =
        json!({"channelArn": arn.replace("7f1c", "8f1c"), "messageId": "", "subChannelId": "a.b"});
    let wrong_id = json!({"channelArn": arn, "messageId": "a.b"});
    for (query, body, fields) in [
        ("", json!({}), "messages"),
        ("", json!({"messages": []}), "messages"),
        ("", json!({"messages": vec![&item; 21]}), "messages"),
        (
            "",
            json!({"messages": [item, item, item, wrong_id]}),
            "messages[3].messageId",
        ),
        (
            "wait=y&until=x",
            json!({"messages": [wrong, {}]}),
            "messages[0].channelArn messages[0].messageId messages[0].subChannelId \
             messages[1].channelArn messages[1].messageId until wait",
        ),
        (
            "channelArn=x&wait=y",
            json!({"messages": [item]}),
            "channelArn wait",
        ),
    ] {
        let mut named = env.send(&post(query, &body)).await.fields();
        named.sort();
        assert_eq!(named.join(" "), fields, "{body}");
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_rejected_and_the_fault_is_named() {
    let env = TestEnv::new().await;
    let item = json!({"channelArn": channel(), "messageId": "m"}).to_string();
    // ITEM stands for a valid message. Each row has the beginning of a field, and what the errors must contain.
    for (body, field, named) in [
        ("", "body", ""),
        ("null", "", ""),
        ("{\"messages\":[", "body", ""),
        (&"[".repeat(1000), "body", ""),
        ("[]", "body", ""),
        ("[[ITEM]]", "body", ""),
        (r#"{"messages":{}}"#, "messages", ""),
        (r#"{"messages":null}"#, "messages", ""),
        (r#"{"messages":[ITEM,1]}"#, "messages[1]", ""),
        (r#"{"messages":[ITEM,null]}"#, "messages[1]", ""),
        (r#"{"messages":[["a","m"]]}"#, "messages[0]", ""),
        (r#"{"messages":[ITEM],"wait":5}"#, "", "wait"),
        (r#"{"messages":[ITEM],"messages":[ITEM]}"#, "", "messages"),
        (r#"{"messages":[{"x":1}]}"#, "messages[0]", "x"),
        (
            r#"{"messages":[{"messageId":7}]}"#,
            "messages[0]",
            "messageId",
        ),
        (
            r#"{"messages":[ITEM,{"messageId":"m","messageId":"m"}]}"#,
            "messages[1]",
            "messageId",
        ),
    ] {
        let reply = env.send(&post("", body.replace("ITEM", &item))).await;
        let fields = reply.fields();
        let errors = reply.json()["errors"].to_string();
        assert!(
            fields.iter().any(|name| name.starts_with(field)) && errors.contains(named),
            "{body}: {errors}"
        );
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn a_body_in_base64_is_decoded() {
    let env = TestEnv::new().await;
    env.seed_message("m", &user(ALICE), FlowOutcome::sent());
    let mut event = post("", "");
    let text = messages(&["m"]).to_string();
    event["isBase64Encoded"] = true.into();
    event["body"] = base64::encode(&text).into();
    assert_eq!(
        outcomes(&env.send(&event).await),
        expected(&[("m", "SENT")])
    );
    for body in [json!("%%%"), json!("/w=="), json!(7), json!({"a": 1})] {
        event["body"] = body;
        assert_eq!(env.send(&event).await.fields(), ["body"]);
    }
    assert_eq!(env.calls().len(), 1);
}

/// Region of the pattern, configured rate, and the rate that applies.
const RATES: [(&str, Option<&str>, usize); 4] = [
    ("us-east-1", None, 5),
    ("eu-central-1", None, 3),
    ("us-east-1", Some("1"), 1),
    ("eu-central-1", Some("12"), 12),
];

#[tokio::test]
async fn no_second_of_a_batch_has_more_calls_than_the_rate() {
    for (region, configured, rate) in RATES {
        let app_instance = APP_INSTANCE.replace("us-east-1", region);
        let pattern = format!("{app_instance}/user/{{sub}}");
        let mut variables = vec![("APP_INSTANCE_USER_ARN", pattern.as_str())];
        variables.extend(configured.map(|rate| ("CHIME_CALLS_PER_SECOND", rate)));
        let options = Options {
            region: region.to_owned(),
            ..Options::default()
        };
        let env = TestEnv::with_options(options, &variables).await;
        let count = rate * 3;
        let ids: Vec<_> = (0..count.min(20))
            .map(|index| format!("m{index}"))
            .collect();
        let items: Vec<_> = ids
            .iter()
            .map(|id| json!({"channelArn": format!("{app_instance}/channel/c"), "messageId": id}))
            .collect();
        for id in &ids {
            env.chime.put_message(Message {
                channel_arn: format!("{app_instance}/channel/c"),
                sub_channel_id: None,
                message_id: id.clone(),
                sender: format!("{app_instance}/user/{ALICE}"),
                outcome: FlowOutcome::Pending,
            });
        }
        let reply = env
            .send(&post("wait=3", json!({ "messages": items })))
            .await;
        assert_all(&reply, "PENDING");
        assert!(
            env.calls().len() >= count.min(20),
            "{region}: {}",
            env.calls().len()
        );
        assert_rate(&env, rate);
    }
}

#[tokio::test]
async fn a_wait_of_20_s_keeps_the_rate_and_makes_at_most_14_calls_for_one_message() {
    let (batch, one) = (TestEnv::new().await, TestEnv::new().await);
    for id in twenty_ids() {
        batch.seed_message(&id, &user(ALICE), FlowOutcome::Pending);
        one.seed_message(&id, &user(ALICE), FlowOutcome::Pending);
    }
    let of_batch = post("wait=20", twenty_messages());
    let of_one = post("wait=20", messages(&["m0"]));
    let ((reply, took), _) = tokio::join!(timed(batch.send(&of_batch)), one.send(&of_one),);
    assert_all(&reply, "PENDING");
    assert!(took < Duration::from_secs(22), "{took:?}");
    assert!(batch.calls().len() > 20);
    assert_rate(&batch, 5);
    assert!(one.calls().len() <= 14, "{}", one.calls().len());
}

#[tokio::test]
async fn a_batch_keeps_the_rate_when_chime_fails_intermittently() {
    let env = TestEnv::new().await;
    env.chime.script(
        [
            Fault::service_failure(),
            Fault::throttled(),
            Fault::Pass,
            Fault::Reset,
            Fault::Latency(Duration::from_millis(200)),
        ]
        .iter()
        .cycle()
        .take(60)
        .cloned()
        .collect(),
    );
    let event = post("", twenty_messages());
    let reply = env.send(&event).await;
    assert_eq!(outcomes(&reply).len(), 20);
    assert_rate(&env, 5);
    let record = env.record(request_id(&event)).await;
    assert_eq!(record["upstreamCalls"], Value::from(env.calls().len()));
}

/// Faults of every call, each with the problem that the function returns.
pub fn lasting_faults() -> Vec<(Fault, u64, &'static str)> {
    vec![
        (Fault::throttled(), 429, "throttled"),
        (Fault::service_failure(), 502, "upstream-failure"),
        (Fault::service_unavailable(), 503, "upstream-unavailable"),
        (Fault::Reset, 503, "upstream-unavailable"),
        (Fault::Close, 503, "upstream-unavailable"),
        (Fault::ResetInBody, 502, "upstream-failure"),
        (Fault::Hang, 504, "upstream-timeout"),
        (Fault::StallInBody, 504, "upstream-timeout"),
        (Fault::json("{}"), 502, "upstream-failure"),
        (Fault::html(403), 502, "upstream-failure"),
    ]
}

#[tokio::test]
async fn after_three_failures_in_a_row_the_remaining_messages_get_the_last_problem() {
    for (fault, _, name) in lasting_faults() {
        let env = TestEnv::new().await;
        env.chime.always(Some(fault.clone()));
        let event = post("", twenty_messages());
        let (reply, took) = timed(env.send(&event)).await;
        assert_all(&reply, name);
        let calls = env.calls().len();
        assert!(calls <= 12, "{fault:?}: {calls}");
        assert!(took < Duration::from_secs(10), "{fault:?}: {took:?}");
        let retryable = ["throttled", "upstream-unavailable"].contains(&name);
        assert_eq!(
            reply.header("retry-after").is_some(),
            retryable,
            "{fault:?}"
        );
        let record = env.record(request_id(&event)).await;
        assert_eq!(record["Messages"], 20);
    }
}

#[tokio::test]
async fn a_blip_of_60_ms_fails_no_message() {
    for fault in [
        Fault::service_unavailable(),
        Fault::service_failure(),
        Fault::throttled(),
        Fault::Reset,
    ] {
        for (query, rate) in [("", "5"), ("", "3"), ("wait=20", "5")] {
            let env = env_of_twenty(&[("CHIME_CALLS_PER_SECOND", rate)]).await;
            env.chime.blip(fault.clone(), Duration::from_millis(60));
            let reply = env.send(&post(query, twenty_messages())).await;
            let outcomes = outcomes(&reply);
            assert!(
                outcomes.iter().all(|(_, outcome)| outcome == "SENT"),
                "{fault:?} {query} at {rate}: {outcomes:?}"
            );
        }
    }
}

#[tokio::test]
async fn four_hanging_messages_fail_alone() {
    let env = env_of_twenty(&[]).await;
    for id in &twenty_ids()[..4] {
        env.chime.always_for(id, Some(Fault::Hang));
    }
    let reply = env.send(&post("", twenty_messages())).await;
    for (index, (_, outcome)) in outcomes(&reply).iter().enumerate() {
        let expected = if index < 4 {
            "upstream-timeout"
        } else {
            "SENT"
        };
        assert_eq!(outcome, expected, "{index}: {reply:?}");
    }
}

/// Twenty messages of Alice that are sent.
async fn env_of_twenty(variables: &[(&str, &str)]) -> TestEnv {
    let env = TestEnv::with(variables).await;
    for id in twenty_ids() {
        env.seed_message(&id, &user(ALICE), FlowOutcome::sent());
    }
    env
}

#[tokio::test]
async fn a_success_between_failures_lets_every_message_be_called() {
    let env = TestEnv::new().await;
    let ids = twenty_ids();
    for (index, id) in ids.iter().enumerate() {
        env.seed_message(id, &user(ALICE), FlowOutcome::sent());
        if index % 3 != 2 {
            env.chime.fault_for(id, vec![Fault::json("{}")]);
        }
    }
    let reply = env.send(&post("", twenty_messages())).await;
    for (index, (_, outcome)) in outcomes(&reply).iter().enumerate() {
        let expected = if index % 3 == 2 {
            "SENT"
        } else {
            "upstream-failure"
        };
        assert_eq!(outcome, expected, "{index}");
    }
}

#[tokio::test]
async fn a_batch_without_a_wait_ends_within_10_s_when_chime_is_slow() {
    let env = TestEnv::new().await;
    for id in twenty_ids() {
        env.seed_message(&id, &user(ALICE), FlowOutcome::sent());
    }
    env.chime
        .always(Some(Fault::Latency(Duration::from_millis(1900))));
    let (reply, took) = timed(env.send(&post("", twenty_messages()))).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    let outcomes = outcomes(&reply);
    assert!(
        outcomes.iter().any(|(_, outcome)| outcome == "SENT"),
        "{outcomes:?}"
    );
    assert!(
        outcomes
            .iter()
            .any(|(_, outcome)| outcome == "upstream-timeout"),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_batch_without_a_wait_ends_within_10_s_when_chime_is_unreachable() {
    let env =
        TestEnv::with(&[("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "http://127.0.0.1:1")]).await;
    let (reply, took) = timed(env.send(&post("", twenty_messages()))).await;
    assert_all(&reply, "upstream-unavailable");
    assert!(took < Duration::from_secs(10), "{took:?}");
}
