//! Memory, connections, threads and file descriptors stay flat over the life of an environment, in both
//! modes of Lambda.
//!
//! lambda_runtime leaks 160 to 175 bytes per invocation when it serves one at a time and the trace id
//! changes. A test measures this leak, and fails when it is gone.
//!
//! `SOAK_INVOCATIONS` sets the number of invocations.

use std::fs::read_dir;
use std::time::Duration;

use fakes::chime::Options;
use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::lambda::TraceIds;
use fakes::service_error::ServiceError;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    TestEnv, get, get_status, messages, post, problem_name, process_figure, request_id,
};

const CALLERS: usize = 8;
const BATCH: usize = 3;
/// Shares no divisor with `CALLERS`, so each caller sends every kind of request.
const MIX: usize = 29;
/// The kinds of requests that need no retries.
const WITHOUT_RETRIES: [usize; 6] = [0, 1, 2, 3, 10, 15];
/// Ends a test that hangs. It does not limit the speed.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// Invocations before the first measurement. They fill pools and caches.
const WARM_UP: usize = 2_000;
/// Maximum growth in kB.
const MAX_GROWTH_KB: usize = 1_024;
/// The most bytes that lambda_runtime 1.5 leaks per invocation with a new trace id. docs/guarantees.md
/// states the range.
const RUNTIME_LEAK: usize = 175;

fn invocations() -> usize {
    std::env::var("SOAK_INVOCATIONS").map_or(2_000, |text| {
        text.parse().expect("SOAK_INVOCATIONS is a number")
    })
}

#[tokio::test]
async fn the_concurrent_mode_does_not_grow_with_changing_trace_ids() {
    soak(CALLERS, TraceIds::Changing, 0).await;
}

#[tokio::test]
async fn the_concurrent_mode_does_not_grow_with_a_constant_trace_id() {
    soak(CALLERS, TraceIds::Constant, 0).await;
}

#[tokio::test]
async fn the_sequential_mode_does_not_grow_with_a_constant_trace_id() {
    soak(1, TraceIds::Constant, 0).await;
}

#[tokio::test]
async fn the_sequential_mode_grows_by_the_runtimes_leak_with_changing_trace_ids() {
    soak(1, TraceIds::Changing, RUNTIME_LEAK).await;
}

/// Sends mixed requests, `callers` at once, and measures the process before and after.
#[expect(
    clippy::print_stdout,
    reason = "the figures are the result of a long run"
)]
async fn soak(callers: usize, trace_ids: TraceIds, leak: usize) {
    let concurrency = callers.to_string();
    let env = TestEnv::over_tls(
        Options::default(),
        &[
            ("AWS_LAMBDA_MAX_CONCURRENCY", concurrency.as_str()),
            ("CHIME_CALLS_PER_SECOND", "50"),
            // A busy machine must not look like a slow Chime.
            ("CHIME_ATTEMPT_TIMEOUT_MS", "2500"),
        ],
    )
    .await;
    env.function.use_trace_ids(trace_ids);
    let refused = |name| FlowOutcome::Refused(ServiceError::named(name).expect("an error"));
    for caller in 0..callers {
        for (name, outcome) in [
            ("sent", FlowOutcome::sent()),
            ("lossy", FlowOutcome::sent()),
            ("throttled", refused("ThrottledClientException")),
            ("failure", refused("ServiceFailureException")),
            ("unavailable", refused("ServiceUnavailableException")),
        ] {
            env.seed_message_of(&sender(caller), &id(name, caller), outcome);
        }
    }
    // The leak must be larger than the noise of the allocator.
    let invocations = invocations().max(leak * 64);
    let run = async {
        send_all(&env, callers, 0, WARM_UP).await;
        let before = ProcessFigures::at_rest(&env, callers, WARM_UP).await;
        send_all(&env, callers, WARM_UP, WARM_UP + invocations).await;
        let after = ProcessFigures::at_rest(&env, callers, WARM_UP + invocations).await;
        println!(
            "{callers} at once, {trace_ids:?} trace ids, {invocations} invocations: {before:?}, \
             then {after:?}"
        );
        after.assert_flat(&before, callers, leak * invocations / 1024);
    };
    tokio::time::timeout(TIMEOUT, run)
        .await
        .expect("the run ends");
}

/// Sends the invocations from `from` to `to`. Callers run at once, each one sends its own in sequence.
async fn send_all(env: &TestEnv, callers: usize, from: usize, to: usize) {
    let requests = (0..callers).map(|caller| async move {
        for number in (from..to).filter(|number| number % callers == caller) {
            invoke(env, callers, caller, number).await;
            if number % 1_000 == 0 {
                env.chime.forget_calls();
                env.function.forget_log();
            }
        }
    });
    join_all(requests).await;
}

/// Sends one request of the mix, and checks the whole response. The ids of the caller and of the
/// request, or the number in `detail`, prove that the response belongs to this request.
async fn invoke(env: &TestEnv, callers: usize, caller: usize, number: usize) {
    let id = |name| id(name, caller);
    let get_message = |name| get_status(&id(name), "");
    let sent = |name| json!({"messageId": id(name), "status": "SENT"});
    let seed_new = || {
        let detail = format!("result {number}");
        let outcome = FlowOutcome::Decided("FAILED".into(), Some(detail.clone()));
        env.seed_message_of(&sender(caller), &id("new"), outcome);
        json!({"messageId": id("new"), "status": "FAILED", "detail": detail})
    };
    let get_lossy = |faults| {
        env.chime.fault_for(&id("lossy"), faults);
        get_message("lossy")
    };
    // In the sequential mode, the pauses before retries would take most of the time.
    let kind = if callers == 1 {
        WITHOUT_RETRIES[number % WITHOUT_RETRIES.len()]
    } else {
        number % MIX
    };
    // `Fault::CloseAfter` is not in the mix: another caller's request could reuse that connection,
    // and would fail once more than its own faults make it fail.
    let lost = vec![Fault::Close, Fault::ResetInHead, Fault::Reset];
    let (mut event, expected) = match kind {
        0 => (get("messageId=m"), Err((400, "invalid-request"))),
        1 => (get_message("sent"), Err((401, "unauthenticated"))),
        2 => (json!([number]), Err((500, "internal-error"))),
        3 => (get_message("theirs"), Err((404, "message-not-found"))),
        4 => (get_message("throttled"), Err((429, "throttled"))),
        5 => (get_message("failure"), Err((502, "upstream-failure"))),
        6 => (
            get_message("unavailable"),
            Err((503, "upstream-unavailable")),
        ),
        7 => (get_lossy(vec![Fault::Reset]), Ok(sent("lossy"))),
        8 => (get_lossy(vec![Fault::ResetInBody]), Ok(sent("lossy"))),
        9 => (get_lossy(lost), Err((503, "upstream-unavailable"))),
        10..15 => {
            let batch: [String; BATCH] = ["sent", "new", "none"].map(id);
            let none = json!({"messageId": id("none"), "problem": null});
            let results = json!([sent("sent"), seed_new(), none]);
            let event = post("", messages(&batch));
            (event, Ok(json!({ "results": results })))
        }
        _ => {
            let new = seed_new();
            (get_message("new"), Ok(new))
        }
    };
    if kind == 1 {
        event["requestContext"]["authorizer"].take();
    } else if kind != 2 {
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = sender(caller).into();
    }
    let reply = env.send(&event).await;
    let mut body = reply.json();
    match expected {
        Ok(expected) => {
            if let Some(problem) = body.pointer_mut("/results/2/problem").map(Value::take) {
                assert_eq!(problem_name(&problem), "message-not-found");
                assert_eq!(problem["requestId"], request_id(&event));
            }
            assert_eq!((reply.status, body), (200, expected), "{reply:?}");
        }
        Err((status, name)) => {
            reply.assert_problem(status, name);
            // An event that is not a gateway's has no id.
            assert!(
                kind == 2 || body["requestId"] == request_id(&event),
                "{reply:?}"
            );
        }
    }
}

fn id(name: &str, caller: usize) -> String {
    format!("{name}-{caller}")
}

fn sender(caller: usize) -> String {
    format!("user-{caller}")
}

/// The size of the process, and its connections to Chime.
#[derive(Debug)]
struct ProcessFigures {
    rss_kb: usize,
    threads: usize,
    fds: usize,
    connections: usize,
}

impl ProcessFigures {
    /// Measures when every worker waits for an invocation, so no work is unfinished.
    async fn at_rest(env: &TestEnv, callers: usize, invocations: usize) -> Self {
        env.function.polled(invocations + callers).await;
        let fds = read_dir(format!("/proc/{}/fd", env.function.pid()));
        Self {
            rss_kb: process_figure(&env.function, "VmRSS:"),
            threads: process_figure(&env.function, "Threads:"),
            fds: fds.expect("fds").count(),
            connections: env.chime.open_connections(),
        }
    }

    /// Asserts that nothing has grown, except by `leak_kb`.
    fn assert_flat(&self, before: &Self, callers: usize, leak_kb: usize) {
        // Connections are kept for reuse: at most one for each call that can be in flight. Each worker
        // has one connection to the Runtime API, and one more for its responses.
        let to_chime = callers * BATCH;
        assert!(self.connections <= to_chime, "{self:?}, {before:?}");
        let reusable = to_chime.saturating_sub(before.connections) + callers;
        assert!(self.fds <= before.fds + reusable, "{self:?}, {before:?}");
        assert!(self.threads <= before.threads, "{self:?}, {before:?}");
        let growth = self.rss_kb.saturating_sub(before.rss_kb);
        assert!(growth < MAX_GROWTH_KB + leak_kb, "{self:?}, {before:?}");
        assert!(
            growth >= leak_kb / 2,
            "lambda_runtime no longer leaks: remove the sentence from docs/guarantees.md, and \
             RUNTIME_LEAK. {self:?}, {before:?}"
        );
    }
}
