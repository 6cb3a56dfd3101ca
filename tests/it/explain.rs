//! `cargo run --example explain` as a process: its output and its exit code.

use std::path::PathBuf;

use fakes::chime::{FakeChime, Options, Users};
use fakes::fault::Fault;
use fakes::flow::{FlowOutcome, Message};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    ALICE, APP_INSTANCE, MESSAGE, channel, get_status, sample, user, user_pattern,
};

/// A value that must not be in the output by default.
const CANARY: &str = "canary7f3e";
/// The role of the sessions in `events/function-url-iam.json`.
const USER_ROLE: (&str, &str) = (
    "SESSION_ROLE_ARN",
    "arn:aws:iam::111122223333:role/chat-user",
);
/// The role of the sessions in `events/http-api-iam.json` and `events/rest-api-iam.json`.
const IDENTITY_POOL_ROLE: (&str, &str) = (
    "SESSION_ROLE_ARN",
    "arn:aws:iam::111122223333:role/chat-authenticated",
);

/// The output of the tool, and its exit code.
struct ExplainOutput {
    text: String,
    exit_code: Option<i32>,
}

impl ExplainOutput {
    #[track_caller]
    fn assert(&self, exit_code: i32, parts: &[&str]) {
        assert_eq!(self.exit_code, Some(exit_code), "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "no {part:?} in\n{}", self.text);
        }
    }

    #[track_caller]
    fn assert_without(&self, part: &str) {
        assert!(!self.text.contains(part), "{part:?} in\n{}", self.text);
    }
}

/// Cargo puts examples beside the folder of the tests.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let profile = test.parent().and_then(|deps| deps.parent());
    let binary = profile.expect("target/PROFILE").join("examples/explain");
    assert!(
        binary.exists(),
        "cargo test builds it; cargo test --test it does not: cargo build --example explain"
    );
    binary
}

async fn explain(
    event: impl ToString,
    options: &[&str],
    variables: &[(&str, &str)],
) -> ExplainOutput {
    let name = format!("explain-{:016x}.json", fastrand::u64(..));
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, event.to_string()).expect("a file");
    let file_name = file.to_str().expect("UTF-8");
    let output = run(&[&[file_name], options].concat(), variables).await;
    std::fs::remove_file(&file).expect("the file");
    output
}

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> ExplainOutput {
    let output = Command::new(binary())
        .args(arguments)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .expect("a process");
    let text = [output.stdout, output.stderr].concat();
    ExplainOutput {
        text: String::from_utf8(text).expect("UTF-8"),
        exit_code: output.status.code(),
    }
}

async fn explain_with(pattern: &str, event: &Value) -> ExplainOutput {
    explain(event, &[], &[("APP_INSTANCE_USER_ARN", pattern)]).await
}

/// Explains a request signed in a session, with `{roleSessionName}` as the user id.
async fn explain_session(event: &Value, role: (&str, &str)) -> ExplainOutput {
    let pattern = user_pattern("roleSessionName");
    let variables = [("APP_INSTANCE_USER_ARN", pattern.as_str()), role];
    explain(event, &[], &variables).await
}

fn with_claims(claims: Value) -> Value {
    let mut event = sample("http-api-jwt");
    event["requestContext"]["authorizer"]["jwt"]["claims"] = claims;
    event
}

/// A request signed by an IAM user, which is not a role session.
fn signed_by_iam_user() -> Value {
    let mut event = sample("function-url-iam");
    event["requestContext"]["authorizer"]["iam"]["userArn"] =
        "arn:aws:iam::111122223333:user/alice".into();
    event
}

/// A request of a guest of an identity pool.
fn guest() -> Value {
    let mut event = sample("http-api-iam");
    event["requestContext"]["authorizer"]["iam"]["cognitoIdentity"]["amr"] =
        json!(["unauthenticated"]);
    event
}

/// A REST event with a `claims` object beside a key of a Lambda authorizer.
fn claims_beside_other_keys() -> Value {
    let mut event = sample("rest-api-cognito");
    event["requestContext"]["authorizer"]["principalId"] = "bob".into();
    event
}

#[tokio::test]
async fn events_of_every_event_source_map_to_their_user() {
    let alice = user(ALICE);
    let pool = user("us-east-1:b7f0c2d4-3e91-4a58-8c6d-5f2e1a9b0d73");
    let token = "the claims of a token";
    let lambda = "the context of a Lambda authorizer";
    let signed = "a request signed with AWS credentials";
    for (event, claim, gateway, authorizer, arn) in [
        ("http-api-jwt", "sub", "an HTTP API, ", token, &alice),
        ("head", "sub", "an HTTP API, ", token, &alice),
        ("wait", "sub", "an HTTP API, ", token, &alice),
        ("batch", "sub", "an HTTP API, ", token, &alice),
        (
            "http-api-format-1.0-jwt",
            "sub",
            "format 1.0, ",
            token,
            &alice,
        ),
        ("rest-api-cognito", "sub", "a REST API, ", token, &alice),
        (
            "http-api-lambda-authorizer",
            "sub",
            "an HTTP API, ",
            lambda,
            &alice,
        ),
        (
            "rest-api-lambda-authorizer",
            "sub",
            "a REST API, ",
            lambda,
            &alice,
        ),
        (
            "http-api-iam",
            "cognitoIdentityId",
            "an HTTP API, ",
            signed,
            &pool,
        ),
        (
            "rest-api-iam",
            "cognitoIdentityId",
            "a REST API, ",
            signed,
            &pool,
        ),
        (
            "function-url-iam",
            "roleSessionName",
            "a function URL, ",
            signed,
            &alice,
        ),
    ] {
        let pattern = user_pattern(claim);
        let variables = [("APP_INSTANCE_USER_ARN", pattern.as_str()), USER_ROLE];
        let output = explain(sample(event), &[], &variables).await;
        let maps = format!("maps to     {arn}\n");
        output.assert(0, &[gateway, authorizer, claim, &maps, "own app instance"]);
        output.assert_without("problem     ");
    }
}

#[tokio::test]
async fn the_operation_is_the_one_that_the_route_table_names() {
    for (event, operation) in [("http-api-jwt", "GetStatus"), ("batch", "BatchGetStatus")] {
        let output = explain_with(&user_pattern("sub"), &sample(event)).await;
        output.assert(0, &[&format!("operation   {operation}\n")]);
    }
}

#[tokio::test]
async fn preflights_need_no_identity_and_need_allowed_origins() {
    let pattern = user_pattern("sub");
    let variables = [("APP_INSTANCE_USER_ARN", pattern.as_str())];
    let origins = ("ALLOWED_ORIGINS", "https://chat.example.com");
    let output = explain(sample("preflight"), &[], &[variables[0], origins]).await;
    output.assert(0, &["a CORS preflight, which needs no identity"]);
    let output = explain(sample("preflight"), &[], &variables).await;
    output.assert(1, &["problem     method-not-allowed (405)"]);
}

#[tokio::test]
async fn refused_sample_events_report_the_problem_and_the_reason() {
    let pattern = user_pattern("sub");
    let output = explain_with(&pattern, &sample("refused-no-authorizer")).await;
    output.assert(
        1,
        &[
            "problem     unauthenticated (401)",
            "The event has no identity. Usually the route has no authorizer: attach one.",
        ],
    );
    let output = explain_with(&pattern, &sample("refused-unmapped-claim")).await;
    output.assert(
        1,
        &[
            "problem     identity-not-mapped (403)",
            "The identity has no {sub}.",
            "token_use, username",
        ],
    );
    let output = explain_with(&pattern, &sample("refused-other-app-instance")).await;
    output.assert(
        1,
        &[
            "problem     invalid-request (400)",
            "channelArn: It must be a channel of the caller's own app instance.",
            &format!("The caller's channels are {APP_INSTANCE}/channel/"),
            &user(ALICE),
        ],
    );
}

#[tokio::test]
async fn claims_that_do_not_map_to_a_user_are_explained() {
    let tenant = format!(
        "{}/user/{{sub}}",
        APP_INSTANCE.replace("7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21", "{tenant}")
    );
    let long = "a".repeat(70);
    for (pattern, claims, reason) in [
        (
            user_pattern("sub"),
            json!({"sub": "auth0|x"}),
            "Character 6 of the value of {sub} is '|'",
        ),
        (
            user_pattern("sub"),
            json!({"sub": "ä"}),
            "Character 1 of the value of {sub} is 'ä'",
        ),
        (
            user_pattern("sub"),
            json!({"sub": long}),
            "{sub} has 70 characters; an id has at most 64",
        ),
        (
            user_pattern("sub"),
            json!({"sub": "a-"}),
            "{sub} must begin and end with an ASCII letter or digit.",
        ),
        (
            user_pattern("sub"),
            json!({"sub": ""}),
            "The value of {sub} is empty.",
        ),
        (
            user_pattern("sub"),
            json!({"sub": ["a"]}),
            "{sub} must be a string or a whole number.",
        ),
        (
            user_pattern("sub"),
            json!({"Sub": "a"}),
            "There is {Sub}: names are case-sensitive.",
        ),
        (
            tenant,
            json!({"sub": "a", "tenant": "a:b"}),
            "Character 2 of the value of {tenant} is ':'",
        ),
        (
            "{arn}".to_owned(),
            json!({"arn": "alice"}),
            "The result must be arn:aws:chime:",
        ),
    ] {
        let event = with_claims(claims);
        let variables = [
            ("APP_INSTANCE_USER_ARN", pattern.as_str()),
            ("AWS_REGION", "us-east-1"),
        ];
        let output = explain(event, &[], &variables).await;
        output.assert(1, &["problem     identity-not-mapped (403)", reason]);
    }
}

#[tokio::test]
async fn each_reason_of_an_unauthenticated_request_has_its_own_text() {
    let output = explain_with(&user_pattern("cognitoIdentityId"), &guest()).await;
    output.assert(
        1,
        &[
            "unauthenticated (401)",
            "issued these credentials to a guest",
        ],
    );
    let ambiguous = "The authorizer context can be read in two ways";
    let duplicate = sample("http-api-jwt")
        .to_string()
        .replace(r#""sub":"#, r#""sub":"bob","sub":"#);
    let pattern = user_pattern("sub");
    let variables = [("APP_INSTANCE_USER_ARN", pattern.as_str())];
    let output = explain(duplicate, &[], &variables).await;
    output.assert(1, &["unauthenticated (401)", ambiguous]);
    let output = explain_with(&pattern, &claims_beside_other_keys()).await;
    output.assert(1, &["unauthenticated (401)", ambiguous, "`claims` object"]);
    output.assert_without("maps to");
}

#[tokio::test]
async fn sessions_of_another_role_are_unauthenticated() {
    let output = explain_session(&sample("function-url-iam"), IDENTITY_POOL_ROLE).await;
    output.assert(
        1,
        &[
            "problem     unauthenticated (401)",
            "a session of a role other than SESSION_ROLE_ARN",
        ],
    );
    output.assert_without("maps to");
}

#[tokio::test]
async fn signers_without_a_session_name_of_their_own_are_not_mapped() {
    let output = explain_session(&signed_by_iam_user(), USER_ROLE).await;
    output.assert(
        1,
        &[
            "problem     identity-not-mapped (403)",
            "names       (none that a pattern can use)",
            "not signed in a role session, so it has no {roleSessionName}",
        ],
    );
    for event in ["http-api-iam", "rest-api-iam"] {
        let output = explain_session(&sample(event), IDENTITY_POOL_ROLE).await;
        output.assert(
            1,
            &[
                "problem     identity-not-mapped (403)",
                "All users of an identity pool have the same {roleSessionName}.",
                "Use {cognitoIdentityId}.",
            ],
        );
    }
}

#[tokio::test]
async fn signed_requests_have_no_other_names() {
    for event in ["http-api-iam", "rest-api-iam", "function-url-iam"] {
        for name in ["userArn", "userId", "callerId", "caller", "accountId"] {
            let output = explain_with(&user_pattern(name), &sample(event)).await;
            output.assert(1, &[&format!("The identity has no {{{name}}}.")]);
        }
    }
}

#[tokio::test]
async fn payloads_that_are_not_events_are_internal_errors() {
    let pattern = user_pattern("sub");
    for text in ["", "{}", r#"{"sub":"alice"}"#] {
        let output = explain(text, &[], &[("APP_INSTANCE_USER_ARN", &pattern)]).await;
        output.assert(1, &["problem     internal-error (500)", "files in events/"]);
    }
}

#[tokio::test]
async fn claims_that_users_can_write_are_warned_about() {
    for claim in [
        "profile",
        "name",
        "email",
        "preferred_username",
        "nickname",
        "phone_number",
        "custom:id",
    ] {
        let event = with_claims(json!({claim: "alice"}));
        let output = explain_with(&user_pattern(claim), &event).await;
        let warning = format!(
            "warning     If users can write {{{claim}}}, any user can impersonate any other."
        );
        output.assert(0, &[&warning]);
    }
    for claim in ["sub", "username", "cognito:username", "oid"] {
        let event = with_claims(json!({claim: "alice"}));
        let output = explain_with(&user_pattern(claim), &event).await;
        output.assert(0, &["maps to"]);
        output.assert_without("warning");
    }
}

#[tokio::test]
async fn the_context_of_a_lambda_authorizer_is_not_warned_about() {
    let mut event = sample("http-api-lambda-authorizer");
    event["requestContext"]["authorizer"]["lambda"]["name"] = "alice".into();
    let output = explain_with(&user_pattern("name"), &event).await;
    output.assert(0, &["maps to"]);
    output.assert_without("warning");
}

#[tokio::test]
async fn session_names_are_warned_about_and_cognito_identities_are_not() {
    let output = explain_session(&sample("function-url-iam"), USER_ROLE).await;
    let warning = "warning     The caller that assumes a role chooses the session name.";
    output.assert(0, &[warning, "sts:RoleSessionName"]);
    for event in ["http-api-iam", "rest-api-iam"] {
        let output = explain_with(&user_pattern("cognitoIdentityId"), &sample(event)).await;
        output.assert(0, &["maps to"]);
        output.assert_without("warning");
    }
}

#[tokio::test]
async fn access_tokens_without_the_claim_are_warned_about() {
    let warning = "This is an access token, but only ID tokens have {custom:id}.";
    let claims = |token_use: &str| with_claims(json!({"sub": "alice", "token_use": token_use}));
    let output = explain_with(&user_pattern("custom:id"), &claims("access")).await;
    output.assert(1, &[warning]);
    for (claim, token_use) in [("custom:id", "id"), ("sub", "access")] {
        let output = explain_with(&user_pattern(claim), &claims(token_use)).await;
        output.assert_without("access token");
    }
}

#[tokio::test]
async fn regions_that_cannot_work_are_warned_about() {
    let elsewhere = user_pattern("sub").replace("us-east-1", "eu-west-1");
    let output = explain_with(&elsewhere, &sample("http-api-jwt")).await;
    let warning =
        "warning     The function calls Chime in eu-west-1, but Chime messaging exists in";
    output.assert(1, &[warning]);
    let event = with_claims(json!({"arn": user("alice")}));
    for (region, warned) in [("eu-central-1", true), ("us-east-1", false)] {
        let variables = [("APP_INSTANCE_USER_ARN", "{arn}"), ("AWS_REGION", region)];
        let output = explain(&event, &[], &variables).await;
        output.assert(0, &["maps to"]);
        let warning = "The user is in us-east-1, but the function calls Chime in eu-central-1.";
        assert_eq!(output.text.contains(warning), warned, "{}", output.text);
    }
}

#[tokio::test]
async fn values_are_shown_only_with_the_option() {
    let claims = |sub: &str| {
        with_claims(json!({
            "sub": sub, "email": format!("{CANARY}@x.test"), "groups": [CANARY], "id": CANARY,
        }))
    };
    let pattern = user_pattern("sub");
    for (claims, exit_code) in [
        (claims("alice"), 0),
        (claims(&format!("{CANARY}/x")), 1),
        (claims(&CANARY.repeat(20)), 1),
        (claims(&format!("{CANARY}-")), 1),
    ] {
        let variables = [("APP_INSTANCE_USER_ARN", pattern.as_str())];
        let output = explain(&claims, &[], &variables).await;
        output.assert(exit_code, &["names       email, groups, id, sub"]);
        output.assert_without(CANARY);
        let output = explain(&claims, &["--values"], &variables).await;
        let email = format!("email = {CANARY}@x.test");
        output.assert(exit_code, &[&email, "groups = (neither a string"]);
    }
    let whole = [
        ("APP_INSTANCE_USER_ARN", "{id}"),
        ("AWS_REGION", "us-east-1"),
    ];
    let output = explain(claims("alice"), &[], &whole).await;
    output.assert(1, &["identity-not-mapped"]);
    output.assert_without(CANARY);
}

#[tokio::test]
async fn control_characters_in_claims_do_not_reach_the_terminal() {
    let event = with_claims(json!({"sub": "alice", "\u{1b}[2Jx": "\u{1b}]0;x\u{7}"}));
    let pattern = user_pattern("sub");
    let variables = [("APP_INSTANCE_USER_ARN", pattern.as_str())];
    let output = explain(event, &["--values"], &variables).await;
    output.assert(0, &["maps to"]);
    let is_plain = |c: char| !c.is_control() || c == '\n';
    assert!(output.text.chars().all(is_plain), "{:?}", output.text);
}

#[tokio::test]
async fn configuration_errors_are_reported_together_with_exit_code_2() {
    let variables = [
        ("MAX_WAIT_SECONDS", "soon"),
        ("APP_INSTANCE_USER_ARN", "alice"),
        ("AWS_CA_BUNDLE", "/nowhere.pem"),
    ];
    let constant = "APP_INSTANCE_USER_ARN: it has no {placeholder}";
    for arguments in [&[][..], &["--call"]] {
        let output = explain(sample("wait"), arguments, &variables).await;
        output.assert(2, &["MAX_WAIT_SECONDS", constant, "AWS_CA_BUNDLE: "]);
    }
}

#[tokio::test]
async fn two_placeholders_in_one_segment_are_a_configuration_error() {
    let output = explain_with(&user("{org}-{sub}"), &sample("http-api-jwt")).await;
    let error = "APP_INSTANCE_USER_ARN: two {placeholders} are in one segment of the ARN";
    output.assert(2, &[error]);
}

#[tokio::test]
async fn session_names_without_a_session_role_are_a_configuration_error() {
    let event = sample("function-url-iam");
    let output = explain_with(&user_pattern("roleSessionName"), &event).await;
    let error = "SESSION_ROLE_ARN: it is required, because APP_INSTANCE_USER_ARN uses";
    output.assert(2, &[error]);
    let not_a_role = ("SESSION_ROLE_ARN", "arn:aws:iam::111122223333:user/alice");
    let output = explain_session(&event, not_a_role).await;
    output.assert(2, &["SESSION_ROLE_ARN: it must be the ARN of an IAM role"]);
}

#[tokio::test]
async fn wrong_arguments_have_exit_code_2() {
    let pattern = user_pattern("sub");
    let variables = [("APP_INSTANCE_USER_ARN", pattern.as_str())];
    for arguments in [&[][..], &["a", "b"], &["--value", "a"]] {
        run(arguments, &variables).await.assert(2, &["usage: "]);
    }
    let output = run(&["/nowhere.json"], &variables).await;
    output.assert(2, &["/nowhere.json: "]);
}

/// The output of `--call` with this Chime.
async fn call(chime: &FakeChime, event: &Value, variables: &[(&str, &str)]) -> ExplainOutput {
    let pattern = user_pattern("sub");
    let url = chime.http_url();
    let credentials = Options::default().credentials;
    let mut all = vec![
        ("APP_INSTANCE_USER_ARN", pattern.as_str()),
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", &url),
        ("AWS_ACCESS_KEY_ID", &credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key),
    ];
    all.extend(variables);
    explain(event, &["--call"], &all).await
}

/// Short only for a call that hangs. A slow machine must not make the other calls time out.
fn attempt_timeout(fault: &Fault) -> (&'static str, &'static str) {
    let hangs = *fault == Fault::Hang;
    (
        "CHIME_ATTEMPT_TIMEOUT_MS",
        if hangs { "300" } else { "10000" },
    )
}

/// A Chime that has Alice's message.
async fn chime(options: Options) -> FakeChime {
    let chime = FakeChime::start(options).await.expect("a fake Chime");
    chime.put_message(Message {
        channel_arn: channel(),
        sub_channel_id: None,
        message_id: MESSAGE.to_owned(),
        sender: user(ALICE),
        outcome: FlowOutcome::sent(),
    });
    chime
}

/// A Chime that knows no users.
async fn chime_without_users() -> FakeChime {
    chime(Options {
        users: Users::Only(Vec::new()),
        ..Options::default()
    })
    .await
}

#[tokio::test]
async fn chime_is_not_called_without_the_option() {
    let chime = chime(Options::default()).await;
    let pattern = user_pattern("sub");
    let url = chime.http_url();
    let variables = [
        ("APP_INSTANCE_USER_ARN", pattern.as_str()),
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", &url),
    ];
    let output = explain(sample("http-api-jwt"), &[], &variables).await;
    output.assert(0, &["maps to"]);
    assert!(chime.calls().is_empty());
}

#[tokio::test]
async fn chime_is_called_once_for_each_message_as_the_mapped_user() {
    let chime = chime(Options::default()).await;
    let output = call(&chime, &sample("http-api-jwt"), &[]).await;
    output.assert(0, &[&format!("Chime       {MESSAGE}: SENT")]);
    let output = call(&chime, &sample("batch"), &[]).await;
    output.assert(1, &[&format!("{MESSAGE}: SENT"), "message-not-found (404)"]);
    let calls = chime.calls();
    assert_eq!(calls.len(), 1 + 3);
    assert!(calls.iter().all(|call| call.bearer == Some(user(ALICE))));
}

#[tokio::test]
async fn chime_is_not_called_without_a_user() {
    let chime = chime(Options::default()).await;
    let output = call(&chime, &sample("refused-unmapped-claim"), &[]).await;
    output.assert(1, &["identity-not-mapped"]);
    assert!(chime.calls().is_empty());
}

#[tokio::test]
async fn each_error_of_chime_is_explained_with_a_next_step() {
    let chime = chime(Options::default()).await;
    let (alice, channel) = (user(ALICE), channel());
    for (fault, parts) in [
        (
            Fault::access_denied(),
            &[
                "misconfigured (500)",
                "AccessDeniedException",
                "chime:GetChannelMessageStatus",
                &alice,
                &channel,
            ][..],
        ),
        (
            Fault::unauthorized_client(),
            &[
                "user-not-provisioned (403)",
                "create-app-instance-user",
                ALICE,
            ],
        ),
        (
            Fault::forbidden(),
            &["message-not-found (404)", "another user sent it"],
        ),
        (Fault::throttled(), &["throttled (429)", "quota"]),
        (Fault::expired_token(), &["misconfigured (500)", "expired"]),
        (
            Fault::unrecognized_client(),
            &["misconfigured (500)", "must belong together"],
        ),
        (
            Fault::error(400, Some("SomethingNewException"), ""),
            &[
                "misconfigured (500)",
                "does not know this error name",
                "The AWS CLI does",
            ],
        ),
        (
            Fault::service_unavailable(),
            &["upstream-unavailable (503)", "Chime failed."],
        ),
        (
            Fault::html(200),
            &["upstream-failure (502)", "Is it Chime that responds?"],
        ),
        (
            Fault::html(403),
            &[
                "upstream-failure (502)",
                "Check AWS_ENDPOINT_URL… and proxies.",
            ],
        ),
        (
            Fault::Hang,
            &["upstream-timeout (504)", "CHIME_ATTEMPT_TIMEOUT_MS"],
        ),
    ] {
        let timeout = attempt_timeout(&fault);
        chime.always(Some(fault));
        let output = call(&chime, &sample("http-api-jwt"), &[timeout]).await;
        output.assert(1, parts);
    }
}

#[tokio::test]
async fn unknown_users_and_unknown_messages_have_different_texts() {
    let output = call(&chime_without_users().await, &sample("http-api-jwt"), &[]).await;
    let command = format!("--app-instance-arn {APP_INSTANCE} ");
    output.assert(1, &["user-not-provisioned (403)", &command]);
    let chime = chime(Options::default()).await;
    let output = call(&chime, &get_status("unknown", ""), &[]).await;
    output.assert(
        1,
        &["message-not-found (404)", "denied messages are not kept"],
    );
}

#[tokio::test]
async fn wrong_credentials_missing_credentials_and_no_network_have_different_texts() {
    let chime = chime(Options::default()).await;
    let event = sample("http-api-jwt");
    let output = call(&chime, &event, &[("AWS_SECRET_ACCESS_KEY", "another")]).await;
    output.assert(1, &["misconfigured (500)", "must belong together"]);
    output.assert_without("export-credentials");
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let output = call(&chime, &event, &none).await;
    output.assert(1, &["misconfigured (500)", "export-credentials"]);
    let nowhere = [("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "http://127.0.0.1:1")];
    let output = call(&chime, &event, &nowhere).await;
    output.assert(
        1,
        &["upstream-unavailable (503)", "Does this network reach AWS"],
    );
}

// docs/troubleshooting.md.

fn page() -> String {
    let path = format!("{}/docs/troubleshooting.md", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the page")
}

/// Outputs of `explain`, one for each entry of the table.
async fn outputs() -> Vec<ExplainOutput> {
    let chime = chime(Options::default()).await;
    let sub = user_pattern("sub");
    let token = sample("http-api-jwt");
    let mut until = sample("batch");
    until["rawQueryString"] = "until=any".into();
    let access_token = with_claims(json!({"sub": "alice", "token_use": "access"}));
    let elsewhere = sub.replace("us-east-1", "eu-west-1");
    let elsewhere_event = token.to_string().replace("us-east-1", "eu-west-1");
    let elsewhere_event = serde_json::from_str(&elsewhere_event).expect("JSON");
    let no_credentials = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let nowhere = [("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "http://127.0.0.1:1")];
    let mut outputs = vec![
        explain_with(&sub, &sample("refused-no-authorizer")).await,
        explain_with(&sub, &claims_beside_other_keys()).await,
        explain_with(&user_pattern("cognitoIdentityId"), &guest()).await,
        explain_session(&sample("function-url-iam"), IDENTITY_POOL_ROLE).await,
        explain_with(&sub, &sample("refused-unmapped-claim")).await,
        explain_with(&user_pattern("Sub"), &token).await,
        explain_with(&user_pattern("custom:id"), &access_token).await,
        explain_with(&sub, &with_claims(json!({"sub": "auth0|x"}))).await,
        explain_with(&sub, &with_claims(json!({"sub": "a".repeat(65)}))).await,
        explain_session(&signed_by_iam_user(), USER_ROLE).await,
        explain_session(&sample("http-api-iam"), IDENTITY_POOL_ROLE).await,
        explain_with(&sub, &sample("refused-other-app-instance")).await,
        explain_with(&sub, &until).await,
        explain_with(&sub, &json!({})).await,
        call(
            &chime,
            &elsewhere_event,
            &[("APP_INSTANCE_USER_ARN", &elsewhere), nowhere[0]],
        )
        .await,
        explain_with("alice", &token).await,
        explain_with(&user("{org}-{sub}"), &token).await,
        explain_with(&user_pattern("roleSessionName"), &token).await,
        explain_with(
            &user_pattern("email"),
            &with_claims(json!({"email": "alice"})),
        )
        .await,
        explain_session(&sample("function-url-iam"), USER_ROLE).await,
        call(&chime_without_users().await, &token, &[]).await,
        call(&chime, &get_status("unknown", ""), &[]).await,
        call(&chime, &token, &no_credentials).await,
        call(&chime, &token, &nowhere).await,
    ];
    for fault in [
        Fault::throttled(),
        Fault::access_denied(),
        Fault::expired_token(),
        Fault::invalid_signature(),
        Fault::error(400, Some("SomethingNewException"), ""),
        Fault::html(403),
        Fault::Hang,
    ] {
        let timeout = attempt_timeout(&fault);
        chime.always(Some(fault));
        outputs.push(call(&chime, &token, &[timeout]).await);
    }
    outputs
}

/// The texts in backticks.
fn quotes(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether an output is an example of a row: it has the quotes of the second cell, and the problem of
/// the first one.
fn shows(output: &ExplainOutput, row: &[&str]) -> bool {
    let text: Vec<_> = output.text.split_whitespace().collect();
    let text = text.join(" ");
    let mut expected: Vec<String> = quotes(row[1])
        .filter(|quote| quote.contains(' '))
        .map(str::to_owned)
        .collect();
    let status = row[0].split(' ').next().unwrap_or_default();
    if let (Some(problem), Ok(status)) = (quotes(row[0]).next(), status.parse::<u16>()) {
        expected.push(format!("{problem} ({status})"));
    }
    expected.iter().all(|part| text.contains(part))
}

#[tokio::test]
async fn every_text_in_the_troubleshooting_table_is_in_an_output_with_its_problem() {
    let outputs = outputs().await;
    let page = page();
    let (_, table) = page.split_once("## Symptoms").expect("the table");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .map(|line| line.trim_end_matches(" |").split(" | ").collect())
        .filter(|row: &Vec<&str>| quotes(row[1]).any(|quote| quote.contains(' ')))
        .collect();
    assert!(rows.len() > 25, "{rows:?}");
    for row in &rows {
        assert_eq!(row.len(), 3, "{row:?}");
        assert!(outputs.iter().any(|output| shows(output, row)), "{row:?}");
    }
    for output in &outputs {
        let has_row = rows.iter().any(|row| shows(output, row));
        assert!(has_row, "the table does not explain\n{}", output.text);
    }
}

#[tokio::test]
async fn the_example_on_the_troubleshooting_page_is_the_real_output() {
    let page = page();
    let (_, example) = page.split_once("```text\n").expect("a block");
    let (example, _) = example.split_once("```").expect("its end");
    let output = explain_with(&user_pattern("sub"), &sample("http-api-jwt")).await;
    assert_eq!(output.text, example);
}
