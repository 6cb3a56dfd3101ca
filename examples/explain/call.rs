//! `--call`: asks Chime, and says what its refusals mean to whoever sets this up.

use std::time::Duration;

use aws_config::BehaviorVersion;
use chime_message_status::chime::{ChimeClient, ChimeError, ErrorKind};
use chime_message_status::config::Config;
use chime_message_status::domain::{AppInstanceUserArn, MessageRef};
use chime_message_status::problem::Problem;

use crate::Refused;
use crate::page::{app_instance, say};

/// Between two calls: a user's quota at Chime is as small as 5 a second.
const SPACE: Duration = Duration::from_millis(250);

pub async fn ask(
    config: &Config,
    user: &AppInstanceUserArn,
    messages: &[MessageRef],
) -> Result<(), Refused> {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    let chime = ChimeClient::new(config, loader).await.map_err(|error| {
        say("Chime", &format!("could not be asked: {error}"));
        Refused
    })?;
    let mut outcome = Ok(());
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            tokio::time::sleep(SPACE).await;
        }
        let id = message.message.as_str();
        match chime.message_status(user, message).await.outcome() {
            Ok(status) => say("Chime", &format!("{id}: {}", status.value().as_str())),
            Err(error) => {
                let problem = Problem::from(error);
                let (name, status) = (problem.name(), problem.status());
                say("Chime", &format!("{id}: {name} ({status}): {error}"));
                for line in meaning(error, user, message) {
                    say("", &line);
                }
                outcome = Err(Refused);
            }
        }
    }
    outcome
}

/// What to do about it.
fn meaning(error: &ChimeError, user: &AppInstanceUserArn, message: &MessageRef) -> Vec<String> {
    let say = |text: &str| vec![text.to_owned()];
    match error.kind() {
        ErrorKind::NotPermitted => not_permitted(error, user, message),
        ErrorKind::UnknownUser => unknown_user(user),
        ErrorKind::NoSuchMessage => vec![
            "No such message in this channel (or sub-channel); or another user sent it, and only"
                .into(),
            "the sender may ask; or its flow denied it, and denied messages are not kept. Chime"
                .into(),
            "does not tell which.".into(),
        ],
        ErrorKind::Throttled => {
            say("This user's quota is used up for this second; sending and asking share it.")
        }
        ErrorKind::Timeout => {
            say("Is the way to Chime slow from here? CHIME_ATTEMPT_TIMEOUT_MS sets the limit.")
        }
        ErrorKind::Unreachable => vec![
            "Is there a way out from here (VPC, proxy, DNS)? Does Chime messaging exist in this"
                .into(),
            "region (us-east-1 and eu-central-1)? Is an AWS_ENDPOINT_URL… set, or AWS_CA_BUNDLE?"
                .into(),
        ],
        ErrorKind::Failure | ErrorKind::Unavailable => {
            say("This is Chime's own trouble; the function would try again.")
        }
        ErrorKind::Unusable => {
            say("Is it Chime that answers? Look at AWS_ENDPOINT_URL… and proxies.")
        }
        ErrorKind::Unsendable => say("This is a fault of the function: please report it."),
    }
}

fn not_permitted(
    error: &ChimeError,
    user: &AppInstanceUserArn,
    message: &MessageRef,
) -> Vec<String> {
    let say = |text: &str| vec![text.to_owned()];
    match error.code() {
        Some("AccessDenied" | "AccessDeniedException" | "NotAuthorized") => vec![
            "IAM does not let these credentials call. They need chime:GetChannelMessageStatus on both".into(),
            format!("  {}", user.as_str()),
            format!("  {}", message.channel.as_str()),
            "and no boundary or SCP against it. The function's own role needs it on".into(),
            format!("  {}/user/* and …/channel/*", app_instance(user)),
        ],
        Some("ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "RequestTimeTooSkewed") => {
            say("The credentials are expired, or the clock of this machine is wrong. Get new ones.")
        }
        Some("UnknownOperationException") => {
            say("What answers is not Chime messaging: look at AWS_ENDPOINT_URL….")
        }
        Some(_) => say(
            "AWS does not accept the credentials: key, secret and session token must belong together.",
        ),
        None => vec![
            "Neither the environment nor a profile has any that can be used here. With a single".into(),
            "sign-on: eval \"$(aws configure export-credentials --format env)\"".into(),
        ],
    }
}

fn unknown_user(user: &AppInstanceUserArn) -> Vec<String> {
    let id = user.as_str().rsplit('/').next().unwrap_or_default();
    vec![
        "The mapping works, but nobody has created this user. Create it when people sign up:"
            .into(),
        "  aws chime-sdk-identity create-app-instance-user --name NAME \\".into(),
        format!("    --app-instance-arn {} \\", app_instance(user)),
        format!("    --app-instance-user-id {id}"),
        "If you know this person under another id, the template takes the wrong claim.".into(),
    ]
}
