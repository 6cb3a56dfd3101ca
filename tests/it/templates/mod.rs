//! The SAM templates compared with the function: what they set, route and accept is what the
//! function reads, serves and accepts. `tests/deploy` tests them as CloudFormation evaluates them.

mod function;
mod names;
mod parameters;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fakes::lambda::FakeLambda;
use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

use crate::support::{TestEnv, binary, sample, user_pattern};

const FUNCTION: &str = "MessageStatusFunction";
const TIMEOUT: Duration = Duration::from_secs(20);

struct Template {
    file: &'static str,
    json: Value,
    /// The event in `events/` that this template's gateway sends.
    event: &'static str,
    /// Seconds until the gateway times out.
    gateway_timeout: u64,
}

fn http_api() -> Template {
    Template {
        file: "template.yaml",
        json: read(include_str!("../../../template.yaml")),
        event: "http-api-jwt",
        gateway_timeout: 30,
    }
}

fn rest_api() -> Template {
    Template {
        file: "deploy/rest-api.yaml",
        json: read(include_str!("../../../deploy/rest-api.yaml")),
        event: "rest-api-cognito",
        gateway_timeout: 29,
    }
}

fn managed_instances() -> Template {
    Template {
        file: "deploy/managed-instances.yaml",
        json: read(include_str!("../../../deploy/managed-instances.yaml")),
        event: "http-api-jwt",
        gateway_timeout: 30,
    }
}

fn all() -> [Template; 3] {
    [http_api(), rest_api(), managed_instances()]
}

impl Template {
    fn section(&self, name: &str) -> &Map<String, Value> {
        let section = self.json[name].as_object();
        section.unwrap_or_else(|| panic!("{}: no {name}", self.file))
    }

    fn resource(&self, name: &str) -> &Value {
        &self.json["Resources"][name]["Properties"]
    }

    fn parameter(&self, name: &str) -> &Value {
        &self.json["Parameters"][name]
    }

    fn of_type(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        let resources = self.section("Resources").iter();
        resources.filter(move |(_, resource)| resource["Type"] == kind)
    }

    fn variables(&self) -> BTreeSet<&str> {
        keys(&self.resource(FUNCTION)["Environment"]["Variables"]).collect()
    }

    fn api(&self) -> &Value {
        let http = &self.resource("HttpApi")["DefinitionBody"];
        if http.is_null() {
            &self.resource("RestApi")["DefinitionBody"]
        } else {
            http
        }
    }

    /// Method and path of each request that the gateway sends to the function.
    fn routes(&self) -> BTreeSet<(String, String)> {
        let paths = self.api()["paths"].as_object().expect("paths");
        let routes = paths
            .iter()
            .flat_map(|(path, methods)| keys(methods).map(|m| (m.to_uppercase(), path.clone())));
        routes.collect()
    }

    /// A function with the variables that this template can set.
    async fn deploy(&self) -> TestEnv {
        if self.variables().contains("ALLOWED_ORIGINS") {
            TestEnv::with(&[("ALLOWED_ORIGINS", "https://chat.example.com")]).await
        } else {
            TestEnv::new().await
        }
    }

    /// The event that the gateway makes of a request.
    fn request(&self, method: &str, path: &str) -> Value {
        let mut event = sample(self.event);
        if event["version"] == "2.0" {
            event["rawPath"] = path.into();
            event["requestContext"]["http"]["path"] = path.into();
            event["requestContext"]["http"]["method"] = method.into();
        } else {
            event["path"] = path.into();
            event["httpMethod"] = method.into();
            event["requestContext"]["httpMethod"] = method.into();
        }
        event
    }
}

/// YAML as JSON. A template reads as if it had long intrinsics: `!Sub x` is `{"Fn::Sub": "x"}`.
pub fn read(yaml: &str) -> Value {
    let documents = YamlOwned::load_from_str(yaml).expect("YAML");
    let [document] = documents.as_slice() else {
        panic!("one document");
    };
    to_json(document)
}

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
            .map(|(key, value)| match to_json(key) {
                Value::String(key) => (key, to_json(value)),
                // A number as a key, such as `401:`.
                key => (key.to_string(), to_json(value)),
            })
            .collect(),
        YamlOwned::Tagged(tag, node) => {
            let value = to_json(node);
            match (tag.suffix.as_str(), &value) {
                ("Ref", _) => json!({ "Ref": value }),
                ("GetAtt", Value::String(path)) => {
                    let (resource, attribute) = path.split_once('.').expect("an attribute");
                    json!({ "Fn::GetAtt": [resource, attribute] })
                }
                (function, _) => json!({ format!("Fn::{function}"): value }),
            }
        }
        YamlOwned::Representation(..) | YamlOwned::Alias(_) | YamlOwned::BadValue => {
            panic!("unexpected YAML: {yaml:?}")
        }
    }
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
}

fn keys(value: &Value) -> impl Iterator<Item = &str> {
    let object = value.as_object();
    object
        .unwrap_or_else(|| panic!("not an object: {value}"))
        .keys()
        .map(String::as_str)
}

fn one_or_many(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map_or(vec![value], |many| many.iter().collect())
}

/// Calls `visit` with `value` and everything in it.
fn walk<'v>(value: &'v Value, visit: &mut impl FnMut(&'v Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        _ => {}
    }
}

/// Why the function does not start with these variables; `None` when it starts.
async fn start_failure(variables: &[(&str, &str)]) -> Option<String> {
    let mut function = FakeLambda::start(binary(), variables)
        .await
        .expect("a process");
    let mut event = sample("http-api-jwt");
    event["requestContext"]["http"]["method"] = "DELETE".into();
    tokio::select! {
        _ = function.invoke(event.to_string(), Some(TIMEOUT)) => return None,
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    for _ in 0..400 {
        let log = function.log();
        if let Some(line) = log.iter().find(|line| line.contains("does not start")) {
            return Some(line.clone());
        }
        if !log.is_empty() || !function.is_running() {
            let line = function.log_line(|_| true, TIMEOUT).await?;
            return line.contains("does not start").then_some(line);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("neither a start nor a failure")
}

/// The same with the credentials and the pattern that a function needs.
async fn start_failure_with(name: &str, value: &str) -> Option<String> {
    let pattern = user_pattern("sub");
    let mut variables = BTreeMap::from([
        ("APP_INSTANCE_USER_ARN", pattern.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDFAKECHIME"),
        ("AWS_SECRET_ACCESS_KEY", "fake-secret"),
        // Nothing listens there. A start does not wait for it.
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "http://127.0.0.1:1"),
    ]);
    variables.insert(name, value);
    let variables: Vec<_> = variables.into_iter().collect();
    start_failure(&variables).await
}
