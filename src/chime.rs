//! Amazon Chime SDK messaging: the only room that knows the SDK.
//!
//! One question, `ChimeClient::message_status`, and one table that turns what comes back into a
//! `ChimeError`. Retries are not here: when to ask again is for `settle` to say, because
//! every call counts against the caller's own quota.

use std::fmt;
use std::time::{Duration, Instant};

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_chimesdkmessaging::Client;
use aws_sdk_chimesdkmessaging::config::http::{HttpRequest, HttpResponse};
use aws_sdk_chimesdkmessaging::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_chimesdkmessaging::config::{
    ConfigBag, Intercept, Region, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_sdk_chimesdkmessaging::error::{BoxError, ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_chimesdkmessaging::operation::RequestId;
use aws_sdk_chimesdkmessaging::operation::get_channel_message_status::{
    GetChannelMessageStatusError, GetChannelMessageStatusOutput,
};
use aws_smithy_types::body::SdkBody;

use crate::config::Config;
use crate::domain::{AppInstanceUserArn, MessageRef, MessageStatus};
mod http;

/// Longest request id of Chime's that is taken for one.
const MAX_REQUEST_ID_LENGTH: usize = 64;

/// A connection to Chime in one region.
pub struct ChimeClient {
    client: Client,
    max_attempts: u32,
}

/// What came of one call.
pub struct Reply {
    pub(crate) outcome: Result<MessageStatus, ChimeError>,
    /// Chime's own id of the call, for a support case.
    pub(crate) request_id: Option<String>,
    pub(crate) took: Duration,
}

impl Reply {
    /// The status, or why there is none.
    pub fn outcome(&self) -> &Result<MessageStatus, ChimeError> {
        &self.outcome
    }
}

type StatusResult =
    Result<GetChannelMessageStatusOutput, SdkError<GetChannelMessageStatusError, HttpResponse>>;

/// What [`ChimeClient::new`] wants on Lambda, which hands the role's credentials over in the environment. The
/// SDK looks there first; to set up where it would look next, a client for STS among them, is a tenth
/// of a cold start.
pub async fn loader() -> ConfigLoader {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    let environment = EnvironmentVariableCredentialsProvider::new();
    match environment.provide_credentials().await {
        Ok(_) => loader.credentials_provider(environment),
        Err(_) => loader,
    }
}

impl ChimeClient {
    /// Sets up the client on what `loader` finds: credentials, endpoint and whatever else every AWS
    /// tool reads from its surroundings. Nothing is sent before the first question or
    /// [`warm_up`](Self::warm_up).
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub async fn new(config: &Config, loader: ConfigLoader) -> Result<Self, BoxError> {
        let http_client = http::client(&config.roots, config.connect_timeout)?;
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
            // The timeout of the attempt covers a stalled answer, too.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(config.attempt_timeout)
                    .build(),
            )
            .build();
        Ok(Self {
            client: Client::from_conf(own),
            max_attempts,
        })
    }

    /// Calls for one answer, the first one included: `AWS_MAX_ATTEMPTS`.
    pub(crate) fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// Opens the connection, resolves credentials and endpoint, and walks the code once, while
    /// Lambda initialises the environment on a full core. What goes out is a bare `GET /`: no
    /// signature, no bearer, nobody's quota. Whatever becomes of it, the first question will tell.
    pub async fn warm_up(&self, timeout: Duration) {
        let rehearsal = self
            .client
            .get_channel_message_status()
            .channel_arn("warm-up")
            .message_id("warm-up")
            .customize()
            .interceptor(BareRequest)
            .send();
        // Neither a refusal nor a timeout matters here.
        let _outcome = tokio::time::timeout(timeout, rehearsal).await;
    }

    /// Asks for the status of a message, in the name of `user`: one call.
    ///
    /// [`GetChannelMessageStatus`](https://docs.aws.amazon.com/chime-sdk/latest/APIReference/API_messaging-chime_GetChannelMessageStatus.html)
    pub async fn message_status(&self, user: &AppInstanceUserArn, message: &MessageRef) -> Reply {
        let started = Instant::now();
        let result = self
            .client
            .get_channel_message_status()
            .chime_bearer(user.as_str())
            .channel_arn(message.channel.as_str())
            .message_id(message.message.as_str())
            .set_sub_channel_id(
                message
                    .sub_channel
                    .as_ref()
                    .map(|id| id.as_str().to_owned()),
            )
            .send()
            .await;
        Reply {
            request_id: result
                .request_id()
                .filter(|id| is_request_id(id))
                .map(str::to_owned),
            outcome: read(result),
            took: started.elapsed(),
        }
    }
}

fn is_request_id(id: &str) -> bool {
    (1..=MAX_REQUEST_ID_LENGTH).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Replaces a request by a bare `GET /` to the same host, after everything else was done to it.
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

/// Why there is no status.
///
/// What Chime or the SDK say in words is not part of it: their texts quote ARNs, and this one is
/// logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChimeError {
    pub(crate) kind: ErrorKind,
    /// Chime's own name of it, where it is one that we know.
    code: Option<&'static str>,
    /// For the log: what happened, in words of ours.
    pub(crate) cause: String,
}

/// The ways in which a call ends without a status. "They said no" comes first, "they failed" and
/// "we could not ask" after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// Chime does not know the user.
    UnknownUser,
    /// No such message, not the caller's, or not kept: Chime does not let these be told apart.
    NoSuchMessage,
    /// The user's quota is used up.
    Throttled,
    /// We may not call: permissions, credentials, signature.
    NotPermitted,
    /// Chime failed; it may not fail again.
    Failure,
    /// Chime says that it is unavailable.
    Unavailable,
    /// No connection, or one that was dropped before the answer.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// An answer that makes no sense.
    Unusable,
    /// The request could not be made.
    Unsendable,
}

impl ChimeError {
    fn new(kind: ErrorKind, cause: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            cause: cause.into(),
        }
    }

    /// What it means.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Chime's own name of it, where Chime said it and it is one that we know.
    pub fn code(&self) -> Option<&'static str> {
        self.code
    }
}

impl fmt::Display for ChimeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.cause)
    }
}

impl std::error::Error for ChimeError {}

fn read(result: StatusResult) -> Result<MessageStatus, ChimeError> {
    let answer = result.map_err(|error| read_error(&error))?;
    let unusable = |cause| ChimeError::new(ErrorKind::Unusable, cause);
    let status = answer
        .status()
        .ok_or_else(|| unusable("Chime's answer has no Status"))?;
    let value = status
        .value()
        .ok_or_else(|| unusable("Chime's answer has no Status.Value"))?;
    MessageStatus::parse(value.as_str(), status.detail())
        .ok_or_else(|| unusable("Chime's answer has a Status that is none"))
}

fn read_error(error: &SdkError<GetChannelMessageStatusError, HttpResponse>) -> ChimeError {
    match error {
        // The SDK reports an answer that it cannot read as an error of the service.
        SdkError::ServiceError(service) if service.raw().status().is_success() => ChimeError::new(
            ErrorKind::Unusable,
            "Chime's answer is not what it should be",
        ),
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let (kind, code) = read_service_error(service.err().code(), status);
            let cause = match code {
                Some(code) => format!("Chime answered {status} {code}"),
                None => format!("Chime answered {status} with no error code that we know"),
            };
            ChimeError { kind, code, cause }
        }
        SdkError::TimeoutError(_) => ChimeError::new(
            ErrorKind::Timeout,
            "Chime did not answer within CHIME_ATTEMPT_TIMEOUT_MS",
        ),
        SdkError::ResponseError(response) => match response.raw().body().bytes() {
            // The SDK reads the whole body before it looks into it.
            None => ChimeError::new(ErrorKind::Failure, "the connection ended within an answer"),
            Some(_) => ChimeError::new(
                ErrorKind::Unusable,
                "Chime's answer is not what it should be",
            ),
        },
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => read_connector_error(error),
            None => ChimeError::new(ErrorKind::Unreachable, "the request was not sent"),
        },
        // Its words may quote the request.
        SdkError::ConstructionFailure(_) => {
            ChimeError::new(ErrorKind::Unsendable, "the SDK could not make the request")
        }
        _ => ChimeError::new(
            ErrorKind::Unsendable,
            "the SDK failed in a way that we do not know",
        ),
    }
}

/// The kind of a modelled or unmodelled error, and its code where it is a known one: whatever else
/// stands in its place came from outside and does not go into a log.
fn read_service_error(code: Option<&str>, status: u16) -> (ErrorKind, Option<&'static str>) {
    let by_code = CODES.iter().find(|(known, _)| code == Some(known));
    if let Some((known, kind)) = by_code {
        return (*kind, Some(known));
    }
    let kind = match status {
        // We sent what we had checked, so whatever Chime has against it is about the message.
        400 | 404 => ErrorKind::NoSuchMessage,
        401 => ErrorKind::UnknownUser,
        // Chime's own refusal bears its name; a named one that we do not know is IAM's.
        403 if code.is_some() => ErrorKind::NotPermitted,
        403 => ErrorKind::NoSuchMessage,
        408 | 504 => ErrorKind::Timeout,
        429 => ErrorKind::Throttled,
        500 | 502 => ErrorKind::Failure,
        503 => ErrorKind::Unavailable,
        _ => ErrorKind::Unusable,
    };
    (kind, None)
}

/// Chime's modelled errors, those it answers without having modelled them for this operation, and
/// the [common errors](https://docs.aws.amazon.com/chime-sdk/latest/APIReference/CommonErrors.html)
/// of signed AWS APIs.
const CODES: [(&str, ErrorKind); 33] = [
    ("UnauthorizedClientException", ErrorKind::UnknownUser),
    ("BadRequestException", ErrorKind::NoSuchMessage),
    ("ForbiddenException", ErrorKind::NoSuchMessage),
    ("NotFoundException", ErrorKind::NoSuchMessage),
    ("ResourceNotFoundException", ErrorKind::NoSuchMessage),
    ("ValidationException", ErrorKind::NoSuchMessage),
    ("ThrottledClientException", ErrorKind::Throttled),
    ("Throttling", ErrorKind::Throttled),
    ("ThrottlingException", ErrorKind::Throttled),
    ("TooManyRequestsException", ErrorKind::Throttled),
    ("RequestLimitExceeded", ErrorKind::Throttled),
    ("ServiceFailureException", ErrorKind::Failure),
    ("InternalFailure", ErrorKind::Failure),
    ("InternalServerError", ErrorKind::Failure),
    ("ServiceUnavailableException", ErrorKind::Unavailable),
    ("ServiceUnavailable", ErrorKind::Unavailable),
    ("AccessDenied", ErrorKind::NotPermitted),
    ("AccessDeniedException", ErrorKind::NotPermitted),
    ("ExpiredToken", ErrorKind::NotPermitted),
    ("ExpiredTokenException", ErrorKind::NotPermitted),
    ("IncompleteSignature", ErrorKind::NotPermitted),
    ("IncompleteSignatureException", ErrorKind::NotPermitted),
    ("InvalidClientTokenId", ErrorKind::NotPermitted),
    ("InvalidSignatureException", ErrorKind::NotPermitted),
    ("MissingAuthenticationToken", ErrorKind::NotPermitted),
    (
        "MissingAuthenticationTokenException",
        ErrorKind::NotPermitted,
    ),
    ("NotAuthorized", ErrorKind::NotPermitted),
    ("OptInRequired", ErrorKind::NotPermitted),
    ("RequestExpired", ErrorKind::NotPermitted),
    ("RequestTimeTooSkewed", ErrorKind::NotPermitted),
    ("SignatureDoesNotMatch", ErrorKind::NotPermitted),
    ("UnrecognizedClientException", ErrorKind::NotPermitted),
    ("UnknownOperationException", ErrorKind::NotPermitted),
];

/// Nothing was answered, so that the words of the connector are about our side of the connection
/// only, and can be logged.
fn read_connector_error(error: &ConnectorError) -> ChimeError {
    let chain = SourceChain(error);
    // The SDK reports credentials that it cannot get as a request that it cannot send.
    if error.is_other() && chain.iter().any(is_about_credentials) {
        return ChimeError::new(
            ErrorKind::NotPermitted,
            "there are no usable AWS credentials",
        );
    }
    ChimeError::new(
        ErrorKind::Unreachable,
        format!("Chime was not reached: {chain}"),
    )
}

fn is_about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<aws_credential_types::provider::error::CredentialsError>()
}

/// An error and what caused it, outermost first.
struct SourceChain<'e>(&'e (dyn std::error::Error + 'static));

impl<'e> SourceChain<'e> {
    fn iter(&self) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
        std::iter::successors(Some(self.0), |error| error.source())
    }
}

impl fmt::Display for SourceChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, error) in self.iter().enumerate() {
            let separator = if depth == 0 { "" } else { ": " };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}
