//! The Lambda function: reads the environment, builds the parts, starts the Lambda loop.

use std::process::ExitCode;
use std::time::Duration;

use chime_message_status::api::App;
use chime_message_status::chime::{self, ChimeClient, RootCertificates};
use chime_message_status::config::{Config, ConfigError};
use chime_message_status::{lambda, telemetry};
use lambda_http::Error;

/// Maximum time at start for opening the connection that the first request will use.
const WARM_UP_TIMEOUT: Duration = Duration::from_millis(500);

// One thread: a request spends its time waiting for Chime, and Lambda gives a small function a
// fraction of one core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::report_panics_without_content();
    let app = match build().await {
        Ok(app) => app,
        Err(error) => {
            telemetry::report_start_failure(error.as_ref());
            return ExitCode::FAILURE;
        }
    };
    match lambda::run(app).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::report_runtime_failure(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

async fn build() -> Result<App, Error> {
    let variable = |name: &str| std::env::var_os(name);
    let config = Config::from_lookup(variable);
    let roots = RootCertificates::from_lookup(variable, |path| std::fs::read(path));
    let environment = lambda::Environment::from_lookup(variable);
    let (config, roots, environment) = match (config, roots, environment) {
        (Ok(config), Ok(roots), Ok(environment)) => (config, roots, environment),
        (config, roots, environment) => {
            let errors = [config.err(), roots.err(), environment.err()];
            return Err(ConfigError::all(errors.into_iter().flatten()).into());
        }
    };
    let chime = ChimeClient::new(&config, &roots, chime::loader().await).await?;
    chime.warm_up(WARM_UP_TIMEOUT).await;
    Ok(App::new(config, chime, environment.function_name))
}
