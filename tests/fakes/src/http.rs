//! HTTP/1.1 server on hyper, whose connections can be broken on purpose.
//!
//! hyper reads each request, and writes each correct response. For a fault, the connection is taken
//! away from hyper: the server then writes bytes that no HTTP library would write, and ends the
//! connection in one of the ways that networks have ([`End`]). WebSockets take the same way.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::write_response;

/// Pause before a reset. A reset can discard bytes that the client has not read.
const BEFORE_RESET: Duration = Duration::from_millis(20);
/// Connections that the kernel accepts before the server does.
const BACKLOG: u32 = 1024;

/// Connections are numbered over all servers of the process, so records can be merged.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Where a server listens, and how it treats connections.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// TLS. `None` is plain TCP.
    pub tls: Option<Arc<ServerConfig>>,
    /// How long a connection may be idle before the server closes it.
    pub keep_alive: Duration,
}

impl ServerOptions {
    /// Plain TCP on this address, with a keep-alive of a minute.
    pub fn plain(bind: SocketAddr) -> ServerOptions {
        ServerOptions {
            bind,
            tls: None,
            keep_alive: Duration::from_secs(60),
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// Path and query, neither decoded nor normalized.
    pub target: String,
    /// Names in lower case; repeated headers in the order in which they were sent.
    pub headers: Vec<(String, String)>,
    /// The body, with any chunking removed.
    pub body: Vec<u8>,
    /// Which connection of this process it came on.
    pub connection: u64,
    /// When its head had arrived.
    pub at: Instant,
}

impl HttpRequest {
    async fn read(
        request: Request<Incoming>,
        connection: u64,
        at: Instant,
    ) -> hyper::Result<HttpRequest> {
        let (head, body) = request.into_parts();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Ok(HttpRequest {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: body.collect().await?.to_bytes().to_vec(),
            connection,
            at,
        })
    }

    /// The first value of a header.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// All values of a header.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = move |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
        let headers = self.headers.iter().filter(named);
        headers.map(|(_, value)| value.as_str())
    }

    /// The target up to the query, undecoded.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query, undecoded and without its question mark; may be empty.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The first value of a parameter in the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query().as_bytes())
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// A response in full. `content-length` is added when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// A response with a `content-type`, unless that is empty, and a body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> HttpResponse {
        let response = HttpResponse {
            status,
            headers: Vec::new(),
            body: body.into(),
        };
        if content_type.is_empty() {
            response
        } else {
            response.with("content-type", content_type)
        }
    }

    /// The same with one header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> HttpResponse {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn into_hyper(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a status");
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).expect("the name of a header");
            let value = HeaderValue::try_from(value).expect("the value of a header");
            response.headers_mut().append(name, value);
        }
        response
    }

    /// The head as bytes, with any `content-length`, for replies that hyper does not send.
    pub(crate) fn head(&self, content_length: Option<usize>) -> Vec<u8> {
        let mut response = self.clone().into_hyper();
        if let Some(length) = content_length {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        let mut bytes = Vec::new();
        write_response(&mut bytes, &response).expect("headers in ASCII");
        bytes
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server closes it.
    Close,
    /// The server resets it.
    Reset,
    /// It stays open, but the server sends nothing more, as if the network had lost it.
    Silence,
}

/// What the server does after a request.
pub enum Reply {
    /// hyper responds, and keeps the connection.
    Respond(HttpResponse),
    /// The connection is taken away from hyper.
    TakeOver(TakeOver),
}

impl From<HttpResponse> for Reply {
    fn from(response: HttpResponse) -> Reply {
        Reply::Respond(response)
    }
}

/// The rest of a connection that is taken away from hyper.
pub struct TakeOver {
    /// What is sent first.
    pub bytes: Vec<u8>,
    /// Pause before each byte. If it is zero, all bytes are sent at once.
    pub pause: Duration,
    /// What follows.
    pub then: Then,
    /// Dropped before the last byte is sent, or when the client of a silent connection leaves.
    pub guard: Option<Box<dyn Send>>,
}

/// What follows the bytes of a [`TakeOver`].
pub enum Then {
    /// The connection ends.
    End(End),
    /// Code with another protocol serves the connection, which closes when its future ends.
    Serve(Box<dyn FnOnce(Stream) -> BoxFuture<'static, ()> + Send>),
}

impl TakeOver {
    /// An end without a byte before it.
    pub fn end(end: End) -> TakeOver {
        TakeOver {
            bytes: Vec::new(),
            pause: Duration::ZERO,
            then: Then::End(end),
            guard: None,
        }
    }

    async fn perform(mut self, mut stream: Stream) -> io::Result<()> {
        let last = self.bytes.len().saturating_sub(1);
        let piece = if self.pause.is_zero() { last } else { 1 };
        for bytes in self.bytes[..last].chunks(piece.max(1)) {
            sleep(self.pause).await;
            stream.write_all(bytes).await?;
            stream.flush().await?;
        }
        sleep(self.pause).await;
        if !matches!(self.then, Then::End(End::Silence)) {
            self.guard = None;
        }
        stream.write_all(&self.bytes[last..]).await?;
        stream.flush().await?;
        match self.then {
            Then::End(End::Close) => stream.shutdown().await,
            Then::End(End::Reset) => {
                if !self.bytes.is_empty() {
                    sleep(BEFORE_RESET).await;
                }
                // With zero linger, the kernel sends a reset when the stream is dropped.
                stream.tcp().set_zero_linger()
            }
            Then::End(End::Silence) => read_to_end(stream).await,
            Then::Serve(serve) => {
                serve(stream).await;
                Ok(())
            }
        }
    }
}

/// Returns when the client has left.
async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut ignored = [0; 4096];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// How a server treats new connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewConnections {
    /// Serves them.
    #[default]
    Serve,
    /// Refuses them. The server keeps its port.
    Refuse,
    /// Accepts them, and never sends a byte, not even of a TLS handshake.
    Swallow,
    /// Begins the TLS handshake, or reads the first request, after this time.
    Slow(Duration),
    /// Serves so many requests on each, and then is silent. Handlers do not get further requests.
    SilentAfter(usize),
}

/// A byte stream, plain or encrypted.
pub type Stream = Box<dyn Wire>;

/// What the server needs of a byte stream.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// The socket.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A running server. Dropping it stops everything: no connection is accepted any more, and those
/// that are open are closed.
pub struct Server {
    addr: SocketAddr,
    state: Arc<ServerState>,
    serve: Arc<dyn Fn(TcpStream) + Send + Sync>,
    listening: tokio::sync::Mutex<Option<Listening>>,
}

enum Listening {
    Accepting(JoinHandle<()>),
    /// A socket that holds the port and does not listen, so the kernel refuses connections.
    Refusing(TcpSocket),
}

struct ServerState {
    tls: Option<TlsAcceptor>,
    keep_alive: Duration,
    new_connections: Mutex<NewConnections>,
    open: watch::Sender<BTreeMap<u64, OpenConnection>>,
}

struct OpenConnection {
    take_over: UnboundedSender<TakeOver>,
    activity: Activity,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Activity {
    Idle,
    /// hyper has a request without its response.
    Busy,
    /// It was taken away from hyper.
    TakenOver,
}

impl Server {
    /// Listens on the current tokio runtime, and replies to each request with what the handler
    /// returns. If the client leaves, the handler is dropped.
    ///
    /// # Errors
    /// When it cannot listen there; the text names the address.
    pub async fn start<H, F>(options: ServerOptions, handler: H) -> io::Result<Server>
    where
        H: Fn(HttpRequest) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: Into<Reply> + Send,
    {
        let bind = options.bind;
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {bind}: {error}"))
        };
        let socket = bound_socket(bind, bind.port() == 0).map_err(named)?;
        let addr = socket.local_addr().map_err(named)?;
        let listener = socket.listen(BACKLOG).map_err(named)?;
        let state = Arc::new(ServerState {
            tls: options.tls.map(TlsAcceptor::from),
            keep_alive: options.keep_alive,
            new_connections: Mutex::default(),
            open: watch::Sender::default(),
        });
        let serve: Arc<dyn Fn(TcpStream) + Send + Sync> = Arc::new({
            let (state, handler) = (Arc::clone(&state), Arc::new(handler));
            move |tcp| {
                let connection = Connection::new(&state);
                let handler = Arc::clone(&handler);
                tokio::spawn(async move { connection.serve(tcp, &*handler).await });
            }
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&serve)));
        Ok(Server {
            addr,
            state,
            serve,
            listening: tokio::sync::Mutex::new(Some(Listening::Accepting(accepting))),
        })
    }

    /// Accepts connections and never sends a byte.
    ///
    /// # Errors
    /// When it cannot listen there; the text names the address.
    pub async fn silent(bind: SocketAddr) -> io::Result<Server> {
        let options = ServerOptions::plain(bind);
        let server = Server::start(options, |_| pending::<HttpResponse>()).await?;
        server
            .treat_new_connections(NewConnections::Swallow)
            .await?;
        Ok(server)
    }

    /// The address it listens on, with the port that it got.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections are open, those in a TLS handshake included.
    pub fn open_connections(&self) -> usize {
        self.state.open.borrow().len()
    }

    /// Treats connections in another way from now on. Those that are open do not change.
    ///
    /// # Errors
    /// When the port was lost to another process.
    pub async fn treat_new_connections(&self, treatment: NewConnections) -> io::Result<()> {
        *self.state.new_connections() = treatment;
        let mut listening = self.listening.lock().await;
        let refuse = treatment == NewConnections::Refuse;
        *listening = match listening.take() {
            Some(Listening::Accepting(task)) if refuse => {
                // Bound before the listener is closed, so the port is never free.
                let socket = bound_socket(self.addr, true)?;
                task.abort();
                // When the task has ended, its listener is closed.
                let _ = task.await;
                Some(Listening::Refusing(socket))
            }
            Some(Listening::Refusing(socket)) if !refuse => {
                let listener = socket.listen(BACKLOG)?;
                let accepting = tokio::spawn(accept(listener, Arc::clone(&self.serve)));
                Some(Listening::Accepting(accepting))
            }
            unchanged => unchanged,
        };
        Ok(())
    }

    /// Ends all connections without a request in flight, and returns when they have ended or are
    /// silent.
    pub async fn end_idle_connections(&self, end: End) {
        self.end_connections(end, |activity| activity == Activity::Idle)
            .await;
    }

    /// Closes all connections, also busy ones, and returns when they are closed. New ones are
    /// accepted as before.
    pub async fn close_connections(&self) {
        self.end_connections(End::Close, |_| true).await;
    }

    async fn end_connections(&self, end: End, chosen: impl Fn(Activity) -> bool) {
        let mut ended = Vec::new();
        for (id, connection) in &*self.state.open.borrow() {
            if chosen(connection.activity) {
                // A connection that is gone needs no end.
                let _ = connection.take_over.send(TakeOver::end(end));
                ended.push(*id);
            }
        }
        let is_silent = |connection: &OpenConnection| {
            end == End::Silence && connection.activity == Activity::TakenOver
        };
        let mut open = self.state.open.subscribe();
        // The sender lives as long as this server.
        let _ = open
            .wait_for(|open| ended.iter().all(|id| open.get(id).is_none_or(is_silent)))
            .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(Listening::Accepting(task)) = self.listening.get_mut() {
            task.abort();
        }
        // A connection ends when its sender is dropped.
        self.state.open.send_modify(BTreeMap::clear);
    }
}

impl ServerState {
    fn new_connections(&self) -> std::sync::MutexGuard<'_, NewConnections> {
        let guard = self.new_connections.lock();
        guard.unwrap_or_else(PoisonError::into_inner)
    }

    fn set_activity(&self, id: u64, activity: Activity) {
        self.open.send_modify(|open| {
            if let Some(connection) = open.get_mut(&id) {
                connection.activity = activity;
            }
        });
    }

    /// The byte stream of a new connection.
    async fn open(&self, tcp: TcpStream, treatment: NewConnections) -> io::Result<Stream> {
        match treatment {
            NewConnections::Swallow => {
                read_to_end(tcp).await?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            NewConnections::Slow(delay) => sleep(delay).await,
            _ => {}
        }
        // Otherwise a body that is written after its head can wait 40 ms for an acknowledgment.
        tcp.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some(tls) => Ok(Box::new(tls.accept(tcp).await?)),
        }
    }
}

/// A socket that does not listen yet. A port that a server has just left can be bound again. A shared one can be
/// bound also while another shared socket listens there.
fn bound_socket(address: SocketAddr, shared: bool) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(shared)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, serve: Arc<dyn Fn(TcpStream) + Send + Sync>) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => serve(tcp),
            // Probably the process is out of file descriptors. Waits until some are closed.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A connection, which is in its server's list for as long as this lives.
struct Connection {
    id: u64,
    server: Arc<ServerState>,
    take_overs: UnboundedReceiver<TakeOver>,
}

impl Connection {
    fn new(server: &Arc<ServerState>) -> Connection {
        let id = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let (take_over, take_overs) = unbounded_channel();
        let idle = OpenConnection {
            take_over,
            activity: Activity::Idle,
        };
        server.open.send_modify(|open| {
            open.insert(id, idle);
        });
        Connection {
            id,
            server: Arc::clone(server),
            take_overs,
        }
    }

    /// Errors are errors of the connection, and the client also sees them.
    async fn serve<H, F>(mut self, tcp: TcpStream, handler: &H)
    where
        H: Fn(HttpRequest) -> F,
        F: Future,
        F::Output: Into<Reply>,
    {
        let (id, server, take_overs) = (self.id, &*self.server, &mut self.take_overs);
        let treatment = *server.new_connections();
        let opened = tokio::select! {
            opened = server.open(tcp, treatment) => opened.ok(),
            _ = take_overs.recv() => None,
        };
        let Some(stream) = opened else { return };
        let served = AtomicUsize::new(0);
        let service = service_fn(|request: Request<Incoming>| {
            let (at, earlier) = (Instant::now(), served.fetch_add(1, Ordering::SeqCst));
            async move {
                server.set_activity(id, Activity::Busy);
                let is_lost = matches!(treatment, NewConnections::SilentAfter(n) if earlier >= n);
                let take_over = if is_lost {
                    TakeOver::end(End::Silence)
                } else {
                    let request = HttpRequest::read(request, id, at).await?;
                    match handler(request).await.into() {
                        Reply::TakeOver(take_over) => take_over,
                        Reply::Respond(response) => {
                            server.set_activity(id, Activity::Idle);
                            return Ok::<_, hyper::Error>(response.into_hyper());
                        }
                    }
                };
                if let Some(connection) = server.open.borrow().get(&id) {
                    let _ = connection.take_over.send(take_over);
                }
                pending().await
            }
        });
        let mut hyper = http1::Builder::new()
            .auto_date_header(false)
            .timer(TokioTimer::new())
            .header_read_timeout(server.keep_alive)
            .serve_connection(TokioIo::new(stream), service);
        let take_over = tokio::select! {
            _ = &mut hyper => None,
            take_over = take_overs.recv() => take_over,
        };
        let Some(take_over) = take_over else { return };
        let stream = hyper.into_parts().io.into_inner();
        server.set_activity(id, Activity::TakenOver);
        tokio::select! {
            _ = take_over.perform(stream) => {}
            _ = take_overs.recv() => {}
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.open.send_modify(|open| {
            open.remove(&self.id);
        });
    }
}

/// A client without an HTTP library, for the tests of this crate.
#[cfg(test)]
pub(crate) struct Client(TcpStream);

#[cfg(test)]
impl Client {
    pub(crate) async fn connect(server: &Server) -> io::Result<Client> {
        TcpStream::connect(server.addr()).await.map(Client)
    }

    pub(crate) async fn request(&mut self) {
        let request = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";
        self.0.write_all(request).await.unwrap();
    }

    /// Asserts what the server sends next, and how the connection then ends.
    pub(crate) async fn receives(&mut self, sent: &str, end: End) {
        let mut received = vec![0; sent.len()];
        self.0.read_exact(&mut received).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&received), sent);
        let mut more = [0];
        let read = self.0.read(&mut more);
        match end {
            End::Close => assert_eq!(read.await.unwrap(), 0),
            End::Reset => assert!(read.await.is_err()),
            // A server that is wrong would send more within this time.
            End::Silence => {
                let silent = tokio::time::timeout(Duration::from_millis(50), read).await;
                assert!(silent.is_err(), "{silent:?}, {more:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends a test that has failed.
    const TIMEOUT: Duration = Duration::from_secs(30);
    const RESPONSE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

    async fn server() -> Server {
        let options = ServerOptions::plain(([127, 0, 0, 1], 0).into());
        let respond = |_| std::future::ready(HttpResponse::new(204, "", ""));
        Server::start(options, respond).await.unwrap()
    }

    /// A client that has sent a request and received the response.
    async fn served(server: &Server) -> Client {
        let mut client = Client::connect(server).await.unwrap();
        client.request().await;
        client.receives(RESPONSE, End::Silence).await;
        client
    }

    #[tokio::test]
    async fn idle_connections_end_as_the_test_chooses() {
        for end in [End::Close, End::Reset, End::Silence] {
            let server = server().await;
            let mut idle = served(&server).await;
            server.end_idle_connections(end).await;
            let open = usize::from(end == End::Silence);
            assert_eq!(server.open_connections(), open);
            if end == End::Silence {
                idle.request().await;
            }
            idle.receives("", end).await;
            served(&server).await;
        }
    }

    #[tokio::test]
    async fn busy_connections_end_with_all_or_when_their_client_leaves() {
        let options = ServerOptions::plain(([127, 0, 0, 1], 0).into());
        let (arrived, mut arrivals) = unbounded_channel();
        let calls = Arc::new(());
        let in_flight = Arc::downgrade(&calls);
        let server = Server::start(options, move |_| {
            arrived.send(()).unwrap();
            let call = Arc::clone(&calls);
            async move {
                let _call = call;
                pending::<HttpResponse>().await
            }
        });
        let server = server.await.unwrap();
        for leaves in [false, true] {
            let mut busy = Client::connect(&server).await.unwrap();
            busy.request().await;
            arrivals.recv().await.unwrap();
            server.end_idle_connections(End::Reset).await;
            assert_eq!(server.open_connections(), 1);
            assert_eq!(in_flight.strong_count(), 2);
            if leaves {
                drop(busy);
                let mut open = server.state.open.subscribe();
                let ended = tokio::time::timeout(TIMEOUT, open.wait_for(BTreeMap::is_empty));
                ended.await.expect("the connection ends").unwrap();
            } else {
                server.close_connections().await;
                busy.receives("", End::Close).await;
            }
            assert_eq!(server.open_connections(), 0);
            assert_eq!(in_flight.strong_count(), 1);
        }
    }

    #[tokio::test]
    async fn handshakes_that_fail_end_the_connection() {
        let authority = crate::tls::Authority::new().unwrap();
        let options = ServerOptions {
            tls: Some(authority.server_config()),
            ..ServerOptions::plain(([127, 0, 0, 1], 0).into())
        };
        let respond = |_| std::future::ready(HttpResponse::new(204, "", ""));
        let server = Server::start(options, respond).await.unwrap();
        let mut client = Client::connect(&server).await.unwrap();
        client.request().await;
        let mut alert = Vec::new();
        client.0.read_to_end(&mut alert).await.unwrap();
        let mut open = server.state.open.subscribe();
        let ended = tokio::time::timeout(TIMEOUT, open.wait_for(BTreeMap::is_empty));
        ended.await.expect("the connection ends").unwrap();
    }

    #[tokio::test]
    async fn new_connections_are_refused_swallowed_or_silent_after_some_requests() {
        let server = server().await;
        let mut before = served(&server).await;
        let treat = async |treatment| server.treat_new_connections(treatment).await.unwrap();

        treat(NewConnections::Refuse).await;
        assert!(Client::connect(&server).await.is_err());
        treat(NewConnections::Swallow).await;
        let mut swallowed = Client::connect(&server).await.unwrap();
        swallowed.request().await;
        swallowed.receives("", End::Silence).await;
        treat(NewConnections::SilentAfter(1)).await;
        let mut lost = served(&server).await;
        lost.request().await;
        lost.receives("", End::Silence).await;
        treat(NewConnections::Slow(Duration::from_millis(20))).await;
        served(&server).await;

        before.request().await;
        before.receives(RESPONSE, End::Silence).await;
    }
}
