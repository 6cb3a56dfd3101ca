//! The Lambda Runtime API: invocations in, responses out.

use std::convert::Infallible;
use std::sync::Arc;

use lambda_http::tower::util::MapRequestLayer;
use lambda_http::{Error, LambdaEvent, service_fn};
use lambda_runtime::{LambdaInvocation, Runtime};
use serde_json::value::RawValue;

use crate::api::{App, Invocation};

/// Serves invocations until the environment ends; many at once where Lambda sets
/// `AWS_LAMBDA_MAX_CONCURRENCY`.
///
/// # Errors
/// When the Runtime API cannot be reached any more.
pub async fn run(app: App) -> Result<(), Error> {
    let app = Arc::new(app);
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let app = Arc::clone(&app);
        // Boxed, because the runtime wraps the future in so many others that the compiler gives up.
        Box::pin(async move {
            let invocation = Invocation {
                request_id: &event.context.request_id,
                deadline: event.context.deadline,
            };
            let response = app
                .answer(event.payload.get().as_bytes(), &invocation)
                .await;
            Ok::<_, Infallible>(response)
        })
    });
    Runtime::new(handler)
        .layer(MapRequestLayer::new(readable))
        .run_concurrent()
        .await
}

/// The runtime answers an invocation that is not JSON with an error of its own, which a gateway
/// turns into a bare 502. So what is not JSON becomes `null`, which is no event either, and gets a
/// problem like every other.
fn readable(mut invocation: LambdaInvocation) -> LambdaInvocation {
    if serde_json::from_slice::<&RawValue>(&invocation.body).is_err() {
        invocation.body = (&b"null"[..]).into();
    }
    invocation
}
