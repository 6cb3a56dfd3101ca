//! Explains step by step how the function handles an event. The function's own code makes every decision.
//!
//!     APP_INSTANCE_USER_ARN='…/user/{sub}' cargo run --example explain -- EVENT.json [--values]
//!
//! `-` reads the event from standard input. `--values` shows the values of the authorizer, not only their names. The
//! tool calls nothing. Instead, it prints the AWS CLI command of each call that the function would make.
//!
//! Exit codes: 0 if the function would call Chime or answer a preflight, 1 if it would report a problem, 2 if
//! an argument or the configuration is not valid.

// A command-line tool writes to the terminal.
#![allow(clippy::print_stdout)]

mod advice;

use std::ffi::OsString;
use std::io::Read;
use std::process::ExitCode;

use chime_message_status::config::Config;
use chime_message_status::event::Event;
use chime_message_status::handler::{Operation, Route};
use chime_message_status::identity::{Caller, Offer};
use chime_message_status::ids::MessageRef;
use chime_message_status::input;
use chime_message_status::problem::Problem;
use serde::Serialize;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let variable = |name: &str| std::env::var_os(name);
    let (exit_code, output) = run(&arguments, variable, std::io::stdin());
    println!("{}", output.trim_end());
    ExitCode::from(exit_code)
}

/// Returns the exit code and the output.
pub fn run(
    arguments: &[String],
    variable: impl Fn(&str) -> Option<OsString>,
    stdin: impl Read,
) -> (u8, String) {
    let (file, with_values) = match arguments {
        [file] => (file, false),
        [file, option] if option == "--values" => (file, true),
        _ => return (2, "usage: explain EVENT.json|- [--values]".to_owned()),
    };
    let text = match file.as_str() {
        "-" => std::io::read_to_string(stdin),
        file => std::fs::read_to_string(file),
    };
    let config = Config::read(
        |name| match name {
            // Lambda itself sets these.
            name if name.starts_with("AWS_LAMBDA_") => Some("explain".into()),
            name => variable(name),
        },
        |path| std::fs::read(path),
    );
    let (text, config) = match (text, config) {
        (Ok(text), Ok(config)) => (text, config),
        (Err(error), _) => return (2, format!("{file}: {error}")),
        (_, Err(error)) => return (2, error.to_string()),
    };
    let mut output = Output(String::new());
    let pattern = variable("APP_INSTANCE_USER_ARN").unwrap_or_default();
    output.line("pattern", &pattern.to_string_lossy());
    // A pasted event may be part of a line of a log.
    let event = text.trim_matches(|c| c != '{' && c != '}');
    let Err(problem) = explain(event, &config, with_values, &mut output) else {
        return (0, output.0);
    };
    let problem_type = problem.problem_type;
    let (name, status) = (problem_type.name(), problem_type.status().as_u16());
    let cause = problem.cause.as_deref().unwrap_or(problem_type.detail());
    output.line("problem", &format!("{name} ({status}): {cause}"));
    for error in &problem.errors {
        output.line("", &format!("{}: {}", error.field, error.detail));
    }
    (1, output.0)
}

/// Lines, each with a label.
struct Output(String);

impl Output {
    /// Adds a line. Text from the event must not control the terminal.
    fn line(&mut self, label: &str, text: &str) {
        let text = text.replace(char::is_control, "\u{fffd}");
        self.0 += &format!("{label:<12}{text}\n");
    }
}

/// The name of a value in log records.
fn name(value: impl Serialize) -> String {
    let json = serde_json::to_string(&value).unwrap_or_default();
    json.trim_matches('"').to_owned()
}

fn explain(
    payload: &str,
    config: &Config,
    with_values: bool,
    output: &mut Output,
) -> Result<(), Problem> {
    let other_source = advice::other_source(payload);
    let is_of_a_gateway = other_source.is_none();
    if let Some(source) = other_source {
        output.line("source", source);
    }
    let event = Event::parse(payload).map_err(|malformed| Problem::from(&malformed))?;
    if is_of_a_gateway {
        output.line("source", &name(event.gateway));
    }
    let Route::Operation(operation) = Route::find(&event, config.origins.as_ref())? else {
        output.line("operation", "a CORS preflight, which needs no identity");
        return Ok(());
    };
    output.line("operation", &name(operation));
    let offers = Offer::all(&event);
    // The signer of a console test is the tester, not a user.
    for offer in offers.iter().filter(|_| is_of_a_gateway) {
        output.line("authorizer", &name(offer.authorizer));
        for (name, value) in &offer.values {
            let value = value.as_deref().unwrap_or("(not a string)");
            let value = with_values.then(|| format!(" = {value}"));
            output.line("", &format!("{{{name}}}{}", value.unwrap_or_default()));
        }
    }
    for warning in advice::warnings(config, &offers) {
        output.line("warning", &warning);
    }
    let caller = Caller::identify(&event, &config.mapping).map_err(|error| {
        let step = advice::next_step(&error, &offers);
        if let Some(step) = step.filter(|_| is_of_a_gateway) {
            output.line("no user", &step);
        }
        Problem::from(error)
    })?;
    let user = caller.user();
    output.line("maps to", user.as_str());
    let messages = match operation {
        Operation::GetStatus => vec![input::of_get(&event, user)?.0],
        Operation::BatchGetStatus => input::of_post(&event, user)?.0,
    };
    for message in &messages {
        output.0 += &command(config, user.as_str(), message);
    }
    Ok(())
}

/// The AWS CLI command of the call about a message. The values are validated, so none contains a quote. Ids may
/// begin with a hyphen, which the CLI accepts only after `=`.
fn command(config: &Config, user: &str, message: &MessageRef) -> String {
    let sub_channel = message.sub_channel.as_ref();
    let sub_channel = sub_channel.map(|id| format!(" --sub-channel-id='{}'", id.as_str()));
    format!(
        "\naws chime-sdk-messaging get-channel-message-status --region '{}' --channel-arn '{}' \
         --message-id='{}'{} --chime-bearer '{user}'\n",
        config.region,
        message.channel.as_str(),
        message.message.as_str(),
        sub_channel.unwrap_or_default(),
    )
}
