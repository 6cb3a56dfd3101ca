//! A function under test, and events for it.

use std::path::PathBuf;
use std::time::Duration;

use fakes::chime::{ChimeRequest, FakeChime, Options};
use fakes::flow::{FlowOutcome, Message};
use fakes::lambda::{FakeLambda, InvocationResult};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::contract;

pub const APP_INSTANCE: &str =
    "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21";
pub const ALICE: &str = "5c3b1f0a-8d2e-4f67-b1a9-3e7d2c4b5a60";
pub const MESSAGE: &str = "4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e35";

pub const SECOND: Duration = Duration::from_secs(1);
/// For what comes at once. Ends a test that hangs.
pub const TIMEOUT: Duration = Duration::from_secs(20);

pub fn channel() -> String {
    format!("{APP_INSTANCE}/channel/chat-general")
}

pub fn user(id: &str) -> String {
    format!("{APP_INSTANCE}/user/{id}")
}

pub fn user_pattern(name: &str) -> String {
    user(&format!("{{{name}}}"))
}

/// Starts the binary under test with the usual pattern and credentials. `variables` are added, or replace these.
///
/// The binary is cargo's, or the file in `FUNCTION_UNDER_TEST`, such as the release binary of cargo-lambda,
/// which aborts on a panic.
pub async fn start_function(variables: &[(&str, &str)]) -> FakeLambda {
    let binary = std::env::var_os("FUNCTION_UNDER_TEST");
    let binary = binary.map_or(
        env!("CARGO_BIN_EXE_chime-message-status").into(),
        PathBuf::from,
    );
    let credentials = Options::default().credentials;
    let pattern = user_pattern("sub");
    let usual = [
        ("APP_INSTANCE_USER_ARN", pattern.as_str()),
        ("AWS_ACCESS_KEY_ID", &credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key),
    ];
    let all = [&usual, variables].concat();
    FakeLambda::start(binary, &all).await.expect("a process")
}

pub async fn start_chime(options: Options) -> FakeChime {
    FakeChime::start(options).await.expect("a fake Chime")
}

/// A function and the fake Chime that it calls.
pub struct TestEnv {
    pub chime: FakeChime,
    pub function: FakeLambda,
}

/// A file of certificates, which is deleted at the end.
pub fn pem_file(content: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(&file, content).expect("a file");
    file
}

pub fn ca_bundle(file: &NamedTempFile) -> (&str, &str) {
    ("AWS_CA_BUNDLE", file.path().to_str().expect("UTF-8"))
}

impl TestEnv {
    /// With the usual variables, over HTTP.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With `variables` in addition to the usual ones, over HTTP.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        Self::with_options(Options::default(), variables).await
    }

    /// With this pattern, and the trusted role of the oracle, over HTTP.
    pub async fn of_pattern(pattern: &str) -> Self {
        Self::with(&[
            ("APP_INSTANCE_USER_ARN", pattern),
            ("SESSION_ROLE_ARN", fakes::oracle::SESSION_ROLE),
        ])
        .await
    }

    /// With `options` for the fake Chime, and `variables` in addition to the usual ones, over HTTP.
    pub async fn with_options(options: Options, variables: &[(&str, &str)]) -> Self {
        let chime = start_chime(options).await;
        let url = chime.http_url();
        Self::calling(chime, &url, variables).await
    }

    /// With `variables` in addition to the usual ones, over HTTPS.
    pub async fn over_tls(options: Options, variables: &[(&str, &str)]) -> Self {
        let chime = start_chime(options).await;
        let url = chime.https_url();
        let roots = pem_file(chime.ca_pem().as_bytes());
        let all = [&[ca_bundle(&roots)], variables].concat();
        let env = Self::calling(chime, &url, &all).await;
        // The file is deleted when this returns. The function has read it by its first poll.
        env.function.polled(1).await;
        env
    }

    /// With a function that calls this Chime at `url`.
    pub async fn calling(chime: FakeChime, url: &str, variables: &[(&str, &str)]) -> Self {
        let endpoint = ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", url);
        let function = start_function(&[&[endpoint], variables].concat()).await;
        Self { chime, function }
    }

    /// Seeds the usual message of Alice with the outcome of its flow.
    pub fn seed(&self, outcome: FlowOutcome) {
        self.seed_message(MESSAGE, outcome);
    }

    /// Seeds a message of Alice in the usual channel.
    pub fn seed_message(&self, message_id: &str, outcome: FlowOutcome) {
        self.seed_message_of(ALICE, message_id, outcome);
    }

    pub fn seed_message_of(&self, sender: &str, message_id: &str, outcome: FlowOutcome) {
        self.chime.put_message(Message {
            channel_arn: channel(),
            sub_channel_id: None,
            message_id: message_id.to_owned(),
            sender: user(sender),
            outcome,
        });
    }

    /// Seeds the [`twenty_ids`].
    pub fn seed_twenty(&self, outcome: &FlowOutcome) {
        for id in twenty_ids() {
            self.seed_message(&id, outcome.clone());
        }
    }

    pub async fn send(&self, event: &Value) -> GatewayResponse {
        self.send_bytes(event.to_string()).await
    }

    /// Sends an event. Returns the response and the record.
    pub async fn send_recorded(&self, event: &Value) -> (GatewayResponse, Value) {
        let reply = self.send(event).await;
        (reply, self.record(request_id(event)).await)
    }

    /// Asserts that the next request gets the right status.
    pub async fn assert_works(&self) {
        self.seed(FlowOutcome::sent());
        self.assert_status(&get_status(MESSAGE, ""), "SENT").await;
    }

    /// Asserts that a request gets this status.
    pub async fn assert_status(&self, event: &Value, status: &str) {
        let reply = self.send(event).await;
        let found = (reply.status, reply.json()["status"].take());
        assert_eq!(found, (200, status.into()), "{event}: {reply:?}");
    }

    /// Asserts that a request gets this problem.
    pub async fn assert_problem(&self, event: &Value, status: u64, name: &str) {
        let reply = self.send(event).await;
        let found = (reply.status, reply.problem());
        assert_eq!(found, (status, name.to_owned()), "{event}: {reply:?}");
    }

    /// Asserts that a request gets an `invalid-request` that names these fields, in any order.
    pub async fn assert_fields(&self, event: &Value, fields: &str) {
        let mut named = self.send(event).await.fields();
        named.sort();
        assert_eq!(named.join(" "), fields, "{event}");
    }

    /// Invokes with a deadline in 29 s, which is also the timeout of a REST API.
    pub async fn send_bytes(&self, event: impl Into<Vec<u8>>) -> GatewayResponse {
        self.send_within(event, 29 * SECOND).await
    }

    pub async fn send_within(
        &self,
        event: impl Into<Vec<u8>>,
        deadline: Duration,
    ) -> GatewayResponse {
        send_to(&self.function, &event.into(), Some(deadline)).await
    }

    /// Every call that reached Chime, of any operation. The warm-up is not a call.
    pub fn calls(&self) -> Vec<ChimeRequest> {
        self.chime.calls()
    }

    #[track_caller]
    pub fn assert_no_call(&self) {
        assert!(self.calls().is_empty(), "{:?}", self.calls());
    }

    /// Asserts the guaranteed rate.
    #[track_caller]
    pub fn assert_rate(&self, calls_per_second: usize) {
        let calls = self.calls();
        assert!(calls.iter().all(|call| call.in_flight <= 4));
        let mut arrivals: Vec<_> = calls.iter().map(|call| call.started).collect();
        arrivals.sort();
        for window in arrivals.windows(calls_per_second + 1) {
            let span = window[calls_per_second] - window[0];
            assert!(span > SECOND, "{span:?}");
        }
    }

    /// The record of the request with this id.
    pub async fn record(&self, request_id: &str) -> Value {
        let has_id = |record: &Value| record["requestId"] == request_id;
        self.logged(has_id).await
    }

    /// The first JSON in the log that is the wanted one. Waits for it.
    pub async fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        logged(&self.function, wanted).await
    }
}

pub async fn logged(function: &FakeLambda, wanted: impl Fn(&Value) -> bool) -> Value {
    let is_wanted = |line: &str| serde_json::from_str(line).is_ok_and(|json| wanted(&json));
    let line = function.log_line(is_wanted, TIMEOUT).await;
    let line = line.unwrap_or_else(|| panic!("no such line: {:?}", function.log()));
    serde_json::from_str(&line).expect("JSON")
}

/// Invokes a function. `None` is a deadline in 1970. Also asserts that `openapi.yaml` describes the
/// response.
pub async fn send_to(
    function: &FakeLambda,
    event: &[u8],
    deadline: Option<Duration>,
) -> GatewayResponse {
    let reply = GatewayResponse::read(function.invoke(event, deadline).await);
    contract::assert_described(event, &reply);
    reply
}

/// The response that the gateway receives.
#[derive(Debug)]
pub struct GatewayResponse {
    pub status: u64,
    pub headers: Value,
    pub body: String,
}

impl GatewayResponse {
    /// Reads the response of a function, and asserts that gateways accept it.
    pub fn read(outcome: InvocationResult) -> Self {
        let InvocationResult::Response(bytes) = outcome else {
            panic!("an invocation without a response: {outcome:?}");
        };
        let response: Value = serde_json::from_slice(&bytes).expect("a response in JSON");
        assert_eq!(response["isBase64Encoded"], false, "{response}");
        let headers = response["headers"].as_object().expect("headers");
        assert!(headers.values().all(Value::is_string), "{response}");
        Self {
            status: response["statusCode"].as_u64().expect("a status code"),
            headers: response["headers"].clone(),
            body: response["body"].as_str().expect("a body").to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers[name].as_str()
    }

    /// The seconds of `retry-after`. Asserts that they are whole, and at least 1.
    pub fn retry_after(&self) -> Option<u32> {
        let seconds = self.header("retry-after")?.parse().expect("seconds");
        assert!(seconds >= 1);
        Some(seconds)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a body in JSON")
    }

    /// The name of the problem. Asserts that the body and the headers of a problem are complete.
    pub fn problem(&self) -> String {
        let types = [self.header("content-type"), self.header("cache-control")];
        let expected = ["application/problem+json", "no-store"].map(Some);
        assert_eq!(types, expected, "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        for member in ["type", "title", "detail", "requestId"] {
            let text = problem[member].as_str();
            assert!(text.is_some_and(|text| !text.is_empty()), "{self:?}");
        }
        let name = problem_name(&problem);
        let is_retryable = ["throttled", "upstream-unavailable"].contains(&name.as_str());
        assert_eq!(self.retry_after().is_some(), is_retryable, "{self:?}");
        let challenge = self.header("www-authenticate");
        let expected = (name == "unauthenticated").then_some("Bearer");
        assert_eq!(challenge, expected, "{self:?}");
        name
    }

    /// The fields that an `invalid-request` names.
    pub fn fields(&self) -> Vec<String> {
        assert_eq!(self.problem(), "invalid-request", "{self:?}");
        let problem = self.json();
        let errors = problem["errors"].as_array().expect("errors");
        let field = |error: &Value| {
            assert!(error["detail"].is_string(), "{error}");
            error["field"].as_str().expect("a field").to_owned()
        };
        errors.iter().map(field).collect()
    }

    #[track_caller]
    pub fn assert_status(&self, status: &str) {
        let found = (self.status, self.json()["status"].take());
        assert_eq!(found, (200, status.into()), "{self:?}");
    }

    #[track_caller]
    pub fn assert_problem(&self, status: u64, name: &str) {
        let found = (self.status, self.problem());
        assert_eq!(found, (status, name.to_owned()), "{self:?}");
    }

    /// The id of each result of a batch, with its status or the name of its problem.
    pub fn outcomes(&self) -> Vec<(String, String)> {
        assert_eq!(self.status, 200, "{self:?}");
        let body = self.json();
        let results = body["results"].as_array().expect("results");
        let outcome = |result: &Value| {
            let id = result["messageId"].as_str().expect("an id").to_owned();
            let status = result["status"].as_str().map(str::to_owned);
            let outcome = status.unwrap_or_else(|| problem_name(&result["problem"]));
            (id, outcome)
        };
        results.iter().map(outcome).collect()
    }

    /// Asserts the results of a batch: `id outcome, id outcome`.
    #[track_caller]
    pub fn assert_outcomes(&self, expected: &str) {
        let outcomes = self.outcomes();
        let outcomes: Vec<_> = outcomes
            .iter()
            .map(|(id, it)| format!("{id} {it}"))
            .collect();
        assert_eq!(outcomes.join(", "), expected);
    }

    /// Asserts that each message of a batch has this status or problem.
    #[track_caller]
    pub fn assert_all(&self, expected: &str) {
        let outcomes = self.outcomes();
        let mut all = outcomes.iter().map(|(_, outcome)| outcome);
        assert!(all.all(|outcome| outcome == expected), "{outcomes:?}");
    }
}

pub fn problem_name(problem: &Value) -> String {
    let name = problem["type"].as_str();
    let name = name.and_then(|name| name.strip_prefix("urn:problem-type:message-status:"));
    name.expect("a problem type").to_owned()
}

/// One of the files in `events/`.
pub fn sample(name: &str) -> Value {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("JSON")
}

/// Separates the inputs in a file of a corpus, as in JSON text sequences
/// ([RFC 7464](https://www.rfc-editor.org/rfc/rfc7464)).
const RECORD_SEPARATOR: char = '\u{1e}';

/// The inputs in the corpus of a fuzzer.
pub fn corpus(fuzzer: &str) -> Vec<String> {
    let folder = format!("{}/fuzz/corpus/{fuzzer}", env!("CARGO_MANIFEST_DIR"));
    let mut inputs = Vec::new();
    for file in std::fs::read_dir(&folder).expect("a corpus") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        inputs.extend(text.split(RECORD_SEPARATOR).map(str::to_owned));
    }
    assert!(inputs.len() > 50, "{} in {folder}", inputs.len());
    inputs
}

/// Event of a `GET` by Alice through an HTTP API.
pub fn get(query: &str) -> Value {
    let mut event = sample("http-api-jwt");
    event["rawQueryString"] = query.into();
    event["requestContext"]["requestId"] = unique_id().into();
    event
}

/// Event of a `GET` by Alice for a message in the usual channel. `rest` is appended to the query.
pub fn get_status(message_id: &str, rest: &str) -> Value {
    let channel = channel();
    get(&format!(
        "channelArn={channel}&messageId={message_id}{rest}"
    ))
}

/// Event of a `GET` through an HTTP API, with these claims.
pub fn get_with_claims(claims: Value) -> Value {
    let mut event = get_status(MESSAGE, "");
    event["requestContext"]["authorizer"]["jwt"]["claims"] = claims;
    event
}

/// Event of a `POST` by Alice through an HTTP API.
pub fn post(query: &str, body: impl ToString) -> Value {
    let mut event = get(query);
    event["requestContext"]["http"]["method"] = "POST".into();
    event["headers"]["content-type"] = "application/json".into();
    event["body"] = body.to_string().into();
    event
}

/// A `GET` of any event source, changed to a `POST` for the same message.
pub fn as_post(mut event: Value) -> Value {
    if event["version"] == "2.0" {
        event["requestContext"]["http"]["method"] = "POST".into();
    } else {
        event["httpMethod"] = "POST".into();
    }
    event["rawQueryString"] = "".into();
    event["queryStringParameters"] = Value::Null;
    event["multiValueQueryStringParameters"] = Value::Null;
    event["headers"]["content-type"] = "application/json".into();
    event["body"] = messages(&[MESSAGE]).to_string().into();
    event
}

/// Body of a `POST` for messages in the usual channel.
pub fn messages(ids: &[impl AsRef<str>]) -> Value {
    let message = |id: &str| json!({"channelArn": channel(), "messageId": id});
    let messages: Vec<_> = ids.iter().map(|id| message(id.as_ref())).collect();
    json!({ "messages": messages })
}

pub fn twenty_ids() -> Vec<String> {
    (0..20).map(|index| format!("m{index}")).collect()
}

/// Event of a `POST` for the [`twenty_ids`].
pub fn post_twenty(query: &str) -> Value {
    post(query, messages(&twenty_ids()))
}

/// A random UUID, which the function accepts as a request id.
pub fn unique_id() -> String {
    let (begin, end) = (fastrand::u32(..), fastrand::u64(..) >> 16);
    format!("{begin:08x}-0000-4000-8000-{end:012x}")
}

/// The id of the request. Callers of a REST API can choose the other one.
pub fn request_id(event: &Value) -> &str {
    let context = &event["requestContext"];
    let id = if event["version"].is_null() {
        &context["extendedRequestId"]
    } else {
        &context["requestId"]
    };
    id.as_str().expect("an id")
}

/// A figure of the process in `/proc`.
#[cfg(target_os = "linux")]
pub fn process_figure(function: &FakeLambda, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", function.pid()));
    let status = status.expect("a process");
    let text = status.lines().find_map(|line| line.strip_prefix(name));
    let number = text.and_then(|text| text.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).expect("a figure")
}
