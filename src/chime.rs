//! Client for Amazon Chime SDK messaging: the only module that knows the SDK.
//!
//! The SDK makes no retries, because each call counts against the quota of the user:
//! [`crate::lookup::plan`] decides when to call again.

mod error;
mod http;
mod roots;

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::provider::ProvideCredentials;
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_chimesdkmessaging::Client;
use aws_sdk_chimesdkmessaging::config::http::HttpRequest;
use aws_sdk_chimesdkmessaging::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_chimesdkmessaging::config::{
    ConfigBag, Intercept, Region, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_sdk_chimesdkmessaging::error::BoxError;
use aws_sdk_chimesdkmessaging::operation::RequestId;
use aws_sdk_chimesdkmessaging::operation::get_channel_message_status::GetChannelMessageStatusOutput;
use aws_smithy_runtime_api::client::interceptors::disable_interceptor;
use aws_smithy_types::body::SdkBody;

pub use error::{ChimeError, ErrorKind};
pub use roots::{BundleError, RootCertificates};

use crate::identity::Caller;
use crate::ids::MessageRef;
use crate::lookup::Outcome;
use crate::status::MessageStatus;

/// Maximum length of a request id of Chime.
const MAX_REQUEST_ID_LENGTH: usize = 64;
/// The `userAgent` that CloudTrail shows.
const USER_AGENT: &str = concat!("chime-message-status/", env!("CARGO_PKG_VERSION"));

/// Client for Chime in one region.
pub struct ChimeClient(Client);

pub struct Call {
    pub outcome: Outcome,
    /// Chime's id of the call, for a support case.
    pub request_id: Option<String>,
}

/// The SDK configuration for Lambda, which passes the role's credentials in environment variables.
///
/// The SDK would look there first, but also set up the other credential sources, with a client for STS.
/// That is a tenth of a cold start.
pub async fn loader() -> ConfigLoader {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    let environment = EnvironmentVariableCredentialsProvider::new();
    match environment.provide_credentials().await {
        Ok(_) => loader.credentials_provider(environment),
        Err(_) => loader,
    }
}

impl ChimeClient {
    /// Creates a client with the credentials and the endpoint that `loader` finds. Sends nothing.
    ///
    /// `attempt_timeout` limits a call with its connection and body, and also the time for credentials.
    ///
    /// # Errors
    /// If the TLS library cannot be set up.
    pub async fn new(
        region: String,
        attempt_timeout: Duration,
        roots: &RootCertificates,
        loader: ConfigLoader,
    ) -> Result<Self, BoxError> {
        let credentials = IdentityCache::lazy().load_timeout(attempt_timeout).build();
        let shared = loader
            .region(Region::new(region))
            .http_client(http::client(roots, attempt_timeout)?)
            .identity_cache(credentials)
            .retry_config(RetryConfig::disabled())
            // `http` limits the time of a call, including its body.
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .load()
            .await;
        let config = aws_sdk_chimesdkmessaging::config::Builder::from(&shared)
            .interceptor(OwnHeaders)
            .build();
        Ok(Self(Client::from_conf(config)))
    }

    /// Calls [`GetChannelMessageStatus`][api] once, with `caller` as the bearer.
    ///
    /// [api]: https://docs.aws.amazon.com/chime-sdk/latest/APIReference/API_messaging-chime_GetChannelMessageStatus.html
    pub async fn get_message_status(&self, caller: &Caller, message: &MessageRef) -> Call {
        let sub_channel = message.sub_channel.as_ref();
        let call = self
            .0
            .get_channel_message_status()
            .chime_bearer(caller.user().as_str())
            .channel_arn(message.channel.as_str())
            .message_id(message.message.as_str())
            .set_sub_channel_id(sub_channel.map(|id| id.as_str().to_owned()))
            .send();
        // Boxed, because the future is large, and every caller would copy it.
        let output = Box::pin(call).await;
        let request_id = output.request_id().filter(|id| is_request_id(id));
        Call {
            request_id: request_id.map(str::to_owned),
            outcome: match output {
                Ok(output) => message_status(&output),
                Err(error) => Err(ChimeError::from_sdk(&error)),
            },
        }
    }

    /// Opens the connection, resolves credentials and endpoint, and runs the code once, while Lambda
    /// initializes the environment on a full core.
    ///
    /// It sends a bare `GET /`: no signature, no bearer, no quota. Errors are ignored here, because the
    /// first request will report them.
    pub async fn warm_up(&self, timeout: Duration) {
        let bare_request = self
            .0
            .get_channel_message_status()
            .channel_arn("warm-up")
            .message_id("warm-up")
            .customize()
            .interceptor(BareRequest)
            .send();
        let _outcome = tokio::time::timeout(timeout, bare_request).await;
    }
}

fn message_status(output: &GetChannelMessageStatusOutput) -> Outcome {
    let status = output
        .status()
        .and_then(|status| MessageStatus::parse(status.value()?.as_str(), status.detail()));
    status.ok_or_else(|| ChimeError::unusable("Chime's response has no valid Status"))
}

/// Checks that a text looks like a request id. Any other text is not from Chime, and must not be logged.
fn is_request_id(id: &str) -> bool {
    (1..=MAX_REQUEST_ID_LENGTH).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Puts a short `user-agent` in place of the SDK's own headers.
///
/// The SDK builds four headers that describe itself and its retries, and signs one of them. Chime needs none
/// of them, and they cost more than a twentieth of a call (`benches/README.md`).
#[derive(Debug)]
struct OwnHeaders;

impl Intercept for OwnHeaders {
    fn name(&self) -> &'static str {
        "OwnHeaders"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        const REASON: &str = "Chime needs no such header";
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

/// Replaces a request with a bare `GET /` to the same host, after signing.
#[derive(Debug)]
struct BareRequest;

impl Intercept for BareRequest {
    fn name(&self) -> &'static str {
        "BareRequest"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri: lambda_http::http::Uri = context.request().uri().parse()?;
        let scheme = uri.scheme_str().ok_or("the endpoint has no scheme")?;
        let authority = uri.authority().ok_or("the endpoint has no host")?;
        let mut bare = HttpRequest::new(SdkBody::empty());
        bare.set_uri(format!("{scheme}://{authority}/"))?;
        *context.request_mut() = bare;
        Ok(())
    }
}
