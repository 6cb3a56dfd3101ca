//! HTTP connections to Chime: hyper's pool over rustls with ring.
//!
//! The SDK's default client has the same parts. But it loads the system's root certificates and sets up
//! further protocols, which is the largest part of a cold start (`benches/README.md`). It also reads
//! response bodies without a limit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_chimesdkmessaging::config::SharedHttpClient;
use aws_sdk_chimesdkmessaging::config::http::{HttpRequest, HttpResponse};
use aws_sdk_chimesdkmessaging::error::{BoxError, ConnectorError};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use lambda_http::http::{Request, Response, Uri};
use lambda_http::tower::util::BoxCloneSyncService;
use lambda_http::tower::{Service, service_fn};
use rustls::ClientConfig;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::roots::RootCertificates;

/// Maximum size of a response body. A status has less than 1 KiB.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Maximum time for a connection. It is at most half of the attempt timeout, which leaves time for the call.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection may be idle. Lambda may have frozen the environment meanwhile, and then an older
/// connection is often dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

type Connect = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;
type Pool = Client<Connect, SdkBody>;

/// The reason why a call has no HTTP response.
#[derive(Debug, Error)]
pub(super) enum HttpError {
    /// No connection, or one that was lost before the response was complete.
    #[error("Chime could not be reached")]
    Unreachable(#[source] legacy::Error),
    #[error("no response within CHIME_ATTEMPT_TIMEOUT_MS")]
    Timeout,
    #[error("the connection ended within the response body")]
    CutOff,
    #[error("{0}")]
    Unusable(&'static str),
    #[error("the SDK made an invalid request")]
    Request,
}

/// Creates an HTTP client that trusts `roots` only. `attempt_timeout` limits a call, including its connection
/// and body.
///
/// # Errors
/// If the TLS library cannot be set up.
pub(super) fn client(
    roots: &RootCertificates,
    attempt_timeout: Duration,
) -> Result<SharedHttpClient, BoxError> {
    let tls =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots.store())
            .with_no_client_auth();
    let connect_timeout = CONNECT_TIMEOUT.min(attempt_timeout / 2);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp(TcpConnector::new(), connect_timeout));
    let connector = SharedHttpConnector::new(Connector(Arc::new(Pools {
        connect: connect(https, connect_timeout),
        attempt_timeout,
        current: Mutex::new(None),
    })));
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// The TCP part of a connection. Divides the timeout by the number of addresses, so a dead address
/// leaves time for the next one.
fn tcp<R>(mut tcp: TcpConnector<R>, connect_timeout: Duration) -> TcpConnector<R> {
    tcp.enforce_http(false);
    // A request is one small write, and must not wait for more data.
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp
}

/// Limits the whole connection: name lookup, TCP and TLS.
fn connect(https: HttpsConnector<TcpConnector>, connect_timeout: Duration) -> Connect {
    Connect::new(service_fn(move |uri| {
        let connection = https.clone().call(uri);
        async move { timeout(connect_timeout, connection).await? }
    }))
}

#[derive(Clone, Debug)]
struct Connector(Arc<Pools>);

/// The connection pool, which is replaced after a failure below HTTP.
#[derive(Debug)]
struct Pools {
    connect: Connect,
    attempt_timeout: Duration,
    current: Mutex<Option<Arc<Pool>>>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let pools = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|_| ConnectorError::user(HttpError::Request.into()))?;
            let response = pools.send(request).await;
            response.map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl Pools {
    async fn send(&self, request: Request<SdkBody>) -> Result<HttpResponse, HttpError> {
        let pool = self.current();
        let response = timeout(self.attempt_timeout, receive(pool.request(request))).await;
        let response = response.unwrap_or(Err(HttpError::Timeout));
        if response.is_err() {
            // The other idle connections are as old, so the next call opens a new one.
            self.discard(&pool);
        }
        response
    }

    fn current(&self) -> Arc<Pool> {
        let mut current = self.lock();
        Arc::clone(current.get_or_insert_with(|| Arc::new(self.new_pool())))
    }

    fn new_pool(&self) -> Pool {
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(self.connect.clone())
    }

    /// Discards a pool, unless that has been done. Several calls may fail at about the same time, and the new
    /// pool's connections are good. Calls in flight keep their pool.
    fn discard(&self, stale: &Arc<Pool>) {
        self.lock().take_if(|current| Arc::ptr_eq(current, stale));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Pool>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(response: legacy::ResponseFuture) -> Result<HttpResponse, HttpError> {
    let response = response.await.map_err(|error| {
        if is_not_http(&error) {
            HttpError::Unusable("the response is not HTTP")
        } else {
            HttpError::Unreachable(error)
        }
    })?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            HttpError::Unusable("the response body has more than 64 KiB")
        } else {
            HttpError::CutOff
        }
    })?;
    let response = Response::from_parts(head, SdkBody::from(body.to_bytes()));
    HttpResponse::try_from(response).map_err(|_| HttpError::Unusable("the response is not valid"))
}

fn is_not_http(error: &legacy::Error) -> bool {
    let source = std::error::Error::source(error);
    let error = source.and_then(|source| source.downcast_ref::<hyper::Error>());
    error.is_some_and(hyper::Error::is_parse)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;

    use hyper_util::client::legacy::connect::dns::Name;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[test]
    fn a_failed_pool_is_discarded_once() {
        let pools = Pools {
            connect: Connect::new(service_fn(|_| async { Err("no network".into()) })),
            attempt_timeout: Duration::from_secs(1),
            current: Mutex::new(None),
        };
        let failed = pools.current();
        assert!(Arc::ptr_eq(&failed, &pools.current()));
        pools.discard(&failed);
        let fresh = pools.current();
        assert!(!Arc::ptr_eq(&failed, &fresh));
        pools.discard(&failed);
        assert!(Arc::ptr_eq(&fresh, &pools.current()));
    }

    /// An address that drops the packets of a connection attempt: its queue is full, and has no reader.
    async fn dead_address() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(any).expect("a port");
        let listener = socket.listen(0).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let mut queue = Vec::new();
        let attempt = Duration::from_millis(200);
        while let Ok(Ok(stream)) = timeout(attempt, TcpStream::connect(address)).await {
            queue.push(stream);
        }
        (address, queue, listener)
    }

    #[tokio::test]
    async fn a_dead_address_leaves_time_for_the_next_one() {
        let (dead, _queue, _listener) = dead_address().await;
        let alive = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let alive = alive.local_addr().expect("an address");
        let resolver =
            service_fn(
                move |_: Name| async move { Ok::<_, Infallible>([dead, alive].into_iter()) },
            );
        let connect_timeout = Duration::from_secs(2);
        let mut tcp = tcp(TcpConnector::new_with_resolver(resolver), connect_timeout);
        let connection = tcp.call(Uri::from_static("http://chime.example"));
        let connection = timeout(connect_timeout, connection).await;
        let connection = connection.expect("in time").expect("a connection");
        assert_eq!(connection.inner().peer_addr().ok(), Some(alive));
    }
}
