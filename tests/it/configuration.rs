//! Configuration errors are reported together, by variable name, and the function does not serve. Which values
//! are errors is tested beside the parser.

use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::lambda::FakeLambda;
use serde_json::Value;

use crate::support::{MESSAGE, TIMEOUT, TestEnv, get_status, logged, start_chime, start_function};

/// The one line in the log of a function that does not start.
async fn assert_start_fails(mut function: FakeLambda) -> Value {
    let status = function.exit(TIMEOUT).await.expect("an end");
    assert!(!status.success());
    let line = logged(&function, |line| line["level"] == "ERROR").await;
    assert_eq!(function.log().len(), 1, "logged once");
    line
}

#[tokio::test]
async fn all_configuration_errors_are_logged_at_once_and_end_the_process() {
    let wrong = [
        ("APP_INSTANCE_USER_ARN", ""),
        ("ALLOWED_ORIGINS", "https://chat.example/"),
        ("MAX_WAIT_SECONDS", "soon"),
        ("AWS_CA_BUNDLE", "/nowhere/bundle.pem"),
        ("AWS_ENDPOINT_URL", "chime"),
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", ""),
    ];
    let line = assert_start_fails(start_function(&wrong).await).await;
    let cause = line["cause"].as_str().expect("a cause");
    for (name, _) in wrong {
        assert!(cause.contains(&format!("{name}: ")), "{cause}");
    }
}

#[tokio::test]
async fn a_start_outside_lambda_names_the_missing_variable() {
    let function = start_function(&[("AWS_LAMBDA_RUNTIME_API", "")]).await;
    let line = assert_start_fails(function).await;
    assert!(
        line.to_string().contains("AWS_LAMBDA_RUNTIME_API"),
        "{line}"
    );
}

#[tokio::test]
async fn retry_variables_of_the_sdk_and_variables_that_are_gone_have_no_effect() {
    for (name, value) in [
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_MAX_ATTEMPTS", "0"),
        ("AWS_RETRY_MODE", "garbage"),
        ("AWS_RETRY_MODE", "adaptive"),
        ("CHIME_CONNECT_TIMEOUT_MS", "garbage"),
    ] {
        let env = TestEnv::with(&[(name, value)]).await;
        env.chime.always(Some(Fault::service_failure()));
        let event = get_status(MESSAGE, "");
        env.assert_problem(&event, 502, "upstream-failure").await;
        assert_eq!(env.calls().len(), 3, "{name}={value}");
    }
}

#[tokio::test]
async fn the_general_endpoint_is_used_without_a_specific_one() {
    let chime = start_chime(Default::default()).await;
    let url = chime.http_url();
    let function = start_function(&[("AWS_ENDPOINT_URL", &url)]).await;
    let env = TestEnv { chime, function };
    env.seed(FlowOutcome::sent());
    env.assert_status(&get_status(MESSAGE, ""), "SENT").await;
    assert_eq!(env.calls().len(), 1);
}
