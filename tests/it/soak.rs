//! Memory, connections, threads and file descriptors stay flat over the life of an environment, in both
//! modes of Lambda.
//!
//! lambda_runtime leaks 160 to 175 bytes per invocation when it serves one at a time and the trace id
//! changes. A test measures this leak, and fails when it is gone.
//!
//! `SOAK_INVOCATIONS` sets the number of invocations.

use std::fs::{read_dir, read_to_string};
use std::time::Duration;

use fakes::chime::Options;
use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::lambda::TraceIds;
use fakes::service_error::ServiceError;
use serde_json::{Value, json};

use crate::support::{
    GatewayResponse, TestEnv, get, get_status, messages, post, problem_name, user,
};
use crate::support::{request_id, unique_id};

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
    for caller in 0..callers {
        for (name, outcome) in [
            ("sent", FlowOutcome::sent()),
            ("lossy", FlowOutcome::sent()),
            ("throttled", refused("ThrottledClientException")),
            ("failure", refused("ServiceFailureException")),
            ("unavailable", refused("ServiceUnavailableException")),
        ] {
            env.seed_message(&id(name, caller), &user(&sender(caller)), outcome);
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
    futures_util::future::join_all(requests).await;
}

/// Sends one request of the mix, and checks the whole response. The ids of the caller and of the
/// request, or the number in `detail`, prove that the response belongs to this request.
async fn invoke(env: &TestEnv, callers: usize, caller: usize, number: usize) {
    let lossy = id("lossy", caller);
    let request = |mut event: Value| async move {
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = sender(caller).into();
        (env.send(&event).await, request_id(&event).to_owned())
    };
    let get_lossy_with = |faults: Vec<Fault>| {
        env.chime.fault_for(&lossy, faults);
        request(get_status(&lossy, ""))
    };
    let get_message = |name| request(get_status(&id(name, caller), ""));
    let sent_body = |name| json!({"messageId": id(name, caller), "status": "SENT"});
    let seed_new_message = || {
        let detail = format!("result {number}");
        let outcome = FlowOutcome::Decided("FAILED".into(), Some(detail.clone()));
        env.seed_message(&id("new", caller), &user(&sender(caller)), outcome);
        json!({"messageId": id("new", caller), "status": "FAILED", "detail": detail})
    };
    // In the sequential mode, the pauses before retries would take most of the time.
    let kind = if callers == 1 {
        WITHOUT_RETRIES[number % WITHOUT_RETRIES.len()]
    } else {
        number % MIX
    };
    match kind {
        0 => assert_problem(request(get("messageId=m")).await, 400, "invalid-request"),
        1 => {
            let mut event = get_status(&id("sent", caller), "");
            event["requestContext"]["authorizer"] = Value::Null;
            let id = request_id(&event).to_owned();
            assert_problem((env.send(&event).await, id), 401, "unauthenticated");
        }
        2 => {
            // This event has no id, but no other request of the mix gets this problem.
            let reply = env
                .send_bytes(format!("[{number}, \"{}\"", unique_id()))
                .await;
            reply.assert_problem(500, "internal-error");
        }
        3 => {
            let theirs = get_status(&id("sent", (caller + 1) % callers.max(2)), "");
            assert_problem(request(theirs).await, 404, "message-not-found");
        }
        4 => assert_problem(get_message("throttled").await, 429, "throttled"),
        5 => assert_problem(get_message("failure").await, 502, "upstream-failure"),
        6 => assert_problem(
            get_message("unavailable").await,
            503,
            "upstream-unavailable",
        ),
        7 => assert_ok(get_lossy_with(vec![Fault::Reset]).await, sent_body("lossy")),
        8 => assert_ok(
            get_lossy_with(vec![Fault::ResetInBody]).await,
            sent_body("lossy"),
        ),
        9 => {
            let response =
                get_lossy_with(vec![Fault::Close, Fault::ResetInHead, Fault::Reset]).await;
            assert_problem(response, 503, "upstream-unavailable");
        }
        // `Fault::CloseAfter` is not in the mix: another caller's request could reuse that connection,
        // and would fail once more than its own faults make it fail.
        10..15 => {
            let new = seed_new_message();
            let ids = [id("sent", caller), id("new", caller), id("none", caller)];
            let batch: [&str; BATCH] = ids.each_ref().map(String::as_str);
            let (reply, request) = request(post("", messages(&batch))).await;
            let mut results = reply.json()["results"].take();
            let missing = results[2]["problem"].take();
            assert_eq!(problem_name(&missing), "message-not-found");
            assert_eq!(missing["requestId"], request);
            let expected =
                json!([sent_body("sent"), new, {"messageId": id("none", caller), "problem": null}]);
            assert_eq!((reply.status, results), (200, expected));
        }
        _ => {
            let new = seed_new_message();
            assert_ok(get_message("new").await, new);
        }
    }
}

fn assert_ok((reply, _): (GatewayResponse, String), expected: Value) {
    assert_eq!((reply.status, reply.json()), (200, expected), "{reply:?}");
}

fn assert_problem((reply, request): (GatewayResponse, String), status: u64, name: &str) {
    reply.assert_problem(status, name);
    assert_eq!(reply.json()["requestId"], request, "{reply:?}");
}

fn refused(name: &str) -> FlowOutcome {
    FlowOutcome::Refused(ServiceError::named(name).expect("an error of Chime"))
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
        let process = format!("/proc/{}", env.function.pid());
        let status = read_to_string(format!("{process}/status")).expect("a process");
        let figure = |name: &str| {
            let mut lines = status.lines();
            let text = lines.find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
            text.and_then(|text| text.parse().ok()).expect("a figure")
        };
        Self {
            rss_kb: figure("VmRSS:"),
            threads: figure("Threads:"),
            fds: read_dir(format!("{process}/fd")).expect("fds").count(),
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
