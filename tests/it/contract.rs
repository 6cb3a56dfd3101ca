//! `openapi.yaml` compared with the function. The document must describe each response of each test.
//! Each status code of the document must occur.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chime_message_status::problem::ProblemType;
use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::operations::{members, yaml};
use crate::support::{GatewayResponse, MESSAGE, TestEnv, get, get_status, messages, post, sample};

const PROBLEM_JSON: &str = "application/problem+json";

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| yaml("openapi.yaml"));
/// By path, method and status code.
static DESCRIBED: LazyLock<BTreeMap<(String, String, u64), DescribedResponse>> =
    LazyLock::new(|| {
        let mut described = BTreeMap::new();
        for (path, methods) in members(&DOCUMENT["paths"]) {
            for (method, operation) in members(methods) {
                for (status, response) in members(&operation["responses"]) {
                    let status = status.parse().expect("a status code");
                    described.insert(
                        (path.clone(), method.to_uppercase(), status),
                        DescribedResponse::read(response),
                    );
                }
            }
        }
        described
    });

/// A response in the document.
struct DescribedResponse {
    headers: BTreeMap<String, DescribedHeader>,
    /// By media type.
    bodies: BTreeMap<String, Validator>,
}

struct DescribedHeader {
    is_required: bool,
    validator: Validator,
}

impl DescribedResponse {
    fn read(response: &Value) -> Self {
        let response = resolved(response);
        let headers = members(&response["headers"]).iter().map(|(name, header)| {
            let header = resolved(header);
            let is_required = header["required"] == true;
            let validator = validator(&header["schema"]);
            (
                name.clone(),
                DescribedHeader {
                    is_required,
                    validator,
                },
            )
        });
        let bodies = members(&response["content"])
            .iter()
            .map(|(media_type, body)| (media_type.clone(), validator(&body["schema"])));
        Self {
            headers: headers.collect(),
            bodies: bodies.collect(),
        }
    }

    fn faults(&self, response: &GatewayResponse) -> Vec<String> {
        let mut faults = self.header_faults(response);
        let media_type = response.header("content-type").unwrap_or_default();
        match self.bodies.get(media_type) {
            None if self.bodies.is_empty() && response.body.is_empty() => {}
            None => faults.push(format!("a body of `{media_type}`")),
            // The other media types of problems come from gateways.
            Some(_) if response.status >= 400 && media_type != PROBLEM_JSON => {
                faults.push(format!("a problem in `{media_type}`"));
            }
            Some(validator) => {
                let body = response.json();
                let errors = validator.iter_errors(&body);
                faults.extend(errors.map(|error| format!("{}: {error}", error.instance_path())));
            }
        }
        faults
    }

    fn header_faults(&self, response: &GatewayResponse) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, value) in members(&response.headers) {
            // In OpenAPI the media type is not a header.
            if name == "content-type" {
                continue;
            }
            let text = value.as_str().expect("text");
            match self.headers.get(name) {
                None => faults.push(format!("the header `{name}`")),
                Some(header) if !header.accepts(text) => {
                    faults.push(format!("the header `{name}: {text}`"));
                }
                Some(_) => {}
            }
        }
        for (name, header) in &self.headers {
            if header.is_required && response.header(name).is_none() {
                faults.push(format!("no header `{name}`"));
            }
        }
        faults
    }
}

impl DescribedHeader {
    /// A header value is text. If the document describes a number, the text must be its digits.
    fn accepts(&self, text: &str) -> bool {
        let number = text.parse::<u64>().ok();
        self.validator.is_valid(&text.into())
            || number.is_some_and(|number| self.validator.is_valid(&number.into()))
    }
}

/// Panics unless the document describes the response to this event.
pub fn assert_described(event: &[u8], response: &GatewayResponse) {
    let (path, method) = path_and_method(event);
    let faults = faults(&path, &method, response);
    assert!(
        faults.is_empty(),
        "not in openapi.yaml, {method} {path} {}: {}\n{response:?}",
        response.status,
        faults.join("; ")
    );
}

fn faults(path: &str, method: &str, response: &GatewayResponse) -> Vec<String> {
    let is_problem = response.header("content-type") == Some(PROBLEM_JSON);
    let mut paths = members(&DOCUMENT["paths"]).keys();
    let path = match paths.clone().find(|known| path.ends_with(*known)) {
        Some(path) => path,
        // The document has one response for all paths that it does not contain.
        None if is_problem || method == "HEAD" => paths.next().expect("a path"),
        None => return vec!["a response at an unknown path".to_owned()],
    };
    let method = match method {
        // A malformed event: the function did not read its method. The document describes such a problem
        // under OPTIONS.
        "HEAD" if is_problem && !response.body.is_empty() => "OPTIONS",
        // Methods are case-sensitive.
        _ if members(&DOCUMENT["paths"][path])
            .keys()
            .any(|known| known.to_uppercase() == method) =>
        {
            method
        }
        // The document has one response for all methods that it does not contain.
        _ if is_problem => "OPTIONS",
        _ => return vec!["a response to an unknown method".to_owned()],
    };
    match DESCRIBED.get(&(path.clone(), method.to_owned(), response.status)) {
        Some(described) => described.faults(response),
        None => vec!["the status code".to_owned()],
    }
}

/// The path and the method of an event, as members of the JSON. Empty if the event has none.
fn path_and_method(event: &[u8]) -> (String, String) {
    let event: Value = serde_json::from_slice(event).unwrap_or_default();
    let (path, method) = if event["version"] == "2.0" {
        (
            &event["rawPath"],
            &event["requestContext"]["http"]["method"],
        )
    } else {
        (&event["path"], &event["httpMethod"])
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(path), text(method))
}

// The document.

/// The target of a `$ref`, or the value itself.
fn resolved(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.trim_start_matches('#');
            let found = DOCUMENT.pointer(pointer);
            found.unwrap_or_else(|| panic!("nothing at {reference}"))
        }
        None => value,
    }
}

fn validator(schema: &Value) -> Validator {
    let schema = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
    jsonschema::draft202012::new(&schema).expect("a schema")
}

/// Adds each example in the document with its schema: of parameters, headers and bodies.
fn with_examples<'d>(value: &'d Value, found: &mut Vec<(&'d Value, &'d Value)>) {
    let schema = &value["schema"];
    if schema.is_object() {
        found.extend(value.get("example").map(|example| (schema, example)));
        let examples = members(&value["examples"]).values();
        found.extend(examples.map(|example| (schema, &example["value"])));
    }
    match value {
        Value::Object(members) => members
            .values()
            .for_each(|value| with_examples(value, found)),
        Value::Array(items) => items.iter().for_each(|value| with_examples(value, found)),
        _ => {}
    }
}

fn examples() -> Vec<(&'static Value, &'static Value)> {
    let mut found = Vec::new();
    with_examples(&DOCUMENT, &mut found);
    found
}

/// The document's schema of this name.
fn schema(name: &str) -> &'static Value {
    &DOCUMENT["components"]["schemas"][name]
}

#[test]
fn every_example_satisfies_its_schema() {
    let examples = examples();
    assert!(examples.len() > 20);
    for (schema, example) in examples {
        let validator = validator(schema);
        let errors: Vec<_> = validator
            .iter_errors(example)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{example}: {errors:?}");
    }
}

#[test]
fn the_document_has_every_problem_type_with_its_status_title_and_detail() {
    let table: BTreeSet<(&str, u64, &str, &str)> = ProblemType::ALL
        .iter()
        .map(|problem| {
            let status = u64::from(problem.status().as_u16());
            (problem.name(), status, problem.title(), problem.detail())
        })
        .collect();
    let names: BTreeSet<&str> = table.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names.len(), ProblemType::ALL.len());

    let types = schema("ProblemType")["enum"].as_array().expect("types");
    assert_eq!(types.iter().map(name_of).collect::<BTreeSet<_>>(), names);
    let description = schema("ProblemType")["description"].as_str();
    for name in &names {
        let item = format!("- `{name}`: ");
        assert!(
            description.is_some_and(|text| text.contains(&item)),
            "{name}"
        );
    }

    let mut problems = Vec::new();
    for (_, example) in examples() {
        add_problems(example, &mut problems);
    }
    let examples: BTreeSet<(&str, u64, &str, &str)> = problems
        .into_iter()
        .map(|problem| {
            let text = |member| problem[member].as_str().expect("text");
            let status = problem["status"].as_u64().expect("a status code");
            (
                name_of(&problem["type"]),
                status,
                text("title"),
                text("detail"),
            )
        })
        .collect();
    assert_eq!(examples, table);
}

/// Adds the problems in an example, also those of single messages.
fn add_problems<'d>(value: &'d Value, found: &mut Vec<&'d Value>) {
    if value["requestId"].is_string() {
        found.push(value);
    }
    match value {
        Value::Object(members) => members
            .values()
            .for_each(|value| add_problems(value, found)),
        Value::Array(items) => items.iter().for_each(|value| add_problems(value, found)),
        _ => {}
    }
}

fn name_of(urn: &Value) -> &str {
    let name = urn.as_str().expect("a type").rsplit(':').next();
    name.expect("a name")
}

#[tokio::test]
async fn the_example_requests_of_the_document_return_200() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    for (path, methods) in members(&DOCUMENT["paths"]) {
        for (method, operation) in members(methods) {
            let parameters = operation["parameters"].as_array();
            let query: Vec<String> = parameters
                .into_iter()
                .flatten()
                .map(resolved)
                .filter(|parameter| !parameter["example"].is_null())
                .map(|parameter| {
                    let text = |value: &Value| value.to_string().trim_matches('"').to_owned();
                    let (name, example) = (&parameter["name"], &parameter["example"]);
                    format!("{}={}", text(name), text(example))
                })
                .collect();
            let body = &operation["requestBody"]["content"]["application/json"];
            let events: Vec<Value> = if method == "get" {
                vec![get(&query.join("&"))]
            } else {
                let bodies = members(&body["examples"]).values();
                bodies
                    .map(|example| post(&query.join("&"), &example["value"]))
                    .collect()
            };
            for mut event in events {
                event["rawPath"] = path.as_str().into();
                let response = env.send(&event).await;
                assert_eq!(response.status, 200, "{method} {path}: {response:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_function_returns_every_status_code_of_the_document() {
    let without_cors = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "10000")]).await;
    let hanging = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "300")]).await;
    hanging.chime.always(Some(Fault::Hang));
    let origins = [("ALLOWED_ORIGINS", "https://chat.example.com")];
    let with_cors = TestEnv::with(&origins).await;
    let with_method = |mut event: Value, method: &str| {
        event["requestContext"]["http"]["method"] = method.into();
        event
    };
    let mut seen = BTreeSet::new();
    let mut add_seen = |method: &str, response: GatewayResponse| {
        seen.insert((
            "/message-status".to_owned(),
            method.to_owned(),
            response.status,
        ));
    };

    without_cors.seed_alices_message(FlowOutcome::sent());
    let message = get_status(MESSAGE, "");
    let wait = get_status(MESSAGE, "&wait=5");
    for method in ["GET", "HEAD"] {
        let message = with_method(message.clone(), method);
        for fault in [
            Fault::Pass,
            Fault::unauthorized_client(),
            Fault::not_found(),
            Fault::throttled(),
            Fault::access_denied(),
            Fault::service_failure(),
            Fault::service_unavailable(),
        ] {
            without_cors.chime.always(Some(fault));
            add_seen(method, without_cors.send(&message).await);
        }
        add_seen(method, hanging.send(&message).await);
        let gone = vec![Fault::status_value("PENDING"), Fault::not_found()];
        without_cors.chime.script(gone);
        let wait = with_method(wait.clone(), method);
        add_seen(method, without_cors.send(&wait).await);
        let incomplete = with_method(get(""), method);
        add_seen(method, without_cors.send(&incomplete).await);
    }
    without_cors.chime.always(None);

    let batch = post("", messages(&[MESSAGE]));
    add_seen("POST", without_cors.send(&batch).await);
    add_seen("POST", without_cors.send(&post("", "{}")).await);
    let too_large = post("", " ".repeat(65537));
    add_seen("POST", without_cors.send(&too_large).await);
    let mut plain = batch.clone();
    plain["headers"]["content-type"] = "text/plain".into();
    add_seen("POST", without_cors.send(&plain).await);
    let mut unmapped = batch.clone();
    unmapped["requestContext"]["authorizer"]["jwt"]["claims"] = json!({"name": "alice"});
    add_seen("POST", without_cors.send(&unmapped).await);

    for (method, event) in [("GET", &message), ("HEAD", &message), ("POST", &batch)] {
        let mut anonymous = with_method(event.clone(), method);
        anonymous["requestContext"]["authorizer"] = Value::Null;
        add_seen(method, without_cors.send(&anonymous).await);
    }

    let preflight = sample("preflight");
    add_seen("OPTIONS", with_cors.send(&preflight).await);
    add_seen("OPTIONS", without_cors.send(&preflight).await);
    for (member, value) in [("path", json!("/other")), ("headers", json!(7))] {
        let mut event = preflight.clone();
        event[member] = value;
        add_seen("OPTIONS", with_cors.send(&event).await);
    }
    for (member, value) in [("rawPath", json!("/other")), ("headers", json!(7))] {
        let mut event = batch.clone();
        event[member] = value;
        add_seen("POST", without_cors.send(&event).await);
    }

    // A batch has these problems in its results. For the whole request they come from the gateway.
    let gateway =
        [429, 502, 503, 504].map(|status| ("/message-status".into(), "POST".into(), status));
    seen.extend(gateway);
    let described: BTreeSet<_> = DESCRIBED.keys().cloned().collect();
    assert_eq!(seen, described);
}

#[test]
fn responses_that_the_document_does_not_describe_are_reported() {
    const PATH: &str = "/message-status";
    let problem = json!({
        "type": "urn:problem-type:message-status:throttled",
        "title": "t", "status": 429, "detail": "d", "requestId": "r",
    });
    let no_store = json!({"content-type": "application/json", "cache-control": "no-store"});
    let with = |mut value: Value, name: &str, member: Value| {
        value[name] = member;
        value
    };
    let of_problem = with(no_store.clone(), "content-type", PROBLEM_JSON.into());
    let sent = json!({"messageId": "m", "status": "SENT"});
    for (path, method, status, headers, body, fault) in [
        (PATH, "GET", 200, no_store.clone(), sent.clone(), None),
        (
            "/other",
            "GET",
            200,
            no_store.clone(),
            sent.clone(),
            Some("a response at an unknown path"),
        ),
        (
            PATH,
            "GET",
            201,
            no_store.clone(),
            sent.clone(),
            Some("the status code"),
        ),
        (
            PATH,
            "PUT",
            200,
            no_store.clone(),
            sent.clone(),
            Some("a response to an unknown method"),
        ),
        (
            PATH,
            "GET",
            200,
            with(no_store.clone(), "x-new", "1".into()),
            sent.clone(),
            Some("the header `x-new`"),
        ),
        (
            PATH,
            "GET",
            200,
            with(no_store.clone(), "retry-after", "0".into()),
            sent.clone(),
            Some("the header `retry-after: 0`"),
        ),
        (
            PATH,
            "GET",
            200,
            json!({"content-type": "application/json"}),
            sent.clone(),
            Some("no header `cache-control`"),
        ),
        (
            PATH,
            "GET",
            200,
            no_store.clone(),
            with(sent.clone(), "messageArn", "x".into()),
            Some("messageArn"),
        ),
        (
            PATH,
            "POST",
            200,
            no_store.clone(),
            json!({"results": [with(sent.clone(), "problem", problem.clone())]}),
            Some("/results/0"),
        ),
        (PATH, "HEAD", 200, no_store.clone(), sent, Some("a body of")),
        (PATH, "GET", 429, of_problem.clone(), problem.clone(), None),
        (
            PATH,
            "GET",
            403,
            of_problem.clone(),
            problem.clone(),
            Some("/type"),
        ),
        (
            PATH,
            "GET",
            429,
            of_problem,
            with(problem, "cause", "x".into()),
            Some("cause"),
        ),
        (
            PATH,
            "GET",
            429,
            no_store,
            json!({"message": "Too Many Requests"}),
            Some("a problem in"),
        ),
    ] {
        let response = GatewayResponse {
            status,
            headers,
            body: body.to_string(),
        };
        let found = faults(path, method, &response);
        match fault {
            None => assert!(found.is_empty(), "{response:?}: {found:?}"),
            Some(fault) => assert!(
                found.iter().any(|found| found.contains(fault)),
                "{response:?}: {found:?}"
            ),
        }
    }
}
