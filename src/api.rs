//! HTTP API: validates requests, runs operations, makes responses.
//!
//! Every request takes one path: [`App::respond`].

mod batch_get_status;
mod cors;
mod fields;
mod get_status;
mod response;
pub mod routes;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

pub use response::Response;

use crate::caller::Caller;
use crate::chime::{ChimeCall, ChimeClient, ChimeError, ErrorKind};
use crate::config::Config;
use crate::event::Event;
use crate::polling::{RetryPolicy, Scheduler, Wait};
use crate::problem::{Problem, ProblemType};
use crate::rate_limit::RateLimiter;
use crate::telemetry::{Record, RequestMetrics, TraceId};
use routes::Target;

/// Maximum time for a response. A REST API gives up after 29 s, counted from before the invocation.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(28);
/// Time before Lambda's deadline that is kept for the response to reach the gateway.
const RESPONSE_MARGIN: Duration = Duration::from_millis(500);

/// The application: responds to all invocations of one environment.
pub struct App {
    config: Config,
    chime: ChimeClient,
    function_name: String,
    has_responded: AtomicBool,
}

/// One invocation, as the Runtime API reports it.
pub struct Invocation<'i> {
    /// Lambda's id of the invocation.
    pub request_id: &'i str,
    /// The X-Ray trace header.
    pub trace_header: Option<&'i str>,
    /// When Lambda gives up, in milliseconds since 1970. A time in the past is ignored.
    pub deadline: u64,
}

impl App {
    /// Combines the parts. `function_name` is the dimension of the metrics.
    pub fn new(config: Config, chime: ChimeClient, function_name: String) -> Self {
        Self {
            config,
            chime,
            function_name,
            has_responded: AtomicBool::new(false),
        }
    }

    /// Responds to an invocation, valid or not, before Lambda and the gateway give up. Writes one record
    /// to the log.
    pub async fn respond(&self, event: &str, invocation: &Invocation<'_>) -> Response {
        let started = Instant::now();
        let event = Event::parse(event);
        let request_id = event
            .as_ref()
            .ok()
            .and_then(Event::request_id)
            .unwrap_or(invocation.request_id);
        let request = RequestContext {
            app: self,
            id: request_id,
            started,
            deadline: deadline(started, invocation.deadline),
            metrics: Mutex::default(),
        };
        let result = match &event {
            Ok(event) => request.run(event).await,
            Err(malformed) => Err(Problem::because(ProblemType::InternalError, malformed)),
        };
        let response = result.unwrap_or_else(|problem| {
            request.metrics().problem(&problem);
            Response::problem(&problem, request_id)
        });
        self.finish(event.as_ref().ok(), response, request, invocation)
    }

    /// Completes a response, and writes the record.
    fn finish(
        &self,
        event: Option<&Event<'_>>,
        mut response: Response,
        request: RequestContext<'_>,
        invocation: &Invocation<'_>,
    ) -> Response {
        let method = event.map_or("", Event::method);
        if let Some(origins) = &self.config.origins {
            let origin = event.and_then(|event| event.headers.origin.as_deref());
            let methods = event.into_iter().flat_map(routes::methods);
            cors::allow(&mut response, origins, origin, methods);
        }
        if method == "HEAD" {
            response.drop_body();
        }
        if event.is_some_and(Event::is_format_2_0) {
            response.in_format_2_0();
        }
        Record {
            function_name: &self.function_name,
            request_id: request.id,
            lambda_request_id: invocation.request_id,
            trace_id: invocation.trace_header.and_then(TraceId::parse),
            method: known_method(method),
            http_status: response.status(),
            cold_start: !self.has_responded.swap(true, Ordering::Relaxed),
            total: request.started.elapsed(),
            metrics: request
                .metrics
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        }
        .write();
        response
    }
}

/// One request while it is served.
struct RequestContext<'r> {
    app: &'r App,
    id: &'r str,
    started: Instant,
    deadline: Instant,
    metrics: Mutex<RequestMetrics>,
}

impl RequestContext<'_> {
    async fn run(&self, event: &Event<'_>) -> Result<Response, Problem> {
        let config = &self.app.config;
        let (source, caller) = Caller::identify(event, &config.mapping);
        self.metrics().event_source = Some(source);
        match Target::find(event, config.handles_preflights())? {
            Target::Preflight => Ok(cors::preflight()),
            Target::Route(route) => {
                self.metrics().operation = Some(route.name);
                route.read(event, caller)?.respond(self).await
            }
        }
    }

    /// The policy of a request with this `wait`, which is cut to `MAX_WAIT_SECONDS`. Zero does not wait.
    fn policy(&self, wait: Duration, ends_with_first: bool) -> RetryPolicy {
        let wait = wait.min(self.app.config.max_wait);
        self.metrics().waits = !wait.is_zero();
        RetryPolicy {
            deadline: self.deadline,
            max_attempts: self.app.chime.max_attempts(),
            is_batch: false,
            wait: (!wait.is_zero()).then(|| Wait {
                expires_at: self.after_start(wait),
                ends_with_first,
            }),
        }
    }

    /// The time that is `duration` after the start of the request.
    fn after_start(&self, duration: Duration) -> Instant {
        self.started.checked_add(duration).unwrap_or(self.deadline)
    }

    fn limiter(&self) -> RateLimiter {
        RateLimiter::new(self.app.config.calls_per_second)
    }

    /// Gets the result for one message, with as many calls as `scheduler` allows.
    async fn poll<T, F>(
        &self,
        scheduler: &Scheduler<Result<T, ChimeError>>,
        call: impl Fn() -> F,
    ) -> Result<T, Problem>
    where
        T: Clone,
        F: Future<Output = ChimeCall<T>>,
    {
        let call = &call;
        let polled = scheduler
            .run(|reason| {
                // Boxed, because the compiler gives up on futures that are nested this deeply.
                Box::pin(async move {
                    self.metrics().call_starts(reason);
                    let call = call().await;
                    self.metrics().call_ends(&call);
                    call.result
                })
            })
            .await;
        self.metrics().message();
        match polled.result {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) if polled.was_pending && error.kind() == ErrorKind::NoSuchMessage => {
                Err(Problem::because(ProblemType::MessageGone, &error))
            }
            Some(Err(error)) => Err(Problem::from(&error)),
            None => Err(Problem::because(
                ProblemType::UpstreamTimeout,
                "there was no time left for a response of Chime",
            )),
        }
    }

    fn metrics(&self) -> MutexGuard<'_, RequestMetrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the response must be ready: before Lambda's deadline, which is milliseconds since 1970, and
/// before the gateway gives up. `cargo lambda watch` sets a deadline in 1970, so there only the
/// gateway's limit applies.
fn deadline(now: Instant, lambda_deadline: u64) -> Instant {
    let epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let left = Duration::from_millis(lambda_deadline).saturating_sub(epoch);
    let budget = if left.is_zero() {
        GATEWAY_TIMEOUT
    } else {
        // If little time is left, the margin is a quarter of it.
        left.saturating_sub(RESPONSE_MARGIN.min(left.mul_f64(0.25)))
            .min(GATEWAY_TIMEOUT)
    };
    now.checked_add(budget).unwrap_or(now)
}

/// The method, if HTTP defines it. Any other text is the caller's, so it is not logged.
fn known_method(method: &str) -> &'static str {
    const METHODS: [&str; 9] = [
        "GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT",
    ];
    METHODS
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a response may take if Lambda gives up at `lambda_deadline`.
    fn budget(lambda_deadline: u64) -> Duration {
        let now = Instant::now();
        deadline(now, lambda_deadline).duration_since(now)
    }

    fn in_millis(left: u64) -> u64 {
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(epoch.as_millis())
            .unwrap_or_default()
            .saturating_add(left)
    }

    #[test]
    fn responses_are_due_before_the_lambda_deadline() {
        for left in [1_000, 3_000, 28_000] {
            assert!(
                budget(in_millis(left)) < Duration::from_millis(left),
                "{left}"
            );
        }
        assert!(budget(in_millis(10_000)) <= Duration::from_millis(9_500));
    }

    #[test]
    fn responses_are_due_within_28_s_for_any_lambda_deadline() {
        for deadline in [0, 1, in_millis(900_000), u64::MAX] {
            assert_eq!(budget(deadline), Duration::from_secs(28), "{deadline}");
        }
    }
}
