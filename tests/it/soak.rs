//! An environment lives for hours: what each answer left behind would add up. Thousands of mixed
//! requests, many at once, and the process is no bigger after all of them than after a tenth.
//!
//! `SOAK_INVOCATIONS` says how many.

use std::fs::{read_dir, read_to_string};
use std::time::Duration;

use fakes::chime::Options;
use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::service_error::ServiceError;
use serde_json::{Value, json};

use crate::support::{
    GatewayResponse, TestEnv, get, get_message, messages, post, problem_name, user,
};
use crate::support::{request_id, unique_id};

const CALLERS: usize = 16;
const BATCH: usize = 3;
/// Shares no divisor with the callers, so that each of them comes through the whole mix.
const MIX: usize = 29;
/// Something hangs. It is no measure of speed.
const PATIENCE: Duration = Duration::from_secs(3600);

#[tokio::test]
#[expect(
    clippy::print_stdout,
    reason = "the figures are what a long run is for"
)]
async fn after_thousands_of_requests_the_process_is_as_small_as_before() {
    let invocations = std::env::var("SOAK_INVOCATIONS").map_or(2_000, |text| {
        text.parse().expect("SOAK_INVOCATIONS is a number")
    });
    let callers = CALLERS.to_string();
    let env = TestEnv::over_tls(
        Options::default(),
        &[
            ("AWS_LAMBDA_MAX_CONCURRENCY", callers.as_str()),
            // Fewer pauses before retries: they are what the time would be spent on.
            ("AWS_MAX_ATTEMPTS", "2"),
            // A busy machine is no fault of Chime's.
            ("CHIME_ATTEMPT_TIMEOUT_MS", "20000"),
        ],
    )
    .await;
    for caller in 0..CALLERS {
        for (name, fate) in [
            ("sent", FlowOutcome::sent()),
            ("lossy", FlowOutcome::sent()),
            ("throttled", refused("ThrottledClientException")),
            ("failure", refused("ServiceFailureException")),
            ("unavailable", refused("ServiceUnavailableException")),
        ] {
            env.seed_message(&id(name, caller), &user(&sender(caller)), fate);
        }
    }
    let soak = async {
        let tenth = invocations / 10;
        send(&env, 0, tenth).await;
        let before = ProcessFigures::at_rest(&env, tenth).await;
        send(&env, tenth, invocations).await;
        let after = ProcessFigures::at_rest(&env, invocations).await;
        println!("after {tenth}: {before:?}; after {invocations}: {after:?}");
        after.assert_no_growth_since(&before);
    };
    tokio::time::timeout(PATIENCE, soak)
        .await
        .expect("an end of it");
}

/// These invocations, each caller's one after the other; returns when all are answered.
async fn send(env: &TestEnv, from: usize, to: usize) {
    let callers = (0..CALLERS).map(|caller| async move {
        for number in (from..to).filter(|number| number % CALLERS == caller) {
            invoke(env, caller, number).await;
            if number % 1_000 == 0 {
                env.chime.forget_calls();
                env.function.forget_log();
            }
        }
    });
    futures_util::future::join_all(callers).await;
}

/// One request of the mix, and all that its answer must be. The answer is this very request's: it
/// has the caller's own message, with this invocation's number, or this request's id.
async fn invoke(env: &TestEnv, caller: usize, number: usize) {
    let lossy = id("lossy", caller);
    let ask = |mut event: Value| async move {
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = sender(caller).into();
        (env.ask(&event).await, request_id(&event).to_owned())
    };
    let lose = |faults: Vec<Fault>| {
        env.chime.fault_for(&lossy, faults);
        ask(get_message(&lossy, ""))
    };
    let about = |name| ask(get_message(&id(name, caller), ""));
    let sent = |name| json!({"messageId": id(name, caller), "status": "SENT"});
    let whats_new = || {
        let detail = format!("what became of {number}");
        let fate = FlowOutcome::Settled("FAILED".into(), Some(detail.clone()));
        env.seed_message(&id("new", caller), &user(&sender(caller)), fate);
        json!({"messageId": id("new", caller), "status": "FAILED", "detail": detail})
    };
    match number % MIX {
        0 => is_refused(ask(get("messageId=m")).await, 400, "invalid-request"),
        1 => {
            let mut event = get_message(&id("sent", caller), "");
            event["requestContext"]["authorizer"] = Value::Null;
            let id = request_id(&event).to_owned();
            is_refused((env.ask(&event).await, id), 401, "unauthenticated");
        }
        2 => {
            // Nothing in it says whose it is, but no other request of the mix is answered so.
            let reply = env
                .ask_bytes(format!("[{number}, \"{}\"", unique_id()))
                .await;
            reply.assert_problem(500, "internal-error");
        }
        3 => {
            let theirs = get_message(&id("sent", (caller + 1) % CALLERS), "");
            is_refused(ask(theirs).await, 404, "message-not-found");
        }
        4 => is_refused(about("throttled").await, 429, "throttled"),
        5 => is_refused(about("failure").await, 502, "upstream-failure"),
        6 => is_refused(about("unavailable").await, 503, "upstream-unavailable"),
        7 => is(lose(vec![Fault::Reset]).await, sent("lossy")),
        8 => is(lose(vec![Fault::ResetInBody]).await, sent("lossy")),
        9 => {
            let answer = lose(vec![Fault::Close, Fault::ResetInHead]).await;
            is_refused(answer, 503, "upstream-unavailable");
        }
        // Nothing closes a connection behind an answer: another caller's request could meet it, and
        // with the fault meant for it be lost more often than it is tried.
        10..15 => {
            let new = whats_new();
            let ids = [id("sent", caller), id("new", caller), id("none", caller)];
            let batch: [&str; BATCH] = ids.each_ref().map(String::as_str);
            let (reply, request) = ask(post("", messages(&batch))).await;
            let mut results = reply.json()["results"].take();
            let missing = results[2]["problem"].take();
            assert_eq!(problem_name(&missing), "message-not-found");
            assert_eq!(missing["requestId"], request);
            let expected =
                json!([sent("sent"), new, {"messageId": id("none", caller), "problem": null}]);
            assert_eq!((reply.status, results), (200, expected));
        }
        _ => {
            let new = whats_new();
            is(about("new").await, new);
        }
    }
}

fn is((reply, _): (GatewayResponse, String), expected: Value) {
    assert_eq!((reply.status, reply.json()), (200, expected), "{reply:?}");
}

fn is_refused((reply, request): (GatewayResponse, String), status: u64, name: &str) {
    reply.assert_problem(status, name);
    assert_eq!(reply.json()["requestId"], request, "{reply:?}");
}

fn refused(name: &str) -> FlowOutcome {
    FlowOutcome::Refused(ServiceError::named(name).expect("one of Chime's"))
}

fn id(name: &str, caller: usize) -> String {
    format!("{name}-{caller}")
}

fn sender(caller: usize) -> String {
    format!("user-{caller}")
}

/// How big the process is, and how many connections Chime has of it.
#[derive(Debug)]
struct ProcessFigures {
    rss_kb: usize,
    threads: usize,
    fds: usize,
    connections: usize,
}

impl ProcessFigures {
    /// Once the function asks for work again on all sides, nothing of the earlier work is going on.
    async fn at_rest(env: &TestEnv, invocations: usize) -> Self {
        env.function.polled(invocations + CALLERS).await;
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

    fn assert_no_growth_since(&self, before: &Self) {
        // Kept for reuse: no more connections to Chime than there can be calls at once, and beside
        // the connection that each caller's worker polls on, one more that it has answered on.
        let to_chime = CALLERS * BATCH;
        assert!(self.connections <= to_chime, "{self:?}, {before:?}");
        let reusable = to_chime.saturating_sub(before.connections) + CALLERS;
        assert!(self.fds <= before.fds + reusable, "{self:?}, {before:?}");
        assert!(self.threads <= before.threads, "{self:?}, {before:?}");
        // The allocator's own ups and downs, and no more.
        let most = before.rss_kb + (before.rss_kb * 15 / 100).max(2_048);
        assert!(self.rss_kb <= most, "{self:?}, {before:?}");
    }
}
