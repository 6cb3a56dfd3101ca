//! Connections to Chime: what carries the SDK's requests.
//!
//! hyper's pool over rustls with ring. The SDK has a client of the same parts, whose way to the
//! system's roots and whose other protocols cost a cold start more than everything else in it
//! (`benches/README.md`).

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_chimesdkmessaging::config::SharedHttpClient;
use aws_sdk_chimesdkmessaging::config::http::{HttpRequest, HttpResponse};
use aws_sdk_chimesdkmessaging::error::{BoxError, ConnectorError};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use lambda_http::http::Uri;
use lambda_http::tower::util::BoxCloneSyncService;
use lambda_http::tower::{Service, service_fn};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;

type Connect = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;

/// A client that trusts `roots` alone. A connection may take `timeout`, from the name's lookup to
/// the end of TLS's handshake; for the answer the SDK's own timeout is there.
///
/// # Errors
/// When the TLS library cannot be set up.
pub(crate) fn client(
    roots: &Arc<RootCertStore>,
    timeout: Duration,
) -> Result<SharedHttpClient, BoxError> {
    let tls =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(roots))
            .with_no_client_auth();
    let mut tcp = Tcp::new();
    tcp.enforce_http(false);
    // A request is one small write that should not wait for anything.
    tcp.set_nodelay(true);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let in_time = service_fn(move |uri| {
        let connection = https.clone().call(uri);
        async move { tokio::time::timeout(timeout, connection).await? }
    });
    let pool = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(Connect::new(in_time));
    let connector = SharedHttpConnector::new(Pool(pool));
    Ok(http_client_fn(move |_, _| connector.clone()))
}

#[derive(Debug)]
struct Pool(Client<Connect, SdkBody>);

impl HttpConnector for Pool {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
