//! A function under test, and events for it.

use std::path::PathBuf;
use std::time::Duration;

use fakes::chime::{ChimeRequest, FakeChime, Options};
use fakes::flow::{FlowOutcome, Message};
use fakes::lambda::{FakeLambda, InvocationResult};
use serde_json::{Value, json};

use crate::contract;

pub const APP_INSTANCE: &str =
    "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21";
pub const ALICE: &str = "5c3b1f0a-8d2e-4f67-b1a9-3e7d2c4b5a60";
pub const MESSAGE: &str = "4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e35";

pub fn channel() -> String {
    format!("{APP_INSTANCE}/channel/chat-general")
}

pub fn user(id: &str) -> String {
    format!("{APP_INSTANCE}/user/{id}")
}

pub fn user_pattern(name: &str) -> String {
    user(&format!("{{{name}}}"))
}

/// The binary under test: cargo's, or the file in `FUNCTION_UNDER_TEST`, such as the release binary of
/// cargo-lambda, which aborts on a panic.
pub fn binary() -> PathBuf {
    std::env::var_os("FUNCTION_UNDER_TEST").map_or_else(
        || env!("CARGO_BIN_EXE_chime-message-status").into(),
        PathBuf::from,
    )
}

/// Starts the function with the usual pattern and credentials. `variables` are added, or replace these.
pub async fn start_function(variables: &[(&str, &str)]) -> FakeLambda {
    let credentials = Options::default().credentials;
    let pattern = user_pattern("sub");
    let mut all = vec![
        ("APP_INSTANCE_USER_ARN", pattern.as_str()),
        ("AWS_ACCESS_KEY_ID", &credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key),
    ];
    all.extend(variables);
    FakeLambda::start(binary(), &all).await.expect("a process")
}

/// A function and the fake Chime that it calls.
pub struct TestEnv {
    pub chime: FakeChime,
    pub function: FakeLambda,
}

/// Temporary file of certificates. Dropping it deletes the file.
pub struct PemFile(PathBuf);

impl PemFile {
    pub fn create(content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("fake-chime-{}.pem", unique_id()));
        std::fs::write(&path, content).expect("a file");
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for PemFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
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

    /// With `variables` in addition to the usual ones, over HTTPS.
    pub async fn over_tls(options: Options, variables: &[(&str, &str)]) -> Self {
        let chime = FakeChime::start(options).await.expect("a fake Chime");
        let (url, roots) = (
            chime.https_url(),
            PemFile::create(chime.ca_pem().as_bytes()),
        );
        let mut all = vec![
            ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", url.as_str()),
            ("AWS_CA_BUNDLE", roots.path()),
        ];
        all.extend(variables);
        let function = start_function(&all).await;
        // The file is deleted when this returns. The function has read it by its first poll.
        function.polled(1).await;
        Self { chime, function }
    }

    /// With `options` for the fake Chime, and `variables` in addition to the usual ones, over HTTP.
    pub async fn with_options(options: Options, variables: &[(&str, &str)]) -> Self {
        let chime = FakeChime::start(options).await.expect("a fake Chime");
        let url = chime.http_url();
        let mut all = vec![("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", url.as_str())];
        all.extend(variables);
        let function = start_function(&all).await;
        Self { chime, function }
    }

    /// Seeds the usual message of Alice with the outcome of its flow.
    pub fn seed_alices_message(&self, outcome: FlowOutcome) {
        self.seed_message(MESSAGE, &user(ALICE), outcome);
    }

    pub fn seed_message(&self, message_id: &str, sender: &str, outcome: FlowOutcome) {
        self.chime.put_message(Message {
            channel_arn: channel(),
            sub_channel_id: None,
            message_id: message_id.to_owned(),
            sender: sender.to_owned(),
            outcome,
        });
    }

    pub async fn send(&self, event: &Value) -> GatewayResponse {
        self.send_bytes(event.to_string()).await
    }

    /// Asserts that the next request gets the right status.
    pub async fn assert_works(&self) {
        self.seed_alices_message(FlowOutcome::sent());
        self.send(&get_status(MESSAGE, ""))
            .await
            .assert_status("SENT");
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

    /// Invokes with a deadline in 29 s, which is also the timeout of a REST API.
    pub async fn send_bytes(&self, event: impl Into<Vec<u8>>) -> GatewayResponse {
        self.send_within(event, Duration::from_secs(29)).await
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

    /// The record of the request with this id.
    pub async fn record(&self, request_id: &str) -> Value {
        let has_id = |line: &str| {
            let record: Option<Value> = serde_json::from_str(line).ok();
            record.is_some_and(|record| record["requestId"] == request_id)
        };
        let line = self
            .function
            .log_line(has_id, Duration::from_secs(10))
            .await;
        serde_json::from_str(&line.expect("a record")).expect("JSON")
    }
}

/// Invokes a function that has no [`TestEnv`].
pub async fn send(function: &FakeLambda, event: &Value) -> GatewayResponse {
    let deadline = Some(Duration::from_secs(29));
    send_to(function, event.to_string().as_bytes(), deadline).await
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

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a body in JSON")
    }

    /// The name of the problem. Asserts that the body and the headers of a problem are complete.
    pub fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        for member in ["type", "title", "detail", "requestId"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{self:?}"
            );
        }
        let name = problem_name(&problem);
        let is_retryable = ["throttled", "upstream-unavailable"].contains(&name.as_str());
        let retry_after = self.header("retry-after");
        assert_eq!(retry_after.is_some(), is_retryable, "{self:?}");
        name
    }

    /// The fields that an `invalid-request` names.
    pub fn fields(&self) -> Vec<String> {
        assert_eq!(self.problem(), "invalid-request", "{self:?}");
        let problem = self.json();
        let errors = problem["errors"].as_array().expect("errors");
        errors
            .iter()
            .map(|error| {
                assert!(error["detail"].is_string(), "{error}");
                error["field"].as_str().expect("a field").to_owned()
            })
            .collect()
    }

    #[track_caller]
    pub fn assert_status(&self, status: &str) {
        assert_eq!(
            (self.status, self.json()["status"].as_str()),
            (200, Some(status)),
            "{self:?}"
        );
    }

    #[track_caller]
    pub fn assert_problem(&self, status: u64, name: &str) {
        assert_eq!(
            (self.status, self.problem().as_str()),
            (status, name),
            "{self:?}"
        );
    }
}

pub fn problem_name(problem: &Value) -> String {
    let name = problem["type"]
        .as_str()
        .and_then(|t| t.strip_prefix("urn:problem-type:message-status:"));
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
    let files = std::fs::read_dir(&folder).expect("a corpus");
    let texts: Vec<String> = files
        .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text"))
        .flat_map(|texts| {
            texts
                .split(RECORD_SEPARATOR)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(texts.len() > 50, "{} in {folder}", texts.len());
    texts
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
    get(&format!(
        "channelArn={}&messageId={message_id}{rest}",
        channel()
    ))
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

pub fn messages(ids: &[&str]) -> Value {
    let messages: Vec<_> = ids
        .iter()
        .map(|id| json!({"channelArn": channel(), "messageId": id}))
        .collect();
    json!({ "messages": messages })
}

/// A random UUID, which the function accepts as a request id.
pub fn unique_id() -> String {
    let random = fastrand::u128(..);
    let group = |shift: u32, digits: u32| (random >> shift) & ((1 << (4 * digits)) - 1);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        group(96, 8),
        group(80, 4),
        group(64, 3),
        group(48, 3),
        group(0, 12)
    )
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

/// The id of each result, with its status or the name of its problem.
pub fn outcomes(reply: &GatewayResponse) -> Vec<(String, String)> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    let results = body["results"].as_array().expect("results");
    results
        .iter()
        .map(|result| {
            let id = result["messageId"].as_str().expect("an id").to_owned();
            let status = result["status"].as_str().map(str::to_owned);
            (
                id,
                status.unwrap_or_else(|| problem_name(&result["problem"])),
            )
        })
        .collect()
}

pub fn twenty_ids() -> Vec<String> {
    (0..20).map(|index| format!("m{index}")).collect()
}

pub fn twenty_messages() -> Value {
    let ids = twenty_ids();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    messages(&ids)
}

/// Asserts the guaranteed rate on the calls that the fake Chime has recorded.
pub fn assert_rate(env: &TestEnv, calls_per_second: usize) {
    let calls = env.calls();
    assert!(calls.iter().all(|call| call.in_flight <= 4));
    let mut arrivals: Vec<_> = calls.iter().map(|call| call.started).collect();
    arrivals.sort();
    for window in arrivals.windows(calls_per_second + 1) {
        let span = window[calls_per_second] - window[0];
        assert!(span > Duration::from_secs(1), "{span:?}");
    }
}

/// Asserts that each message of a batch has this status or problem.
#[track_caller]
pub fn assert_all(reply: &GatewayResponse, expected: &str) {
    let outcomes = outcomes(reply);
    let mut all = outcomes.iter().map(|(_, outcome)| outcome);
    assert!(all.all(|outcome| outcome == expected), "{outcomes:?}");
}
