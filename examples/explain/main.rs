//! Why a request ends the way it does: takes a gateway's event, and says step by step what the
//! function makes of it. The function's own code decides; this only tells.
//!
//!     APP_INSTANCE_USER_ARN='…/user/{sub}' cargo run --example explain -- EVENT.json [--values] [--call]
//!
//! It ends with 0 when there is a user to ask as (with `--call`: and Chime answered), with 1 when the
//! function would refuse, and with 2 when it was started wrongly or the configuration is wrong.

// A tool that somebody runs by hand writes to the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod call;
mod identity;
mod page;

use std::ffi::OsString;
use std::process::ExitCode;

use chime_message_status::api::Operation;
use chime_message_status::caller::{Caller, Identity};
use chime_message_status::config::Config;
use chime_message_status::domain::AppInstanceUserArn;
use chime_message_status::event::Event;
use chime_message_status::problem::Problem;

use page::{app_instance, say};

const USAGE: &str = "usage: cargo run --example explain -- EVENT.json [--values] [--call]
  --values  show the values that the authorizer gave, and not only their names
  --call    ask Chime, with the AWS credentials at hand";

/// The function would refuse.
struct Refused;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let started = Arguments::read().and_then(|arguments| {
        let event = std::fs::read_to_string(&arguments.event)
            .map_err(|error| format!("{}: {error}", arguments.event.display()))?;
        let config = Config::from_lookup(variable, |path| std::fs::read(path))
            .map_err(|error| error.to_string())?;
        Ok((arguments, event, config))
    });
    let (arguments, event, config) = match started {
        Ok(started) => started,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::from(2);
        }
    };
    match explain(&arguments, &event, &config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refused) => ExitCode::from(1),
    }
}

struct Arguments {
    event: std::path::PathBuf,
    values: bool,
    call: bool,
}

impl Arguments {
    fn read() -> Result<Self, String> {
        let (mut event, mut values, mut call) = (None, false, false);
        for argument in std::env::args_os().skip(1) {
            match argument.to_str() {
                Some("--values") => values = true,
                Some("--call") => call = true,
                Some(option) if option.starts_with('-') => {
                    return Err(format!("{option} is not known\n{USAGE}"));
                }
                _ if event.is_none() => event = Some(argument.into()),
                _ => return Err(USAGE.to_owned()),
            }
        }
        let event = event.ok_or(USAGE)?;
        Ok(Self {
            event,
            values,
            call,
        })
    }
}

/// The function's environment, without what only Lambda would set.
fn variable(name: &str) -> Option<OsString> {
    match name.starts_with("AWS_LAMBDA_") {
        true => Some("explain".into()),
        false => std::env::var_os(name),
    }
}

async fn explain(arguments: &Arguments, event: &str, config: &Config) -> Result<(), Refused> {
    let event = Event::parse(event).map_err(|malformed| {
        say("refused", &format!("internal-error (500): {malformed}"));
        say(
            "",
            "It must be a whole event, as a gateway sends it: see the files in events/.",
        );
        Refused
    })?;
    let (event_source, identity) = Identity::of(&event);
    identity::event_source(event_source);
    let identify = || Caller::identify(&event, config.user_arn()).1;
    let question = Operation::read(&event, identify(), config);
    if matches!(question, Ok(Operation::Preflight)) {
        say("request", "a preflight, which is answered to anybody");
        return Ok(());
    }

    let identity = identity.ok();
    if let Some(identity) = &identity {
        identity::values(identity, arguments.values);
        identity::template(config, identity, arguments.values);
    }
    let user = match identify() {
        Ok(caller) => {
            say("maps to", caller.user().as_str());
            Some(caller.user().clone())
        }
        Err(refusal) => {
            identity::refusal(&refusal, identity.as_ref());
            None
        }
    };
    identity::warnings(config, event_source, identity.as_ref(), user.as_ref());

    let question = question.map_err(|problem| {
        refused(&problem, user.as_ref());
        Refused
    })?;
    let messages = question.messages();
    let number = messages.len();
    let plural = if number == 1 { "" } else { "s" };
    say(
        "request",
        &format!("about {number} message{plural}, in the user's own app instance"),
    );
    match user {
        Some(user) if arguments.call => call::ask(config, &user, messages).await,
        _ => Ok(()),
    }
}

fn refused(problem: &Problem, user: Option<&AppInstanceUserArn>) {
    let cause = match problem.errors() {
        [] => problem.cause().unwrap_or(problem.detail()),
        _ => "these fields are wrong",
    };
    let said = format!("{} ({}): {cause}", problem.name(), problem.status());
    say("refused", &said);
    for error in problem.errors() {
        say(
            "",
            &format!("{}: {}", page::shown(error.field()), error.detail()),
        );
    }
    let is_about_channel = |field: &str| field.ends_with("channelArn");
    if let Some(user) = user
        && problem
            .errors()
            .iter()
            .any(|error| is_about_channel(error.field()))
    {
        let own = format!(
            "The user's own channels are {}/channel/…",
            app_instance(user)
        );
        say("", &own);
    }
}
