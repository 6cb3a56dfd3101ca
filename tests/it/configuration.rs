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

/// Asserts that the function does not start with these variables, and that the log names this one.
async fn assert_refused(variables: &[(&str, &str)], named: &str) {
    let pattern = user_pattern("sub");
    let mut all = vec![("APP_INSTANCE_USER_ARN", pattern.as_str())];
    all.extend(variables);
    let mut function = FakeLambda::start(binary(), &all).await.expect("a process");
    let status = function.exit(TIMEOUT).await;
    let status = status.unwrap_or_else(|| panic!("{variables:?} is accepted"));
    assert!(!status.success());
    let line = function.log_line(|line| line.contains("ERROR"), TIMEOUT);
    let line = line.await.expect("a line");
    assert!(line.contains(named), "{variables:?}: {line}");
}

#[tokio::test]
async fn a_pattern_that_no_value_can_make_legal_is_refused() {
    let usual = user_pattern("sub");
    let user = |id: &str| usual.replace("{sub}", id);
    for pattern in [
        format!("{usual} "),
        format!(" {usual}"),
        format!("{usual}\n"),
        format!("{usual}-"),
        format!("{usual}/x"),
        user("\u{e9}{sub}"),
        user("_{sub}"),
        user(&format!("{}{{sub}}", "a".repeat(64))),
        user("{tenant}-{sub}"),
        user("alice"),
        user("{roleSessionName}").replace("7f1c", "{tenant}"),
        usual.replace("/user/", "/bot/"),
        usual.replace("111122223333", "1111222233334"),
        usual.replace("111122223333", "1111"),
        usual.replace("us-east-1", ""),
        usual.replace("chime", "sns"),
    ] {
        let name = "APP_INSTANCE_USER_ARN";
        assert_refused(&[(name, &pattern)], name).await;
    }
}

#[tokio::test]
async fn a_value_that_is_not_valid_is_refused_by_name() {
    for (name, value) in [
        ("TOKEN_ISSUER", "https://login.example.com/ "),
        ("TOKEN_ISSUER", "https://a.example https://b.example"),
        ("SESSION_ROLE_ARN", "arn:aws:iam::111122223333:user/chat"),
        ("ALLOWED_ORIGINS", "https://[::1"),
        ("ALLOWED_ORIGINS", "https://*.example.com"),
        ("ALLOWED_ORIGINS", "https://chat.example.com,"),
        ("MAX_WAIT_SECONDS", "26"),
        ("CHIME_CALLS_PER_SECOND", "0"),
        ("CHIME_CALLS_PER_SECOND", "51"),
        ("CHIME_ATTEMPT_TIMEOUT_MS", "99"),
        ("CHIME_ATTEMPT_TIMEOUT_MS", "2501"),
        ("AWS_USE_FIPS_ENDPOINT", "yes"),
    ] {
        assert_refused(&[(name, value)], name).await;
    }
    let pattern = "APP_INSTANCE_USER_ARN";
    let session = user_pattern("roleSessionName");
    assert_refused(&[(pattern, &session)], "SESSION_ROLE_ARN").await;
    let identity = user_pattern("cognitoIdentityId");
    let issuer = ("TOKEN_ISSUER", "https://login.example.com/");
    assert_refused(&[(pattern, &identity), issuer], "TOKEN_ISSUER").await;
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
        let reply = env.send(&get_status(MESSAGE, "")).await;
        reply.assert_problem(502, "upstream-failure");
        assert_eq!(env.calls().len(), 3, "{name}={value}");
    }
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
