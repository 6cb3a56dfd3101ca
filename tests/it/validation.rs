//! Valid and invalid requests: parameters, bodies, paths and methods.

use fakes::flow::{FlowOutcome, Message};
use serde_json::{Value, json};

use crate::support::{ALICE, MESSAGE, TestEnv, channel, get, get_status, post, sample, user};

#[tokio::test]
async fn every_status_is_returned_as_chime_sends_it() {
    let env = TestEnv::new().await;
    for (index, value) in ["SENT", "FAILED", "DENIED", "HIDDEN_BY_MODERATOR"]
        .iter()
        .enumerate()
    {
        let id = format!("m{index}");
        let detail = (index == 1).then(|| "processor unreachable ü \"x\"".to_owned());
        env.seed_message(
            &id,
            &user(ALICE),
            FlowOutcome::Decided((*value).into(), detail.clone()),
        );
        let reply = env.send(&get_status(&id, "")).await;
        let mut expected = json!({"messageId": id, "status": value});
        if let Some(detail) = detail {
            expected["detail"] = detail.into();
        }
        assert_eq!((reply.status, reply.json()), (200, expected));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("retry-after"), None);
    }
}

#[tokio::test]
async fn a_pending_message_has_a_jittered_retry_after() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::Pending);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..40 {
        let reply = env.send(&get_status(MESSAGE, "")).await;
        reply.assert_status("PENDING");
        let seconds: u32 = reply
            .header("retry-after")
            .expect("a header")
            .parse()
            .expect("seconds");
        assert!((1..=10).contains(&seconds));
        seen.insert(seconds);
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
    env.assert_status(&get_status(MESSAGE, "&subChannelId=sub_1"), "SENT")
        .await;
    env.assert_problem(&get_status(MESSAGE, ""), 404, "message-not-found")
        .await;
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
        let query = query.replace("CHANNEL", &channel);
        let mut named = env.send(&get(&query)).await.fields();
        named.sort();
        assert_eq!(named.join(" "), fields, "{query}");
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn a_response_does_not_grow_with_the_request() {
    let env = TestEnv::new().await;
    let usual = format!("channelArn={}&messageId=m", channel());
    let unknown = |names: &[&str]| {
        let names: String = names.iter().map(|name| format!("&{name}=")).collect();
        get(&format!("{usual}{names}"))
    };
    let names: Vec<String> = (0..200).map(|number| format!("x{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(env.send(&unknown(&names)).await.fields(), names[..100]);
    assert_eq!(
        env.send(&unknown(&["x", "y", "x"])).await.fields(),
        ["x", "y"]
    );
    let fields = env.send(&unknown(&[&"x".repeat(200)])).await.fields();
    assert_eq!(fields, ["x".repeat(128)]);
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
        ("/channel/", "/user/"),
        ("/channel/", "/channel/a/"),
        ("chat-general", ".."),
        ("chat-general", "chat%0Ageneral"),
        ("arn:", "ARN:"),
    ] {
        let foreign = own.replacen(part, other, 1);
        let reply = env
            .send(&get(&format!("channelArn={foreign}&messageId={MESSAGE}")))
            .await;
        assert_eq!(reply.fields(), ["channelArn"], "{foreign}");
        assert!(!reply.body.contains("7f1c2a9e"), "{reply:?}");
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn repeated_parameters_in_rest_events_are_rejected() {
    let env = TestEnv::new().await;
    let mut event = sample("rest-api-cognito");
    event["multiValueQueryStringParameters"]["messageId"] = json!([MESSAGE, MESSAGE]);
    assert_eq!(env.send(&event).await.fields(), ["messageId"]);
    event["multiValueQueryStringParameters"] = Value::Null;
    event["queryStringParameters"] = Value::Null;
    assert_eq!(env.send(&event).await.fields(), ["channelArn", "messageId"]);
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
        let reply = env.send(&event).await;
        reply.assert_problem(405, "method-not-allowed");
        assert_eq!(reply.header("allow"), Some("GET, POST"));
    }
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn a_body_must_be_json_of_at_most_64_kib() {
    let env = TestEnv::new().await;
    for content_type in [Value::Null, "text/plain".into(), "application/jsonx".into()] {
        let mut event = post("", "{}");
        event["headers"]["content-type"] = content_type;
        env.assert_problem(&event, 415, "unsupported-media-type")
            .await;
    }
    let mut event = post("", "{");
    event["headers"]["content-type"] = Value::Null;
    event["headers"]["Content-Type"] = "Application/JSON; charset=utf-8".into();
    assert_eq!(env.send(&event).await.fields(), ["body"]);
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat(65536 - 8));
    assert_eq!(body.len(), 65536);
    assert_eq!(env.send(&post("", &body)).await.fields(), ["x", "messages"]);
    let reply = env.send(&post("", format!("{body} "))).await;
    reply.assert_problem(413, "payload-too-large");
}
