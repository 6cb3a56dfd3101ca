//! Handles one invocation, from top to bottom: parse, route, identify, read, look up, respond.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use serde::Serialize;
use tokio::time::Instant;

use crate::chime::ChimeClient;
use crate::config::Config;
use crate::cors::AllowedOrigins;
use crate::event::Event;
use crate::identity::Caller;
use crate::ids::MessageRef;
use crate::input;
use crate::lookup::{self, Answer, Plan, Terms, Wait};
use crate::problem::{Problem, ProblemBody, ProblemType};
use crate::record::Record;
use crate::response::Response;
use crate::status::MessageStatus;

/// The path of the API. A stage or a base path may precede it, and one slash may follow it.
const PATH: &str = "/message-status";
/// The methods of the API, as headers list them.
const METHODS: &str = "GET, POST";
/// Maximum time for a response. A REST API gives up after 29 s, counted from before the invocation.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(28);
/// Time before Lambda's deadline that is kept for the response to reach the gateway.
const RESPONSE_MARGIN: Duration = Duration::from_millis(500);
/// Seconds after which a client should ask again about a pending message, chosen at random.
const RETRY_PENDING: std::ops::RangeInclusive<u32> = 1..=4;

/// The parts that serve all invocations of one environment.
pub struct App {
    config: Config,
    chime: ChimeClient,
    is_warm: AtomicBool,
}

impl App {
    pub fn new(config: Config, chime: ChimeClient) -> Self {
        Self {
            config,
            chime,
            is_warm: AtomicBool::new(false),
        }
    }
}

/// One invocation, as the Runtime API reports it.
pub struct Invocation<'i> {
    pub request_id: &'i str,
    pub trace_header: Option<&'i str>,
    /// When Lambda gives up, in milliseconds since 1970. A time in the past is ignored.
    pub deadline: u64,
}

/// The target of a request, found by path and method.
pub enum Route<'c> {
    /// An operation, which needs an identity.
    Operation(Operation),
    /// `OPTIONS`: a CORS preflight, which needs no identity.
    Preflight(&'c AllowedOrigins),
}

/// An operation of the API. The record has its name.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Operation {
    /// `GET`: the status of one message.
    GetStatus,
    /// `POST`: the statuses of many messages.
    BatchGetStatus,
}

impl<'c> Route<'c> {
    /// Finds the target of a request.
    pub fn find(event: &Event<'_>, origins: Option<&'c AllowedOrigins>) -> Result<Self, Problem> {
        let path = event.path.strip_suffix('/').unwrap_or(&event.path);
        if !path.ends_with(PATH) {
            return Err(Problem::new(ProblemType::RouteNotFound));
        }
        match (event.method.as_str(), origins) {
            ("GET", _) => Ok(Self::Operation(Operation::GetStatus)),
            ("POST", _) => Ok(Self::Operation(Operation::BatchGetStatus)),
            ("OPTIONS", Some(origins)) => Ok(Self::Preflight(origins)),
            _ => Err(Problem::new(ProblemType::MethodNotAllowed)),
        }
    }
}

/// Responds to an invocation, valid or not, before Lambda and the gateway give up. The record is complete, but
/// not written.
pub async fn handle(app: &App, payload: &str, invocation: &Invocation<'_>) -> (Response, Record) {
    let started = Instant::now();
    let config = &app.config;
    let mut record = Record::new(
        &config.function_name,
        invocation.request_id,
        invocation.trace_header,
        !app.is_warm.swap(true, Ordering::Relaxed),
    );
    let event = Event::parse(payload);
    let result = match &event {
        Ok(event) => {
            record.event(event);
            let deadline = time_left(invocation.deadline);
            respond(app, event, started, deadline, &mut record).await
        }
        Err(malformed) => Err(Problem::from(malformed)),
    };
    let mut response = result.unwrap_or_else(|problem| {
        record.problem(&problem);
        let mut response = Response::problem(&problem, record.request_id());
        if problem.problem_type == ProblemType::MethodNotAllowed {
            let options = if config.origins.is_some() {
                ", OPTIONS"
            } else {
                ""
            };
            response
                .headers
                .insert("allow", format!("{METHODS}{options}").into());
        }
        response
    });
    let event = event.as_ref().ok();
    if let Some(origins) = &config.origins {
        let origin = event.and_then(|event| event.header("origin"));
        origins.expose(origin.as_deref(), &mut response);
    }
    if event.is_some_and(|event| event.gateway.has_format_2()) {
        response.in_format_2();
    }
    record.end(response.status_code, started.elapsed());
    (response, record)
}

async fn respond(
    app: &App,
    event: &Event<'_>,
    started: Instant,
    deadline: Duration,
    record: &mut Record,
) -> Result<Response, Problem> {
    let operation = match Route::find(event, app.config.origins.as_ref())? {
        Route::Operation(operation) => operation,
        Route::Preflight(origins) => {
            return Ok(origins.preflight(event.header("origin").as_deref(), METHODS));
        }
    };
    record.operation(operation);
    let caller = Caller::identify(event, &app.config.mapping)?;
    record.caller(&caller);
    let request = Request {
        app,
        event,
        caller,
        started,
        deadline,
        record,
    };
    match operation {
        Operation::GetStatus => request.get_status().await,
        Operation::BatchGetStatus => request.batch_get_status().await,
    }
}

/// A request of an identified caller.
struct Request<'r> {
    app: &'r App,
    event: &'r Event<'r>,
    caller: Caller,
    started: Instant,
    /// How long after the start the response must be ready.
    deadline: Duration,
    record: &'r mut Record,
}

impl Request<'_> {
    async fn get_status(mut self) -> Result<Response, Problem> {
        let (message, wait) = input::of_get(self.event, self.caller.user())?;
        let mut results = self.look_up(&[&message], wait).await;
        let status = results.pop().ok_or_else(lost_result)??;
        let mut response = Response::ok(&StatusBody::new(&message, &status))?;
        if status.is_pending() {
            response.retry_after(RETRY_PENDING);
        }
        Ok(response)
    }

    async fn batch_get_status(mut self) -> Result<Response, Problem> {
        let (messages, wait) = input::of_post(self.event, self.caller.user())?;
        // The same message twice costs one call.
        let mut distinct: Vec<&MessageRef> = Vec::new();
        for message in &messages {
            if !distinct.contains(&message) {
                distinct.push(message);
            }
        }
        let results = self.look_up(&distinct, wait).await;
        for problem in results.iter().filter_map(|result| result.as_ref().err()) {
            self.record.problem(problem);
        }
        let request_id = self.record.request_id();
        let items = messages.iter().map(|message| {
            let place = distinct.iter().position(|known| *known == message)?;
            Some(match results.get(place)? {
                Ok(status) => BatchItem::Status(StatusBody::new(message, status)),
                Err(problem) => BatchItem::Problem {
                    message_id: message.message.as_str(),
                    problem: problem.body(request_id),
                },
            })
        });
        let items: Option<Vec<_>> = items.collect();
        let mut response = Response::ok(&BatchBody {
            results: items.ok_or_else(lost_result)?,
        })?;
        let is_worth_a_retry = results.iter().any(|result| match result {
            Ok(status) => status.is_pending(),
            Err(problem) => problem.problem_type.retry_after().is_some(),
        });
        if is_worth_a_retry {
            response.retry_after(RETRY_PENDING);
        }
        Ok(response)
    }

    /// Gets one result for each message, in order. Records the statuses, not the problems.
    async fn look_up(
        &mut self,
        messages: &[&MessageRef],
        wait: Wait,
    ) -> Vec<Result<MessageStatus, Problem>> {
        let config = &self.app.config;
        let terms = Terms {
            messages: messages.len(),
            calls_per_second: config.calls_per_second,
            deadline: self.deadline,
            wait: Wait {
                duration: wait.duration.min(config.max_wait),
                ..wait
            },
        };
        let (chime, caller) = (&self.app.chime, &self.caller);
        let call = |message| chime.get_message_status(caller, message);
        let plan = Plan::new(terms, Rng::new());
        let lookup = lookup::run(plan, messages, self.started, call).await;
        self.record.lookup(&lookup, !terms.wait.duration.is_zero());
        let answers = lookup.answers.into_iter();
        answers
            .map(|answer| match answer {
                Answer::Status(status) => {
                    self.record.status(&status);
                    Ok(status)
                }
                Answer::Failed(error) => Err(Problem::from(&error)),
                Answer::Gone(error) => Err(Problem::because(
                    ProblemType::MessageGone,
                    error.to_string(),
                )),
                Answer::NoTime => Err(Problem::because(
                    ProblemType::UpstreamTimeout,
                    "there was no time left for a response of Chime",
                )),
            })
            .collect()
    }
}

/// A bug: each message has a result.
fn lost_result() -> Problem {
    Problem::because(ProblemType::InternalError, "a message has no result")
}

/// `{"messageId":"…","status":"…","detail":"…"}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody<'r> {
    message_id: &'r str,
    status: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'r str>,
}

impl<'r> StatusBody<'r> {
    fn new(message: &'r MessageRef, status: &'r MessageStatus) -> Self {
        Self {
            message_id: message.message.as_str(),
            status: status.value(),
            detail: status.detail(),
        }
    }
}

#[derive(Serialize)]
struct BatchBody<'r> {
    results: Vec<BatchItem<'r>>,
}

/// One result: `{"messageId":"…","status":"…"}` or `{"messageId":"…","problem":{…}}`.
#[derive(Serialize)]
#[serde(untagged)]
enum BatchItem<'r> {
    Status(StatusBody<'r>),
    #[serde(rename_all = "camelCase")]
    Problem {
        message_id: &'r str,
        problem: ProblemBody<'r>,
    },
}

/// How long a response may take: until Lambda's deadline, which is milliseconds since 1970, and until the gateway
/// gives up. `cargo lambda watch` sets a deadline in 1970, so there only the gateway's limit applies.
fn time_left(lambda_deadline: u64) -> Duration {
    let epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let left = Duration::from_millis(lambda_deadline).saturating_sub(epoch);
    if left.is_zero() {
        return GATEWAY_TIMEOUT;
    }
    // If little time is left, the margin is a quarter of it.
    left.saturating_sub(RESPONSE_MARGIN.min(left / 4))
        .min(GATEWAY_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_millis(left: u64) -> u64 {
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(epoch.as_millis()).unwrap_or_default() + left
    }

    #[test]
    fn responses_are_due_before_the_lambda_deadline() {
        for left in [1_000, 3_000, 28_000] {
            assert!(
                time_left(in_millis(left)) < Duration::from_millis(left),
                "{left}"
            );
        }
        assert!(time_left(in_millis(10_000)) <= Duration::from_millis(9_500));
    }

    #[test]
    fn responses_are_due_within_28_s_for_any_lambda_deadline() {
        for deadline in [0, 1, in_millis(900_000), u64::MAX] {
            assert_eq!(time_left(deadline), Duration::from_secs(28), "{deadline}");
        }
    }
}
