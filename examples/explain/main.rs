//! Explains step by step how the function handles an event. The function's own code makes every decision.
//!
//!     APP_INSTANCE_USER_ARN='…/user/{sub}' cargo run --example explain -- EVENT.json [--values] [--call]
//!
//! Exit codes: 0 if the request is valid (with `--call`: and Chime returned a status), 1 if the function
//! would report a problem, 2 if an argument or the configuration is not valid.

// A command-line tool writes to the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod call;
mod identity;
mod output;

use std::process::ExitCode;

use chime_message_status::api::routes::Target;
use chime_message_status::caller::{Caller, Identity};
use chime_message_status::chime::RootCertificates;
use chime_message_status::config::{Config, ConfigError};
use chime_message_status::domain::AppInstanceUserArn;
use chime_message_status::event::Event;
use chime_message_status::problem::Problem;

use output::print_line;

const USAGE: &str = "usage: cargo run --example explain -- EVENT.json [--values] [--call]
  --values  show the values of the authorizer, not only their names
  --call    call Chime with your AWS credentials";

/// The function would report a problem.
struct Failed;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let started = Arguments::read().and_then(|arguments| {
        let event = std::fs::read_to_string(&arguments.event)
            .map_err(|error| format!("{}: {error}", arguments.event.display()))?;
        let (config, roots) = configuration().map_err(|error| error.to_string())?;
        Ok((arguments, event, config, roots))
    });
    let (arguments, event, config, roots) = match started {
        Ok(started) => started,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match explain(&arguments, &event, &config, &roots).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::from(1),
    }
}

/// Reads the variables of the function, and reports all errors at once, as the function does.
fn configuration() -> Result<(Config, RootCertificates), ConfigError> {
    let variable = |name: &str| std::env::var_os(name);
    let config = Config::from_lookup(variable);
    let roots = RootCertificates::from_lookup(variable, |path| std::fs::read(path));
    match (config, roots) {
        (Ok(config), Ok(roots)) => Ok((config, roots)),
        (config, roots) => {
            let errors = [config.err(), roots.err()];
            Err(ConfigError::all(errors.into_iter().flatten()))
        }
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

async fn explain(
    arguments: &Arguments,
    event: &str,
    config: &Config,
    roots: &RootCertificates,
) -> Result<(), Failed> {
    let event = Event::parse(event).map_err(|malformed| {
        print_line("problem", &format!("internal-error (500): {malformed}"));
        print_line(
            "",
            "The file must contain a whole event as a gateway sends it. See the files in events/.",
        );
        Failed
    })?;
    let (event_source, identity) = Identity::of(&event);
    identity::event_source(event_source);
    let route = match Target::find(&event, config.handles_preflights()) {
        Ok(Target::Route(route)) => route,
        Ok(Target::Preflight) => {
            print_line("request", "a CORS preflight, which needs no identity");
            return Ok(());
        }
        Err(problem) => {
            report(&problem, None);
            return Err(Failed);
        }
    };
    print_line("operation", route.name);
    let identity = identity.ok();
    if let Some(identity) = &identity {
        identity::values(identity, arguments.values);
        identity::pattern(config, identity, arguments.values);
    }
    let identify = || Caller::identify(&event, config.mapping()).1;
    let caller = identify();
    match &caller {
        Ok(caller) => print_line("maps to", caller.user().as_str()),
        Err(error) => identity::error(error, identity.as_ref()),
    }
    let user = caller.as_ref().ok().map(Caller::user);
    identity::warnings(config, event_source, identity.as_ref(), user);
    let operation = route.read(&event, identify()).map_err(|problem| {
        report(&problem, user);
        Failed
    })?;
    let number = operation.messages().len();
    let plural = if number == 1 { "" } else { "s" };
    print_line(
        "request",
        &format!("about {number} message{plural} in the caller's own app instance"),
    );
    if arguments.call {
        call::call_chime(config, roots, &operation).await
    } else {
        Ok(())
    }
}

fn report(problem: &Problem, user: Option<&AppInstanceUserArn>) {
    let problem_type = problem.problem_type();
    let cause = match problem.errors() {
        [] => problem.cause().unwrap_or(problem_type.detail()),
        _ => "these fields are not valid",
    };
    let (name, status) = (problem_type.name(), problem_type.status().as_u16());
    print_line("problem", &format!("{name} ({status}): {cause}"));
    for error in problem.errors() {
        let field = output::escaped(&error.field);
        print_line("", &format!("{field}: {}", error.detail));
    }
    let is_about_channel = |field: &str| field.ends_with("channelArn");
    if let Some(user) = user
        && problem
            .errors()
            .iter()
            .any(|error| is_about_channel(&error.field))
    {
        let app_instance = user.app_instance();
        print_line(
            "",
            &format!("The caller's channels are {app_instance}/channel/…"),
        );
    }
}
