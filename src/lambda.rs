//! Lambda Runtime API: invocations in, responses out.

use std::convert::Infallible;
use std::ffi::OsString;
use std::sync::Arc;

use lambda_http::tower::util::MapResultLayer;
use lambda_http::{Error, LambdaEvent, service_fn};
use lambda_runtime::Runtime;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::{App, Invocation};
use crate::config::{ConfigError, Variables};
use crate::telemetry;

/// The environment variables that Lambda sets itself.
pub struct Environment {
    /// The name of the function: the dimension of all metrics.
    pub function_name: String,
}

impl Environment {
    /// Reads the variables through `variable`.
    ///
    /// # Errors
    /// [`ConfigError`] if one is missing. lambda_runtime would panic instead.
    pub fn from_lookup(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut variables = Variables::new(variable);
        for name in [
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        ] {
            variables.required(name, |_| Ok(()));
        }
        let function_name =
            variables.required("AWS_LAMBDA_FUNCTION_NAME", |text| Ok(text.to_owned()));
        let environment = function_name.map(|function_name| Self { function_name });
        variables.finish(environment)
    }
}

/// Serves invocations until the environment ends: one at a time, or as many at once as
/// `AWS_LAMBDA_MAX_CONCURRENCY` says.
///
/// # Errors
/// If the Runtime API can no longer be reached.
pub async fn run(app: App) -> Result<(), Error> {
    let app = Arc::new(app);
    let handler = service_fn(move |event: LambdaEvent<Payload>| {
        let app = Arc::clone(&app);
        // Boxed, because the runtime wraps the future in so many others that the compiler gives up.
        Box::pin(async move {
            let context = &event.context;
            let invocation = Invocation {
                request_id: &context.request_id,
                trace_header: context.xray_trace_id.as_deref(),
                deadline: context.deadline,
            };
            let Payload(json) = &event.payload;
            let event = json.as_ref().map_or("", |json| json.get());
            Ok::<_, Infallible>(app.respond(event, &invocation).await)
        })
    });
    // Otherwise lambda_runtime ends the worker or the process after an undelivered response, although
    // it could serve the next invocation.
    let undelivered = MapResultLayer::new(|result: Result<(), Error>| {
        if let Err(error) = result {
            telemetry::report_undelivered_response(error.as_ref());
        }
        Ok::<(), Error>(())
    });
    Runtime::new(handler)
        .layer(undelivered)
        .run_concurrent()
        .await
}

/// The payload of an invocation, if it is JSON.
///
/// Deserializing never fails. lambda_runtime reports a payload that it cannot read as an invocation
/// error, which a gateway turns into its own 5xx response. `None` gets a problem instead, like every
/// other payload that is not a gateway event.
struct Payload(Option<Box<RawValue>>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::deserialize(deserializer).ok()))
    }
}
