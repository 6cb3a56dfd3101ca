//! One request in place of a polling loop.

use std::time::Duration;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::lambda::timed;

use crate::support::{ALICE, MESSAGE, TestEnv, get_message, messages, post, user};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_answer_comes_when_the_message_is_no_longer_pending() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::sent_after(SECOND));
    let (reply, took) = timed(env.ask(&get_message(MESSAGE, "&wait=20"))).await;
    reply.assert_status("SENT");
    assert!(took >= SECOND && took < 4 * SECOND, "{took:?}");
    assert_eq!(reply.header("retry-after"), None);
}

#[tokio::test]
async fn when_the_time_is_over_pending_is_the_answer() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::Pending);
    let (reply, took) = timed(env.ask(&get_message(MESSAGE, "&wait=2"))).await;
    reply.assert_status("PENDING");
    assert!(reply.header("retry-after").is_some());
    assert!(took >= 2 * SECOND && took < 3 * SECOND, "{took:?}");
    assert_eq!(env.calls().len(), 4, "after 0, 0.25, 0.75 and 1.75 s");
}

#[tokio::test]
async fn a_wait_is_cut_to_the_configured_maximum() {
    let env = TestEnv::with(&[("MAX_WAIT_SECONDS", "1")]).await;
    env.put(FlowOutcome::Pending);
    for wait in ["20", "99999999999999999999999999"] {
        let (reply, took) = timed(env.ask(&get_message(MESSAGE, &format!("&wait={wait}")))).await;
        reply.assert_status("PENDING");
        assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
    }
    let env = TestEnv::with(&[("MAX_WAIT_SECONDS", "0")]).await;
    env.put(FlowOutcome::Pending);
    env.ask(&get_message(MESSAGE, "&wait=20"))
        .await
        .assert_status("PENDING");
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn a_wait_of_nothing_asks_once() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::Pending);
    env.ask(&get_message(MESSAGE, "&wait=0"))
        .await
        .assert_status("PENDING");
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn trouble_in_mid_wait_does_not_end_it() {
    for trouble in [
        Fault::throttled(),
        Fault::service_failure(),
        Fault::service_unavailable(),
        Fault::Reset,
        Fault::Close,
        Fault::Hang,
        Fault::Drip(Duration::from_millis(200)),
        Fault::json("{}"),
        Fault::ResetInBody,
    ] {
        let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "300")]).await;
        env.put(FlowOutcome::sent_after(SECOND / 2));
        env.chime
            .script(vec![Fault::Pass, trouble.clone(), Fault::Pass]);
        env.ask(&get_message(MESSAGE, "&wait=10"))
            .await
            .assert_status("SENT");
        let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "300")]).await;
        env.put(FlowOutcome::Pending);
        env.chime.script(vec![Fault::Pass]);
        env.chime.always(None);
        env.chime.fault_for(
            MESSAGE,
            vec![
                Fault::Pass,
                trouble.clone(),
                trouble.clone(),
                trouble.clone(),
            ],
        );
        let reply = env.ask(&get_message(MESSAGE, "&wait=1")).await;
        assert_eq!(
            (reply.status, reply.json()["status"].as_str()),
            (200, Some("PENDING")),
            "{trouble:?}"
        );
    }
}

#[tokio::test]
async fn a_message_that_is_denied_in_mid_wait_is_no_longer_found() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::PendingThen {
        after: SECOND / 2,
        value: "DENIED".into(),
        detail: None,
    });
    env.ask(&get_message(MESSAGE, "&wait=10"))
        .await
        .assert_problem(404, "message-not-found");
}

#[tokio::test]
async fn an_answer_beats_the_deadline_whatever_happens_at_any_moment_of_a_wait() {
    let hang = [
        Fault::Hang,
        Fault::StallInBody,
        Fault::Drip(Duration::from_millis(100)),
        Fault::throttled(),
        Fault::Reset,
    ];
    for deadline in [SECOND, 2 * SECOND] {
        for fault in &hang {
            for healthy in 0..2 {
                let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "20000")]).await;
                env.put(FlowOutcome::Pending);
                let mut script = vec![Fault::Pass; healthy];
                script.extend(vec![fault.clone(); 20]);
                env.chime.script(script);
                let event = get_message(MESSAGE, "&wait=20").to_string();
                let (reply, took) = timed(env.ask_within(event, deadline)).await;
                assert!(took < deadline, "{fault:?} after {healthy}: {took:?}");
                match healthy {
                    0 => assert!(reply.status >= 429, "{fault:?}: {reply:?}"),
                    _ => reply.assert_status("PENDING"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_batch_waits_until_none_is_pending() {
    let env = TestEnv::new().await;
    env.seed_message("now", &user(ALICE), FlowOutcome::sent());
    env.seed_message("soon", &user(ALICE), FlowOutcome::sent_after(SECOND / 2));
    env.seed_message("later", &user(ALICE), FlowOutcome::sent_after(SECOND));
    let (reply, took) = timed(env.ask(&post("wait=20", messages(&["later", "now", "soon"])))).await;
    let body = reply.json();
    let results = body["results"].as_array().expect("results");
    assert!(
        results.iter().all(|result| result["status"] == "SENT"),
        "{body}"
    );
    assert!(took >= SECOND && took < 5 * SECOND, "{took:?}");
    assert_eq!(
        env.calls()
            .iter()
            .filter(|call| call.message_id.as_deref() == Some("now"))
            .count(),
        1
    );
}

#[tokio::test]
async fn one_environment_serves_many_waits_at_once_and_mixes_nobody_up() {
    let env = TestEnv::with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "20")]).await;
    let asked = (0..20).map(|index| {
        let (id, sender) = (format!("m{index}"), format!("user-{index}"));
        env.seed_message(&id, &user(&sender), FlowOutcome::sent_after(SECOND));
        let mut event = get_message(&id, "&wait=10");
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = sender.into();
        let env = &env;
        async move { env.ask(&event).await.assert_status("SENT") }
    });
    let (_, took) = timed(futures_util::future::join_all(asked)).await;
    assert!(
        took < 10 * SECOND,
        "one after the other it would take 20: {took:?}"
    );
    for call in env.calls() {
        let number = call
            .message_id
            .as_deref()
            .and_then(|id| id.strip_prefix('m'))
            .expect("an id");
        assert_eq!(call.bearer, Some(user(&format!("user-{number}"))));
    }
}
