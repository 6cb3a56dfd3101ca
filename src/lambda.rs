//! The Lambda Runtime API: invocations in, responses out.

use std::convert::Infallible;
use std::sync::Arc;

use lambda_http::{Error, LambdaEvent, service_fn};
use lambda_runtime::Runtime;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::{App, Invocation};

/// Serves invocations until the environment ends; many at once where Lambda sets
/// `AWS_LAMBDA_MAX_CONCURRENCY`.
///
/// # Errors
/// When the Runtime API cannot be reached any more.
pub async fn run(app: App) -> Result<(), Error> {
    let app = Arc::new(app);
    let handler = service_fn(move |event: LambdaEvent<Payload>| {
        let app = Arc::clone(&app);
        // Boxed, because the runtime wraps the future in so many others that the compiler gives up.
        Box::pin(async move {
            let invocation = Invocation {
                request_id: &event.context.request_id,
                deadline: event.context.deadline,
            };
            let Payload(json) = &event.payload;
            let event = json.as_ref().map_or("", |json| json.get());
            let response = app.answer(event, &invocation).await;
            Ok::<_, Infallible>(response)
        })
    });
    Runtime::new(handler).run_concurrent().await
}

/// The payload of an invocation, if it is JSON.
///
/// It can be read from anything. The runtime would answer a payload that it cannot read with an
/// error of its own, which a gateway turns into a bare 502; this way what is not JSON gets a
/// problem like every other event that is none.
struct Payload(Option<Box<RawValue>>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::deserialize(deserializer).ok()))
    }
}
