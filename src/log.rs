//! Log: lines of JSON on standard output, which Lambda sends to CloudWatch.
//!
//! There is no `tracing` subscriber. At their debug levels, the SDK and its HTTP client log headers,
//! including bearer and signature.

use std::error::Error;
use std::io::Write;
use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::Serialize;

/// Writes a line. A log that cannot be written does not fail the request.
pub(crate) fn write(line: &impl Serialize) {
    if let Ok(mut line) = serde_json::to_vec(line) {
        line.push(b'\n');
        let _written = std::io::stdout().lock().write_all(&line);
    }
}

/// The current time in RFC 3339, in UTC with `Z`. Without it, Lambda treats every line as INFO.
pub(crate) fn timestamp() -> Option<String> {
    DateTime::from(SystemTime::now()).fmt(Format::DateTime).ok()
}

/// Logs an error that is not about a request.
pub fn error(message: &'static str, error: &(dyn Error + 'static)) {
    // A JSON error of lambda_runtime quotes the header that it could not read.
    if error.is::<serde_json::Error>() {
        error_line(message, "a header of an invocation is not valid");
    } else {
        error_line(message, &error.to_string());
    }
}

/// Logs panics, which should never happen, with their place and without their text: the text may quote a
/// request.
pub fn panics_without_content() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(
            || "an unknown place".to_owned(),
            |place| format!("{}:{}", place.file(), place.line()),
        );
        error_line("the function panicked", &place);
    }));
}

fn error_line(message: &'static str, cause: &str) {
    #[derive(Serialize)]
    struct ErrorLine<'e> {
        timestamp: Option<String>,
        level: &'static str,
        message: &'static str,
        cause: &'e str,
    }
    write(&ErrorLine {
        timestamp: timestamp(),
        level: "ERROR",
        message,
        cause,
    });
}
