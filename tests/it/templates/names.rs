//! Names that templates and operations page share with the function: variables, routes, IAM
//! actions, problems, metrics, members of the record.

use std::collections::{BTreeMap, BTreeSet};

use chime_message_status::api::routes::ROUTES;
use chime_message_status::config::VARIABLES;
use chime_message_status::problem::ProblemType;
use chime_message_status::telemetry::METRICS;
use serde_json::{Value, json};

use super::{Template, all, keys, one_or_many, rest_api, start_failure_with, text, walk};
use crate::support::{TestEnv, get_status, request_id};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// Every metric that the function can emit.
fn metrics_of_the_function() -> BTreeSet<&'static str> {
    let own = METRICS.iter().map(|(name, _)| *name);
    own.chain(ProblemType::ALL.iter().map(|problem| problem.metric()))
        .collect()
}

#[tokio::test]
async fn the_function_reads_and_checks_every_variable_of_the_templates() {
    for template in all() {
        for name in template.variables() {
            assert!(VARIABLES.contains(&name), "{}: {name}", template.file);
            let failure = start_failure_with(name, "?!").await;
            let names_it = failure.is_some_and(|line| line.contains(name));
            assert!(names_it, "{}: {name}", template.file);
        }
    }
}

#[test]
fn each_template_routes_exactly_the_functions_operations() {
    let served: BTreeSet<_> = ROUTES
        .iter()
        .flat_map(|route| route.methods.iter().map(|method| (*method, route.path)))
        .collect();
    for template in all() {
        let routes = template.routes();
        let routed: BTreeSet<_> = routes
            .iter()
            .filter(|(method, _)| method != "OPTIONS")
            .map(|(method, path)| (method.as_str(), path.as_str()))
            .collect();
        assert_eq!(routed, served, "{}", template.file);
    }
}

#[test]
fn the_role_allows_exactly_the_iam_actions_of_the_operations() {
    let needed: BTreeSet<_> = ROUTES.iter().map(|route| route.iam_action).collect();
    for template in all() {
        let mut allowed = BTreeSet::new();
        walk(
            &template.resource("FunctionRole")["Policies"],
            &mut |value| {
                if !value["Effect"].is_null() {
                    assert_eq!(value["Effect"], "Allow");
                    allowed.extend(one_or_many(&value["Action"]).into_iter().map(text));
                }
            },
        );
        let chime: BTreeSet<_> = allowed
            .iter()
            .copied()
            .filter(|action| action.starts_with("chime:"))
            .collect();
        assert_eq!(chime, needed, "{}", template.file);
        let others: Vec<_> = allowed.difference(&chime).copied().collect();
        let logs_and_traces = [
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ];
        assert_eq!(others, logs_and_traces, "{}", template.file);
    }
}

#[test]
fn the_rest_apis_own_responses_are_problems_of_the_function() {
    let template = rest_api();
    let problems: BTreeMap<_, _> = ProblemType::ALL.iter().map(|p| (p.name(), *p)).collect();
    let responses = &template.api()["x-amazon-apigateway-gateway-responses"];
    for (kind, response) in responses.as_object().expect("responses") {
        let body = text(&response["responseTemplates"]["application/json"]);
        let body: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let name = text(&body["type"]).strip_prefix("urn:problem-type:message-status:");
        if let Some(name) = name {
            let problem = problems[name];
            assert_eq!(body["title"], problem.title(), "{kind}");
            assert_eq!(body["status"], problem.status().as_u16(), "{kind}");
            assert_eq!(response["statusCode"], body["status"], "{kind}");
        }
        assert_eq!(body["requestId"], "$context.requestId", "{kind}");
        assert!(body["detail"].is_string(), "{kind}");
        let header = |name: &str| {
            let value = &response["responseParameters"][format!("gatewayresponse.header.{name}")];
            let value = value["Fn::If"][1].as_str().or(value.as_str());
            value.map(|v| v.trim_matches('\''))
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
            name == Some("unauthenticated"),
            "{kind}"
        );
        assert_eq!(
            header("Retry-After").is_some(),
            name == Some("throttled"),
            "{kind}"
        );
    }
}

/// Namespace, name and dimensions of each metric of the alarms and the dashboard.
fn metrics(template: &Template) -> Vec<(String, String, Vec<String>)> {
    let mut found = Vec::new();
    for (_, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
        walk(alarm, &mut |metric| {
            if let Some(name) = metric["MetricName"].as_str() {
                let dimensions = metric["Dimensions"].as_array().expect("dimensions").iter();
                let dimensions = dimensions.map(|d| text(&d["Name"]).to_owned()).collect();
                let namespace = text(&metric["Namespace"]).to_owned();
                found.push((namespace, name.to_owned(), dimensions));
            }
        });
    }
    for (_, dashboard) in template.of_type("AWS::CloudWatch::Dashboard") {
        let body = text(&dashboard["Properties"]["DashboardBody"]["Fn::Sub"]);
        let body: Value = serde_json::from_str(body).expect("a dashboard in JSON");
        let widgets = body["widgets"].as_array().expect("widgets").iter();
        for metric in
            widgets.flat_map(|w| w["properties"]["metrics"].as_array().into_iter().flatten())
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
    found
}

/// The record of a request for a message that does not exist.
async fn record_of_a_problem() -> Value {
    let env = TestEnv::new().await;
    let event = get_status("none", "");
    env.send(&event)
        .await
        .assert_problem(404, "message-not-found");
    env.record(request_id(&event)).await
}

#[tokio::test]
async fn every_metric_of_the_templates_is_one_that_the_function_emits() {
    let known = metrics_of_the_function();
    let record = record_of_a_problem().await;
    let metadata = &record["_aws"]["CloudWatchMetrics"][0];
    let own = text(&metadata["Namespace"]);
    assert_eq!(metadata["Dimensions"], json!([["FunctionName"]]));
    for metric in metadata["Metrics"].as_array().expect("metrics") {
        assert!(known.contains(text(&metric["Name"])), "{metric}");
    }
    for template in all() {
        for (namespace, name, dimensions) in metrics(&template) {
            if namespace.starts_with("AWS/") {
                continue;
            }
            assert_eq!(
                (namespace.as_str(), &dimensions[..]),
                (own, &["FunctionName".to_owned()][..])
            );
            assert!(known.contains(name.as_str()), "{}: {name}", template.file);
        }
    }
}

#[test]
fn every_metric_that_the_function_emits_is_on_each_dashboard() {
    for template in all() {
        let shown: BTreeSet<_> = metrics(&template).into_iter().map(|(_, n, _)| n).collect();
        for name in metrics_of_the_function() {
            assert!(shown.contains(name), "{}: {name}", template.file);
        }
    }
}

/// The names in backticks that open the rows of the tables under a heading.
fn rows(heading: &str) -> BTreeSet<&'static str> {
    let (_, section) = OPERATIONS
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap_or(section);
    let cells = section.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = cells.filter_map(|row| row.split(" | ").next());
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn the_operations_page_explains_every_alarm() {
    let alarms: BTreeSet<_> = all()
        .iter()
        .flat_map(|template| {
            let alarms = template.of_type("AWS::CloudWatch::Alarm");
            alarms.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        })
        .collect();
    let explained: BTreeSet<_> = rows("Alarms").into_iter().map(str::to_owned).collect();
    assert_eq!(explained, alarms);
}

#[test]
fn the_operations_page_explains_every_metric() {
    assert_eq!(rows("Metrics"), metrics_of_the_function());
}

#[tokio::test]
async fn the_operations_page_explains_every_member_of_the_record() {
    let record = record_of_a_problem().await;
    let metrics = metrics_of_the_function();
    let mut members: BTreeSet<_> = keys(&record)
        .filter(|name| !metrics.contains(name))
        .collect();
    // Members that depend on the result and on X-Ray.
    members.extend(["messageStatus", "traceId"]);
    assert_eq!(members, rows("Record of a request"));
}
