//! Fuzzer that sends any text as an event. The response must be well-formed, and the bearer of each call
//! must be the caller.
//!
//! An input has one event or more, separated by RS as in JSON text sequences
//! ([RFC 7464](https://www.rfc-editor.org/rfc/rfc7464)). So a small corpus holds many events.
#![no_main]

use std::ffi::OsString;
use std::sync::LazyLock;

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use chime_message_status::chime::ChimeClient;
use chime_message_status::config::Config;
use chime_message_status::handler::{App, Invocation, handle};
use chime_message_status::response::Response;
use fakes::chime::{FakeChime, Options};
use fakes::oracle::authorized;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const APP_INSTANCE: &str =
    "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21";

/// The function's code, and the fake Chime that it calls over loopback.
struct FuzzEnv {
    runtime: Runtime,
    chime: FakeChime,
    app: App,
}

static ENV: LazyLock<FuzzEnv> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (chime, app) = runtime.block_on(async {
        let options = Options::default();
        let credentials = options.credentials.clone();
        let chime = FakeChime::start(options).await.expect("a fake Chime");
        let variable = |name: &str| match name {
            "APP_INSTANCE_USER_ARN" => Some(OsString::from(format!("{APP_INSTANCE}/user/{{sub}}"))),
            "ALLOWED_ORIGINS" => Some("https://chat.example.com".into()),
            "MAX_WAIT_SECONDS" => Some("0".into()),
            "AWS_REGION" => Some("us-east-1".into()),
            name if name.starts_with("AWS_LAMBDA_") => Some("fuzz".into()),
            _ => None,
        };
        let config = Config::read(variable, |path| std::fs::read(path)).expect("a configuration");
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(chime.http_url())
            .credentials_provider(Credentials::new(
                credentials.access_key_id,
                credentials.secret_access_key,
                None,
                None,
                "fuzz",
            ));
        let (region, timeout) = (config.region.clone(), config.attempt_timeout);
        let client = ChimeClient::new(region, timeout, &config.roots, loader)
            .await
            .expect("a client");
        (chime, App::new(config, client))
    });
    FuzzEnv {
        runtime,
        chime,
        app,
    }
});

fuzz_target!(|events: &str| events.split('\u{1e}').for_each(respond));

fn respond(event: &str) {
    let env = &*ENV;
    env.chime.forget_calls();
    let invocation = Invocation {
        request_id: "fuzz",
        trace_header: None,
        deadline: 0,
    };
    let (response, _) = env.runtime.block_on(handle(&env.app, event, &invocation));
    assert_well_formed(&response);
    // serde_json rejects half of a surrogate pair. The function accepts it in a string that it ignores.
    let Ok(value) = serde_json::from_str::<Value>(event) else {
        return;
    };
    let authorized = authorized(&value, "sub").map(|sub| format!("{APP_INSTANCE}/user/{sub}"));
    for call in env.chime.calls() {
        assert_eq!(call.bearer, authorized);
        assert!(
            call.channel_arn
                .is_some_and(|channel| channel.starts_with(APP_INSTANCE))
        );
    }
}

fn assert_well_formed(response: &Response) {
    let sent = serde_json::to_value(response).expect("a response is JSON");
    assert_eq!(sent["isBase64Encoded"], false);
    let body = response.body.as_str();
    let content_type = response.headers.get("content-type").map(AsRef::as_ref);
    match (response.status_code, content_type) {
        (204, None) => assert_eq!(body, ""),
        (200, Some("application/json")) => {
            serde_json::from_str::<Value>(body).expect("a body is JSON");
        }
        (400.., Some("application/problem+json")) => {
            let problem: Value = serde_json::from_str(body).expect("a problem is JSON");
            assert_eq!(problem["status"], response.status_code);
            assert!(
                problem["type"]
                    .as_str()
                    .is_some_and(|t| t.starts_with("urn:problem-type:"))
            );
        }
        other => panic!("{other:?}"),
    }
}
