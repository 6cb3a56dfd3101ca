//! Client for Amazon Chime SDK messaging: the only module that knows the SDK.
//!
//! Each operation has its own file. [`ErrorKind`] is the one table that classifies the errors of
//! Chime. The SDK makes no retries, because each call counts against the quota of the user: `polling`
//! decides when to call again.

mod error;
pub(crate) mod get_message_status;
mod headers;
mod http;
mod roots;

use std::time::{Duration, Instant};

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_chimesdkmessaging::Client;
use aws_sdk_chimesdkmessaging::config::http::HttpRequest;
use aws_sdk_chimesdkmessaging::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_chimesdkmessaging::config::{
    ConfigBag, Intercept, Region, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_sdk_chimesdkmessaging::error::BoxError;
use aws_sdk_chimesdkmessaging::operation::RequestId;
use aws_smithy_types::body::SdkBody;

pub use error::{ChimeError, ErrorKind};
pub use roots::RootCertificates;

use crate::config::Config;

/// Maximum length of a request id of Chime.
const MAX_REQUEST_ID_LENGTH: usize = 64;

/// Client for Chime in one region.
pub struct ChimeClient {
    client: Client,
    max_attempts: u32,
}

/// One call to Chime.
pub struct ChimeCall<T> {
    /// The result.
    pub result: Result<T, ChimeError>,
    /// Chime's id of the call, for a support case.
    pub(crate) request_id: Option<String>,
    /// How long the call took.
    pub(crate) duration: Duration,
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
    /// # Errors
    /// If the TLS library cannot be set up.
    pub async fn new(
        config: &Config,
        roots: &RootCertificates,
        loader: ConfigLoader,
    ) -> Result<Self, BoxError> {
        let http_client = http::client(roots, config.connect_timeout, config.attempt_timeout)?;
        let shared = loader
            .region(Region::new(config.region.clone()))
            .http_client(http_client)
            .load()
            .await;
        let max_attempts = shared
            .retry_config()
            .map_or(1, |retry| retry.max_attempts())
            .max(1);
        let own = aws_sdk_chimesdkmessaging::config::Builder::from(&shared)
            .retry_config(RetryConfig::disabled())
            // `http` limits the time of a call, including its body.
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(headers::OwnHeaders)
            .build();
        Ok(Self {
            client: Client::from_conf(own),
            max_attempts,
        })
    }

    /// Maximum number of calls for one result, including the first one: `AWS_MAX_ATTEMPTS`.
    pub(crate) fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// Opens the connection, resolves credentials and endpoint, and runs the code once, while Lambda
    /// initializes the environment on a full core.
    ///
    /// It sends a bare `GET /`: no signature, no bearer, no quota. Errors are ignored here, because the
    /// first request will report them.
    pub async fn warm_up(&self, timeout: Duration) {
        let bare_request = self
            .client
            .get_channel_message_status()
            .channel_arn("warm-up")
            .message_id("warm-up")
            .customize()
            .interceptor(BareRequest)
            .send();
        let _outcome = tokio::time::timeout(timeout, bare_request).await;
    }
}

impl<T> ChimeCall<T> {
    /// Ends a call that began at `started`.
    fn new<O, E>(
        started: Instant,
        output: Result<O, E>,
        read: impl FnOnce(Result<O, E>) -> Result<T, ChimeError>,
    ) -> Self
    where
        Result<O, E>: RequestId,
    {
        Self {
            request_id: output
                .request_id()
                .filter(|id| is_request_id(id))
                .map(str::to_owned),
            result: read(output),
            duration: started.elapsed(),
        }
    }
}

/// Checks that a text looks like a request id. Any other text is not from Chime, and must not be logged.
fn is_request_id(id: &str) -> bool {
    (1..=MAX_REQUEST_ID_LENGTH).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
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
