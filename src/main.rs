//! The Lambda function: reads the environment, builds the parts, starts the Lambda loop.

use std::process::ExitCode;
use std::time::Duration;

use chime_message_status::chime::{self, ChimeClient};
use chime_message_status::config::Config;
use chime_message_status::handler::App;
use chime_message_status::{lambda, log};
use lambda_http::Error;

/// Maximum time at start for opening the connection that the first request will use.
const WARM_UP_TIMEOUT: Duration = Duration::from_millis(500);

// One thread: a request spends its time waiting for Chime, and Lambda gives a small function a
// fraction of one core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log::panics_without_content();
    let app = match build().await {
        Ok(app) => app,
        Err(error) => {
            log::error("the function does not start", error.as_ref());
            return ExitCode::FAILURE;
        }
    };
    match lambda::run(app).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error("the Lambda Runtime API failed", error.as_ref());
            ExitCode::FAILURE
        }
    }
}

async fn build() -> Result<App, Error> {
    let config = Config::read(|name| std::env::var_os(name), |path| std::fs::read(path))?;
    let chime = ChimeClient::new(
        config.region.clone(),
        config.attempt_timeout,
        &config.roots,
        chime::loader().await,
    )
    .await?;
    chime.warm_up(WARM_UP_TIMEOUT).await;
    Ok(App::new(config, chime))
}
