//! Many messages in one request.

use std::time::Duration;

use aws_smithy_types::base64;
use fakes::fault::Fault;
use fakes::flow::{FlowOutcome, Message};
use serde_json::{Value, json};

use crate::support::{
    ALICE, APP_INSTANCE, GatewayResponse, TestEnv, channel, messages, post, problem_name,
    request_id, user,
};

/// What each result says: a status, or a problem's name.
fn said(reply: &GatewayResponse) -> Vec<(String, String)> {
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

fn expect(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(id, said)| ((*id).to_owned(), (*said).to_owned()))
        .collect()
}

#[tokio::test]
async fn each_message_has_its_own_answer_in_the_order_asked() {
    let env = TestEnv::new().await;
    env.seed_message("sent", &user(ALICE), FlowOutcome::sent());
    env.seed_message(
        "failed",
        &user(ALICE),
        FlowOutcome::Settled("FAILED".into(), Some("why".into())),
    );
    env.seed_message("theirs", &user("bob"), FlowOutcome::sent());
    env.seed_message("broken", &user(ALICE), FlowOutcome::sent());
    env.chime.fault_for("broken", vec![Fault::access_denied()]);
    let elsewhere = format!("{APP_INSTANCE}/channel/elsewhere");
    env.chime.put(Message {
        channel_arn: elsewhere.clone(),
        sub_channel_id: Some("s".into()),
        message_id: "sent".into(),
        sender: user(ALICE),
        outcome: FlowOutcome::Settled("DENIED".into(), None),
    });
    let mut body = messages(&["theirs", "sent", "broken", "failed", "sent"]);
    body["messages"][4]["channelArn"] = elsewhere.into();
    body["messages"][4]["subChannelId"] = "s".into();
    let event = post("", body);
    let reply = env.ask(&event).await;
    assert_eq!(
        said(&reply),
        expect(&[
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
async fn a_message_that_is_asked_twice_costs_one_call() {
    let env = TestEnv::new().await;
    env.seed_message("m", &user(ALICE), FlowOutcome::sent());
    env.seed_message("n", &user(ALICE), FlowOutcome::sent());
    let reply = env.ask(&post("", messages(&["m", "n", "m", "m"]))).await;
    assert_eq!(
        said(&reply),
        expect(&[("m", "SENT"), ("n", "SENT"), ("m", "SENT"), ("m", "SENT")])
    );
    assert_eq!(env.calls().len(), 2);
}

#[tokio::test]
async fn something_to_ask_again_comes_with_a_retry_after() {
    let env = TestEnv::new().await;
    env.seed_message("sent", &user(ALICE), FlowOutcome::sent());
    env.seed_message("pending", &user(ALICE), FlowOutcome::Pending);
    env.seed_message("throttled", &user(ALICE), FlowOutcome::sent());
    env.chime
        .fault_for("throttled", vec![Fault::throttled(), Fault::throttled()]);
    let reply = env.ask(&post("", messages(&["sent", "throttled"]))).await;
    assert_eq!(
        said(&reply),
        expect(&[("sent", "SENT"), ("throttled", "throttled")])
    );
    assert!(reply.header("retry-after").is_some());
    let reply = env.ask(&post("", messages(&["sent", "pending"]))).await;
    assert_eq!(
        said(&reply),
        expect(&[("sent", "SENT"), ("pending", "PENDING")])
    );
    assert!(reply.header("retry-after").is_some());
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_with_its_place_and_nothing_is_called() {
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
        let mut named = env.ask(&post("", &body)).await.fields();
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
        assert_eq!(env.ask(&post("", &text)).await.fields(), fields, "{text}");
    }
    let reply = env
        .ask(&post("channelArn=x&wait=y", json!({"messages": [item]})))
        .await;
    assert_eq!(reply.fields(), ["channelArn", "wait"]);
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn a_body_may_come_in_base64() {
    let env = TestEnv::new().await;
    env.seed_message("m", &user(ALICE), FlowOutcome::sent());
    let mut event = post("", "");
    let text = messages(&["m"]).to_string();
    event["isBase64Encoded"] = true.into();
    event["body"] = base64::encode(&text).into();
    assert_eq!(said(&env.ask(&event).await), expect(&[("m", "SENT")]));
    for body in [json!("%%%"), json!("/w=="), json!(7), json!({"a": 1})] {
        event["body"] = body;
        assert_eq!(env.ask(&event).await.fields(), ["body"]);
    }
    assert_eq!(env.calls().len(), 1);
}

/// The promise, read off the fake Chime's own record.
fn assert_quota_kept(env: &TestEnv) {
    let calls = env.calls();
    assert!(calls.iter().all(|call| call.in_flight <= 4));
    let mut arrivals: Vec<_> = calls.iter().map(|call| call.started).collect();
    arrivals.sort();
    for six in arrivals.windows(6) {
        assert!(
            six[5] - six[0] > Duration::from_secs(1),
            "{:?}",
            six[5] - six[0]
        );
    }
}

#[tokio::test]
async fn twenty_pending_messages_and_a_wait_of_20_s_keep_the_quota_promise() {
    let env = TestEnv::new().await;
    let ids: Vec<String> = (0..20).map(|index| format!("m{index}")).collect();
    for id in &ids {
        env.seed_message(id, &user(ALICE), FlowOutcome::Pending);
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (reply, took) = fakes::lambda::timed(env.ask(&post("wait=20", messages(&ids)))).await;
    assert!(
        said(&reply).iter().all(|(_, said)| said == "PENDING"),
        "{reply:?}"
    );
    assert!(took < Duration::from_secs(22), "{took:?}");
    assert!(env.calls().len() > 20);
    assert_quota_kept(&env);
}

#[tokio::test]
async fn twenty_messages_of_a_failing_chime_keep_the_quota_promise() {
    let env = TestEnv::new().await;
    let ids: Vec<String> = (0..20).map(|index| format!("m{index}")).collect();
    env.chime.script(
        [
            Fault::service_failure(),
            Fault::throttled(),
            Fault::Reset,
            Fault::Latency(Duration::from_millis(200)),
        ]
        .iter()
        .cycle()
        .take(60)
        .cloned()
        .collect(),
    );
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let event = post("", messages(&ids));
    let reply = env.ask(&event).await;
    assert_eq!(said(&reply).len(), 20);
    assert_quota_kept(&env);
    let record = env.record(request_id(&event)).await;
    assert_eq!(record["upstreamCalls"], Value::from(env.calls().len()));
}
