//! `openapi.yaml` held against the function: each answer that a test gets has to be one that the
//! document describes, and what the document says can happen happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::support::{GatewayResponse, MESSAGE, TestEnv, get, get_message, messages, post, sample};
use crate::templates::read;

const PROBLEM: &str = include_str!("../../src/problem.rs");
const PROBLEM_JSON: &str = "application/problem+json";

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| read(include_str!("../../openapi.yaml")));
static DESCRIBED: LazyLock<BTreeMap<(String, u64), DescribedResponse>> = LazyLock::new(|| {
    operations()
        .flat_map(|(method, operation)| {
            let answers = members(&operation["responses"]).iter();
            answers.map(move |(status, answer)| {
                let status = status.parse().expect("a status code");
                (
                    (method.to_uppercase(), status),
                    DescribedResponse::read(answer),
                )
            })
        })
        .collect()
});

/// What the document says of one status code of one method.
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
    fn read(answer: &Value) -> Self {
        let answer = resolved(answer);
        let headers = members(&answer["headers"]).iter().map(|(name, header)| {
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
        let bodies = members(&answer["content"])
            .iter()
            .map(|(media_type, body)| (media_type.clone(), validator(&body["schema"])));
        Self {
            headers: headers.collect(),
            bodies: bodies.collect(),
        }
    }

    fn faults(&self, reply: &GatewayResponse) -> Vec<String> {
        let mut faults = self.faults_of_headers(reply);
        let media_type = reply.header("content-type").unwrap_or_default();
        match self.bodies.get(media_type) {
            None if self.bodies.is_empty() && reply.body.is_empty() => {}
            None => faults.push(format!("a body of `{media_type}`")),
            // Other media types of problems are those of gateways.
            Some(_) if reply.status >= 400 && media_type != PROBLEM_JSON => {
                faults.push(format!("a problem in `{media_type}`"));
            }
            Some(validator) => {
                let body = reply.json();
                let errors = validator.iter_errors(&body);
                faults.extend(errors.map(|error| format!("{}: {error}", error.instance_path())));
            }
        }
        faults
    }

    fn faults_of_headers(&self, reply: &GatewayResponse) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, value) in members(&reply.headers) {
            // OpenAPI has the media type elsewhere.
            if name == "content-type" {
                continue;
            }
            let text = value.as_str().expect("text");
            match self.headers.get(name) {
                None => faults.push(format!("the header `{name}`")),
                Some(header) if !header.takes(text) => {
                    faults.push(format!("the header `{name}: {text}`"));
                }
                Some(_) => {}
            }
        }
        for (name, header) in &self.headers {
            if header.is_required && reply.header(name).is_none() {
                faults.push(format!("no header `{name}`"));
            }
        }
        faults
    }
}

impl DescribedHeader {
    /// A header is text; where the document wants a number, its digits are meant.
    fn takes(&self, text: &str) -> bool {
        let number = text.parse::<u64>().ok();
        self.validator.is_valid(&text.into())
            || number.is_some_and(|number| self.validator.is_valid(&number.into()))
    }
}

/// Panics unless the document describes the answer to this event.
pub fn assert_described(event: &[u8], reply: &GatewayResponse) {
    let method = method(event);
    let faults = faults(&method, reply);
    assert!(
        faults.is_empty(),
        "not in openapi.yaml, {method} {}: {}\n{reply:?}",
        reply.status,
        faults.join("; ")
    );
}

fn faults(method: &str, reply: &GatewayResponse) -> Vec<String> {
    let is_problem = reply.header("content-type") == Some(PROBLEM_JSON);
    let method = match method {
        // What cannot be read is no `HEAD`, and its problem has a body.
        "HEAD" if is_problem && !reply.body.is_empty() => "OPTIONS",
        "GET" | "HEAD" | "POST" | "OPTIONS" => method,
        // The document says that any other method is answered like this one where it is not allowed.
        _ if is_problem => "OPTIONS",
        _ => return vec!["an answer to such a method".to_owned()],
    };
    match DESCRIBED.get(&(method.to_owned(), reply.status)) {
        Some(answer) => answer.faults(reply),
        None => vec!["the status code".to_owned()],
    }
}

/// The method of an event, read off in the most naive way.
fn method(event: &[u8]) -> String {
    let event: Value = serde_json::from_slice(event).unwrap_or_default();
    let method = match event["version"].as_str() {
        Some("2.0") => &event["requestContext"]["http"]["method"],
        _ => &event["httpMethod"],
    };
    method.as_str().unwrap_or_default().to_owned()
}

// The document.

fn operations() -> impl Iterator<Item = (&'static str, &'static Value)> {
    let path = &DOCUMENT["paths"]["/message-status"];
    members(path).iter().map(|(name, value)| (&**name, value))
}

/// What a `$ref` points to, or the thing itself.
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

fn members(value: &Value) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

fn validator(schema: &Value) -> Validator {
    let schema = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
    jsonschema::draft202012::new(&schema).expect("a schema")
}

/// Everything in the document that has examples and a schema: parameters, headers, bodies.
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
fn the_document_has_the_problems_of_the_table_each_with_an_example_in_the_same_words() {
    let table: BTreeSet<[&str; 3]> = PROBLEM
        .split("=> entry(")
        .skip(1)
        .map(|entry| {
            let literals: Vec<&str> = entry.split('"').skip(1).step_by(2).take(4).collect();
            let [name, _metric, title, detail] = literals[..] else {
                panic!("{entry}");
            };
            [name, title, detail]
        })
        .collect();
    let names: BTreeSet<&str> = table.iter().map(|[name, ..]| *name).collect();

    let types = schema("ProblemType")["enum"].as_array().expect("types");
    let of_document: BTreeSet<&str> = types.iter().map(name_of).collect();
    assert_eq!(of_document, names);

    let of_examples: BTreeSet<[&str; 3]> = examples()
        .iter()
        .filter(|(_, example)| example["requestId"].is_string())
        .map(|(_, example)| {
            let text = |member| example[member].as_str().expect("text");
            [name_of(&example["type"]), text("title"), text("detail")]
        })
        .collect();
    assert_eq!(of_examples, table);
}

fn name_of(urn: &Value) -> &str {
    let name = urn.as_str().expect("a type").rsplit(':').next();
    name.expect("a name")
}

#[tokio::test]
async fn the_document_s_own_requests_are_answered() {
    let env = TestEnv::new().await;
    env.put(FlowOutcome::sent());
    let parameters = members(&DOCUMENT["components"]["parameters"]).values();
    let query: Vec<String> = parameters
        .filter(|parameter| !parameter["example"].is_null())
        .map(|parameter| {
            let text = |value: &Value| value.to_string().trim_matches('"').to_owned();
            format!(
                "{}={}",
                text(&parameter["name"]),
                text(&parameter["example"])
            )
        })
        .collect();
    env.ask(&get(&query.join("&"))).await.assert_status("SENT");

    let path = &DOCUMENT["paths"]["/message-status"];
    let body = &path["post"]["requestBody"]["content"]["application/json"];
    for example in members(&body["examples"]).values() {
        let reply = env.ask(&post("", &example["value"])).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

#[tokio::test]
async fn every_status_code_of_the_document_is_one_that_the_function_gives() {
    let closed = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "300")]).await;
    let origins = [("ALLOWED_ORIGINS", "https://chat.example.com")];
    let open = TestEnv::with(&origins).await;
    let with_method = |mut event: Value, method: &str| {
        event["requestContext"]["http"]["method"] = method.into();
        event
    };
    let mut seen = BTreeSet::new();
    let mut see = |method: &str, reply: GatewayResponse| {
        seen.insert((method.to_owned(), reply.status));
    };

    closed.put(FlowOutcome::sent());
    let message = get_message(MESSAGE, "");
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
            Fault::Hang,
        ] {
            closed.chime.always(Some(fault));
            see(method, closed.ask(&message).await);
        }
        see(method, closed.ask(&with_method(get(""), method)).await);
    }
    closed.chime.always(None);

    let many = post("", messages(&[MESSAGE]));
    see("POST", closed.ask(&many).await);
    see("POST", closed.ask(&post("", "{}")).await);
    see("POST", closed.ask(&post("", " ".repeat(65537))).await);
    let mut plain = many.clone();
    plain["headers"]["content-type"] = "text/plain".into();
    see("POST", closed.ask(&plain).await);
    let mut unmapped = many.clone();
    unmapped["requestContext"]["authorizer"]["jwt"]["claims"] = json!({"name": "alice"});
    see("POST", closed.ask(&unmapped).await);

    for (method, event) in [("GET", &message), ("HEAD", &message), ("POST", &many)] {
        let mut anonymous = with_method(event.clone(), method);
        anonymous["requestContext"]["authorizer"] = Value::Null;
        see(method, closed.ask(&anonymous).await);
    }

    let preflight = sample("preflight");
    see("OPTIONS", open.ask(&preflight).await);
    see("OPTIONS", closed.ask(&preflight).await);
    let mut lost = preflight.clone();
    lost["path"] = "/other".into();
    see("OPTIONS", open.ask(&lost).await);
    let mut broken = preflight;
    broken["headers"] = 7.into();
    see("OPTIONS", open.ask(&broken).await);
    for (place, value) in [("rawPath", json!("/other")), ("headers", json!(7))] {
        let mut event = many.clone();
        event[place] = value;
        see("POST", closed.ask(&event).await);
    }

    // What the problem of one message of many would be is the gateway's alone for a `POST`.
    let gateways = [429, 502, 503, 504].map(|status| ("POST".to_owned(), status));
    let documented: BTreeSet<_> = DESCRIBED.keys().cloned().collect();
    seen.extend(gateways);
    assert_eq!(seen, documented);
}

#[test]
fn what_the_document_does_not_describe_is_found() {
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
    for (method, status, headers, body, fault) in [
        ("GET", 200, no_store.clone(), sent.clone(), None),
        (
            "GET",
            201,
            no_store.clone(),
            sent.clone(),
            Some("the status code"),
        ),
        (
            "PUT",
            200,
            no_store.clone(),
            sent.clone(),
            Some("an answer to such a method"),
        ),
        (
            "GET",
            200,
            with(no_store.clone(), "x-new", "1".into()),
            sent.clone(),
            Some("the header `x-new`"),
        ),
        (
            "GET",
            200,
            with(no_store.clone(), "retry-after", "0".into()),
            sent.clone(),
            Some("the header `retry-after: 0`"),
        ),
        (
            "GET",
            200,
            json!({"content-type": "application/json"}),
            sent.clone(),
            Some("no header `cache-control`"),
        ),
        (
            "GET",
            200,
            no_store.clone(),
            with(sent.clone(), "messageArn", "x".into()),
            Some("messageArn"),
        ),
        (
            "POST",
            200,
            no_store.clone(),
            json!({"results": [with(sent.clone(), "problem", problem.clone())]}),
            Some("/results/0"),
        ),
        ("HEAD", 200, no_store.clone(), sent, Some("a body of")),
        ("GET", 429, of_problem.clone(), problem.clone(), None),
        (
            "GET",
            403,
            of_problem.clone(),
            problem.clone(),
            Some("/type"),
        ),
        (
            "GET",
            429,
            of_problem,
            with(problem, "cause", "x".into()),
            Some("cause"),
        ),
        (
            "GET",
            429,
            no_store,
            json!({"message": "Too Many Requests"}),
            Some("a problem in"),
        ),
    ] {
        let reply = GatewayResponse {
            status,
            headers,
            body: body.to_string(),
        };
        let found = faults(method, &reply);
        match fault {
            None => assert!(found.is_empty(), "{reply:?}: {found:?}"),
            Some(fault) => assert!(
                found.iter().any(|found| found.contains(fault)),
                "{reply:?}: {found:?}"
            ),
        }
    }
}
