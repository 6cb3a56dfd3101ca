//! `wait` and `until`.

use std::time::Duration;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::http::{End, NewConnections};
use fakes::lambda::timed;
use futures_util::future::join_all;

use crate::batch::lasting_faults;
use crate::support::{
    ALICE, MESSAGE, TestEnv, get_status, messages, outcomes, post, problem_name, twenty_ids, user,
};

const SECOND: Duration = Duration::from_secs(1);
/// How long a failing Chime can hold a wait: 3.8 s, and the way to the function and back on a busy machine.
const FAILED_WAIT: Duration = Duration::from_secs(4);

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
    env.assert_status(&get_status(MESSAGE, "&wait=20"), "PENDING")
        .await;
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn a_wait_of_0_s_makes_one_call() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::Pending);
    env.assert_status(&get_status(MESSAGE, "&wait=0"), "PENDING")
        .await;
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn a_single_failure_does_not_end_a_wait() {
    for (fault, ..) in lasting_faults() {
        let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "300")]).await;
        env.seed_alices_message(FlowOutcome::sent_after(SECOND / 2));
        env.chime
            .script(vec![Fault::Pass, fault.clone(), Fault::Pass]);
        env.assert_status(&get_status(MESSAGE, "&wait=10"), "SENT")
            .await;
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
    env.assert_problem(&get_status(MESSAGE, "&wait=10"), 410, "message-gone")
        .await;
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
        env.assert_problem(&get_status(MESSAGE, "&wait=10"), 410, "message-gone")
            .await;
        env.chime.fault_for(MESSAGE, vec![fault.clone()]);
        env.assert_problem(&get_status(MESSAGE, "&wait=10"), 404, "message-not-found")
            .await;
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

#[tokio::test]
async fn a_wait_ends_early_when_chime_fails() {
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
        assert!(took < FAILED_WAIT, "{fault:?}: {took:?}");
        assert!(env.calls().len() <= 3, "{fault:?}: {}", env.calls().len());
        // Chime worked before it failed.
        env.chime.fault_for(MESSAGE, vec![Fault::Pass]);
        let (reply, took) = timed(env.send(&get_status(MESSAGE, "&wait=20"))).await;
        reply.assert_status("PENDING");
        assert!(reply.header("retry-after").is_some());
        assert!(took < FAILED_WAIT, "{fault:?}: {took:?}");
    }
}

/// How Chime fails in every call.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Throttles,
    Fails,
    Refuses,
    Swallows,
}

async fn assert_wait_ends_early(rate: &str, outage: Outage, count: usize) {
    let env = TestEnv::with(&[("CHIME_CALLS_PER_SECOND", rate)]).await;
    env.function.polled(1).await;
    match outage {
        Outage::Throttles => env.chime.always(Some(Fault::throttled())),
        Outage::Fails => env.chime.always(Some(Fault::service_failure())),
        Outage::Refuses => {
            let refuse = NewConnections::Refuse;
            env.chime.treat_new_connections(refuse).await;
            env.chime.end_idle_connections(End::Reset).await;
        }
        Outage::Swallows => {
            let swallow = NewConnections::Swallow;
            env.chime.treat_new_connections(swallow).await;
            env.chime.end_idle_connections(End::Silence).await;
        }
    }
    let ids = twenty_ids();
    let ids: Vec<&str> = ids.iter().take(count).map(String::as_str).collect();
    let (reply, took) = timed(env.send(&post("wait=20", messages(&ids)))).await;
    let outcomes = outcomes(&reply);
    let expected: &[&str] = match outage {
        Outage::Throttles => &["throttled"],
        Outage::Fails => &["upstream-failure"],
        Outage::Refuses => &["upstream-unavailable"],
        // A call on the open connection has no response, a new connection is not opened.
        Outage::Swallows => &["upstream-timeout", "upstream-unavailable"],
    };
    assert!(
        outcomes
            .iter()
            .all(|(_, it)| expected.contains(&it.as_str())),
        "{outage:?} at {rate}: {outcomes:?}"
    );
    assert!(took < FAILED_WAIT, "{outage:?} at {rate}: {took:?}");
    let calls = env.calls().len();
    assert!(calls <= 12, "{outage:?} at {rate}: {calls}");
}

#[tokio::test]
async fn a_wait_ends_early_at_every_rate_for_one_message_and_for_twenty() {
    use Outage::{Fails, Refuses, Swallows, Throttles};
    for rate in ["1", "3", "5"] {
        let waits = [Throttles, Fails, Refuses, Swallows].map(|outage| async move {
            assert_wait_ends_early(rate, outage, 1).await;
            assert_wait_ends_early(rate, outage, 20).await;
        });
        join_all(waits).await;
    }
}

#[tokio::test]
async fn a_wait_that_ends_early_keeps_what_chime_called_pending() {
    let env = TestEnv::new().await;
    env.seed_message("known", &user(ALICE), FlowOutcome::Pending);
    env.chime.fault_for("known", vec![Fault::Pass]);
    env.chime.always(Some(Fault::service_failure()));
    let body = messages(&["known", "a", "b", "c", "d", "e"]);
    let reply = env.send(&post("wait=20", body)).await;
    let outcomes = outcomes(&reply);
    assert_eq!(outcomes[0].1, "PENDING");
    let mut others = outcomes[1..].iter();
    assert!(
        others.all(|(_, outcome)| outcome == "upstream-failure"),
        "{outcomes:?}"
    );
    assert!(reply.header("retry-after").is_some());
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
async fn until_any_waits_for_the_first_call_of_each_message() {
    let env = TestEnv::new().await;
    env.seed_message("slow", &user(ALICE), FlowOutcome::Pending);
    env.seed_message("sent", &user(ALICE), FlowOutcome::sent());
    let slow = Fault::status_value("PENDING").after(SECOND);
    env.chime.fault_for("slow", vec![slow]);
    let body = messages(&["slow", "sent"]);
    let (reply, took) = timed(env.send(&post("wait=20&until=any", &body))).await;
    assert_eq!(outcomes(&reply)[0].1, "PENDING");
    assert_eq!(outcomes(&reply)[1].1, "SENT");
    assert!(took >= SECOND && took < 4 * SECOND, "{took:?}");
    let calls = env.calls();
    assert_eq!(calls.len(), 2, "no call begins after the decision");
}

#[tokio::test]
async fn until_any_does_not_count_a_failure_that_is_still_retried() {
    let env = TestEnv::new().await;
    for id in ["slow", "flaky"] {
        env.seed_message(id, &user(ALICE), FlowOutcome::Pending);
    }
    env.chime
        .fault_for("flaky", vec![Fault::service_failure(), Fault::Pass]);
    let body = messages(&["slow", "flaky"]);
    let (reply, took) = timed(env.send(&post("wait=2&until=any", &body))).await;
    let outcomes = outcomes(&reply);
    assert!(
        outcomes.iter().all(|(_, it)| it == "PENDING"),
        "{outcomes:?}"
    );
    assert!(took >= 2 * SECOND, "{took:?}");
}

#[tokio::test]
async fn until_is_accepted_with_a_wait_of_0_s() {
    let env = TestEnv::with(&[("MAX_WAIT_SECONDS", "0")]).await;
    env.seed_alices_message(FlowOutcome::Pending);
    for query in ["wait=0&until=any", "wait=20&until=any", "wait=20&until=all"] {
        let reply = env.send(&post(query, messages(&[MESSAGE]))).await;
        assert_eq!(outcomes(&reply)[0].1, "PENDING", "{query}");
    }
    assert_eq!(env.calls().len(), 3);
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
                let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "2500")]).await;
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
async fn concurrent_waits_do_not_wait_for_each_other() {
    let env = TestEnv::with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "20")]).await;
    let env = &env;
    let requests = twenty_ids().into_iter().map(|id| async move {
        env.seed_message(&id, &user(ALICE), FlowOutcome::sent_after(SECOND));
        let event = get_status(&id, "&wait=10");
        env.assert_status(&event, "SENT").await;
    });
    let (_, took) = timed(join_all(requests)).await;
    assert!(took < 10 * SECOND, "in sequence 20 s: {took:?}");
}
