//! Requests as they reach Chime.

use std::time::Duration;

use fakes::chime::{ApiOperation, Options};
use fakes::flow::FlowOutcome;

use crate::support::{
    ALICE, MESSAGE, TIMEOUT, TestEnv, ca_bundle, channel, get_status, pem_file, send_to,
    start_chime, start_function, user, user_pattern,
};

#[tokio::test]
async fn the_request_is_the_same_as_the_aws_clis_with_the_name_of_this_function() {
    let env = TestEnv::new().await;
    env.assert_works().await;
    let [call] = &env.calls()[..] else {
        panic!("one call");
    };
    let arn = channel().replace(':', "%3A").replace('/', "%2F");
    let target = format!("/channels/{arn}/messages/{MESSAGE}?scope=message-status");
    assert_eq!((call.method.as_str(), &call.target), ("GET", &target));
    assert_eq!(call.bearer, Some(user(ALICE)));
    let authorization = call.header("authorization").expect("a signature");
    let signed = "/us-east-1/chime/aws4_request, SignedHeaders=host;x-amz-chime-bearer;x-amz-date,";
    assert!(authorization.contains(signed), "{authorization}");
    let mut names: Vec<_> = call.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    // The last one is Lambda's X-Ray header.
    let wanted = "authorization host user-agent x-amz-chime-bearer x-amz-date x-amzn-trace-id";
    assert_eq!(names.join(" "), wanted);
    let wanted = concat!("chime-message-status/", env!("CARGO_PKG_VERSION"));
    assert_eq!(call.header("user-agent"), Some(wanted));
}

#[tokio::test]
async fn the_region_is_the_one_of_the_pattern() {
    let in_frankfurt = |arn: String| arn.replace("us-east-1", "eu-central-1");
    let options = Options {
        // The fake Chime refuses a signature for another region.
        region: "eu-central-1".into(),
        ..Options::default()
    };
    let pattern = in_frankfurt(user_pattern("sub"));
    let variables = [
        ("APP_INSTANCE_USER_ARN", &*pattern),
        ("AWS_REGION", "us-east-1"),
    ];
    let env = TestEnv::with_options(options, &variables).await;
    let channel = in_frankfurt(channel());
    let event = crate::support::get(&format!("channelArn={channel}&messageId=m"));
    env.assert_problem(&event, 404, "message-not-found").await;
    assert_eq!(env.calls().len(), 1);
}

#[tokio::test]
async fn a_session_token_is_sent() {
    let mut options = Options::default();
    options.credentials.session_token = Some("session".into());
    let variable = ("AWS_SESSION_TOKEN", "session");
    let env = TestEnv::with_options(options, &[variable]).await;
    env.assert_works().await;
}

#[tokio::test]
async fn only_the_roots_of_the_bundle_are_trusted() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    let other = start_chime(Options::default()).await;
    let (own, other) = (env.chime.ca_pem(), other.ca_pem());
    // Bundles can have text between their certificates, in any encoding.
    let with_text = [b"# AC Ra\xEDz\n", own.as_bytes(), b"\nend\n"].concat();
    let commented_out = format!("# {}\n{other}", own.trim_end().replace('\n', "\n# "));
    let first_line_out = own.replacen("-----BEGIN", "# -----BEGIN", 1) + other;
    let url = env.chime.https_url();
    for (bundle, is_trusted) in [
        (Some(with_text), true),
        (Some([other, own].concat().into()), true),
        (Some(other.into()), false),
        (Some(commented_out.into()), false),
        (Some(first_line_out.into()), false),
        (None, false),
    ] {
        let file = bundle.as_deref().map(pem_file);
        let mut variables = vec![
            ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", url.as_str()),
            // The function ignores the system's file.
            ("SSL_CERT_FILE", env!("CARGO_MANIFEST_DIR")),
        ];
        variables.extend(file.iter().map(ca_bundle));
        let function = start_function(&variables).await;
        let event = get_status(MESSAGE, "").to_string();
        let reply = send_to(&function, event.as_bytes(), Some(TIMEOUT)).await;
        let status = if is_trusted { 200 } else { 503 };
        assert_eq!(reply.status, status, "{bundle:?}: {reply:?}");
        assert_eq!(env.calls().len(), usize::from(is_trusted));
        env.chime.forget_calls();
    }
}

#[tokio::test]
async fn the_connection_is_opened_before_the_first_request_without_a_bearer() {
    let env = TestEnv::new().await;
    env.assert_works().await;
    assert_eq!(env.chime.warm_ups(), 1);
    let connections = env.chime.open_connections();
    assert_eq!(connections, 1, "the first request reuses it");
    assert!(env.chime.calls_of(ApiOperation::Unknown).is_empty());
}

#[tokio::test]
async fn a_request_after_a_long_freeze_costs_one_call_and_one_new_connection() {
    let options = Options {
        keep_alive: Duration::from_millis(100),
        ..Options::default()
    };
    let env = TestEnv::over_tls(options, &[]).await;
    for _ in 0..3 {
        env.function.freeze().expect("frozen");
        let closed = async {
            while env.chime.open_connections() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let closed = tokio::time::timeout(TIMEOUT, closed).await;
        closed.expect("Chime closes idle connections");
        env.function.thaw().expect("thawed");
        env.chime.forget_calls();
        env.assert_works().await;
        assert_eq!(env.calls().len(), 1, "{:?}", env.calls());
        assert!(env.chime.open_connections() <= 1);
    }
}
