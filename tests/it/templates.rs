//! The two SAM templates, and what is written about them, held against the function: what they set,
//! route, permit and count is what it knows, serves, needs and emits, and the reverse.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fakes::flow::FlowOutcome;
use fakes::lambda::FakeLambda;
use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

use crate::support::{
    APP_INSTANCE, TestEnv, binary, get_message, request_id, sample, user_pattern,
};

const CONFIG: &str = include_str!("../../src/config.rs");
const PROBLEM: &str = include_str!("../../src/problem.rs");
const TELEMETRY: &str = include_str!("../../src/telemetry.rs");
const README: &str = include_str!("../../README.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const MANIFEST: &str = include_str!("../../Cargo.toml");

const FUNCTION: &str = "MessageStatusFunction";
const PATIENCE: Duration = Duration::from_secs(20);

// The templates.

struct Template {
    file: &'static str,
    json: Value,
    /// What the gateway's events look like.
    event: &'static str,
    /// How many seconds the gateway waits.
    patience: u64,
}

fn http() -> Template {
    Template {
        file: "template.yaml",
        json: read(include_str!("../../template.yaml")),
        event: "http-api-jwt",
        patience: 30,
    }
}

fn rest() -> Template {
    Template {
        file: "template-rest.yaml",
        json: read(include_str!("../../template-rest.yaml")),
        event: "rest-api-cognito",
        patience: 29,
    }
}

fn both() -> [Template; 2] {
    [http(), rest()]
}

impl Template {
    fn section(&self, name: &str) -> &Map<String, Value> {
        let section = self.json[name].as_object();
        section.unwrap_or_else(|| panic!("{}: no {name}", self.file))
    }

    fn resource(&self, name: &str) -> &Value {
        &self.json["Resources"][name]["Properties"]
    }

    fn of_type(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        let resources = self.section("Resources").iter();
        resources.filter(move |(_, resource)| resource["Type"] == kind)
    }

    fn variables(&self) -> BTreeSet<&str> {
        let variables = &self.resource(FUNCTION)["Environment"]["Variables"];
        keys(variables).collect()
    }

    fn api(&self) -> &Value {
        let http = &self.resource("HttpApi")["DefinitionBody"];
        match http.is_null() {
            true => &self.resource("RestApi")["DefinitionBody"],
            false => http,
        }
    }

    /// Method and path of everything that the gateway sends to the function.
    fn routes(&self) -> BTreeSet<(String, String)> {
        let events = self.resource(FUNCTION)["Events"].as_object();
        let routes = events.expect("events").values().map(|event| {
            let part = |name: &str| text(&event["Properties"][name]).to_owned();
            (part("Method"), part("Path"))
        });
        routes.collect()
    }

    fn methods(&self) -> BTreeSet<String> {
        self.routes()
            .into_iter()
            .map(|(method, _)| method)
            .collect()
    }

    /// A function whose variables are those of the template.
    async fn deploy(&self) -> TestEnv {
        let origins = [("ALLOWED_ORIGINS", "https://chat.example.com")];
        match self.variables().contains("ALLOWED_ORIGINS") {
            true => TestEnv::with(&origins).await,
            false => TestEnv::new().await,
        }
    }

    /// The event that the gateway makes of a request.
    fn request(&self, method: &str, path: &str) -> Value {
        let mut event = sample(self.event);
        match event["version"] == "2.0" {
            true => {
                event["rawPath"] = path.into();
                event["requestContext"]["http"]["path"] = path.into();
                event["requestContext"]["http"]["method"] = method.into();
            }
            false => {
                event["path"] = path.into();
                event["httpMethod"] = method.into();
                event["requestContext"]["httpMethod"] = method.into();
            }
        }
        event
    }
}

/// YAML as JSON; a template as if it were written so for CloudFormation: `!Sub x` is
/// `{"Fn::Sub": "x"}`.
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
                // `401:` and the like.
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
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn keys(value: &Value) -> impl Iterator<Item = &str> {
    let object = value.as_object();
    object
        .unwrap_or_else(|| panic!("no object: {value}"))
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

/// The names that `value` refers to, without `AWS::…`.
fn references(value: &Value) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    walk(value, &mut |value| {
        names.extend(value["Ref"].as_str());
        names.extend(value["Fn::GetAtt"][0].as_str());
        let with_values = &value["Fn::Sub"][0];
        if let Some(template) = value["Fn::Sub"].as_str().or(with_values.as_str()) {
            let parts = template.split("${").skip(1);
            names.extend(parts.filter_map(|part| part.split(['.', '}']).next()));
        }
    });
    // `!Ref Function.Alias` is SAM's.
    let names = names.into_iter().filter(|name| !name.starts_with("AWS::"));
    names
        .map(|name| name.split('.').next().unwrap_or(name))
        .collect()
}

// The function's own words.

/// The string literals of a source file, without those of its unit tests.
fn literals(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or(source);
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .collect()
}

/// The variables that the function reads.
fn known_variables() -> BTreeSet<&'static str> {
    let is_variable = |text: &&str| {
        let bytes = text.as_bytes();
        text.contains('_')
            && bytes.iter().all(|b| b.is_ascii_uppercase() || *b == b'_')
            && !text.ends_with('_')
    };
    literals(CONFIG).into_iter().filter(is_variable).collect()
}

/// The metrics that the function emits.
fn known_metrics() -> BTreeSet<&'static str> {
    const WORDS_OF_EMF: [&str; 6] = [
        "Count",
        "Milliseconds",
        "FunctionName",
        "ChimeMessageStatus",
        "CloudWatchMetrics",
        "PascalCase",
    ];
    let is_name = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.contains(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_alphabetic())
            && !WORDS_OF_EMF.contains(text)
    };
    let of_telemetry = literals(TELEMETRY);
    let of_problems = literals(PROBLEM)
        .into_iter()
        .filter(|l| l.starts_with("Problem"));
    let all = of_telemetry.into_iter().chain(of_problems);
    all.filter(is_name).collect()
}

/// The title of each problem by its name.
fn known_problems() -> BTreeMap<&'static str, &'static str> {
    let entries = PROBLEM.split("=> entry(").skip(1);
    let entry = |source| {
        let literals = literals(source);
        (literals[0], literals[2])
    };
    entries.map(entry).collect()
}

/// The second cell of the README's table row whose first is `name`.
fn readme(name: &str) -> &'static str {
    let row = README
        .lines()
        .find(|l| l.starts_with(&format!("| `{name}` |")));
    let cell = row.and_then(|row| row.split('|').nth(2));
    cell.unwrap_or_else(|| panic!("the README has no {name}"))
        .trim()
}

/// Why the function does not start with these variables; `None` when it does.
async fn start_failure(variables: &[(&str, &str)]) -> Option<String> {
    let mut function = FakeLambda::start(binary(), variables)
        .await
        .expect("a process");
    let mut event = sample("http-api-jwt");
    event["requestContext"]["http"]["method"] = "DELETE".into();
    tokio::select! {
        _ = function.invoke(event.to_string(), Some(PATIENCE)) => return None,
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    for _ in 0..400 {
        let log = function.log();
        if let Some(line) = log.iter().find(|line| line.contains("does not start")) {
            return Some(line.clone());
        }
        if !log.is_empty() || !function.is_running() {
            let line = function.log_line(|_| true, PATIENCE).await?;
            return line.contains("does not start").then_some(line);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("neither a start nor a failure")
}

/// The same with the credentials and the template that a function needs.
async fn start_failure_with(name: &str, value: &str) -> Option<String> {
    let template = user_pattern("sub");
    let mut variables = BTreeMap::from([
        ("APP_INSTANCE_USER_ARN", template.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDFAKECHIME"),
        ("AWS_SECRET_ACCESS_KEY", "fake-secret"),
        // Where nothing listens: a start does not wait for it.
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "http://127.0.0.1:1"),
    ]);
    variables.insert(name, value);
    let variables: Vec<_> = variables.into_iter().collect();
    start_failure(&variables).await
}

// Environment variables.

#[tokio::test]
async fn every_variable_of_the_templates_is_one_that_the_function_checks() {
    for template in both() {
        for name in template.variables() {
            assert!(
                known_variables().contains(name),
                "{}: {name}",
                template.file
            );
            let failure = start_failure_with(name, "?!").await;
            let told = failure.is_some_and(|line| line.contains(name));
            assert!(told, "{}: {name}", template.file);
        }
    }
}

#[tokio::test]
async fn every_variable_that_the_function_requires_is_in_the_templates() {
    let failure = start_failure(&[]).await.expect("a failure");
    let required: Vec<_> = known_variables()
        .into_iter()
        .filter(|name| failure.contains(&format!("{name}:")))
        .collect();
    assert_eq!(required, ["APP_INSTANCE_USER_ARN"], "{failure}");
    for template in both() {
        for name in &required {
            assert!(template.variables().contains(name), "{}", template.file);
        }
    }
}

#[test]
fn cors_is_the_gateways_or_the_functions_and_never_both() {
    for template in both() {
        let by_function = template.variables().contains("ALLOWED_ORIGINS");
        let by_gateway = !template.api()["x-amazon-apigateway-cors"].is_null();
        assert!(by_function != by_gateway, "{}", template.file);
    }
}

#[tokio::test]
async fn the_longest_wait_has_the_range_and_the_default_of_the_function() {
    for template in both() {
        let parameter = &template.json["Parameters"]["MaxWaitSeconds"];
        let number = |name: &str| parameter[name].as_i64().expect("a number");
        let (least, most) = (number("MinValue"), number("MaxValue"));
        for (value, is_good) in [
            (least, true),
            (most, true),
            (least - 1, false),
            (most + 1, false),
        ] {
            let failure = start_failure_with("MAX_WAIT_SECONDS", &value.to_string()).await;
            assert_eq!(failure.is_none(), is_good, "{}: {value}", template.file);
        }
        assert_eq!(number("Default").to_string(), readme("MAX_WAIT_SECONDS"));
    }
}

#[test]
fn the_time_out_has_room_for_the_longest_wait_and_fits_into_the_gateways_patience() {
    let attempt: u64 = readme("CHIME_ATTEMPT_TIMEOUT_MS").parse().expect("ms");
    for template in both() {
        let function = template.resource(FUNCTION);
        let seconds = function["Timeout"].as_u64().expect("seconds");
        let wait = template.json["Parameters"]["MaxWaitSeconds"]["MaxValue"].as_u64();
        let needed = wait.expect("seconds") + attempt.div_ceil(1000) + 1;
        assert!(
            (needed..=template.patience).contains(&seconds),
            "{}",
            template.file
        );
        let alarm = &template.json["Parameters"]["LatencyAlarmMilliseconds"];
        let most = alarm["MaxValue"].as_u64().expect("milliseconds");
        assert!(most <= seconds * 1000, "{}: never goes off", template.file);
        // What cargo-lambda deploys is the same.
        let (_, deploy) = MANIFEST
            .split_once("metadata.lambda.deploy]")
            .expect("a section");
        let deploy = deploy.split("\n[").next().unwrap_or(deploy);
        assert!(
            deploy.contains(&format!("\ntimeout = {seconds}\n")),
            "{deploy}"
        );
        let memory = &function["MemorySize"];
        assert!(
            deploy.contains(&format!("\nmemory = {memory}\n")),
            "{deploy}"
        );
    }
}

#[test]
fn a_parameter_that_changes_the_function_makes_a_new_version() {
    let template = http();
    let function = template.resource(FUNCTION);
    let described = references(&function["VersionDescription"]);
    for part in [
        "Environment",
        "Architectures",
        "Tracing",
        "MemorySize",
        "Timeout",
    ] {
        assert!(references(&function[part]).is_subset(&described), "{part}");
    }
}

// Routes.

#[tokio::test]
async fn every_route_of_the_templates_is_served() {
    for template in both() {
        let env = template.deploy().await;
        env.put(FlowOutcome::sent());
        for (method, path) in template.routes() {
            let reply = env.ask(&template.request(&method, &path)).await;
            let is_served = ![404, 405, 500].contains(&reply.status);
            assert!(is_served, "{}: {method} {path}: {reply:?}", template.file);
        }
        let elsewhere = env.ask(&template.request("GET", "/elsewhere")).await;
        elsewhere.assert_problem(404, "route-not-found");
    }
}

#[tokio::test]
async fn every_method_that_is_served_is_in_the_templates() {
    for template in both() {
        let env = template.deploy().await;
        let reply = env
            .ask(&template.request("DELETE", "/message-status"))
            .await;
        reply.assert_problem(405, "method-not-allowed");
        let allowed = reply.header("allow").expect("methods").split(", ");
        let allowed: BTreeSet<_> = allowed.map(str::to_owned).collect();
        assert_eq!(template.methods(), allowed, "{}", template.file);
    }
}

#[test]
fn the_gateways_know_the_same_routes_as_the_events_and_leave_none_open_but_preflights() {
    for template in both() {
        let paths = template.api()["paths"].as_object().expect("paths");
        let mut routes = BTreeSet::new();
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().expect("methods") {
                let security = &operation["security"];
                let is_open = security.as_array().is_none_or(Vec::is_empty);
                assert_eq!(is_open, method == "options", "{}: {method}", template.file);
                routes.insert((method.to_uppercase(), path.clone()));
            }
        }
        assert_eq!(routes, template.routes(), "{}", template.file);
    }
}

#[tokio::test]
async fn the_http_apis_cors_says_what_the_functions_own_says() {
    let cors = http().api()["x-amazon-apigateway-cors"]["Fn::If"][1].clone();
    let env = rest().deploy().await;
    let preflight = env.ask(&sample("preflight")).await;
    assert_eq!(preflight.status, 204);
    let list = |name: &str| -> BTreeSet<String> {
        let value = preflight.header(name).unwrap_or_default();
        value
            .split(',')
            .map(|item| item.trim().to_lowercase())
            .collect()
    };
    let of_gateway = |name: &str| -> BTreeSet<String> {
        let items = one_or_many(&cors[name]).into_iter();
        items.map(|item| text(item).to_lowercase()).collect()
    };
    assert_eq!(
        of_gateway("allowMethods"),
        list("access-control-allow-methods")
    );
    // The function also serves gateways that look for a key or a signature.
    let headers = of_gateway("allowHeaders");
    assert!(headers.is_subset(&list("access-control-allow-headers")));
    assert!(headers.contains("authorization") && headers.contains("content-type"));
    let age = preflight.header("access-control-max-age");
    assert_eq!(age, Some(cors["maxAge"].to_string().as_str()));
    let mut event = rest().request("DELETE", "/message-status");
    event["headers"]["origin"] = "https://chat.example.com".into();
    let answer = env.ask(&event).await;
    let exposed = answer.header("access-control-expose-headers");
    assert_eq!(
        of_gateway("exposeHeaders"),
        BTreeSet::from([exposed.unwrap_or_default().to_owned()])
    );
}

#[test]
fn what_the_rest_api_answers_by_itself_is_a_problem_of_the_function() {
    let template = rest();
    let responses = &template.api()["x-amazon-apigateway-gateway-responses"];
    for kind in ["DEFAULT_4XX", "DEFAULT_5XX"] {
        assert!(responses[kind].is_object(), "{kind}");
    }
    for (kind, response) in responses.as_object().expect("responses") {
        let body = text(&response["responseTemplates"]["application/json"]);
        let body: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let name = text(&body["type"]).strip_prefix("urn:problem-type:message-status:");
        let name = name.expect("a problem type");
        assert_eq!(
            known_problems().get(name),
            Some(&text(&body["title"])),
            "{kind}"
        );
        assert_eq!(readme(name), body["status"].to_string(), "{kind}");
        assert_eq!(response["statusCode"], body["status"], "{kind}");
        assert_eq!(body["requestId"], "$context.requestId", "{kind}");
        assert!(body["detail"].is_string(), "{kind}");
        let header = |name: &str| {
            let value = &response["responseParameters"][format!("gatewayresponse.header.{name}")];
            value["Fn::If"][1]
                .as_str()
                .or(value.as_str())
                .map(|v| v.trim_matches('\''))
        };
        assert_eq!(
            header("Content-Type"),
            Some("application/problem+json"),
            "{kind}"
        );
        assert_eq!(header("Cache-Control"), Some("no-store"), "{kind}");
        assert_eq!(header("Access-Control-Allow-Origin"), Some("*"), "{kind}");
        assert_eq!(
            header("WWW-Authenticate").is_some(),
            name == "unauthenticated",
            "{kind}"
        );
        assert_eq!(
            header("Retry-After").is_some(),
            name == "throttled",
            "{kind}"
        );
    }
}

// Permissions.

/// With `-- --nocapture` it prints the policy.
#[test]
#[expect(clippy::print_stdout)]
fn the_policy_permits_asking_for_the_app_instances_messages_and_nothing_else() {
    for template in both() {
        let role = template.resource("FunctionRole");
        println!("{}:\n{:#}", template.file, role["Policies"]);
        assert_eq!(
            keys(role).collect::<Vec<_>>(),
            ["AssumeRolePolicyDocument", "Description", "Policies"]
        );
        let function = template.resource(FUNCTION);
        assert_eq!(
            function["Role"],
            json!({"Fn::GetAtt": ["FunctionRole", "Arn"]})
        );
        assert!(function["Policies"].is_null(), "{}", template.file);
        assert_eq!(
            template.of_type("AWS::IAM::Role").count(),
            1,
            "{}",
            template.file
        );

        let mut statements = Vec::new();
        walk(&role["Policies"], &mut |value| {
            statements.extend(value["Statement"].as_array().into_iter().flatten());
        });
        let mut asks = 0;
        for statement in statements {
            assert_eq!(
                keys(statement).collect::<Vec<_>>(),
                ["Action", "Effect", "Resource"]
            );
            assert_eq!(statement["Effect"], "Allow");
            let actions: BTreeSet<_> = one_or_many(&statement["Action"])
                .into_iter()
                .map(text)
                .collect();
            let everything = one_or_many(&statement["Resource"]).contains(&&json!("*"));
            if actions.contains("chime:GetChannelMessageStatus") {
                asks += 1;
                assert_eq!(actions.len(), 1, "{statement}");
                let resources = json!([
                    {"Fn::Sub": "${AppInstanceArn}/user/*"},
                    {"Fn::Sub": "${AppInstanceArn}/channel/*"},
                ]);
                assert_eq!(statement["Resource"], resources);
                continue;
            }
            let logs = BTreeSet::from(["logs:CreateLogStream", "logs:PutLogEvents"]);
            let traces = BTreeSet::from(["xray:PutTelemetryRecords", "xray:PutTraceSegments"]);
            assert!(actions == logs || actions == traces, "{statement}");
            // X-Ray's have no resource that could be named.
            assert_eq!(everything, actions == traces, "{statement}");
        }
        assert_eq!(asks, 1, "{}", template.file);
    }
}

// Metrics, alarms, dashboard.

/// Every metric that a template mentions: namespace, name, and the names of its dimensions.
fn metrics(template: &Template) -> Vec<(String, String, Vec<String>)> {
    let mut found = Vec::new();
    let mut add = |metric: &Value| {
        if let Some(name) = metric["MetricName"].as_str() {
            let dimensions = metric["Dimensions"].as_array().expect("dimensions").iter();
            let dimensions = dimensions.map(|d| text(&d["Name"]).to_owned()).collect();
            found.push((
                text(&metric["Namespace"]).to_owned(),
                name.to_owned(),
                dimensions,
            ));
        }
    };
    for (_, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
        walk(alarm, &mut add);
    }
    for (_, dashboard) in template.of_type("AWS::CloudWatch::Dashboard") {
        let body = text(&dashboard["Properties"]["DashboardBody"]["Fn::Sub"]);
        let body: Value = serde_json::from_str(body).expect("a dashboard in JSON");
        for widget in body["widgets"].as_array().expect("widgets") {
            for metric in widget["properties"]["metrics"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let words: Vec<_> = one_or_many(metric)
                    .into_iter()
                    .map_while(Value::as_str)
                    .collect();
                let [namespace, name, dimensions @ ..] = words.as_slice() else {
                    assert!(metric[0]["expression"].is_string(), "{metric}");
                    continue;
                };
                let dimensions = dimensions.iter().step_by(2).map(|d| (*d).to_owned());
                found.push((
                    (*namespace).to_owned(),
                    (*name).to_owned(),
                    dimensions.collect(),
                ));
            }
        }
    }
    found
}

/// What the function logs of a request for a message that is not there.
async fn record_of_a_problem() -> Value {
    let env = TestEnv::new().await;
    let event = get_message("none", "");
    env.ask(&event)
        .await
        .assert_problem(404, "message-not-found");
    env.record(request_id(&event)).await
}

#[tokio::test]
async fn every_metric_of_the_templates_is_one_that_the_function_emits() {
    let record = record_of_a_problem().await;
    let directive = &record["_aws"]["CloudWatchMetrics"][0];
    let own = text(&directive["Namespace"]);
    assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
    for metric in directive["Metrics"].as_array().expect("metrics") {
        assert!(known_metrics().contains(text(&metric["Name"])), "{metric}");
    }
    for template in both() {
        for (namespace, name, dimensions) in metrics(&template) {
            match namespace.as_str() {
                "AWS/Lambda" | "AWS/ApiGateway" => {}
                _ => {
                    assert_eq!(
                        (namespace.as_str(), &dimensions[..]),
                        (own, &["FunctionName".to_owned()][..])
                    );
                    assert!(
                        known_metrics().contains(name.as_str()),
                        "{}: {name}",
                        template.file
                    );
                }
            }
        }
    }
}

#[test]
fn every_metric_that_the_function_emits_is_on_the_dashboard() {
    let shown: BTreeSet<_> = metrics(&http())
        .into_iter()
        .map(|(_, name, _)| name)
        .collect();
    for name in known_metrics() {
        assert!(shown.contains(name), "{name}");
    }
}

#[test]
fn every_alarm_tells_the_topic_and_what_should_wake_somebody_has_one() {
    for template in both() {
        let mut watched = BTreeSet::new();
        for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
            let properties = &alarm["Properties"];
            let topic = json!({"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]});
            assert_eq!(properties["AlarmActions"], topic, "{name}");
            assert!(!text(&properties["AlarmDescription"]).is_empty(), "{name}");
            // Silence is what a quiet night sounds like.
            assert_eq!(properties["TreatMissingData"], "notBreaching", "{name}");
            walk(properties, &mut |value| {
                watched.extend(value["MetricName"].as_str())
            });
        }
        let server_errors = if template.patience == 30 {
            "5xx"
        } else {
            "5XXError"
        };
        for metric in [
            "ProblemMisconfigured",
            "ProblemInternalError",
            server_errors,
            "ProblemThrottled",
            "Throttles",
            "Latency",
            "Errors",
            "ConcurrentExecutions",
        ] {
            assert!(watched.contains(metric), "{}: {metric}", template.file);
        }
    }
}

// Parameters and outputs.

#[test]
fn every_parameter_is_used_described_and_checked() {
    for template in both() {
        let mut used = BTreeSet::new();
        for section in ["Conditions", "Resources", "Outputs"] {
            used.extend(references(&template.json[section]));
        }
        let groups =
            &template.json["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"];
        let groups = groups.as_array().expect("groups").iter();
        let mut shown: Vec<_> = groups
            .flat_map(|group| one_or_many(&group["Parameters"]))
            .map(text)
            .collect();
        shown.sort_unstable();
        let declared: Vec<_> = keys(&template.json["Parameters"]).collect();
        assert_eq!(shown, declared, "{}: in groups", template.file);
        for (name, parameter) in template.section("Parameters") {
            assert!(
                used.contains(name.as_str()),
                "{}: {name} is not used",
                template.file
            );
            let described = parameter["Description"]
                .as_str()
                .is_some_and(|text| text.ends_with('.') || text.contains("://"));
            assert!(described, "{}: {name}", template.file);
            if !parameter["AllowedValues"].is_array() {
                assert!(
                    parameter["ConstraintDescription"].is_string(),
                    "{}: {name}",
                    template.file
                );
                let checked = ["AllowedPattern", "MinValue", "MaxValue"];
                assert!(
                    checked.iter().any(|check| !parameter[check].is_null()),
                    "{}: {name}",
                    template.file
                );
            }
            if let (Some(pattern), Some(default)) = (
                parameter["AllowedPattern"].as_str(),
                parameter["Default"].as_str(),
            ) {
                assert!(matches(pattern, default), "{}: {name}", template.file);
            }
        }
    }
}

#[test]
fn everything_that_is_referred_to_exists_and_every_condition_is_used() {
    for template in both() {
        let parameters = keys(&template.json["Parameters"]);
        let known: BTreeSet<_> = parameters
            .chain(keys(&template.json["Resources"]))
            .collect();
        for name in references(&template.json) {
            // SAM makes the alias of the function.
            assert!(known.contains(name), "{}: {name}", template.file);
        }
        let mut conditions = BTreeSet::new();
        walk(&template.json, &mut |value| {
            conditions.extend(value["Fn::If"][0].as_str());
            conditions.extend(value["Condition"].as_str());
        });
        let declared: BTreeSet<_> = keys(&template.json["Conditions"]).collect();
        assert_eq!(conditions, declared, "{}", template.file);
    }
}

#[test]
fn the_outputs_are_described_and_give_the_url_the_arn_and_a_line_to_paste() {
    for template in both() {
        for (name, output) in template.section("Outputs") {
            assert!(
                output["Description"].is_string(),
                "{}: {name}",
                template.file
            );
        }
        let outputs = &template.json["Outputs"];
        let url = text(&outputs["MessageStatusUrl"]["Value"]["Fn::Sub"]);
        assert!(
            url.starts_with("https://") && url.ends_with("/message-status"),
            "{url}"
        );
        assert!(
            outputs["FunctionArn"]["Value"].is_object(),
            "{}",
            template.file
        );
        let curl = text(&outputs["CurlCommand"]["Value"]["Fn::Sub"]);
        assert!(curl.starts_with("curl ") && curl.contains(url), "{curl}");
        for parameter in ["channelArn=", "messageId="] {
            assert!(curl.contains(parameter), "{curl}");
        }
    }
}

/// What a parameter takes and what it refuses.
const SAMPLES: [(&str, &[&str], &[&str]); 7] = [
    (
        "AppInstanceArn",
        &[
            APP_INSTANCE,
            "arn:aws:chime:eu-central-1:111122223333:app-instance/a",
        ],
        &[
            "",
            "7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21",
            "arn:aws:chime:us-east-1:111122223333:app-instance/",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/alice",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/{sub}",
            "arn:aws:chime:us-east-1:111122223333:app-instance/{tenant}",
            "arn:aws:chime:us-east-1:111122223333:app-instance/*",
            "arn:aws:chime:us-west-2:111122223333:app-instance/7f1c",
            "arn:aws:chime:us-east-1:11112222333:app-instance/7f1c",
            "arn:aws:iam::111122223333:role/chat",
            " arn:aws:chime:us-east-1:111122223333:app-instance/7f1c",
        ],
    ),
    (
        "UserIdClaim",
        &["sub", "custom:chatUserId", "https://example.com/chat-user"],
        &["", "{sub}", "sub}/x{y", "a b", "sub,email", "${sub}"],
    ),
    (
        "Issuer",
        &[
            "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Xy7PqR2sT",
            "https://tenant.eu.auth0.com/",
            "https://login.example.com:8443/realms/chat",
        ],
        &[
            "",
            "http://login.example.com",
            "login.example.com",
            "https://",
            "https://login.example.com?tenant=1",
            "https://login.example.com/#a",
            "https://login.example.com/ ",
        ],
    ),
    (
        "UserPoolArn",
        &["arn:aws:cognito-idp:us-east-1:111122223333:userpool/us-east-1_Xy7PqR2sT"],
        &[
            "",
            "us-east-1_Xy7PqR2sT",
            "arn:aws:cognito-idp:us-east-1:111122223333:userpool/",
        ],
    ),
    (
        "AllowedOrigins",
        &[
            "",
            "*",
            "https://chat.example.com",
            "http://localhost:5173",
            "https://a.example:8080",
        ],
        &[
            "null",
            "https://chat.example.com/",
            "https://Chat.example.com",
            "https://*.example.com",
            "https://chat.example.com:443",
            "http://localhost:80",
            "chat.example.com",
        ],
    ),
    (
        "AlarmTopicArn",
        &["", "arn:aws:sns:us-east-1:111122223333:on-call"],
        &[
            "on-call",
            "arn:aws:sqs:us-east-1:111122223333:on-call",
            "arn:aws:sns:us-east-1:111122223333:a:b",
        ],
    ),
    ("StageName", &["Prod", "v1"], &["", "a/b", "$default"]),
];

#[test]
fn the_patterns_take_what_is_right_and_refuse_what_is_wrong() {
    let mut checked = BTreeSet::new();
    for template in both() {
        for (name, good, bad) in SAMPLES {
            let Some(pattern) = template.json["Parameters"][name]["AllowedPattern"].as_str() else {
                continue;
            };
            checked.insert(name);
            for sample in good {
                assert!(
                    matches(pattern, sample),
                    "{}: {name}: {sample}",
                    template.file
                );
            }
            for sample in bad {
                assert!(
                    !matches(pattern, sample),
                    "{}: {name}: {sample}",
                    template.file
                );
            }
        }
    }
    assert_eq!(checked.len(), SAMPLES.len());
}

#[tokio::test]
async fn what_the_patterns_take_the_function_takes() {
    for (name, good, _) in SAMPLES {
        for sample in good {
            let (variable, value) = match name {
                "AppInstanceArn" => ("APP_INSTANCE_USER_ARN", format!("{sample}/user/{{sub}}")),
                "UserIdClaim" => ("APP_INSTANCE_USER_ARN", user_pattern(sample)),
                "AllowedOrigins" => ("ALLOWED_ORIGINS", (*sample).to_owned()),
                _ => continue,
            };
            assert_eq!(
                start_failure_with(variable, &value).await,
                None,
                "{name}: {sample}"
            );
        }
    }
}

// The operator's page.

/// The names in backticks that open the rows of the tables under a heading.
fn rows(heading: &str) -> BTreeSet<&'static str> {
    let (_, section) = OPERATIONS
        .split_once(&format!("\n## {heading}\n"))
        .expect("a section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let cells = section.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = cells.filter_map(|row| row.split(" | ").next());
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn the_operators_page_explains_every_alarm_and_every_metric() {
    for template in both() {
        let alarms = template
            .of_type("AWS::CloudWatch::Alarm")
            .map(|(name, _)| name.as_str());
        assert_eq!(
            alarms.collect::<BTreeSet<_>>(),
            rows("Alarms"),
            "{}",
            template.file
        );
    }
    assert_eq!(rows("Metrics"), known_metrics());
}

#[tokio::test]
async fn the_operators_page_explains_every_member_of_the_record() {
    let record = record_of_a_problem().await;
    let mut members: BTreeSet<_> = keys(&record)
        .filter(|name| !known_metrics().contains(name))
        .collect();
    // Of a request that Chime knows an answer to.
    members.insert("messageStatus");
    assert_eq!(members, rows("The record of a request"));
}

// Patterns.

/// Whether a parameter's pattern takes `text`. CloudFormation matches the whole value, with Java's
/// regular expressions, look-ahead included.
fn matches(pattern: &str, text: &str) -> bool {
    let whole = format!("^(?:{pattern})$");
    let regex = fancy_regex::Regex::new(&whole).expect("a regular expression");
    regex.is_match(text).expect("an end")
}
