//! Lambda Runtime API: invocations in, responses out.

use std::convert::Infallible;
use std::sync::Arc;

use lambda_http::tower::util::MapResultLayer;
use lambda_http::{Error, LambdaEvent, service_fn};
use lambda_runtime::Runtime;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::handler::{App, Invocation, handle};
use crate::log;

/// Serves invocations until the environment ends: one at a time, or as many at once as
/// `AWS_LAMBDA_MAX_CONCURRENCY` says. Writes a record for each.
///
/// # Errors
/// If the Runtime API can no longer be reached.
pub async fn run(app: App) -> Result<(), Error> {
    let app = Arc::new(app);
    let handler = service_fn(move |event: LambdaEvent<Payload>| {
        let app = Arc::clone(&app);
        async move {
            let context = &event.context;
            let invocation = Invocation {
                request_id: &context.request_id,
                trace_header: context.xray_trace_id.as_deref(),
                deadline: context.deadline,
            };
            let Payload(json) = &event.payload;
            let payload = json.as_ref().map_or("", |json| json.get());
            let (response, record) = handle(&app, payload, &invocation).await;
            record.write();
            Ok::<_, Infallible>(response)
        }
    });
    // Otherwise lambda_runtime ends the worker or the process after an undelivered response, although
    // it could serve the next invocation.
    let undelivered = MapResultLayer::new(|result: Result<(), Error>| {
        if let Err(error) = result {
            log::error("a response was not delivered", error.as_ref());
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
