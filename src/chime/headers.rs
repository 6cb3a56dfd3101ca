//! Request headers: a short `user-agent` in place of the SDK's own headers.
//!
//! The SDK builds four headers that describe itself and its retries, and signs one of them.
//! Chime needs none of them, and they cost more than a twentieth of a call (`benches/README.md`).

use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_chimesdkmessaging::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_chimesdkmessaging::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_chimesdkmessaging::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::disable_interceptor;

/// The `userAgent` that CloudTrail shows.
const USER_AGENT: &str = concat!("chime-message-status/", env!("CARGO_PKG_VERSION"));
const REASON: &str = "Chime needs no such header";

/// Replaces the SDK's own headers.
#[derive(Debug)]
pub(super) struct OwnHeaders;

impl Intercept for OwnHeaders {
    fn name(&self) -> &'static str {
        "OwnHeaders"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let state = config.interceptor_state();
        state.store_put(disable_interceptor::<UserAgentInterceptor>(REASON));
        state.store_put(disable_interceptor::<InvocationIdInterceptor>(REASON));
        state.store_put(disable_interceptor::<RequestInfoInterceptor>(REASON));
        Ok(())
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        headers.insert("user-agent", USER_AGENT);
        Ok(())
    }
}
