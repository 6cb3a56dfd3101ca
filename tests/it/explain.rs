//! `cargo run --example explain`, as a process: what it says of an event, and what it ends with.

use std::path::PathBuf;

use serde_json::{Value, json};
use stand_in::chime::{Options, StandIn, Users};
use stand_in::fault::Fault;
use stand_in::flow::{Message, Outcome};
use tokio::process::Command;

use crate::support::{ALICE, APP_INSTANCE, MESSAGE, by_claim, channel, sample, user};

/// A value that must not be shown unasked.
const CANARY: &str = "canary7f3e";

/// What the tool wrote, and how it ended.
struct Said {
    text: String,
    ended: Option<i32>,
}

impl Said {
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
    profile.expect("target/PROFILE").join("examples/explain")
}

async fn explain(event: impl ToString, options: &[&str], variables: &[(&str, &str)]) -> Said {
    let name = format!("explain-{:016x}.json", fastrand::u64(..));
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, event.to_string()).expect("a file");
    let file_name = file.to_str().expect("UTF-8");
    let said = run(&[&[file_name], options].concat(), variables).await;
    std::fs::remove_file(&file).expect("the file");
    said
}

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
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
    Said {
        text: String::from_utf8(text).expect("UTF-8"),
        ended: output.status.code(),
    }
}

async fn by(template: &str, event: &Value) -> Said {
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
        ("http-api-format-1.0-jwt", "sub", "format 1.0, ", token, &alice),
        ("rest-api-cognito", "sub", "a REST API, ", token, &alice),
        ("http-api-lambda-authorizer", "sub", "an HTTP API, ", lambda, &alice),
        ("rest-api-lambda-authorizer", "sub", "a REST API, ", lambda, &alice),
        ("http-api-iam", "cognitoIdentityId", "an HTTP API, ", signed, &pool),
        ("rest-api-iam", "cognitoIdentityId", "a REST API, ", signed, &pool),
        ("function-url-iam", "roleSessionName", "a function URL, ", signed, &alice),
    ] {
        let said = by(&by_claim(claim), &sample(event)).await;
        let maps = format!("maps to     {arn}\n");
        let door = format!("front door  ");
        said.assert(0, &[&door, gateway, authorizer, claim, &maps, "own app instance"]);
        assert!(!said.text.contains("refused"), "{event}: {}", said.text);
    }
}
