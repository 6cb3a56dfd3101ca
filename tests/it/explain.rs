//! The `explain` example: output and exit code for each kind of event.

use std::process::Command;

use serde_json::{Value, json};

use crate::event_sources::SOURCES;
use crate::support::{ALICE, channel, get_status, messages, post, sample, user, user_pattern};

// Compiled into this test, so that nothing must be built before.
#[allow(dead_code, reason = "a test needs no `main`")]
#[path = "../../examples/explain/main.rs"]
mod tool;

/// A value that the output must not have without `--values`.
const CANARY: &str = "canary7f3e";
const ROLE: &str = "SESSION_ROLE_ARN";
const CHAT_USER: (&str, &str) = (ROLE, "arn:aws:iam::111122223333:role/chat-user");

struct Explained(u8, String);

impl Explained {
    #[track_caller]
    fn assert(&self, exit_code: u8, parts: &[&str]) {
        let Self(actual, text) = self;
        assert_eq!(*actual, exit_code, "{text}");
        for part in parts {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }

    #[track_caller]
    fn assert_without(&self, part: &str) {
        assert!(!self.1.contains(part), "{part:?} in\n{}", self.1);
    }
}

fn run(arguments: &[&str], stdin: &str, variables: &[(&str, &str)]) -> Explained {
    let arguments: Vec<_> = arguments.iter().copied().map(str::to_owned).collect();
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.into())
    };
    let (exit_code, text) = tool::run(&arguments, variable, stdin.as_bytes());
    Explained(exit_code, text)
}

fn explain(pattern: &str, event: &Value, variable: (&str, &str)) -> Explained {
    let pattern = ("APP_INSTANCE_USER_ARN", pattern);
    let region = ("AWS_REGION", "us-east-1");
    run(&["-"], &event.to_string(), &[pattern, region, variable])
}

/// An event of an HTTP API, with this as `requestContext.authorizer.KIND`.
fn with(kind: &str, context: Value) -> Value {
    let mut event = sample("http-api-jwt");
    event["requestContext"]["authorizer"] = json!({ kind: context });
    event
}

#[test]
fn events_of_every_source_map_to_their_user() {
    for (event, name, id, gateway, authorizer) in SOURCES {
        let pattern = user_pattern(name);
        let parts = [
            &format!("pattern     {pattern}\nsource      {gateway}\n"),
            &format!("authorizer  {authorizer}\n"),
            &format!(" {{{name}}}\n"),
            &*format!("maps to     {}\n", user(id)),
        ];
        let output = explain(&pattern, &sample(event), CHAT_USER);
        output.assert(0, &parts);
        let is_session = name == "roleSessionName";
        assert_eq!(output.1.contains("{roleSessionName}\n"), is_session);
    }
}

#[test]
fn pasted_commands_pass_the_channel_the_ids_and_the_user() {
    let (channel, alice) = (channel(), user(ALICE));
    let command = "chime-sdk-messaging get-channel-message-status --region us-east-1";
    let call = |ids| format!("{command} --channel-arn {channel} {ids} --chime-bearer {alice} ");
    let hyphens = get_status("-a", "&subChannelId=-b");
    let of_hyphens = call("--message-id=-a --sub-channel-id=-b");
    let batch = post("wait=20", messages(&["a", "b"]));
    let of_batch = call("--message-id=a") + &call("--message-id=b");
    for (event, expected) in [(hyphens, of_hyphens), (batch, of_batch)] {
        let output = explain(&user_pattern("sub"), &event, CHAT_USER);
        let (_, commands) = output.1.split_once("\n\n").expect("commands");
        let script = format!("aws() {{ printf '%s ' \"$@\"; }}\n{commands}");
        let shell = Command::new("sh").arg("-c").arg(script).output();
        let pasted = shell.expect("a shell").stdout;
        assert_eq!(String::from_utf8_lossy(&pasted), expected);
    }
}

#[test]
fn a_value_that_is_refused_is_explained_by_the_rule_that_it_breaks() {
    let long = "a".repeat(65);
    #[rustfmt::skip]
    let rows = [
        ("{sub}", json!("auth0|x"), "a character", "Character 6 is '|'"),
        ("{sub}", json!("us-east-1:ä"), "a character", "Character 11 is 'ä'"),
        ("{sub}", json!(long), "a length", "has 65 characters"),
        ("{sub}", json!("_a"), "a first or last character", "u-{sub}"),
        ("{sub}", json!(42), "not a string", "identity-not-mapped"),
        ("{sub}", json!(""), "empty", "identity-not-mapped"),
        ("{Sub}", json!("a"), "missing", "Case counts"),
    ];
    for (name, value, rule, step) in rows {
        let event = with("jwt", json!({"claims": {"sub": value}}));
        let output = explain(&user(name), &event, CHAT_USER);
        output.assert(1, &["identity-not-mapped (403)", rule, step]);
    }
    let whole_arn = explain("{sub}", &sample("http-api-jwt"), CHAT_USER);
    whole_arn.assert(1, &["it is not the ARN of an AppInstanceUser"]);
}

#[test]
fn each_reason_of_a_request_without_a_user_is_named() {
    let signer = |context| with("iam", context);
    let guest = signer(json!({"cognitoIdentity": {"amr": ["unauthenticated"]}}));
    let iam_user = signer(json!({"userArn": "arn:aws:iam::111122223333:user/a"}));
    let mut ambiguous = sample("http-api-format-1.0-jwt");
    ambiguous["requestContext"]["authorizer"]["principalId"] = "bob".into();
    let (jwt, iam) = (sample("http-api-jwt"), sample("http-api-iam"));
    let none = sample("refused-no-authorizer");
    let issuer = ("TOKEN_ISSUER", "https://other.example");
    let pool_role = "arn:aws:iam::111122223333:role/chat-authenticated";
    #[rustfmt::skip]
    let rows = [
        ("sub", &none, CHAT_USER, "(401)", "A token in a header does not count"),
        ("sub", &iam, CHAT_USER, "(401)", "of the kind that the pattern needs"),
        ("sub", &jwt, issuer, "(401)", "not a token of TOKEN_ISSUER"),
        ("sub", &ambiguous, CHAT_USER, "(401)", "other keys beside claims"),
        ("cognitoIdentityId", &guest, CHAT_USER, "(401)", "identity is unauthenticated"),
        ("roleSessionName", &iam, CHAT_USER, "(401)", "is not SESSION_ROLE_ARN"),
        ("roleSessionName", &iam, (ROLE, pool_role), "(403)", "Use {cognitoIdentityId}."),
        ("roleSessionName", &iam_user, CHAT_USER, "(403)", "not signed in a role session"),
    ];
    for (name, event, variable, status, reason) in rows {
        explain(&user_pattern(name), event, variable).assert(1, &[status, reason]);
    }
}

#[test]
fn events_of_other_sources_are_named() {
    let mut console = sample("rest-api-iam");
    console["requestContext"]["stage"] = "test-invoke-stage".into();
    let mut alb = sample("rest-api-cognito");
    alb["requestContext"] = json!({"elb": {"targetGroupArn": "a"}});
    #[rustfmt::skip]
    let rows = [
        (console, "the Test button of a REST API in the console"),
        (alb, "an Application Load Balancer"),
        (json!({"requestContext": {"connectionId": "a"}}), "a WebSocket API"),
        (json!({"requestContext": {"serviceNetworkArn": "a"}}), "VPC Lattice"),
        (json!({"methodArn": "a"}), "a REST API, for a Lambda authorizer"),
        (json!({"routeArn": "a"}), "an HTTP API, for a Lambda authorizer"),
        (json!({"Records": [{"eventSource": "aws:sqs"}]}), "SQS"),
        (json!({"detail-type": "a"}), "EventBridge"),
        (json!({"key1": "value1"}), "the Test button of the Lambda console"),
    ];
    for (event, source) in rows {
        let output = explain(&user_pattern("sub"), &event, CHAT_USER);
        output.assert(1, &[&format!("source      {source}"), "problem     "]);
        output.assert_without("authorizer  ");
        output.assert_without("no user");
    }
}

#[test]
fn an_event_in_a_line_of_a_log_is_found() {
    let pattern = user_pattern("sub");
    let variables = [("APP_INSTANCE_USER_ARN", pattern.as_str())];
    let event = sample("http-api-jwt").to_string();
    let line = format!("\u{feff}(id) Endpoint request body: {event} \n");
    run(&["-"], &line, &variables).assert(0, &["maps to"]);
    let (cut, _) = event.split_at(event.len() / 2);
    run(&["-"], cut, &variables).assert(1, &["(500): the event is not the JSON of a gateway"]);
}

#[test]
fn values_are_shown_only_with_the_option_and_never_control_the_terminal() {
    let pattern = user_pattern("sub");
    let variables = [("APP_INSTANCE_USER_ARN", pattern.as_str())];
    for (sub, exit_code) in [("a", 0), (&format!("{CANARY}/"), 1), (&CANARY.repeat(9), 1)] {
        let claims = json!({"sub": sub, "\u{1b}[2J": format!("{CANARY}\u{1b}"), "list": [CANARY]});
        let event = with("jwt", json!({ "claims": claims })).to_string();
        let output = run(&["-"], &event, &variables);
        output.assert(exit_code, &["{list}\n", "{sub}\n"]);
        output.assert_without(CANARY);
        let output = run(&["-", "--values"], &event, &variables);
        let value = format!("{{sub}} = {sub}\n");
        output.assert(exit_code, &[&value, "{list} = (not a string)\n"]);
        output.assert_without("\u{1b}");
    }
}

#[test]
fn unsafe_names_and_regions_without_chime_messaging_are_warned_about() {
    let context = json!({"profile": "a", "custom:id": "a", "oid": "a", "roleSessionName": "a"});
    let lambda = with("lambda", context.clone());
    let token = with("jwt", json!({ "claims": context }));
    let session = sample("function-url-iam");
    let eu = user("{oid}").replace("us-east-1", "eu-west-1");
    let impersonation = Some("any user can impersonate any other");
    #[rustfmt::skip]
    let rows = [
        (user("{profile}"), &token, impersonation),
        (user("{custom:id}"), &token, impersonation),
        (user("{roleSessionName}"), &session, Some("fixes sts:RoleSessionName")),
        (eu, &token, Some("us-east-1 and eu-central-1 only, not in eu-west-1.")),
        (user("{oid}"), &token, None),
        (user("{profile}"), &lambda, None),
    ];
    for (pattern, event, warning) in rows {
        let output = explain(&pattern, event, CHAT_USER);
        assert_eq!(output.1.contains("warning "), warning.is_some());
        match warning {
            Some(warning) => output.assert(output.0, &[warning]),
            None => output.assert_without("{roleSessionName}"),
        }
    }
}

#[test]
fn input_errors_and_preflights_are_reported_as_the_function_does() {
    let sub = user_pattern("sub");
    let origins = ("ALLOWED_ORIGINS", "https://chat.example.com");
    explain(&sub, &sample("preflight"), origins).assert(0, &["a CORS preflight"]);
    let output = explain(&sub, &sample("preflight"), CHAT_USER);
    output.assert(1, &["method-not-allowed (405)"]);
    let output = explain(&sub, &sample("refused-other-app-instance"), CHAT_USER);
    output.assert(1, &["invalid-request (400)", "channelArn: It must"]);
    output.assert_without("aws chime-sdk-messaging");
}

#[test]
fn wrong_arguments_and_a_wrong_configuration_exit_with_2() {
    for arguments in [&[][..], &["a", "b"], &["a", "--values", "b"]] {
        run(arguments, "", &[]).assert(2, &["usage: "]);
    }
    run(&["/nowhere.json"], "", &[]).assert(2, &["/nowhere.json: "]);
    let pattern = ("APP_INSTANCE_USER_ARN", "alice");
    let variables = [pattern, ("MAX_WAIT_SECONDS", "soon")];
    let parts = ["APP_INSTANCE_USER_ARN: ", "MAX_WAIT_SECONDS: "];
    run(&["-"], "{}", &variables).assert(2, &parts);
}
