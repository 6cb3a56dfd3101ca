//! `wait` and `until`.

use std::time::Duration;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::lambda::timed;

use crate::support::{ALICE, MESSAGE, TestEnv, get_status, messages, post, problem_name, user};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_response_comes_when_the_message_is_no_longer_pending() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent_after(SECOND));
    let (reply, took) = timed(env.send(&get_status(MESSAGE, "&wait=20"))).await;
    reply.assert_status("SENT");
    assert!(took >= SECOND && took < 4 * SECOND, "{took:?}");
    assert_eq!(reply.header("retry-after"), None);
}

#[tokio::test]
async fn an_expired_wait_returns_pending() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::Pending);
    let (reply, took) = timed(env.send(&get_status(MESSAGE, "&wait=2"))).await;
    reply.assert_status("PENDING");
    assert!(reply.header("retry-after").is_some());
    assert!(took >= 2 * SECOND && took < 3 * SECOND, "{took:?}");
    assert_eq!(
        env.calls().len(),
        6,
        "after 0, 0.2, 0.4, 0.7, 1.1 and 1.7 s"
    );
}

#[tokio::test]
async fn a_wait_is_cut_to_the_configured_maximum() {
    let env = TestEnv::with(&[("MAX_WAIT_SECONDS", "1")]).await;
    env.seed_alices_message(FlowOutcome::Pending);
    for wait in ["20", "99999999999999999999999999"] {
        let (reply, took) = timed(env.send(&get_status(MESSAGE, &format!("&wait={wait}")))).await;
        reply.assert_status("PENDING");
        assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
    }
    let env = TestEnv::with(&[("MAX_WAIT_SECONDS", "0")]).await;
    env.seed_alices_message(FlowOutcome::Pending);
    env.send(&get_status(MESSAGE, "&wait=20"))
        .await
        .assert_status("PENDING");
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn a_wait_of_0_s_makes_one_call() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::Pending);
    env.send(&get_status(MESSAGE, "&wait=0"))
        .await
        .assert_status("PENDING");
    assert_eq!(env.calls().len(), 1);
}

fn transient_faults() -> [Fault; 9] {
    [
        Fault::throttled(),
        Fault::service_failure(),
        Fault::service_unavailable(),
        Fault::Reset,
        Fault::Close,
        Fault::Hang,
        Fault::Drip(Duration::from_millis(200)),
        Fault::json("{}"),
        Fault::ResetInBody,
    ]
}

#[tokio::test]
async fn a_single_failure_does_not_end_a_wait() {
    for fault in transient_faults() {
        let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "300")]).await;
        env.seed_alices_message(FlowOutcome::sent_after(SECOND / 2));
        env.chime
            .script(vec![Fault::Pass, fault.clone(), Fault::Pass]);
        env.send(&get_status(MESSAGE, "&wait=10"))
            .await
            .assert_status("SENT");
    }
}

#[tokio::test]
async fn failures_after_a_pending_status_return_pending() {
    for fault in transient_faults() {
        let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "300")]).await;
        env.seed_alices_message(FlowOutcome::Pending);
        env.chime.fault_for(
            MESSAGE,
            vec![Fault::Pass, fault.clone(), fault.clone(), fault.clone()],
        );
        let reply = env.send(&get_status(MESSAGE, "&wait=1")).await;
        assert_eq!(
            (reply.status, reply.json()["status"].as_str()),
            (200, Some("PENDING")),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_message_that_is_denied_during_a_wait_is_gone() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::PendingThen {
        after: SECOND / 2,
        value: "DENIED".into(),
        detail: None,
    });
    env.send(&get_status(MESSAGE, "&wait=10"))
        .await
        .assert_problem(410, "message-gone");
}

#[tokio::test]
async fn only_a_message_that_was_pending_in_the_same_request_is_gone() {
    let not_found = [
        Fault::not_found(),
        Fault::forbidden(),
        Fault::bad_request(),
        Fault::error(500, Some("NotFoundException"), "x"),
    ];
    for fault in not_found {
        let env = TestEnv::new().await;
        env.seed_alices_message(FlowOutcome::Pending);
        env.chime
            .fault_for(MESSAGE, vec![Fault::Pass, fault.clone()]);
        env.send(&get_status(MESSAGE, "&wait=10"))
            .await
            .assert_problem(410, "message-gone");
        env.chime.fault_for(MESSAGE, vec![fault.clone()]);
        env.send(&get_status(MESSAGE, "&wait=10"))
            .await
            .assert_problem(404, "message-not-found");
    }
    let env = TestEnv::new().await;
    env.seed_message("stays", &user(ALICE), FlowOutcome::Pending);
    env.seed_message("goes", &user(ALICE), FlowOutcome::Pending);
    env.chime
        .fault_for("goes", vec![Fault::Pass, Fault::not_found()]);
    let reply = env
        .send(&post("wait=1", messages(&["stays", "none", "goes"])))
        .await;
    let results = reply.json()["results"].take();
    assert_eq!(results[0]["status"], "PENDING");
    assert_eq!(results[1]["problem"]["status"], 404);
    assert_eq!(results[2]["problem"]["status"], 410);
    assert_eq!(problem_name(&results[2]["problem"]), "message-gone");
}

/// Faults of every call, each with the problem that the function returns.
fn lasting_faults() -> Vec<(Fault, u64, &'static str)> {
    vec![
        (Fault::throttled(), 429, "throttled"),
        (Fault::service_failure(), 502, "upstream-failure"),
        (Fault::service_unavailable(), 503, "upstream-unavailable"),
        (Fault::Reset, 503, "upstream-unavailable"),
        (Fault::Close, 503, "upstream-unavailable"),
        (Fault::Hang, 504, "upstream-timeout"),
        (Fault::StallInBody, 504, "upstream-timeout"),
        (Fault::json("{}"), 502, "upstream-failure"),
        (Fault::html(403), 502, "upstream-failure"),
    ]
}

#[tokio::test]
async fn a_wait_ends_within_4_s_when_chime_fails() {
    for (fault, status, name) in lasting_faults() {
        let env = TestEnv::new().await;
        env.seed_alices_message(FlowOutcome::Pending);
        env.chime.always(Some(fault.clone()));
        let (reply, took) = timed(env.send(&get_status(MESSAGE, "&wait=20"))).await;
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (status, name),
            "{fault:?}"
        );
        assert!(took < 4 * SECOND, "{fault:?}: {took:?}");
        assert!(env.calls().len() <= 3, "{fault:?}: {}", env.calls().len());
        // Chime worked before it failed.
        env.chime.fault_for(MESSAGE, vec![Fault::Pass]);
        let (reply, took) = timed(env.send(&get_status(MESSAGE, "&wait=20"))).await;
        assert_eq!(reply.json()["status"], "PENDING", "{fault:?}: {reply:?}");
        assert!(reply.header("retry-after").is_some());
        assert!(took < 4 * SECOND, "{fault:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_wait_for_an_unreachable_chime_ends_within_4_s() {
    let env =
        TestEnv::with(&[("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "http://127.0.0.1:1")]).await;
    let (reply, took) = timed(env.send(&get_status(MESSAGE, "&wait=20"))).await;
    reply.assert_problem(503, "upstream-unavailable");
    assert!(took < 4 * SECOND, "{took:?}");
}

#[tokio::test]
async fn a_batch_that_waits_ends_within_4_s_when_chime_fails() {
    let ids: Vec<String> = (0..20).map(|index| format!("m{index}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for (fault, _, name) in lasting_faults() {
        let env = TestEnv::new().await;
        env.chime.always(Some(fault.clone()));
        let (reply, took) = timed(env.send(&post("wait=20", messages(&ids)))).await;
        assert!(took < 4 * SECOND, "{fault:?}: {took:?}");
        let results = reply.json()["results"].take();
        for result in results.as_array().expect("results") {
            assert_eq!(problem_name(&result["problem"]), name, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn until_any_responds_soon_after_the_first_decision() {
    let env = TestEnv::new().await;
    env.seed_message("slow", &user(ALICE), FlowOutcome::Pending);
    env.seed_message("quick", &user(ALICE), FlowOutcome::sent_after(SECOND / 2));
    let body = messages(&["slow", "quick"]);
    let (reply, took) = timed(env.send(&post("wait=20&until=any", &body))).await;
    let results = reply.json()["results"].take();
    assert_eq!(results[0]["status"], "PENDING");
    assert_eq!(results[1]["status"], "SENT");
    assert!(reply.header("retry-after").is_some());
    assert!(took < 3 * SECOND, "{took:?}");
    // `all` is the default.
    for query in ["wait=2", "wait=2&until=all"] {
        let (_, took) = timed(env.send(&post(query, &body))).await;
        assert!(took >= 2 * SECOND, "{query}: {took:?}");
    }
}

#[tokio::test]
async fn until_any_counts_a_final_problem_as_decided() {
    let env = TestEnv::new().await;
    env.seed_message("slow", &user(ALICE), FlowOutcome::Pending);
    let body = messages(&["slow", "none"]);
    let (reply, took) = timed(env.send(&post("wait=20&until=any", body))).await;
    let results = reply.json()["results"].take();
    assert_eq!(results[0]["status"], "PENDING");
    assert_eq!(problem_name(&results[1]["problem"]), "message-not-found");
    assert!(took < 2 * SECOND, "{took:?}");
}

#[tokio::test]
async fn until_outside_a_waiting_batch_or_with_another_value_is_rejected() {
    let env = TestEnv::new().await;
    let body = messages(&[MESSAGE]);
    for event in [
        get_status(MESSAGE, "&until=any"),
        get_status(MESSAGE, "&wait=1&until=any"),
        post("until=any", &body),
        post("wait=1&until=some", &body),
        post("wait=1&until=", &body),
        post("wait=1&until=any&until=any", &body),
    ] {
        assert_eq!(env.send(&event).await.fields(), ["until"], "{event}");
    }
    let mut body = body;
    body["until"] = "any".into();
    assert_eq!(env.send(&post("wait=1", body)).await.fields(), ["until"]);
    assert!(env.calls().is_empty());
}

#[tokio::test]
async fn a_response_comes_before_the_deadline_when_chime_fails_during_a_wait() {
    let faults = [
        Fault::Hang,
        Fault::StallInBody,
        Fault::Drip(Duration::from_millis(100)),
        Fault::throttled(),
        Fault::Reset,
    ];
    for deadline in [SECOND, 2 * SECOND] {
        for fault in &faults {
            for healthy in 0..2 {
                let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "20000")]).await;
                env.seed_alices_message(FlowOutcome::Pending);
                let mut script = vec![Fault::Pass; healthy];
                script.extend(vec![fault.clone(); 20]);
                env.chime.script(script);
                let event = get_status(MESSAGE, "&wait=20").to_string();
                let (reply, took) = timed(env.send_within(event, deadline)).await;
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
async fn a_batch_waits_until_every_message_is_decided() {
    let env = TestEnv::new().await;
    env.seed_message("now", &user(ALICE), FlowOutcome::sent());
    env.seed_message("soon", &user(ALICE), FlowOutcome::sent_after(SECOND / 2));
    env.seed_message("later", &user(ALICE), FlowOutcome::sent_after(SECOND));
    let (reply, took) =
        timed(env.send(&post("wait=20", messages(&["later", "now", "soon"])))).await;
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
async fn concurrent_waits_get_their_own_results() {
    let env = TestEnv::with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "20")]).await;
    let requests = (0..20).map(|index| {
        let (id, sender) = (format!("m{index}"), format!("user-{index}"));
        env.seed_message(&id, &user(&sender), FlowOutcome::sent_after(SECOND));
        let mut event = get_status(&id, "&wait=10");
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = sender.into();
        let env = &env;
        async move { env.send(&event).await.assert_status("SENT") }
    });
    let (_, took) = timed(futures_util::future::join_all(requests)).await;
    assert!(
        took < 10 * SECOND,
        "in sequence they would take 20 s: {took:?}"
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
