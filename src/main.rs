//! The Lambda function: environment in, parts together, run.

use std::process::ExitCode;
use std::time::Duration;

use chime_message_status::api::App;
use chime_message_status::chime::{self, ChimeClient};
use chime_message_status::config::Config;
use chime_message_status::{lambda, telemetry};
use lambda_http::Error;

/// How long a start may take for a connection to Chime that the first request will find open.
const WARM_UP: Duration = Duration::from_millis(500);

// One thread: a request spends its time waiting for Chime, and Lambda gives a small function a
// fraction of one core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::report_panics_without_content();
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::report_start_failure(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), Error> {
    let config = Config::from_lookup(|name| std::env::var_os(name), |path| std::fs::read(path))?;
    let chime = ChimeClient::new(&config, chime::loader().await).await?;
    chime.warm_up(WARM_UP).await;
    lambda::run(App::new(config, chime)).await
}
