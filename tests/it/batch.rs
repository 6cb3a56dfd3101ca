//! Many messages in one request.

use std::time::Duration;

use aws_smithy_types::base64;
use fakes::chime::Options;
use fakes::fault::Fault;
use fakes::flow::{FlowOutcome, Message};
use fakes::lambda::timed;
use serde_json::{Value, json};

use crate::support::{
    ALICE, APP_INSTANCE, GatewayResponse, TestEnv, channel, messages, post, problem_name,
    request_id, user,
};

/// The id of each result, with its status or the name of its problem.
fn outcomes(reply: &GatewayResponse) -> Vec<(String, String)> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    let results = body["results"].as_array().expect("results");
    results
        .iter()
        .map(|result| {
            let id = result["messageId"].as_str().expect("an id").to_owned();
            let status = result["status"].as_str().map(str::to_owned);
            (
                id,
                status.unwrap_or_else(|| problem_name(&result["problem"])),
            )
        })
        .collect()
}

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
async fn every_invalid_field_is_named_with_its_place_and_chime_is_not_called() {
    let env = TestEnv::new().await;
    let arn = channel();
    let item = json!({"channelArn": arn, "messageId": "m"});
    let foreign = arn.replace("7f1c", "8f1c");
    for (body, fields) in [
        (json!([]), vec!["body"]),
        (json!({}), vec!["messages"]),
        (json!({"messages": []}), vec!["messages"]),
        (json!({"messages": {}}), vec!["messages"]),
        (json!({"messages": null}), vec!["messages"]),
        (json!({"messages": vec![&item; 21]}), vec!["messages"]),
        (json!({"messages": [item], "wait": 5}), vec!["wait"]),
        (
            json!({"messages": [item, 1, null]}),
            vec!["messages[1]", "messages[2]"],
        ),
        (
            json!({"messages": [item, item, item, {"channelArn": arn, "messageId": "a.b"}]}),
            vec!["messages[3].messageId"],
        ),
        (
            json!({"messages": [{"channelArn": foreign, "messageId": 7, "subChannelId": null, "x": 1}, {}]}),
            vec![
                "messages[0].channelArn",
                "messages[0].messageId",
                "messages[0].subChannelId",
                "messages[0].x",
                "messages[1].channelArn",
                "messages[1].messageId",
            ],
        ),
    ] {
        let mut named = env.send(&post("", &body)).await.fields();
        named.sort();
        assert_eq!(named, fields, "{body}");
    }
    for (text, fields) in [
        (String::new(), vec!["body"]),
        ("{\"messages\":[".to_owned(), vec!["body"]),
        ("[".repeat(1000), vec!["body"]),
        (
            format!(r#"{{"messages":[{item}],"messages":[{item}]}}"#),
            vec!["messages"],
        ),
        (
            format!(r#"{{"messages":[{{"channelArn":"{arn}","messageId":"m","messageId":"n"}}]}}"#),
            vec!["messages[0].messageId"],
        ),
    ] {
        assert_eq!(env.send(&post("", &text)).await.fields(), fields, "{text}");
    }
    let reply = env
        .send(&post("channelArn=x&wait=y", json!({"messages": [item]})))
        .await;
    assert_eq!(reply.fields(), ["channelArn", "wait"]);
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

fn twenty_ids() -> Vec<String> {
    (0..20).map(|index| format!("m{index}")).collect()
}

fn twenty_messages() -> Value {
    let ids = twenty_ids();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    messages(&ids)
}

/// Asserts the guaranteed rate on the calls that the fake Chime has recorded.
fn assert_rate(env: &TestEnv, calls_per_second: usize) {
    let calls = env.calls();
    assert!(calls.iter().all(|call| call.in_flight <= 4));
    let mut arrivals: Vec<_> = calls.iter().map(|call| call.started).collect();
    arrivals.sort();
    for window in arrivals.windows(calls_per_second + 1) {
        let span = window[calls_per_second] - window[0];
        assert!(span > Duration::from_secs(1), "{span:?}");
    }
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
        assert!(
            outcomes(&reply)
                .iter()
                .all(|(_, outcome)| outcome == "PENDING"),
            "{reply:?}"
        );
        assert!(
            env.calls().len() >= count.min(20),
            "{region}: {}",
            env.calls().len()
        );
        assert_rate(&env, rate);
    }
}

#[tokio::test]
async fn a_batch_that_waits_20_s_keeps_the_rate() {
    let env = TestEnv::new().await;
    for id in twenty_ids() {
        env.seed_message(&id, &user(ALICE), FlowOutcome::Pending);
    }
    let (reply, took) = timed(env.send(&post("wait=20", twenty_messages()))).await;
    assert!(
        outcomes(&reply)
            .iter()
            .all(|(_, outcome)| outcome == "PENDING"),
        "{reply:?}"
    );
    assert!(took < Duration::from_secs(22), "{took:?}");
    assert!(env.calls().len() > 20);
    assert_rate(&env, 5);
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

#[tokio::test]
async fn three_failed_calls_in_a_row_give_the_remaining_messages_the_last_problem() {
    for (fault, name) in [
        (Fault::throttled(), "throttled"),
        (Fault::service_failure(), "upstream-failure"),
        (Fault::service_unavailable(), "upstream-unavailable"),
        (Fault::json("{}"), "upstream-failure"),
        (Fault::Hang, "upstream-timeout"),
    ] {
        let env = TestEnv::new().await;
        env.chime.always(Some(fault.clone()));
        let event = post("", twenty_messages());
        let (reply, took) = timed(env.send(&event)).await;
        assert!(
            outcomes(&reply).iter().all(|(_, outcome)| outcome == name),
            "{fault:?}: {reply:?}"
        );
        // At most 4 were in flight when the third one failed.
        assert!(
            env.calls().len() <= 3 + 4,
            "{fault:?}: {}",
            env.calls().len()
        );
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
    assert!(
        outcomes(&reply)
            .iter()
            .all(|(_, outcome)| outcome == "upstream-unavailable")
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn dead_connections_after_a_freeze_cost_a_batch_one_retry_each() {
    let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "500")]).await;
    for id in twenty_ids() {
        env.seed_message(&id, &user(ALICE), FlowOutcome::sent());
    }
    // Opens four connections.
    env.chime
        .always(Some(Fault::Latency(Duration::from_millis(100))));
    env.send(&post("", twenty_messages())).await;
    let open = env.chime.open_connections();
    assert!(open >= 3, "{open}");
    // These connections hang. New ones work.
    env.chime.script(vec![Fault::Hang; open]);
    env.chime.always(None);
    let reply = env.send(&post("", twenty_messages())).await;
    assert!(
        outcomes(&reply)
            .iter()
            .all(|(_, outcome)| outcome == "SENT"),
        "{reply:?}"
    );
}
