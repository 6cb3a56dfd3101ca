//! `--call`: calls Chime, and explains its errors to the operator.

use std::time::Duration;

use aws_config::BehaviorVersion;
use chime_message_status::api::routes::Operation;
use chime_message_status::chime::{ChimeClient, ChimeError, ErrorKind, RootCertificates};
use chime_message_status::config::Config;
use chime_message_status::domain::{AppInstanceUserArn, MessageRef};
use chime_message_status::problem::Problem;

use crate::Failed;
use crate::output::print_line;

/// Pause between two calls. The quota of a user at Chime is as small as 5 calls a second.
const PAUSE: Duration = Duration::from_millis(250);

pub async fn call_chime(
    config: &Config,
    roots: &RootCertificates,
    operation: &Operation,
) -> Result<(), Failed> {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    let chime = ChimeClient::new(config, roots, loader)
        .await
        .map_err(|error| {
            print_line("Chime", &format!("could not be called: {error}"));
            Failed
        })?;
    let caller = operation.caller();
    let mut outcome = Ok(());
    for (index, message) in operation.messages().iter().enumerate() {
        if index > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let id = message.message.as_str();
        match chime.get_message_status(caller, message).await.result {
            Ok(status) => print_line("Chime", &format!("{id}: {}", status.value().as_str())),
            Err(error) => {
                let problem = Problem::from(&error).problem_type();
                let (name, status) = (problem.name(), problem.status().as_u16());
                print_line("Chime", &format!("{id}: {name} ({status}): {error}"));
                for line in meaning(&error, caller.user(), message) {
                    print_line("", &line);
                }
                outcome = Err(Failed);
            }
        }
    }
    outcome
}

/// Lines that explain the error and the next step.
fn meaning(error: &ChimeError, user: &AppInstanceUserArn, message: &MessageRef) -> Vec<String> {
    let line = |text: &str| vec![text.to_owned()];
    match error.kind() {
        ErrorKind::NotPermitted => not_permitted(error, user, message),
        ErrorKind::NoCredentials => vec![
            "Neither the environment nor a profile has usable credentials. With single".into(),
            "sign-on: eval \"$(aws configure export-credentials --format env)\"".into(),
        ],
        ErrorKind::UnknownUser => unknown_user(user),
        ErrorKind::NoSuchMessage => vec![
            "No such message in this channel (or sub-channel); or another user sent it, and only"
                .into(),
            "the sender may call; or its flow denied it, and denied messages are not kept. Chime"
                .into(),
            "does not report which.".into(),
        ],
        ErrorKind::Throttled => {
            line("The user's quota for this second is used up. Sending messages counts against it.")
        }
        ErrorKind::Timeout | ErrorKind::StaleConnection => {
            line("Is the network to Chime slow? CHIME_ATTEMPT_TIMEOUT_MS sets the limit.")
        }
        ErrorKind::Unreachable => vec![
            "Does this network reach AWS (VPC, proxy, DNS)? Does Chime messaging exist in this"
                .into(),
            "region (us-east-1 and eu-central-1)? Is an AWS_ENDPOINT_URL… set, or AWS_CA_BUNDLE?"
                .into(),
        ],
        ErrorKind::Failure | ErrorKind::Unavailable => {
            line("Chime failed. The function retries such a call; this tool does not.")
        }
        ErrorKind::Unusable => {
            line("Is it Chime that responds? Check AWS_ENDPOINT_URL… and proxies.")
        }
        ErrorKind::Unsendable => line("This is a bug in the function. Please report it."),
    }
}

fn not_permitted(
    error: &ChimeError,
    user: &AppInstanceUserArn,
    message: &MessageRef,
) -> Vec<String> {
    let line = |text: &str| vec![text.to_owned()];
    match error.name() {
        Some("AccessDenied" | "AccessDeniedException" | "NotAuthorized") => vec![
            "IAM does not let these credentials call. They need chime:GetChannelMessageStatus on both".into(),
            format!("  {}", user.as_str()),
            format!("  {}", message.channel.as_str()),
            "No permissions boundary or SCP may deny it. The function's own role needs it on".into(),
            format!("  {}/user/* and …/channel/*", user.app_instance()),
        ],
        Some("ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "RequestTimeTooSkewed") => {
            line("The credentials are expired, or the clock of this machine is wrong. Get new ones.")
        }
        Some("UnknownOperationException") => {
            line("The endpoint is not Chime messaging. Check AWS_ENDPOINT_URL….")
        }
        Some(_) => line(
            "AWS does not accept the credentials: key, secret and session token must belong together.",
        ),
        None => vec![
            "The function does not know this error name, and does not show it. The AWS CLI does:".into(),
            "aws chime-sdk-messaging get-channel-message-status with the same credentials.".into(),
        ],
    }
}

fn unknown_user(user: &AppInstanceUserArn) -> Vec<String> {
    let id = user.as_str().rsplit('/').next().unwrap_or_default();
    vec![
        "The mapping works, but this AppInstanceUser does not exist. Create it at sign-up:".into(),
        "  aws chime-sdk-identity create-app-instance-user --name NAME \\".into(),
        format!("    --app-instance-arn {} \\", user.app_instance()),
        format!("    --app-instance-user-id {id}"),
        "If the user exists under another id, the pattern uses the wrong claim.".into(),
    ]
}
