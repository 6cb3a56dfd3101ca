//! Many messages in one request. The rules of rates and early ends are tested without I/O, beside the plan.

use std::time::Duration;

use aws_smithy_types::base64;
use fakes::fault::Fault;
use fakes::flow::{FlowOutcome, Message};
use fakes::lambda::timed;
use serde_json::json;

use crate::support::{
    ALICE, APP_INSTANCE, SECOND, TestEnv, channel, messages, post, post_twenty, request_id, user,
};

#[tokio::test]
async fn each_message_has_its_own_result_in_order() {
    let env = TestEnv::new().await;
    for id in ["sent", "broken"] {
        env.seed_message(id, FlowOutcome::sent());
    }
    let failed = FlowOutcome::Decided("FAILED".into(), Some("why".into()));
    env.seed_message("failed", failed);
    env.seed_message_of("bob", "theirs", FlowOutcome::sent());
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
    let (reply, record) = env.send_recorded(&event).await;
    reply.assert_outcomes(
        "theirs message-not-found, sent SENT, broken misconfigured, failed FAILED, sent DENIED",
    );
    let results = reply.json()["results"].take();
    let failed = json!({"messageId": "failed", "status": "FAILED", "detail": "why"});
    assert_eq!(results[3], failed);
    assert_eq!(results[0]["problem"]["status"], 404);
    assert_eq!(results[0]["problem"]["requestId"], request_id(&event));
    assert_eq!(reply.retry_after(), None);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(record["level"], "ERROR");
    assert_eq!(record["ProblemMisconfigured"], 1);
}

#[tokio::test]
async fn the_same_message_twice_costs_one_call() {
    let env = TestEnv::new().await;
    for id in ["m", "n"] {
        env.seed_message(id, FlowOutcome::sent());
    }
    let reply = env.send(&post("", messages(&["m", "n", "m", "m"]))).await;
    reply.assert_outcomes("m SENT, n SENT, m SENT, m SENT");
    assert_eq!(env.calls().len(), 2);
}

#[tokio::test]
async fn a_pending_throttled_or_unavailable_result_comes_with_a_retry_after() {
    let env = TestEnv::new().await;
    for id in ["sent", "throttled", "unavailable"] {
        env.seed_message(id, FlowOutcome::sent());
    }
    env.seed_message("pending", FlowOutcome::Pending);
    for (id, fault) in [
        ("throttled", Fault::throttled()),
        ("unavailable", Fault::service_unavailable()),
    ] {
        env.chime.always_for(id, Some(fault));
    }
    for (other, outcome) in [
        ("pending", "PENDING"),
        ("throttled", "throttled"),
        ("unavailable", "upstream-unavailable"),
    ] {
        let reply = env.send(&post("", messages(&["sent", other]))).await;
        reply.assert_outcomes(&format!("sent SENT, {other} {outcome}"));
        assert!(reply.retry_after().is_some(), "{other}");
    }
}

#[tokio::test]
async fn all_wrong_values_are_named_with_their_place_and_chime_is_not_called() {
    let env = TestEnv::new().await;
    let arn = channel();
    let item = json!({"channelArn": arn, "messageId": "m"});
    let foreign = arn.replace("7f1c", "8f1c");
    let wrong = json!({"channelArn": foreign, "messageId": "", "subChannelId": "a.b"});
    let wrong_id = json!({"channelArn": arn, "messageId": "a.b"});
    let fourth_is_wrong = json!([item, item, item, wrong_id]);
    for (query, messages, fields) in [
        ("", json!([]), "messages"),
        ("", json!(vec![&item; 21]), "messages"),
        ("", fourth_is_wrong, "messages[3].messageId"),
        ("channelArn=x&wait=y", json!([item]), "channelArn wait"),
        (
            "wait=y&until=x",
            json!([wrong, {}]),
            "messages[0].channelArn messages[0].messageId messages[0].subChannelId \
             messages[1].channelArn messages[1].messageId until wait",
        ),
    ] {
        let event = post(query, json!({ "messages": messages }));
        env.assert_fields(&event, fields).await;
    }
    env.assert_fields(&post("", "{}"), "messages").await;
    env.assert_no_call();
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_rejected_and_the_fault_is_named() {
    let env = TestEnv::new().await;
    let item = json!({"channelArn": channel(), "messageId": "m"}).to_string();
    let twice = r#"{"messages":[ITEM,{"messageId":"m","messageId":"m"}]}"#;
    // ITEM represents a valid message. Each row has the beginning of a field, and what the errors must contain.
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
        (
            r#"{"messages":[ITEM],"chimeBearer":"x"}"#,
            "",
            "chimeBearer",
        ),
        (r#"{"messages":[ITEM],"messages":[ITEM]}"#, "", "messages"),
        (r#"{"messages":[{"x":1}]}"#, "messages[0]", "x"),
        (
            r#"{"messages":[{"messageId":7}]}"#,
            "messages[0]",
            "messageId",
        ),
        (twice, "messages[1]", "messageId"),
    ] {
        let reply = env.send(&post("", body.replace("ITEM", &item))).await;
        let begins = reply.fields().iter().any(|name| name.starts_with(field));
        let errors = reply.json()["errors"].to_string();
        assert!(begins && errors.contains(named), "{body}: {errors}");
    }
    env.assert_no_call();
}

#[tokio::test]
async fn a_body_in_base64_is_decoded() {
    let env = TestEnv::new().await;
    env.seed_message("m", FlowOutcome::sent());
    let mut event = post("", "");
    let text = messages(&["m"]).to_string();
    event["isBase64Encoded"] = true.into();
    event["body"] = base64::encode(&text).into();
    env.send(&event).await.assert_outcomes("m SENT");
    for body in [json!("%%%"), json!("/w=="), json!(7), json!({"a": 1})] {
        event["body"] = body;
        env.assert_fields(&event, "body").await;
    }
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn no_second_of_a_batch_has_more_calls_than_the_configured_rate() {
    for rate in [1, 12] {
        let variable = ("CHIME_CALLS_PER_SECOND", &*rate.to_string());
        let env = TestEnv::with(&[variable]).await;
        let ids: Vec<_> = (0..rate + 2).map(|index| format!("m{index}")).collect();
        for id in &ids {
            env.seed_message(id, FlowOutcome::Pending);
        }
        let reply = env.send(&post("wait=3", messages(&ids))).await;
        reply.assert_all("PENDING");
        assert!(env.calls().len() >= ids.len());
        env.assert_rate(rate);
    }
}

#[tokio::test]
async fn after_three_failures_in_a_row_the_remaining_messages_get_the_last_problem() {
    for (fault, name, is_retryable) in [
        (Fault::throttled(), "throttled", true),
        (Fault::service_failure(), "upstream-failure", false),
        (Fault::service_unavailable(), "upstream-unavailable", true),
        (Fault::Reset, "upstream-unavailable", true),
        (Fault::ResetInBody, "upstream-failure", false),
        (Fault::Hang, "upstream-timeout", false),
        (Fault::json("{}"), "upstream-failure", false),
    ] {
        let env = TestEnv::new().await;
        env.chime.always(Some(fault.clone()));
        let ((reply, record), took) = timed(env.send_recorded(&post_twenty(""))).await;
        reply.assert_all(name);
        let calls = env.calls().len();
        assert!(calls <= 12, "{fault:?}: {calls}");
        assert!(took < 10 * SECOND, "{fault:?}: {took:?}");
        assert_eq!(reply.retry_after().is_some(), is_retryable, "{fault:?}");
        assert_eq!(record["Messages"], 20);
    }
}

#[tokio::test]
async fn a_blip_of_60_ms_fails_no_message() {
    for fault in [
        Fault::service_unavailable(),
        Fault::throttled(),
        Fault::Reset,
    ] {
        for query in ["", "wait=20"] {
            let env = TestEnv::new().await;
            env.seed_twenty(&FlowOutcome::sent());
            env.chime.blip(fault.clone(), Duration::from_millis(60));
            env.send(&post_twenty(query)).await.assert_all("SENT");
        }
    }
}
