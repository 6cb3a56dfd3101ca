//! `openapi.yaml` compared with the function: it must describe each response of each test. Other tests send
//! requests made from the document (`tests/interop/contract.py`), and check its examples (`tests/contract`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chime_message_status::problem::ProblemType;
use jsonschema::Validator;
use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

use crate::support::GatewayResponse;

/// Also describes the responses to requests for any other path.
const PATH: &str = "/message-status";
const PROBLEM_JSON: &str = "application/problem+json";

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let documents = YamlOwned::load_from_str(include_str!("../../openapi.yaml"));
    to_json(&documents.expect("YAML")[0])
});
/// The schema of each body by path, method, status code and media type.
static BODIES: LazyLock<BTreeMap<(String, String, u64, String), Validator>> = LazyLock::new(|| {
    let mut bodies = BTreeMap::new();
    for (path, operations) in members(&DOCUMENT["paths"]) {
        for (method, operation) in members(operations) {
            for (status, response) in members(&operation["responses"]) {
                let status = status.parse().expect("a status code");
                for (media_type, body) in members(&resolved(response)["content"]) {
                    let key = (
                        path.clone(),
                        method.to_uppercase(),
                        status,
                        media_type.clone(),
                    );
                    bodies.insert(key, validator(&body["schema"]));
                }
            }
        }
    }
    bodies
});

/// Panics unless the document describes the response to this event.
pub fn assert_described(event: &[u8], response: &GatewayResponse) {
    if response.body.is_empty() {
        assert_eq!(response.status, 204, "{response:?}");
        return;
    }
    let event: Value = serde_json::from_slice(event).unwrap_or_default();
    let method = event["requestContext"]["http"]["method"].as_str();
    let method = method.or(event["httpMethod"].as_str()).unwrap_or_default();
    let path = event["rawPath"].as_str().or(event["path"].as_str());
    let path = path.unwrap_or_default().trim_end_matches('/');
    let mut paths = members(&DOCUMENT["paths"]).keys();
    let path = paths.find(|known| path.ends_with(*known));
    let path = path.map_or(PATH, String::as_str);
    let media_type = response.header("content-type").unwrap_or_default();
    // The document has one response for all paths and methods that it does not contain.
    let methods = match (method, media_type) {
        // An event with half of a surrogate pair, which serde_json cannot read.
        ("", _) => vec!["GET", "POST", "OPTIONS"],
        (_, PROBLEM_JSON) => vec![method, "OPTIONS"],
        _ => vec![method],
    };
    let body = methods.into_iter().find_map(|method| {
        BODIES.get(&(
            path.into(),
            method.into(),
            response.status,
            media_type.into(),
        ))
    });
    let body = body.unwrap_or_else(|| panic!("openapi.yaml lacks {method}: {response:?}"));
    if let Err(error) = body.validate(&response.json()) {
        panic!("not as in openapi.yaml: {error} in {response:?}");
    }
}

// The document.

fn to_json(yaml: &YamlOwned) -> Value {
    match yaml {
        YamlOwned::Value(ScalarOwned::Null) => Value::Null,
        YamlOwned::Value(ScalarOwned::Boolean(value)) => json!(value),
        YamlOwned::Value(ScalarOwned::Integer(value)) => json!(value),
        YamlOwned::Value(ScalarOwned::FloatingPoint(value)) => json!(value.into_inner()),
        YamlOwned::Value(ScalarOwned::String(value)) => json!(value),
        YamlOwned::Sequence(items) => items.iter().map(to_json).collect(),
        YamlOwned::Mapping(members) => members
            .iter()
            .map(|(key, value)| {
                let name = to_json(key);
                (name.as_str().expect("a name").to_owned(), to_json(value))
            })
            .collect(),
        other => panic!("unexpected YAML: {other:?}"),
    }
}

/// The members of an object. Empty for any other value.
fn members(value: &Value) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

/// The target of a `$ref`, or the value itself.
fn resolved(value: &Value) -> &Value {
    let reference = value["$ref"].as_str();
    let target = reference.map(|text| DOCUMENT.pointer(text.trim_start_matches('#')));
    target.map_or(value, |target| target.expect("a target"))
}

fn validator(schema: &Value) -> Validator {
    let schema = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
    jsonschema::draft202012::new(&schema).expect("a schema")
}

/// Calls `visit` with every object in the document.
fn walk<'v>(value: &'v Value, visit: &mut impl FnMut(&'v Value)) {
    match value {
        Value::Object(members) => {
            visit(value);
            members.values().for_each(|member| walk(member, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

#[test]
fn the_document_has_every_problem_type_with_its_status_title_and_detail() {
    let table: BTreeSet<_> = ProblemType::ALL
        .iter()
        .map(|problem| {
            let urn = format!("urn:problem-type:message-status:{}", problem.name());
            let status = problem.status().as_u16().to_string();
            [urn, status, problem.title().into(), problem.detail().into()]
        })
        .collect();
    let mut examples = BTreeSet::new();
    walk(&DOCUMENT, &mut |value| {
        if value["requestId"].is_string() {
            let texts = ["type", "status", "title", "detail"].map(|member| match &value[member] {
                Value::String(text) => text.clone(),
                number => number.to_string(),
            });
            examples.insert(texts);
        }
    });
    assert_eq!(examples, table);
    let schema = &DOCUMENT["components"]["schemas"]["ProblemType"];
    let types = schema["enum"].as_array().expect("types").iter();
    let types: BTreeSet<_> = types.filter_map(Value::as_str).collect();
    assert_eq!(types, table.iter().map(|[urn, ..]| urn.as_str()).collect());
}

#[test]
#[should_panic(expected = "not as in openapi.yaml")]
fn a_response_with_an_unknown_member_is_not_described() {
    let response = GatewayResponse {
        status: 200,
        headers: json!({"content-type": "application/json"}),
        body: json!({"messageId": "m", "status": "SENT", "messageArn": "x"}).to_string(),
    };
    assert_described(br#"{"httpMethod":"GET"}"#, &response);
}
