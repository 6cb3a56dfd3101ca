//! Valid and invalid requests: parameters, bodies, paths and methods.

use std::collections::HashSet;

use fakes::flow::{FlowOutcome, Message};
use serde_json::{Value, json};

use crate::support::{ALICE, MESSAGE, TestEnv, channel, get, get_status, post, sample, user};

#[tokio::test]
async fn every_status_is_returned_as_chime_sends_it_and_counted_by_its_metric() {
    let env = TestEnv::new().await;
    for (value, detail, metric) in [
        ("SENT", None, "StatusSent"),
        (
            "FAILED",
            Some("processor unreachable ü \"x\""),
            "StatusFailed",
        ),
        ("DENIED", None, "StatusDenied"),
        ("HIDDEN_BY_MODERATOR", None, "StatusOther"),
    ] {
        env.seed(FlowOutcome::Decided(
            value.into(),
            detail.map(str::to_owned),
        ));
        let (reply, record) = env.send_recorded(&get_status(MESSAGE, "")).await;
        let mut expected = json!({"messageId": MESSAGE, "status": value});
        if let Some(detail) = detail {
            expected["detail"] = detail.into();
        }
        assert_eq!((reply.status, reply.json()), (200, expected));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.retry_after(), None);
        assert_eq!(record[metric], 1, "{record}");
        assert!(!record.to_string().contains("HIDDEN"), "{record}");
    }
}

#[tokio::test]
async fn a_pending_message_has_a_jittered_retry_after() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::Pending);
    let mut seen = HashSet::new();
    for _ in 0..40 {
        let reply = env.send(&get_status(MESSAGE, "")).await;
        reply.assert_status("PENDING");
        seen.insert(reply.retry_after().expect("a header"));
    }
    assert!(seen.len() > 1, "{seen:?}");
}

#[tokio::test]
async fn the_sub_channel_is_sent_to_chime() {
    let env = TestEnv::new().await;
    env.chime.put_message(Message {
        channel_arn: channel(),
        sub_channel_id: Some("sub_1".into()),
        message_id: MESSAGE.into(),
        sender: user(ALICE),
        outcome: FlowOutcome::sent(),
    });
    let event = get_status(MESSAGE, "&subChannelId=sub_1");
    env.assert_status(&event, "SENT").await;
    let event = get_status(MESSAGE, "");
    env.assert_problem(&event, 404, "message-not-found").await;
}

#[tokio::test]
async fn all_invalid_parameters_are_named_and_chime_is_not_called() {
    let env = TestEnv::new().await;
    let channel = format!("channelArn={}", channel());
    let too_long = format!("CHANNEL&messageId={}", "x".repeat(129));
    for (query, fields) in [
        ("", "channelArn messageId"),
        ("CHANNEL", "messageId"),
        ("CHANNEL&messageId=m&subChannelID=s", "subChannelID"),
        ("CHANNEL&messageId=m&chimeBearer=x", "chimeBearer"),
        (
            "CHANNEL&messageId=m&x-amz-chime-bearer=x",
            "x-amz-chime-bearer",
        ),
        ("CHANNEL&messageId=m&messageId=m", "messageId"),
        ("CHANNEL&CHANNEL&messageId=m", "channelArn"),
        ("CHANNEL&messageId=", "messageId"),
        ("CHANNEL&messageId=m&subChannelId=", "subChannelId"),
        (&too_long, "messageId"),
        ("CHANNEL&messageId=a%2Fb", "messageId"),
        ("CHANNEL&messageId=%FF", "messageId"),
        ("CHANNEL&messageId=m&wait=-1", "wait"),
        ("CHANNEL&messageId=m&wait=1.5", "wait"),
        ("CHANNEL&messageId=m&wait=", "wait"),
        ("CHANNEL&messageId=m&wait=%2B1", "wait"),
        ("CHANNEL&messageId=m&wait=1&wait=1", "wait"),
        (
            "Wait=1&channelArn=x&messageId=..&subChannelId=a.b&wait=x&MessageId=m",
            "MessageId Wait channelArn messageId subChannelId wait",
        ),
    ] {
        let event = get(&query.replace("CHANNEL", &channel));
        env.assert_fields(&event, fields).await;
    }
    env.assert_no_call();
}

#[tokio::test]
async fn a_response_does_not_grow_with_the_request() {
    let env = TestEnv::new().await;
    let many: Vec<_> = (0..200).map(|number| format!("x{number}")).collect();
    for (unknown, named) in [
        (many.join("=&"), &many[..100]),
        ("x=&y=&x".to_owned(), &["x".to_owned(), "y".to_owned()]),
        ("x".repeat(200), &["x".repeat(128)]),
    ] {
        let event = get_status("m", &format!("&{unknown}="));
        assert_eq!(env.send(&event).await.fields(), named);
    }
}

#[tokio::test]
async fn a_channel_of_another_app_instance_is_rejected_without_a_call() {
    let env = TestEnv::new().await;
    let own = channel();
    for (part, other) in [
        ("7f1c2a9e", "8f1c2a9e"),
        ("111122223333", "111122223334"),
        ("us-east-1", "eu-central-1"),
        ("arn:aws:", "arn:aws-us-gov:"),
        ("/channel/", "/channel/a/"),
        ("chat-general", "chat%0Ageneral"),
    ] {
        let foreign = own.replacen(part, other, 1);
        let event = get(&format!("channelArn={foreign}&messageId={MESSAGE}"));
        let reply = env.send(&event).await;
        assert_eq!(reply.fields(), ["channelArn"], "{foreign}");
        assert!(!reply.body.contains("7f1c2a9e"), "{reply:?}");
    }
    env.assert_no_call();
}

#[tokio::test]
async fn repeated_or_missing_parameters_in_rest_events_are_rejected() {
    let env = TestEnv::new().await;
    let mut event = sample("rest-api-cognito");
    event["multiValueQueryStringParameters"]["messageId"] = json!([MESSAGE, MESSAGE]);
    env.assert_fields(&event, "messageId").await;
    event["multiValueQueryStringParameters"] = Value::Null;
    event["queryStringParameters"] = Value::Null;
    env.assert_fields(&event, "channelArn messageId").await;
    env.assert_no_call();
}

#[tokio::test]
async fn other_paths_are_not_found_and_other_methods_are_not_allowed() {
    let env = TestEnv::new().await;
    for path in [
        "/",
        "",
        "/other",
        "/message-status//",
        "/message-status/x",
        "/MESSAGE-STATUS",
    ] {
        let mut event = get_status(MESSAGE, "");
        event["rawPath"] = path.into();
        env.assert_problem(&event, 404, "route-not-found").await;
    }
    for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "BREW"] {
        let mut event = get_status(MESSAGE, "");
        event["requestContext"]["http"]["method"] = method.into();
        env.assert_problem(&event, 405, "method-not-allowed").await;
    }
    env.assert_no_call();
}

#[tokio::test]
async fn a_body_must_be_json_of_at_most_64_kib() {
    let env = TestEnv::new().await;
    for content_type in [Value::Null, "text/plain".into(), "application/jsonx".into()] {
        let mut event = post("", "{}");
        event["headers"]["content-type"] = content_type;
        let problem = "unsupported-media-type";
        env.assert_problem(&event, 415, problem).await;
    }
    let mut event = post("", "{");
    event["headers"]["content-type"] = Value::Null;
    event["headers"]["Content-Type"] = "Application/JSON; charset=utf-8".into();
    env.assert_fields(&event, "body").await;
    let largest = "{}".to_owned() + &" ".repeat(65_534);
    env.assert_fields(&post("", &largest), "messages").await;
    let event = post("", largest + " ");
    env.assert_problem(&event, 413, "payload-too-large").await;
}
