//! Fake Lambda host: the [Runtime API][api] on loopback, and the function binary as a child process
//! with its own environment. It reads the log of the process, and can freeze it.
//!
//! [api]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::http::{End, HttpRequest, HttpResponse, Reply, Server, ServerOptions, TakeOver};

const PREFIX: &str = "/2018-06-01/runtime/";
const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:111122223333:function:under-test";
/// Longest time that a test waits for a result, whatever the deadline of the invocation.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(40);

/// A running function and its Runtime API. Dropping it kills the process.
pub struct FakeLambda {
    server: Option<Server>,
    runtime_api: Arc<RuntimeApi>,
    log: Arc<watch::Sender<Vec<String>>>,
    child: Child,
    pid: Pid,
}

/// State of the Runtime API: the queued and the running invocations.
struct RuntimeApi {
    /// The responses to requests for the next invocation.
    waiting: mpsc::UnboundedSender<HttpResponse>,
    next: tokio::sync::Mutex<mpsc::UnboundedReceiver<HttpResponse>>,
    running: Mutex<HashMap<String, RunningInvocation>>,
    polls: watch::Sender<usize>,
    trace_ids: Mutex<TraceIds>,
    responses_to_lose: AtomicUsize,
}

struct RunningInvocation {
    /// The response must repeat it, so Lambda can check that it belongs to this invocation.
    invocation_id: String,
    result: oneshot::Sender<InvocationResult>,
}

/// The X-Ray trace ids of invocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceIds {
    /// A new one for each invocation, as Lambda does.
    #[default]
    Changing,
    /// The same one for all invocations.
    Constant,
}

/// The result of one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvocationResult {
    /// The response of the function, unchanged.
    Response(Vec<u8>),
    /// An invocation error, unchanged.
    Error(Vec<u8>),
    /// No result: the process ended, the response was lost, or no result came within 40 s.
    Nothing,
}

impl FakeLambda {
    /// Starts `binary` with `variables` and those that Lambda sets. Inherits no other variable.
    ///
    /// # Errors
    /// If it cannot listen on a port, or the binary does not start.
    pub async fn start(
        binary: impl AsRef<Path>,
        variables: &[(&str, &str)],
    ) -> io::Result<FakeLambda> {
        let (waiting, next) = mpsc::unbounded_channel();
        let runtime_api = Arc::new(RuntimeApi {
            waiting,
            next: tokio::sync::Mutex::new(next),
            running: Mutex::default(),
            polls: watch::Sender::default(),
            trace_ids: Mutex::default(),
            responses_to_lose: AtomicUsize::new(0),
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(ServerOptions::plain(address), {
            let runtime_api = Arc::clone(&runtime_api);
            move |request| {
                let runtime_api = Arc::clone(&runtime_api);
                async move { runtime_api.respond(request).await }
            }
        })
        .await?;
        let mut child = Command::new(binary.as_ref())
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", server.addr().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "under-test")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .env("AWS_REGION", "us-east-1")
            .env("_HANDLER", "bootstrap")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let log = Arc::new(watch::Sender::default());
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(read_lines(stdout, Arc::clone(&log)));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(read_lines(stderr, Arc::clone(&log)));
        }
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .ok_or_else(|| io::Error::other("the process has no id"))?;
        Ok(FakeLambda {
            server: Some(server),
            runtime_api,
            log,
            child,
            pid,
        })
    }

    /// Invokes the function with a deadline that is `deadline` from now. `None` is a deadline in 1970.
    pub async fn invoke(
        &self,
        event: impl Into<Vec<u8>>,
        deadline: Option<Duration>,
    ) -> InvocationResult {
        let root = match *lock(&self.runtime_api.trace_ids) {
            TraceIds::Changing => fastrand::u128(..),
            TraceIds::Constant => 1,
        };
        let (time, unique) = (root >> 96, root & (u128::MAX >> 32));
        let trace_header =
            format!("Root=1-{time:08x}-{unique:024x};Parent=53995c3f42cd8ad8;Sampled=0");
        self.invoke_traced(event, deadline, &trace_header).await
    }

    /// Invokes the function with an X-Ray trace header.
    pub async fn invoke_traced(
        &self,
        event: impl Into<Vec<u8>>,
        deadline: Option<Duration>,
        trace_header: &str,
    ) -> InvocationResult {
        let id = format!("{:08x}-0000-4000-8000-000000000000", fastrand::u32(..));
        let invocation_id = format!("{:032x}", fastrand::u128(..));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let deadline = deadline.map_or(1000, |deadline| (now + deadline).as_millis());
        let invocation = HttpResponse::new(200, "application/json", event)
            .with("Lambda-Runtime-Aws-Request-Id", &id)
            .with("Lambda-Runtime-Invocation-Id", &invocation_id)
            .with("Lambda-Runtime-Deadline-Ms", &deadline.to_string())
            .with("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN)
            .with("Lambda-Runtime-Trace-Id", trace_header);
        let (result, ended) = oneshot::channel();
        let running = RunningInvocation {
            invocation_id,
            result,
        };
        lock(&self.runtime_api.running).insert(id.clone(), running);
        let _ = self.runtime_api.waiting.send(invocation);
        match tokio::time::timeout(INVOCATION_TIMEOUT, ended).await {
            Ok(Ok(result)) => result,
            _ => {
                lock(&self.runtime_api.running).remove(&id);
                InvocationResult::Nothing
            }
        }
    }

    /// Closes the Runtime API and its connections.
    pub async fn stop_runtime_api(&mut self) {
        if let Some(server) = self.server.take() {
            server.close_connections().await;
        }
    }

    /// Sets the trace ids of the following invocations.
    pub fn use_trace_ids(&self, trace_ids: TraceIds) {
        *lock(&self.runtime_api.trace_ids) = trace_ids;
    }

    /// Resets the connection instead of accepting a response, for the next `number` responses.
    pub fn lose_responses(&self, number: usize) {
        self.runtime_api
            .responses_to_lose
            .store(number, Ordering::SeqCst);
    }

    /// Waits, without a timeout, until the function has requested its next invocation `times` times
    /// since its start. The first request ends its initialization.
    pub async fn polled(&self, times: usize) {
        let mut polls = self.runtime_api.polls.subscribe();
        // The sender lives as long as `runtime_api`.
        let _ = polls.wait_for(|polls| *polls >= times).await;
    }

    /// All lines that the process has written to stdout and stderr since its start or `forget_log`.
    pub fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Discards the lines so far, so that a long test does not keep all of them.
    pub fn forget_log(&self) {
        self.log.send_modify(Vec::clear);
    }

    /// The first line that matches `wanted`. Waits for it, because a line can arrive after the response.
    pub async fn log_line(
        &self,
        wanted: impl Fn(&str) -> bool,
        timeout: Duration,
    ) -> Option<String> {
        let find = |lines: &Vec<String>| lines.iter().find(|line| wanted(line)).cloned();
        let mut log = self.log.subscribe();
        let found = log.wait_for(|lines| find(lines).is_some());
        let lines = tokio::time::timeout(timeout, found).await.ok()?.ok()?;
        find(&lines)
    }

    /// The id of the process.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Stops the process as Lambda does between invocations.
    ///
    /// # Errors
    /// If the process no longer exists.
    pub fn freeze(&self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::STOP)?)
    }

    /// Continues a frozen process.
    ///
    /// # Errors
    /// If the process no longer exists.
    pub fn thaw(&self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// The exit status of the process, if it ends within `timeout`.
    pub async fn exit(&mut self, timeout: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(timeout, self.child.wait())
            .await
            .ok()?
            .ok()
    }

    /// Whether the process is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl RuntimeApi {
    async fn respond(&self, request: HttpRequest) -> Reply {
        let path = request.path().strip_prefix(PREFIX).unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["invocation", "next"]) => self.next().await.into(),
            ("POST", ["invocation", id, "response"]) if self.loses_response() => {
                lock(&self.running).remove(*id);
                Reply::TakeOver(TakeOver::end(End::Reset))
            }
            ("POST", ["invocation", id, "response"]) => {
                self.end(id, &request, InvocationResult::Response).into()
            }
            ("POST", ["invocation", id, "error"]) => {
                self.end(id, &request, InvocationResult::Error).into()
            }
            ("POST", ["init", "error"]) => HttpResponse::new(202, "", "").into(),
            _ => HttpResponse::new(404, "", "").into(),
        }
    }

    fn loses_response(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        let counter = &self.responses_to_lose;
        let lost = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        lost.is_ok()
    }

    async fn next(&self) -> HttpResponse {
        self.polls.send_modify(|polls| *polls += 1);
        let next = self.next.lock().await.recv().await;
        next.unwrap_or_else(|| HttpResponse::new(500, "", ""))
    }

    /// Ends an invocation. As in Lambda, a response with the invocation id of another one is rejected.
    fn end(
        &self,
        id: &str,
        request: &HttpRequest,
        result: fn(Vec<u8>) -> InvocationResult,
    ) -> HttpResponse {
        let Some(running) = lock(&self.running).remove(id) else {
            return HttpResponse::new(410, "", "");
        };
        if request.header("Lambda-Runtime-Invocation-Id") != Some(&running.invocation_id) {
            return HttpResponse::new(400, "", "");
        }
        let _ = running.result.send(result(request.body.clone()));
        HttpResponse::new(202, "application/json", r#"{"status":"OK"}"#)
    }
}

async fn read_lines(stream: impl AsyncRead + Unpin, log: Arc<watch::Sender<Vec<String>>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.send_modify(|log| log.push(line));
    }
}

/// Ignores poisoning: no change behind these locks can be left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The output of `future`, and how long it took.
pub async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    let outcome = future.await;
    (outcome, started.elapsed())
}
