//! Variables, timeouts, routes, CORS and the smoke test.

use chime_message_status::api::routes::ROUTES;
use std::collections::BTreeSet;

use fakes::flow::FlowOutcome;
use serde_json::Value;

use super::{
    FUNCTION, all, http_api, one_or_many, rest_api, start_failure, start_failure_with, text,
};
use crate::support::{TestEnv, sample};

const MANIFEST: &str = include_str!("../../../Cargo.toml");

/// Seconds until one call to Chime times out, by default.
const ATTEMPT_TIMEOUT: u64 = 2;

#[tokio::test]
async fn the_variable_that_the_function_requires_is_in_each_template() {
    let failure = start_failure(&[]).await.expect("a failure");
    assert!(failure.contains("APP_INSTANCE_USER_ARN"), "{failure}");
    for template in all() {
        assert!(template.variables().contains("APP_INSTANCE_USER_ARN"));
    }
}

#[test]
fn cors_is_done_by_the_gateway_or_by_the_function_and_never_by_both() {
    for template in all() {
        let by_function = template.variables().contains("ALLOWED_ORIGINS");
        let by_gateway = !template.api()["x-amazon-apigateway-cors"].is_null();
        assert!(by_function != by_gateway, "{}", template.file);
    }
}

#[tokio::test]
async fn waits_that_the_function_refuses_are_refused_by_the_templates() {
    for value in ["0", "25", "26", "-1", "2.5"] {
        let starts = start_failure_with("MAX_WAIT_SECONDS", value)
            .await
            .is_none();
        for template in all() {
            let pattern = text(&template.parameter("MaxWaitSeconds")["AllowedPattern"]);
            let accepts = super::parameters::matches(pattern, value);
            assert_eq!(accepts, starts, "{}: {value}", template.file);
        }
    }
}

#[test]
fn the_timeout_has_room_for_the_longest_wait_and_is_within_the_gateways() {
    for template in all() {
        let function = template.resource(FUNCTION);
        let seconds = function["Timeout"].as_u64().expect("seconds");
        let needed = 25 + ATTEMPT_TIMEOUT + 1;
        assert!(
            (needed..=template.gateway_timeout).contains(&seconds),
            "{}",
            template.file
        );
    }
}

#[test]
fn cargo_lambda_deploys_the_same_timeout_and_memory_as_the_template() {
    let function = http_api();
    let function = function.resource(FUNCTION);
    let (_, deploy) = MANIFEST
        .split_once("metadata.lambda.deploy]")
        .expect("a section");
    let deploy = deploy.split("\n[").next().unwrap_or(deploy);
    let timeout = &function["Timeout"];
    assert!(
        deploy.contains(&format!("\ntimeout = {timeout}\n")),
        "{deploy}"
    );
    let memory = &function["MemorySize"];
    assert!(
        deploy.contains(&format!("\nmemory = {memory}\n")),
        "{deploy}"
    );
}

#[tokio::test]
async fn every_route_of_the_templates_is_served() {
    for template in all() {
        let env = template.deploy().await;
        env.seed_alices_message(FlowOutcome::sent());
        for (method, path) in template.routes() {
            let reply = env.send(&template.request(&method, &path)).await;
            let is_served = ![404, 405, 500].contains(&reply.status);
            assert!(is_served, "{}: {method} {path}: {reply:?}", template.file);
        }
        let elsewhere = env.send(&template.request("GET", "/elsewhere")).await;
        elsewhere.assert_problem(404, "route-not-found");
    }
}

#[tokio::test]
async fn every_method_that_is_served_has_a_route_in_the_templates() {
    for template in all() {
        let env = template.deploy().await;
        for route in ROUTES {
            let reply = env.send(&template.request("DELETE", route.path)).await;
            reply.assert_problem(405, "method-not-allowed");
            let allowed = reply.header("allow").expect("methods").split(", ");
            let allowed: BTreeSet<_> = allowed.map(str::to_owned).collect();
            let routes = template.routes().into_iter();
            let methods = routes.filter(|(_, path)| path == route.path);
            let methods: BTreeSet<_> = methods.map(|(method, _)| method).collect();
            assert_eq!(methods, allowed, "{} {}", template.file, route.path);
        }
    }
}

#[tokio::test]
async fn the_smoke_test_of_the_templates_gets_401() {
    for template in [http_api(), rest_api()] {
        let variables = &template.resource("SmokeTestFunction")["Environment"]["Variables"];
        let event: Value = serde_json::from_str(text(&variables["EVENT"])).expect("JSON");
        let env = template.deploy().await;
        env.send(&event)
            .await
            .assert_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn the_http_apis_cors_is_the_same_as_the_functions() {
    let cors = http_api().api()["x-amazon-apigateway-cors"]["Fn::If"][1].clone();
    let env = rest_api().deploy().await;
    let preflight = env.send(&sample("preflight")).await;
    assert_eq!(preflight.status, 204);
    let list = |name: &str| -> BTreeSet<String> {
        let value = preflight.header(name).unwrap_or_default();
        let items = value.split(',');
        items.map(|item| item.trim().to_lowercase()).collect()
    };
    let of_gateway = |name: &str| -> BTreeSet<String> {
        let items = one_or_many(&cors[name]).into_iter();
        items.map(|item| text(item).to_lowercase()).collect()
    };
    assert_eq!(
        of_gateway("allowMethods"),
        list("access-control-allow-methods")
    );
    // The function also serves gateways that expect a key or a signature.
    let headers = of_gateway("allowHeaders");
    assert!(headers.is_subset(&list("access-control-allow-headers")));
    assert!(headers.contains("authorization") && headers.contains("content-type"));
    let age = preflight.header("access-control-max-age");
    assert_eq!(age, Some(cors["maxAge"].to_string().as_str()));
    assert_cors_exposes(&env, &of_gateway("exposeHeaders")).await;
}

async fn assert_cors_exposes(env: &TestEnv, headers: &BTreeSet<String>) {
    let mut event = rest_api().request("DELETE", "/message-status");
    event["headers"]["origin"] = "https://chat.example.com".into();
    let response = env.send(&event).await;
    let exposed = response.header("access-control-expose-headers");
    assert_eq!(
        headers,
        &BTreeSet::from([exposed.unwrap_or_default().to_owned()])
    );
}
