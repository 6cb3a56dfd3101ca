//! Configuration errors are reported together, by variable name, and the function does not serve.

use std::time::Duration;

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::lambda::FakeLambda;

use crate::support::{MESSAGE, TestEnv, binary, get_status, send, start_function, user_pattern};

const TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn all_configuration_errors_are_logged_and_end_the_process() {
    let mut function = FakeLambda::start(
        binary(),
        &[
            ("ALLOWED_ORIGINS", "https://chat.example/"),
            ("MAX_WAIT_SECONDS", "soon"),
            ("AWS_CA_BUNDLE", "/nowhere/bundle.pem"),
            ("AWS_ENDPOINT_URL", "chime"),
            ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", ""),
        ],
    )
    .await
    .expect("a process");
    let status = function.exit(TIMEOUT).await.expect("an end");
    assert!(!status.success());
    let line = function
        .log_line(|line| line.contains("ERROR"), TIMEOUT)
        .await
        .expect("a line");
    let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let cause = record["cause"].as_str().expect("a cause");
    for name in [
        "APP_INSTANCE_USER_ARN",
        "ALLOWED_ORIGINS",
        "MAX_WAIT_SECONDS",
        "AWS_CA_BUNDLE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING",
    ] {
        assert!(cause.contains(name), "{cause}");
    }
    assert_eq!(function.log().len(), 1, "logged once");
}

#[tokio::test]
async fn a_start_outside_lambda_names_the_missing_variable() {
    let pattern = user_pattern("sub");
    let variables = [
        ("APP_INSTANCE_USER_ARN", pattern.as_str()),
        ("AWS_LAMBDA_RUNTIME_API", ""),
    ];
    let mut function = FakeLambda::start(binary(), &variables)
        .await
        .expect("a process");
    assert!(!function.exit(TIMEOUT).await.expect("an end").success());
    let line = function
        .log_line(|line| line.contains("AWS_LAMBDA_RUNTIME_API"), TIMEOUT)
        .await;
    assert!(line.is_some());
}

#[tokio::test]
async fn aws_max_attempts_limits_the_calls() {
    for (attempts, calls) in [("1", 1), ("2", 2), ("5", 5)] {
        let env = TestEnv::with(&[("AWS_MAX_ATTEMPTS", attempts)]).await;
        env.chime.always(Some(Fault::service_failure()));
        let reply = env.send(&get_status(MESSAGE, "")).await;
        reply.assert_problem(502, "upstream-failure");
        assert_eq!(env.calls().len(), calls);
    }
    let env = TestEnv::with(&[("AWS_MAX_ATTEMPTS", "1")]).await;
    env.chime.always(Some(Fault::throttled()));
    let reply = env.send(&get_status(MESSAGE, "")).await;
    reply.assert_problem(429, "throttled");
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn the_general_endpoint_is_used_without_a_specific_one() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    let url = env.chime.http_url();
    let function = start_function(&[("AWS_ENDPOINT_URL", url.as_str())]).await;
    let reply = send(&function, &get_status(MESSAGE, "")).await;
    reply.assert_status("SENT");
    assert_eq!(env.calls().len(), 1);
}
