//! `wait` and `until`. The rules of waits are tested without I/O, beside the plan. Here each kind is seen once
//! from outside.

use std::time::Duration;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::http::{End, NewConnections};
use fakes::lambda::timed;
use futures_util::future::join_all;

use crate::support::{MESSAGE, SECOND, TestEnv, get_status, messages, post, twenty_ids};

/// How long a failing Chime can hold a wait: 3.8 s, and the way to the function and back on a busy machine.
const FAILED_WAIT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn the_response_comes_when_the_message_is_no_longer_pending() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent_after(SECOND));
    let (reply, took) = timed(env.send(&get_status(MESSAGE, "&wait=20"))).await;
    reply.assert_status("SENT");
    assert!(took >= SECOND && took < 4 * SECOND, "{took:?}");
    assert_eq!(reply.retry_after(), None);
}

#[tokio::test]
async fn an_expired_wait_returns_pending() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::Pending);
    let (reply, took) = timed(env.send(&get_status(MESSAGE, "&wait=2"))).await;
    reply.assert_status("PENDING");
    assert!(reply.retry_after().is_some());
    assert!(took >= 2 * SECOND && took < 3 * SECOND, "{took:?}");
    let calls = env.calls().len();
    assert_eq!(calls, 6, "after 0, 0.2, 0.4, 0.7, 1.1 and 1.7 s");
}

#[tokio::test]
async fn a_wait_is_cut_to_the_configured_maximum() {
    let env = TestEnv::with(&[("MAX_WAIT_SECONDS", "1")]).await;
    env.seed(FlowOutcome::Pending);
    for wait in ["20", "99999999999999999999999999"] {
        let event = get_status(MESSAGE, &format!("&wait={wait}"));
        let (reply, took) = timed(env.send(&event)).await;
        reply.assert_status("PENDING");
        assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
    }
}

#[tokio::test]
async fn a_wait_of_0_s_makes_one_call_and_accepts_until() {
    for (max_wait, wait) in [("20", 0), ("0", 20)] {
        let env = TestEnv::with(&[("MAX_WAIT_SECONDS", max_wait)]).await;
        env.seed(FlowOutcome::Pending);
        let event = get_status(MESSAGE, &format!("&wait={wait}"));
        env.assert_status(&event, "PENDING").await;
        for until in ["any", "all"] {
            let query = format!("wait={wait}&until={until}");
            let reply = env.send(&post(&query, messages(&[MESSAGE]))).await;
            reply.assert_all("PENDING");
        }
        assert_eq!(env.calls().len(), 3);
    }
}

#[tokio::test]
async fn until_outside_a_waiting_batch_or_with_another_value_is_rejected() {
    let env = TestEnv::new().await;
    let body = messages(&[MESSAGE]);
    let mut with_until = body.clone();
    with_until["until"] = "any".into();
    for event in [
        get_status(MESSAGE, "&until=any"),
        get_status(MESSAGE, "&wait=1&until=any"),
        post("until=any", &body),
        post("wait=1&until=some", &body),
        post("wait=1&until=", &body),
        post("wait=1&until=any&until=any", &body),
        post("wait=1", with_until),
    ] {
        env.assert_fields(&event, "until").await;
    }
    env.assert_no_call();
}

#[tokio::test]
async fn a_single_failure_does_not_end_a_wait() {
    for fault in [
        Fault::throttled(),
        Fault::Reset,
        Fault::Hang,
        Fault::json("{}"),
    ] {
        let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "300")]).await;
        env.seed(FlowOutcome::sent_after(SECOND / 2));
        env.chime.script(vec![Fault::Pass, fault, Fault::Pass]);
        let event = get_status(MESSAGE, "&wait=10");
        env.assert_status(&event, "SENT").await;
    }
}

#[tokio::test]
async fn a_message_is_gone_if_it_was_pending_earlier_in_the_same_request() {
    let env = TestEnv::new().await;
    let wait = get_status(MESSAGE, "&wait=10");
    env.seed(FlowOutcome::PendingThen {
        after: SECOND / 2,
        value: "DENIED".into(),
        detail: None,
    });
    env.assert_problem(&wait, 410, "message-gone").await;
    for fault in [Fault::not_found(), Fault::forbidden(), Fault::bad_request()] {
        env.seed(FlowOutcome::Pending);
        env.chime.script(vec![Fault::Pass, fault.clone()]);
        env.assert_problem(&wait, 410, "message-gone").await;
        env.chime.script(vec![fault]);
        env.assert_problem(&wait, 404, "message-not-found").await;
    }
    for id in ["stays", "goes"] {
        env.seed_message(id, FlowOutcome::Pending);
    }
    let faults = vec![Fault::Pass, Fault::not_found()];
    env.chime.fault_for("goes", faults);
    let body = messages(&["stays", "none", "goes"]);
    let reply = env.send(&post("wait=1", body)).await;
    reply.assert_outcomes("stays PENDING, none message-not-found, goes message-gone");
}

/// How Chime fails in every call.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Throttles,
    Fails,
    Refuses,
    Swallows,
}

impl Outage {
    /// The problems that the messages may get.
    async fn begin(self, env: &TestEnv) -> &'static [&'static str] {
        let network = |treatment, end| async move {
            env.chime.treat_new_connections(treatment).await;
            env.chime.end_idle_connections(end).await;
        };
        match self {
            Self::Throttles => {
                env.chime.always(Some(Fault::throttled()));
                &["throttled"]
            }
            Self::Fails => {
                env.chime.always(Some(Fault::service_failure()));
                &["upstream-failure"]
            }
            Self::Refuses => {
                network(NewConnections::Refuse, End::Reset).await;
                &["upstream-unavailable"]
            }
            // A call on the open connection has no response, a new connection is not opened.
            Self::Swallows => {
                network(NewConnections::Swallow, End::Silence).await;
                &["upstream-timeout", "upstream-unavailable"]
            }
        }
    }
}

async fn assert_wait_ends_early(rate: &str, outage: Outage, messages_in_request: usize) {
    let env = TestEnv::with(&[("CHIME_CALLS_PER_SECOND", rate)]).await;
    env.function.polled(1).await;
    let expected = outage.begin(&env).await;
    let body = messages(&twenty_ids()[..messages_in_request]);
    let (reply, took) = timed(env.send(&post("wait=20", body))).await;
    for (_, outcome) in reply.outcomes() {
        assert!(
            expected.contains(&&*outcome),
            "{outage:?} at {rate}: {reply:?}"
        );
    }
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
    env.seed_message("known", FlowOutcome::Pending);
    env.chime.fault_for("known", vec![Fault::Pass]);
    env.chime.always(Some(Fault::service_failure()));
    let body = messages(&["known", "a", "b"]);
    let (reply, took) = timed(env.send(&post("wait=20", body))).await;
    reply.assert_outcomes("known PENDING, a upstream-failure, b upstream-failure");
    assert!(reply.retry_after().is_some());
    assert!(took < FAILED_WAIT, "{took:?}");
}

#[tokio::test]
async fn until_any_responds_soon_after_the_first_decision_and_all_is_the_default() {
    let env = TestEnv::new().await;
    env.seed_message("slow", FlowOutcome::Pending);
    env.seed_message("quick", FlowOutcome::sent_after(SECOND / 2));
    let body = messages(&["slow", "quick"]);
    let (reply, took) = timed(env.send(&post("wait=20&until=any", &body))).await;
    reply.assert_outcomes("slow PENDING, quick SENT");
    assert!(reply.retry_after().is_some());
    assert!(took < 3 * SECOND, "{took:?}");
    for query in ["wait=2", "wait=2&until=all"] {
        let (_, took) = timed(env.send(&post(query, &body))).await;
        assert!(took >= 2 * SECOND, "{query}: {took:?}");
    }
}

#[tokio::test]
async fn a_batch_waits_until_every_message_is_decided() {
    let env = TestEnv::new().await;
    env.seed_message("now", FlowOutcome::sent());
    env.seed_message("soon", FlowOutcome::sent_after(SECOND / 2));
    env.seed_message("later", FlowOutcome::sent_after(SECOND));
    let body = messages(&["later", "now", "soon"]);
    let (reply, took) = timed(env.send(&post("wait=20", body))).await;
    reply.assert_outcomes("later SENT, now SENT, soon SENT");
    assert!(took >= SECOND && took < 5 * SECOND, "{took:?}");
    let mut calls = env.calls();
    calls.retain(|call| call.message_id.as_deref() == Some("now"));
    assert_eq!(calls.len(), 1, "a decided message is not called again");
}

#[tokio::test]
async fn concurrent_waits_do_not_wait_for_each_other() {
    let env = TestEnv::with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "20")]).await;
    env.seed_twenty(&FlowOutcome::sent_after(SECOND));
    let events: Vec<_> = twenty_ids()
        .iter()
        .map(|id| get_status(id, "&wait=10"))
        .collect();
    let requests = events.iter().map(|event| env.assert_status(event, "SENT"));
    let (_, took) = timed(join_all(requests)).await;
    assert!(took < 10 * SECOND, "in sequence 20 s: {took:?}");
}
