//! `cargo run --example explain`, as a process: what it says of an event, and what it ends with.

use std::path::PathBuf;

use fakes::chime::{FakeChime, Options, Users};
use fakes::fault::Fault;
use fakes::flow::{FlowOutcome, Message};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{ALICE, APP_INSTANCE, MESSAGE, channel, sample, user, user_pattern};

/// A value that must not be shown unasked.
const CANARY: &str = "canary7f3e";

/// What the tool wrote, and how it ended.
struct ExplainOutput {
    text: String,
    ended: Option<i32>,
}

impl ExplainOutput {
    #[track_caller]
    fn assert(&self, ended: i32, parts: &[&str]) {
        assert_eq!(self.ended, Some(ended), "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "no {part:?} in\n{}", self.text);
        }
    }
}

/// Where cargo puts examples: beside the folder that this test is in.
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
    let said = run(&[&[file_name], options].concat(), variables).await;
    std::fs::remove_file(&file).expect("the file");
    said
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
        ended: output.status.code(),
    }
}

async fn by(template: &str, event: &Value) -> ExplainOutput {
    explain(event, &[], &[("APP_INSTANCE_USER_ARN", template)]).await
}

fn with_claims(claims: Value) -> Value {
    let mut event = sample("http-api-jwt");
    event["requestContext"]["authorizer"]["jwt"]["claims"] = claims;
    event
}

#[tokio::test]
async fn every_event_that_the_function_answers_is_followed_to_its_user() {
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
        let said = by(&user_pattern(claim), &sample(event)).await;
        let maps = format!("maps to     {arn}\n");
        said.assert(0, &[gateway, authorizer, claim, &maps, "own app instance"]);
        assert!(!said.text.contains("refused"), "{event}: {}", said.text);
    }
}

#[tokio::test]
async fn a_preflight_has_no_user_and_needs_none() {
    let template = user_pattern("sub");
    let variables = [("APP_INSTANCE_USER_ARN", template.as_str())];
    let origins = ("ALLOWED_ORIGINS", "https://chat.example.com");
    let allowed = [variables[0], origins];
    let said = explain(sample("preflight"), &[], &allowed).await;
    said.assert(0, &["a preflight, which is answered to anybody"]);
    let said = explain(sample("preflight"), &[], &variables).await;
    let lists = "The `allow` header lists the methods that are.";
    said.assert(
        1,
        &[&format!("refused     method-not-allowed (405): {lists}")],
    );
}

#[tokio::test]
async fn the_refused_events_are_refused_by_their_problem_s_name_and_with_the_reason() {
    let template = user_pattern("sub");
    let said = by(&template, &sample("refused-no-authorizer")).await;
    said.assert(
        1,
        &[
            "refused     unauthenticated (401): no authorizer said anything",
            "no authorizer that let somebody in",
        ],
    );
    let said = by(&template, &sample("refused-unmapped-claim")).await;
    let reason = "{sub} is not among the names";
    said.assert(
        1,
        &[
            "refused     identity-not-mapped (403)",
            reason,
            "token_use, username",
        ],
    );
    let said = by(&template, &sample("refused-other-app-instance")).await;
    let own = format!("The user's own channels are {APP_INSTANCE}/channel/");
    let field = "channelArn: It must be a channel of the caller's own app instance.";
    said.assert(
        1,
        &[
            "refused     invalid-request (400)",
            field,
            &own,
            &user(ALICE),
        ],
    );
}

#[tokio::test]
async fn a_claim_that_maps_to_nobody_is_told_with_what_is_wrong_with_it() {
    let tenant = format!(
        "{}/user/{{sub}}",
        APP_INSTANCE.replace("7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21", "{tenant}")
    );
    let long = "a".repeat(70);
    for (template, claims, reason) in [
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
            "to begin and to end with a letter or a digit",
        ),
        (
            user_pattern("sub"),
            json!({"sub": ""}),
            "The value of {sub} is empty",
        ),
        (
            user_pattern("sub"),
            json!({"sub": ["a"]}),
            "{sub} has to be a string or a whole number",
        ),
        (
            user_pattern("sub"),
            json!({"Sub": "a"}),
            "There is {Sub}: upper and lower case count",
        ),
        (
            tenant,
            json!({"sub": "a", "tenant": "a:b"}),
            "Character 2 of the value of {tenant} is ':'",
        ),
        (
            "{arn}".to_owned(),
            json!({"arn": "alice"}),
            "The whole has to be arn:aws:chime:",
        ),
    ] {
        let event = with_claims(claims);
        let variables = [
            ("APP_INSTANCE_USER_ARN", template.as_str()),
            ("AWS_REGION", "us-east-1"),
        ];
        let said = explain(event, &[], &variables).await;
        said.assert(1, &["refused     identity-not-mapped (403)", reason]);
    }
}

#[tokio::test]
async fn whoever_is_not_vouched_for_is_told_apart() {
    let mut guest = sample("http-api-iam");
    guest["requestContext"]["authorizer"]["iam"]["cognitoIdentity"]["amr"] =
        json!(["unauthenticated"]);
    let said = by(&user_pattern("cognitoIdentityId"), &guest).await;
    said.assert(
        1,
        &["unauthenticated (401)", "somebody who has not logged in"],
    );
    let twice = sample("http-api-jwt")
        .to_string()
        .replace(r#""sub":"#, r#""sub":"bob","sub":"#);
    let template = user_pattern("sub");
    let said = explain(twice, &[], &[("APP_INSTANCE_USER_ARN", &template)]).await;
    said.assert(1, &["unauthenticated (401)", "Something stands twice"]);
}

#[tokio::test]
async fn what_is_no_event_is_what_the_function_calls_an_internal_error() {
    let template = user_pattern("sub");
    for text in ["", "{}", r#"{"sub":"alice"}"#] {
        let said = explain(text, &[], &[("APP_INSTANCE_USER_ARN", &template)]).await;
        said.assert(1, &["refused     internal-error (500)", "files in events/"]);
    }
}

#[tokio::test]
async fn claims_that_users_can_write_and_names_that_callers_choose_are_warned_about() {
    let written = "Users can commonly write";
    for claim in [
        "profile",
        "name",
        "email",
        "preferred_username",
        "nickname",
        "phone_number",
        "custom:id",
    ] {
        let said = by(&user_pattern(claim), &with_claims(json!({claim: "alice"}))).await;
        said.assert(
            0,
            &[&format!("warning     {written} {{{claim}}} themselves")],
        );
    }
    for claim in ["sub", "username", "cognito:username", "oid"] {
        let said = by(&user_pattern(claim), &with_claims(json!({claim: "alice"}))).await;
        said.assert(0, &["maps to"]);
        assert!(!said.text.contains("warning"), "{}", said.text);
    }
    // A Lambda authorizer writes its context itself.
    let mut event = sample("http-api-lambda-authorizer");
    event["requestContext"]["authorizer"]["lambda"]["name"] = "alice".into();
    let said = by(&user_pattern("name"), &event).await;
    said.assert(0, &["maps to"]);
    assert!(!said.text.contains("warning"), "{}", said.text);
    let said = by(
        &user_pattern("roleSessionName"),
        &sample("function-url-iam"),
    )
    .await;
    said.assert(
        0,
        &["warning     Whoever assumes a role chooses the session's name"],
    );
}

#[tokio::test]
async fn a_name_that_all_users_of_an_identity_pool_share_is_warned_about() {
    for event in ["http-api-iam", "rest-api-iam"] {
        for name in ["roleSessionName", "userId", "callerId"] {
            let said = by(&user_pattern(name), &sample(event)).await;
            let warning =
                format!("warning     All users of an identity pool have the same {{{name}}}");
            said.assert(0, &[&warning]);
        }
        let said = by(&user_pattern("cognitoIdentityId"), &sample(event)).await;
        said.assert(0, &["maps to"]);
        assert!(!said.text.contains("warning"), "{}", said.text);
    }
}

#[tokio::test]
async fn an_access_token_where_an_id_token_is_needed_is_warned_about() {
    let warning = "This is an access token, and {custom:id} is in ID tokens";
    let claims = |token_use: &str| with_claims(json!({"sub": "alice", "token_use": token_use}));
    let said = by(&user_pattern("custom:id"), &claims("access")).await;
    said.assert(1, &[warning]);
    for (claim, token_use) in [("custom:id", "id"), ("sub", "access")] {
        let said = by(&user_pattern(claim), &claims(token_use)).await;
        assert!(!said.text.contains("access token"), "{}", said.text);
    }
}

#[tokio::test]
async fn regions_that_cannot_work_are_warned_about() {
    let elsewhere = user_pattern("sub").replace("us-east-1", "eu-west-1");
    let said = by(&elsewhere, &sample("http-api-jwt")).await;
    said.assert(
        1,
        &["warning     Chime is asked in eu-west-1, and its messaging exists in"],
    );
    let event = with_claims(json!({"arn": user("alice")}));
    for (region, warned) in [("eu-central-1", true), ("us-east-1", false)] {
        let variables = [("APP_INSTANCE_USER_ARN", "{arn}"), ("AWS_REGION", region)];
        let said = explain(&event, &[], &variables).await;
        said.assert(0, &["maps to"]);
        let warning = "The user is of us-east-1, and Chime is asked in eu-central-1";
        assert_eq!(said.text.contains(warning), warned, "{}", said.text);
    }
}

#[tokio::test]
async fn values_are_shown_when_they_are_asked_for_and_never_else() {
    let claims = |sub: &str| {
        with_claims(json!({
            "sub": sub, "email": format!("{CANARY}@x.test"), "groups": [CANARY], "id": CANARY,
        }))
    };
    let template = user_pattern("sub");
    for (claims, ended) in [
        (claims("alice"), 0),
        (claims(&format!("{CANARY}/x")), 1),
        (claims(&CANARY.repeat(20)), 1),
        (claims(&format!("{CANARY}-")), 1),
    ] {
        let variables = [("APP_INSTANCE_USER_ARN", template.as_str())];
        let said = explain(&claims, &[], &variables).await;
        said.assert(ended, &["it gave     email, groups, id, sub"]);
        assert!(!said.text.contains(CANARY), "{}", said.text);
        let said = explain(&claims, &["--values"], &variables).await;
        said.assert(
            ended,
            &[
                &format!("email = {CANARY}@x.test"),
                "groups = (neither a string",
            ],
        );
    }
    let whole = [
        ("APP_INSTANCE_USER_ARN", "{id}"),
        ("AWS_REGION", "us-east-1"),
    ];
    let said = explain(claims("alice"), &[], &whole).await;
    said.assert(1, &["identity-not-mapped"]);
    assert!(!said.text.contains(CANARY), "{}", said.text);
}

#[tokio::test]
async fn what_a_claim_holds_cannot_speak_to_the_terminal() {
    let event = with_claims(json!({"sub": "alice", "\u{1b}[2Jx": "\u{1b}]0;x\u{7}"}));
    let template = user_pattern("sub");
    let variables = [("APP_INSTANCE_USER_ARN", template.as_str())];
    let said = explain(event, &["--values"], &variables).await;
    said.assert(0, &["maps to"]);
    let is_plain = |c: char| !c.is_control() || c == '\n';
    assert!(said.text.chars().all(is_plain), "{:?}", said.text);
}

#[tokio::test]
async fn a_wrong_start_is_told_whole() {
    let variables = [
        ("MAX_WAIT_SECONDS", "soon"),
        ("APP_INSTANCE_USER_ARN", "alice"),
    ];
    let said = explain(sample("wait"), &[], &variables).await;
    said.assert(
        2,
        &[
            "MAX_WAIT_SECONDS",
            "APP_INSTANCE_USER_ARN: it has no {placeholder}",
        ],
    );
    for arguments in [&[][..], &["a", "b"], &["--value", "a"]] {
        run(arguments, &variables).await.assert(2, &["usage: "]);
    }
    run(&["/nowhere.json"], &variables)
        .await
        .assert(2, &["/nowhere.json: "]);
}

/// What `--call` says of Alice's message with this Chime, and how many calls it made.
async fn call(chime: &FakeChime, event: &Value, variables: &[(&str, &str)]) -> ExplainOutput {
    let template = user_pattern("sub");
    let url = chime.http_url();
    let credentials = Options::default().credentials;
    let mut all = vec![
        ("APP_INSTANCE_USER_ARN", template.as_str()),
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", &url),
        ("AWS_ACCESS_KEY_ID", &credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key),
    ];
    all.extend(variables);
    explain(event, &["--call"], &all).await
}

async fn chime(options: Options) -> FakeChime {
    let chime = FakeChime::start(options).await.expect("a fake Chime");
    chime.put(Message {
        channel_arn: channel(),
        sub_channel_id: None,
        message_id: MESSAGE.to_owned(),
        sender: user(ALICE),
        outcome: FlowOutcome::sent(),
    });
    chime
}

#[tokio::test]
async fn nothing_is_called_unless_it_is_asked_for() {
    let chime = chime(Options::default()).await;
    let template = user_pattern("sub");
    let url = chime.http_url();
    let variables = [
        ("APP_INSTANCE_USER_ARN", template.as_str()),
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", &url),
    ];
    explain(sample("http-api-jwt"), &[], &variables)
        .await
        .assert(0, &["maps to"]);
    assert!(chime.calls().is_empty());
}

#[tokio::test]
async fn chime_is_asked_as_the_user_and_its_answer_is_told() {
    let chime = chime(Options::default()).await;
    let said = call(&chime, &sample("http-api-jwt"), &[]).await;
    said.assert(0, &[&format!("Chime       {MESSAGE}: SENT")]);
    let [asked] = &chime.calls()[..] else {
        panic!("one call")
    };
    assert_eq!(asked.bearer, Some(user(ALICE)));
    let said = call(&chime, &sample("batch"), &[]).await;
    said.assert(1, &[&format!("{MESSAGE}: SENT"), "message-not-found (404)"]);
    assert_eq!(chime.calls().len(), 1 + 3, "one for each message");
    let said = call(&chime, &sample("refused-unmapped-claim"), &[]).await;
    said.assert(1, &["identity-not-mapped"]);
    assert_eq!(chime.calls().len(), 1 + 3, "nobody to ask as");
}

#[tokio::test]
async fn each_refusal_of_chime_is_told_with_what_to_do() {
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
            Fault::service_unavailable(),
            &["upstream-unavailable (503)", "Chime's own trouble"],
        ),
        (
            Fault::html(200),
            &["upstream-failure (502)", "Is it Chime that answers?"],
        ),
        (
            Fault::Hang,
            &["upstream-timeout (504)", "CHIME_ATTEMPT_TIMEOUT_MS"],
        ),
    ] {
        chime.always(Some(fault));
        let quick = [("CHIME_ATTEMPT_TIMEOUT_MS", "1000")];
        call(&chime, &sample("http-api-jwt"), &quick)
            .await
            .assert(1, parts);
    }
}

#[tokio::test]
async fn an_unknown_user_and_a_message_of_nobody_s_are_told_apart() {
    let options = Options {
        users: Users::Only(Vec::new()),
        ..Options::default()
    };
    let said = call(&chime(options).await, &sample("http-api-jwt"), &[]).await;
    let command = format!("--app-instance-arn {APP_INSTANCE} ");
    said.assert(1, &["user-not-provisioned (403)", &command]);
    let empty = FakeChime::start(Options::default())
        .await
        .expect("a fake Chime");
    let said = call(&empty, &sample("http-api-jwt"), &[]).await;
    said.assert(
        1,
        &["message-not-found (404)", "denied messages are not kept"],
    );
}

#[tokio::test]
async fn bad_credentials_no_credentials_and_no_chime_are_told_apart() {
    let chime = chime(Options::default()).await;
    let event = sample("http-api-jwt");
    let said = call(&chime, &event, &[("AWS_SECRET_ACCESS_KEY", "another")]).await;
    said.assert(1, &["misconfigured (500)", "must belong together"]);
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let said = call(&chime, &event, &none).await;
    said.assert(1, &["misconfigured (500)", "export-credentials"]);
    let nowhere = [("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "http://127.0.0.1:1")];
    let said = call(&chime, &event, &nowhere).await;
    said.assert(
        1,
        &["upstream-unavailable (503)", "Is there a way out from here"],
    );
}

#[test]
fn the_trouble_shooting_page_quotes_what_is_really_said() {
    let read = |path: &str| {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let joined = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sources = [
        "examples/explain/main.rs",
        "examples/explain/identity.rs",
        "examples/explain/call.rs",
        "src/api/fields.rs",
    ];
    // Long strings go over lines in the source.
    let said: String = sources
        .map(read)
        .map(|text| joined(text.replace("\\\n", " ")))
        .concat();
    let page = read("docs/troubleshooting.md");
    let cells = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(1));
    let quotes: Vec<_> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|quote| quote.contains(' '))
        .collect();
    assert!(quotes.len() > 15, "{quotes:?}");
    for quote in quotes {
        assert!(said.contains(quote), "nothing says {quote:?}");
    }
}

#[tokio::test]
async fn the_trouble_shooting_page_shows_what_is_really_written() {
    let path = format!("{}/docs/troubleshooting.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(path).expect("the page");
    let (_, shown) = page.split_once("```text\n").expect("a block");
    let (shown, _) = shown.split_once("```").expect("its end");
    let said = by(&user_pattern("sub"), &sample("http-api-jwt")).await;
    assert_eq!(said.text, shown);
}
