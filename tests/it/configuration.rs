//! What is wrong with the environment is said at once, by name, and then the function does not serve.

use std::time::Duration;

use stand_in::lambda_host::LambdaHost;

use crate::support::{binary, by_claim};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_wrong_configuration_is_told_whole_and_ends_the_process() {
    let mut function = LambdaHost::start(
        binary(),
        &[
            ("ALLOWED_ORIGINS", "https://chat.example/"),
            ("MAX_WAIT_SECONDS", "soon"),
            ("AWS_CA_BUNDLE", "/nowhere/bundle.pem"),
            ("AWS_ENDPOINT_URL", "chime"),
        ],
    )
    .await
    .expect("a process");
    let status = function.exit(PATIENCE).await.expect("an end");
    assert!(!status.success());
    let line = function
        .log_line(|line| line.contains("ERROR"), PATIENCE)
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
    ] {
        assert!(cause.contains(name), "{cause}");
    }
    assert_eq!(function.log().len(), 1, "told once");
}

#[tokio::test]
async fn outside_lambda_it_says_where_it_belongs() {
    let template = by_claim("sub");
    let variables = [
        ("APP_INSTANCE_USER_ARN", template.as_str()),
        ("AWS_LAMBDA_RUNTIME_API", ""),
    ];
    let mut function = LambdaHost::start(binary(), &variables)
        .await
        .expect("a process");
    assert!(!function.exit(PATIENCE).await.expect("an end").success());
    let line = function
        .log_line(|line| line.contains("AWS_LAMBDA_RUNTIME_API"), PATIENCE)
        .await;
    assert!(line.is_some());
}
