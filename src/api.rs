//! The HTTP API: one way in, [`App::answer`], and one way out, [`Response`].

mod batch_get_status;
mod cors;
mod fields;
mod get_status;
mod response;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

pub use batch_get_status::BatchGetStatus;
pub use get_status::GetStatus;
pub use response::Response;

use crate::caller::{Caller, IdentityError};
use crate::chime::{ChimeClient, ChimeError, ErrorKind};
use crate::config::Config;
use crate::domain::{MessageRef, MessageStatus};
use crate::event::Event;
use crate::problem::{Problem, ProblemType};
use crate::settle::{Answer, RateLimiter, RetryClass, RetryPolicy, settle};
use crate::telemetry::{Record, RequestMetrics};

/// The last segment of the only path. A stage or a base path may stand before it.
const ROUTE: &str = "message-status";
/// A REST API gives up after 29 s, and has spent some of them before we see the request.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(28);
/// What the way from an answer to the gateway may take.
const RESPONSE_MARGIN: Duration = Duration::from_millis(500);

/// The function, ready to answer.
pub struct App {
    config: Config,
    chime: ChimeClient,
    has_answered: AtomicBool,
}

/// What Lambda says about one invocation.
pub struct Invocation<'i> {
    /// Lambda's id of it.
    pub request_id: &'i str,
    /// When Lambda gives up, in milliseconds since 1970. One that is past says nothing.
    pub deadline: u64,
}

/// What a request asks for, with nothing left in it that could be wrong.
pub enum Operation {
    /// `GET` and `HEAD`.
    GetStatus(GetStatus),
    /// `POST`.
    BatchGetStatus(BatchGetStatus),
    /// `OPTIONS`, which asks before anybody is known.
    Preflight,
}

impl Operation {
    /// Reads a request of `caller`, or of nobody.
    ///
    /// # Errors
    /// The [`Problem`] to answer with, when there is nothing that Chime could be asked.
    pub fn read(
        event: &Event<'_>,
        caller: Result<Caller, IdentityError>,
        config: &Config,
    ) -> Result<Self, Problem> {
        if event.path.rsplit('/').next() != Some(ROUTE) {
            return Err(Problem::new(ProblemType::RouteNotFound));
        }
        match event.method() {
            "GET" | "HEAD" => GetStatus::read(event, caller?).map(Self::GetStatus),
            "POST" => BatchGetStatus::read(event, caller?).map(Self::BatchGetStatus),
            "OPTIONS" if config.origins.is_some() => Ok(Self::Preflight),
            _ => Err(Problem::new(ProblemType::MethodNotAllowed)),
        }
    }

    /// The messages in the order asked, each of them in a channel of the caller's own app instance.
    pub fn messages(&self) -> &[MessageRef] {
        match self {
            Self::GetStatus(one) => std::slice::from_ref(&one.message),
            Self::BatchGetStatus(many) => &many.messages,
            Self::Preflight => &[],
        }
    }
}

impl App {
    /// Puts the parts together.
    pub fn new(config: Config, chime: ChimeClient) -> Self {
        Self {
            config,
            chime,
            has_answered: AtomicBool::new(false),
        }
    }

    /// Answers whatever came: a gateway's event, or anything else.
    ///
    /// There is always an answer, and it is there before Lambda and the gateway give up. One record
    /// of it goes to the log.
    pub async fn answer(&self, event: &str, invocation: &Invocation<'_>) -> Response {
        let started = Instant::now();
        let event = Event::parse(event);
        let request_id = event
            .as_ref()
            .ok()
            .and_then(Event::request_id)
            .unwrap_or(invocation.request_id);
        let request = Request {
            app: self,
            id: request_id,
            started,
            answer_by: answer_by(started, invocation.deadline),
            metrics: Mutex::default(),
        };
        let answered = match &event {
            Ok(event) => request.serve(event).await,
            Err(malformed) => Err(Problem::because(ProblemType::InternalError, malformed)),
        };
        let response = answered.unwrap_or_else(|problem| {
            request.metrics().problem(&problem);
            Response::problem(&problem, request_id, self.methods())
        });
        self.finish(
            event.as_ref().ok(),
            response,
            request,
            invocation.request_id,
        )
    }

    /// What every answer goes through, whatever it is.
    fn finish(
        &self,
        event: Option<&Event<'_>>,
        mut response: Response,
        request: Request<'_>,
        lambda_request_id: &str,
    ) -> Response {
        let method = event.map_or("", Event::method);
        if let Some(origins) = &self.config.origins {
            let origin = event.and_then(|event| event.headers.origin.as_deref());
            cors::allow(&mut response, origins, origin);
        }
        if method == "HEAD" {
            response.drop_body();
        }
        if event.is_some_and(Event::is_format_2_0) {
            response.in_format_2_0();
        }
        Record {
            function_name: &self.config.function_name,
            request_id: request.id,
            lambda_request_id,
            method: known_method(method),
            http_status: response.status(),
            cold_start: !self.has_answered.swap(true, Ordering::Relaxed),
            total: request.started.elapsed(),
            metrics: request
                .metrics
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        }
        .write();
        response
    }

    fn methods(&self) -> &'static str {
        match self.config.origins {
            Some(_) => "GET, HEAD, POST, OPTIONS",
            None => "GET, HEAD, POST",
        }
    }
}

/// One request while it is answered.
struct Request<'r> {
    app: &'r App,
    id: &'r str,
    started: Instant,
    answer_by: Instant,
    metrics: Mutex<RequestMetrics>,
}

impl Request<'_> {
    async fn serve(&self, event: &Event<'_>) -> Result<Response, Problem> {
        let config = &self.app.config;
        let (event_source, caller) = Caller::identify(event, &config.user_arn);
        self.metrics().event_source = Some(event_source);
        match Operation::read(event, caller, config)? {
            Operation::GetStatus(one) => one.answer(self).await,
            Operation::BatchGetStatus(many) => many.answer(self).await,
            Operation::Preflight => Ok(cors::preflight()),
        }
    }

    /// How long to wait for a message that is pending, when the caller asks for `wait`.
    fn wait(&self, wait: Duration) -> Option<Instant> {
        let wait = wait.min(self.app.config.max_wait);
        self.metrics().waits = !wait.is_zero();
        (!wait.is_zero())
            .then(|| self.started.checked_add(wait))
            .flatten()
    }

    /// Asks Chime about one message, as often as it takes and `pace` allows.
    async fn ask(
        &self,
        caller: &Caller,
        message: &MessageRef,
        wait_until: Option<Instant>,
        pace: &RateLimiter,
    ) -> Result<MessageStatus, Problem> {
        let chime = &self.app.chime;
        let plan = RetryPolicy {
            deadline: self.answer_by,
            wait_until,
            max_attempts: chime.max_attempts(),
        };
        let heard = settle(pace, plan, |reason| async move {
            self.metrics().call(reason);
            let reply = chime.message_status(&caller.user, message).await;
            self.metrics().reply(&reply);
            Heard(reply.outcome)
        })
        .await;
        match heard {
            Some(Heard(outcome)) => outcome.map_err(|error| Problem::from(&error)),
            None => Err(Problem::because(
                ProblemType::UpstreamTimeout,
                "there was no answer from Chime in the time that was left",
            )),
        }
    }

    fn metrics(&self) -> MutexGuard<'_, RequestMetrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What Chime said to one call.
struct Heard(Result<MessageStatus, ChimeError>);

impl Answer for Heard {
    fn outlook(&self) -> RetryClass {
        match &self.0 {
            Ok(status) if status.is_pending() => RetryClass::Pending,
            Ok(_) => RetryClass::Settled,
            Err(error) => match error.kind {
                ErrorKind::UnknownUser
                | ErrorKind::NoSuchMessage
                | ErrorKind::NotPermitted
                | ErrorKind::Unsendable => RetryClass::Settled,
                ErrorKind::Throttled => RetryClass::Throttled,
                ErrorKind::Failure | ErrorKind::Unavailable | ErrorKind::Unreachable => {
                    RetryClass::Failed
                }
                ErrorKind::Timeout | ErrorKind::Unusable => RetryClass::FailedForNow,
            },
        }
    }
}

/// When the answer must be on its way: before Lambda's deadline, which is milliseconds since 1970,
/// and before the gateway gives up. `cargo lambda watch` sets a deadline long past; then the
/// gateway's timeout is all there is to go by.
fn answer_by(now: Instant, deadline: u64) -> Instant {
    let epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let left = Duration::from_millis(deadline).saturating_sub(epoch);
    let budget = match left.is_zero() {
        true => GATEWAY_TIMEOUT,
        // Of very little, a quarter is kept to answer in.
        false => left
            .saturating_sub(RESPONSE_MARGIN.min(left.mul_f64(0.25)))
            .min(GATEWAY_TIMEOUT),
    };
    now.checked_add(budget).unwrap_or(now)
}

/// The method, if it is one of HTTP's: what else stands there came from outside and is not logged.
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

    /// How long an answer may take, when Lambda gives up at `deadline`.
    fn budget(deadline: u64) -> Duration {
        let now = Instant::now();
        answer_by(now, deadline).duration_since(now)
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
    fn an_answer_is_due_before_lambda_s_deadline() {
        for left in [1_000, 3_000, 28_000] {
            assert!(
                budget(in_millis(left)) < Duration::from_millis(left),
                "{left}"
            );
        }
        assert!(budget(in_millis(10_000)) <= Duration::from_millis(9_500));
    }

    #[test]
    fn an_answer_is_due_before_the_gateway_gives_up_whatever_lambda_says() {
        for deadline in [0, 1, in_millis(900_000), u64::MAX] {
            assert_eq!(budget(deadline), Duration::from_secs(28), "{deadline}");
        }
    }
}
