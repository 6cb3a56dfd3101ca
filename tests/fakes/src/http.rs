//! HTTP/1.1 server that can misbehave on purpose.
//!
//! A library server keeps to the protocol: it never resets in the middle of a head and never sends a
//! wrong length. The code under test must survive servers that do, so this one writes its own bytes.
//! It works over TCP or TLS, keeps connections alive, and reads request bodies with a `content-length`
//! or in chunks.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// More than our clients send. Stops a client that never ends its head.
const MAX_HEAD: usize = 256 * 1024;
const MAX_BODY: usize = 64 * 1024 * 1024;
const MAX_HEADERS: usize = 128;
/// Pause before a reset. A reset can discard bytes that the client has not read.
const BEFORE_RESET: Duration = Duration::from_millis(20);
/// Largest last piece of a response. The observer is called before this piece is sent.
const LAST_PIECE: usize = 64 * 1024;

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

/// One request, as received.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The method, in the case it was sent in.
    pub method: String,
    /// Path and query, neither decoded nor normalized.
    pub target: String,
    /// Names as sent, values with the whitespace around them removed; order and repetitions kept.
    pub headers: Vec<(String, String)>,
    /// The body, with any chunking removed.
    pub body: Vec<u8>,
    /// Which connection of this process it came on.
    pub connection: u64,
    /// When its head had arrived.
    pub at: Instant,
}

impl HttpRequest {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All values of a header, whatever the case of its name.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The target up to the query, undecoded.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query, undecoded and without its question mark; may be empty.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// A response in full. `content-length` is added when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Header names and values, sent as they are.
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
}

/// What the server does after a request: a response, or a network fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireReply {
    /// Responds, and keeps the connection.
    Respond(HttpResponse),
    /// Waits, then replies.
    After(Duration, Box<WireReply>),
    /// Closes the connection without a byte of a response.
    Close,
    /// Resets the connection without a byte of a response.
    Reset,
    /// Resets the connection after half of the head.
    ResetInHead(HttpResponse),
    /// Resets the connection after the head and half of the body.
    ResetInBody(HttpResponse),
    /// Sends the head and half of the body, then nothing more until the client leaves.
    StallInBody(HttpResponse),
    /// Sends the response one byte at a time, with this pause before each.
    Drip(HttpResponse, Duration),
    /// Sends nothing until the client leaves or the server stops.
    Hang,
    /// Sends these bytes in place of a response, and closes.
    Raw(Vec<u8>),
    /// Sends the response with another `content-length`. If that is longer than the body, the
    /// connection closes after the body. If it is shorter, the rest of the body is where the next
    /// response should begin.
    ContentLength(HttpResponse, usize),
    /// Responds, and then closes the connection without `connection: close`.
    CloseAfter(HttpResponse),
}

impl WireReply {
    /// The status, if the client gets a complete head.
    pub fn status(&self) -> Option<u16> {
        match self {
            WireReply::Respond(response)
            | WireReply::ResetInBody(response)
            | WireReply::StallInBody(response)
            | WireReply::Drip(response, _)
            | WireReply::ContentLength(response, _)
            | WireReply::CloseAfter(response) => Some(response.status),
            WireReply::After(_, reply) => reply.status(),
            WireReply::Close
            | WireReply::Reset
            | WireReply::ResetInHead(_)
            | WireReply::Hang
            | WireReply::Raw(_) => None,
        }
    }

    /// The same reply with a changed response, if it has one.
    #[must_use]
    pub fn map_response(self, change: &dyn Fn(HttpResponse) -> HttpResponse) -> WireReply {
        match self {
            WireReply::Respond(response) => WireReply::Respond(change(response)),
            WireReply::After(delay, reply) => {
                WireReply::After(delay, Box::new(reply.map_response(change)))
            }
            WireReply::ResetInHead(response) => WireReply::ResetInHead(change(response)),
            WireReply::ResetInBody(response) => WireReply::ResetInBody(change(response)),
            WireReply::StallInBody(response) => WireReply::StallInBody(change(response)),
            WireReply::Drip(response, every) => WireReply::Drip(change(response), every),
            WireReply::ContentLength(response, length) => {
                WireReply::ContentLength(change(response), length)
            }
            WireReply::CloseAfter(response) => WireReply::CloseAfter(change(response)),
            WireReply::Close | WireReply::Reset | WireReply::Hang | WireReply::Raw(_) => self,
        }
    }
}

impl From<HttpResponse> for WireReply {
    fn from(response: HttpResponse) -> WireReply {
        WireReply::Respond(response)
    }
}

/// Observes how an exchange ends. Just before the last bytes of the reply go out, `finishing` is
/// called and the observer is dropped. So the record is complete when the client has its response. If
/// the client leaves or the server stops first, the observer is only dropped.
pub trait ReplyObserver: Send {
    /// The last bytes of the reply are about to go out.
    fn finishing(&mut self, at: Instant);
}

/// A connection after the server has switched protocols.
pub struct Upgraded {
    /// The connection, plain or encrypted.
    pub stream: Box<dyn Duplex>,
    /// Bytes that were read after the request and belong to the new protocol.
    pub unread: Vec<u8>,
}

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// The code that serves a connection after a 101. The connection closes when its future ends.
pub type Upgrade = Box<dyn FnOnce(Upgraded) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A reply and its observer.
pub struct ObservedReply {
    /// The reply.
    pub reply: WireReply,
    /// The observer.
    pub observer: Option<Box<dyn ReplyObserver>>,
    /// The protocol that follows the reply, which is then a 101.
    pub upgrade: Option<Upgrade>,
}

impl From<WireReply> for ObservedReply {
    fn from(reply: WireReply) -> ObservedReply {
        ObservedReply {
            reply,
            observer: None,
            upgrade: None,
        }
    }
}

impl From<HttpResponse> for ObservedReply {
    fn from(response: HttpResponse) -> ObservedReply {
        WireReply::Respond(response).into()
    }
}

/// A running server. Dropping it stops everything: no connection is accepted any more, and those
/// that are open are closed.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    open: Arc<AtomicUsize>,
    close: mpsc::Sender<oneshot::Sender<()>>,
    accepting: AbortHandle,
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
        F::Output: Into<ObservedReply>,
    {
        let handler = Arc::new(handler);
        let tls = options.tls.map(TlsAcceptor::from);
        let keep_alive = options.keep_alive;
        Server::listen(options.bind, move |tcp| {
            let handler = Arc::clone(&handler);
            let tls = tls.clone();
            async move {
                // Otherwise a body that is written after its head can wait 40 ms for an
                // acknowledgment.
                let _ = tcp.set_nodelay(true);
                let id = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
                // An error here is an error of the connection, and the client also sees it.
                let _ = match tls {
                    None => serve_connection(tcp, id, keep_alive, &*handler).await,
                    Some(tls) => match tls.accept(tcp).await {
                        Ok(stream) => serve_connection(stream, id, keep_alive, &*handler).await,
                        Err(error) => Err(error),
                    },
                };
            }
        })
        .await
    }

    /// Accepts connections and never sends a byte, like a TLS handshake that hangs.
    ///
    /// # Errors
    /// When it cannot listen there; the text names the address.
    pub async fn silent(bind: SocketAddr) -> io::Result<Server> {
        Server::listen(bind, |mut tcp| async move {
            let mut ignored = [0; 4096];
            while tcp.read(&mut ignored).await.is_ok_and(|n| n > 0) {}
        })
        .await
    }

    async fn listen<S, F>(bind: SocketAddr, serve: S) -> io::Result<Server>
    where
        S: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {bind}: {error}"))
        };
        let listener = TcpListener::bind(bind).await.map_err(named)?;
        let addr = listener.local_addr().map_err(named)?;
        let open = Arc::new(AtomicUsize::new(0));
        let (close, closes) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(listener, serve, Arc::clone(&open), closes));
        Ok(Server {
            addr,
            open,
            close,
            accepting: accepting.abort_handle(),
        })
    }

    /// The address it listens on, with the port that it got.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections are open, those in a TLS handshake included.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Closes all connections, also busy ones, and returns when they are closed. New ones are
    /// accepted as before.
    pub async fn close_connections(&self) {
        let (done, closed) = oneshot::channel();
        if self.close.send(done).await.is_ok() {
            let _ = closed.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The connections' tasks live in a set that the accepting task owns, and end with it.
        self.accepting.abort();
    }
}

/// Counts a connection for as long as it lives.
struct OpenConnection(Arc<AtomicUsize>);

impl OpenConnection {
    fn count(counter: &Arc<AtomicUsize>) -> OpenConnection {
        counter.fetch_add(1, Ordering::SeqCst);
        OpenConnection(Arc::clone(counter))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn accept<S, F>(
    listener: TcpListener,
    serve: S,
    open: Arc<AtomicUsize>,
    mut closes: mpsc::Receiver<oneshot::Sender<()>>,
) where
    S: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    let counted = OpenConnection::count(&open);
                    let serving = serve(tcp);
                    connections.spawn(async move {
                        let _counted = counted;
                        serving.await;
                    });
                }
                // Probably the process is out of file descriptors. Waits until some are closed.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            Some(done) = closes.recv() => {
                connections.shutdown().await;
                let _ = done.send(());
            }
        }
    }
}

/// What the server needs of a connection, plain or encrypted.
trait WireStream: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl WireStream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl WireStream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A connection, and the bytes that were read from it and not used yet.
struct Connection<W> {
    wire: W,
    unread: Vec<u8>,
}

/// Whether the connection stays open after a reply.
#[derive(PartialEq, Eq)]
enum ConnectionState {
    Keep,
    End,
}

async fn serve_connection<W, H, F>(
    wire: W,
    id: u64,
    keep_alive: Duration,
    handler: &H,
) -> io::Result<()>
where
    W: WireStream + 'static,
    H: Fn(HttpRequest) -> F,
    F: Future,
    F::Output: Into<ObservedReply>,
{
    let mut connection = Connection {
        wire,
        unread: Vec::new(),
    };
    loop {
        if connection.unread.is_empty() {
            match timeout(keep_alive, connection.read_more()).await {
                Ok(more) => {
                    if !more? {
                        return Ok(());
                    }
                }
                Err(_) => return connection.wire.shutdown().await,
            }
        }
        let (request, last) = match connection.read_request(id).await {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let response = HttpResponse::new(400, "text/plain", error.to_string());
                connection
                    .wire
                    .write_all(&head(&response, true, None))
                    .await?;
                connection.wire.write_all(&response.body).await?;
                return connection.wire.shutdown().await;
            }
            Err(error) => return Err(error),
        };
        let without_body = request.method == "HEAD";
        let mut observed: ObservedReply = tokio::select! {
            output = handler(request) => output.into(),
            () = connection.wait_until_left() => return Ok(()),
        };
        if let Some(upgrade) = observed.upgrade.take() {
            connection.perform(observed, false, true).await?;
            let Connection { wire, unread } = connection;
            let stream = Box::new(wire);
            upgrade(Upgraded { stream, unread }).await;
            return Ok(());
        }
        if connection.perform(observed, last, without_body).await? == ConnectionState::End {
            return Ok(());
        }
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

fn invalid(text: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_string())
}

impl<W: WireStream> Connection<W> {
    /// Reads some bytes; `false` at the end of the stream.
    async fn read_more(&mut self) -> io::Result<bool> {
        self.unread.reserve(16 * 1024);
        Ok(self.wire.read_buf(&mut self.unread).await? > 0)
    }

    /// Reads some bytes in the middle of a request, where the end of the stream is an error.
    async fn must_read_more(&mut self) -> io::Result<()> {
        if self.read_more().await? {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Returns when the client has left. What it sends before that is kept.
    async fn wait_until_left(&mut self) {
        loop {
            if self.unread.len() > MAX_BODY {
                pending::<()>().await;
            }
            match self.read_more().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// Waits; `false` when the client left meanwhile.
    async fn pause(&mut self, duration: Duration) -> bool {
        tokio::select! {
            () = sleep(duration) => true,
            () = self.wait_until_left() => false,
        }
    }

    /// A request, and whether it is the connection's last.
    async fn read_request(&mut self, id: u64) -> io::Result<(HttpRequest, bool)> {
        let (mut request, http_10, head_length) = loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut parsed = httparse::Request::new(&mut headers);
            match parsed.parse(&self.unread).map_err(invalid)? {
                httparse::Status::Complete(length) => {
                    let request = HttpRequest {
                        method: parsed.method.unwrap_or_default().into(),
                        target: parsed.path.unwrap_or_default().into(),
                        headers: parsed
                            .headers
                            .iter()
                            .map(|h| {
                                let value = String::from_utf8_lossy(h.value);
                                (h.name.to_owned(), value.into_owned())
                            })
                            .collect(),
                        body: Vec::new(),
                        connection: id,
                        at: Instant::now(),
                    };
                    break (request, parsed.version == Some(0), length);
                }
                httparse::Status::Partial if self.unread.len() > MAX_HEAD => {
                    return Err(invalid("the head is too long"));
                }
                httparse::Status::Partial => {}
            }
            self.must_read_more().await?;
        };
        self.unread.drain(..head_length);

        let chunked = request
            .headers("transfer-encoding")
            .any(|v| v.to_ascii_lowercase().contains("chunked"));
        let framing = if chunked {
            Framing::Chunked
        } else {
            let length = request.header("content-length").unwrap_or("0");
            Framing::Length(length.parse().map_err(invalid)?)
        };
        let waits = request
            .header("expect")
            .is_some_and(|v| v.eq_ignore_ascii_case("100-continue"));
        if waits && self.unread.is_empty() {
            self.wire
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
            self.wire.flush().await?;
        }
        request.body = match framing {
            Framing::Length(length) => self.take_bytes(length).await?,
            Framing::Chunked => self.take_chunks().await?,
        };
        let last = http_10
            || request
                .headers("connection")
                .any(|v| v.to_ascii_lowercase().contains("close"));
        Ok((request, last))
    }

    async fn take_bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > MAX_BODY {
            return Err(invalid("the body is too long"));
        }
        while self.unread.len() < length {
            self.must_read_more().await?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    async fn take_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = match httparse::parse_chunk_size(&self.unread).map_err(invalid)? {
                httparse::Status::Complete((line, size)) => {
                    self.unread.drain(..line);
                    usize::try_from(size).map_err(invalid)?
                }
                httparse::Status::Partial => {
                    self.must_read_more().await?;
                    continue;
                }
            };
            if size == 0 {
                self.skip_trailers().await?;
                return Ok(body);
            }
            if size > MAX_BODY - body.len() {
                return Err(invalid("the body is too long"));
            }
            body.extend(self.take_bytes(size).await?);
            if self.take_bytes(2).await? != b"\r\n" {
                return Err(invalid("a chunk is longer than its size line"));
            }
        }
    }

    async fn skip_trailers(&mut self) -> io::Result<()> {
        loop {
            match self.unread.windows(2).position(|pair| pair == b"\r\n") {
                Some(end) => {
                    self.unread.drain(..end + 2);
                    if end == 0 {
                        return Ok(());
                    }
                }
                None => self.must_read_more().await?,
            }
        }
    }

    async fn perform(
        &mut self,
        observed: ObservedReply,
        last: bool,
        without_body: bool,
    ) -> io::Result<ConnectionState> {
        let ObservedReply {
            mut reply,
            mut observer,
            ..
        } = observed;
        while let WireReply::After(delay, then) = reply {
            if !self.pause(delay).await {
                return Ok(ConnectionState::End);
            }
            reply = *then;
        }
        match reply {
            WireReply::Respond(response) => {
                let bytes = full_response(&response, last, without_body, None);
                self.write(&bytes, &mut observer).await?;
                if last {
                    self.wire.shutdown().await?;
                    return Ok(ConnectionState::End);
                }
                Ok(ConnectionState::Keep)
            }
            // The loop above has unwrapped these.
            WireReply::After(..) => Ok(ConnectionState::End),
            WireReply::Close => {
                notify_observer(&mut observer);
                Ok(ConnectionState::End)
            }
            WireReply::Reset => {
                notify_observer(&mut observer);
                self.reset()
            }
            WireReply::ResetInHead(response) => {
                let bytes = head(&response, last, None);
                self.write(&bytes[..bytes.len() / 2], &mut observer).await?;
                sleep(BEFORE_RESET).await;
                self.reset()
            }
            WireReply::ResetInBody(response) => {
                let bytes = full_response(&response, last, without_body, None);
                let sent = bytes.len() - response.body.len().div_ceil(2);
                self.write(&bytes[..sent], &mut observer).await?;
                sleep(BEFORE_RESET).await;
                self.reset()
            }
            WireReply::StallInBody(response) => {
                let bytes = full_response(&response, last, without_body, None);
                let sent = bytes.len() - response.body.len().div_ceil(2);
                self.write(&bytes[..sent], &mut None).await?;
                self.wait_until_left().await;
                Ok(ConnectionState::End)
            }
            WireReply::Drip(response, every) => {
                let bytes = full_response(&response, last, without_body, None);
                for (at, byte) in bytes.iter().enumerate() {
                    if !self.pause(every).await {
                        return Ok(ConnectionState::End);
                    }
                    if at + 1 == bytes.len() {
                        notify_observer(&mut observer);
                    }
                    self.wire.write_all(&[*byte]).await?;
                    self.wire.flush().await?;
                }
                Ok(if last {
                    ConnectionState::End
                } else {
                    ConnectionState::Keep
                })
            }
            WireReply::Hang => {
                self.wait_until_left().await;
                Ok(ConnectionState::End)
            }
            WireReply::Raw(bytes) => {
                self.write(&bytes, &mut observer).await?;
                self.wire.shutdown().await?;
                Ok(ConnectionState::End)
            }
            WireReply::ContentLength(response, length) => {
                let bytes = full_response(&response, last, without_body, Some(length));
                self.write(&bytes, &mut observer).await?;
                if last || length > response.body.len() {
                    self.wire.shutdown().await?;
                    return Ok(ConnectionState::End);
                }
                Ok(ConnectionState::Keep)
            }
            WireReply::CloseAfter(response) => {
                let bytes = full_response(&response, last, without_body, None);
                self.write(&bytes, &mut observer).await?;
                self.wire.shutdown().await?;
                Ok(ConnectionState::End)
            }
        }
    }

    /// Writes everything, and calls the observer before the last piece.
    async fn write(
        &mut self,
        bytes: &[u8],
        observer: &mut Option<Box<dyn ReplyObserver>>,
    ) -> io::Result<()> {
        let (first, rest) = bytes.split_at(bytes.len().saturating_sub(LAST_PIECE));
        self.wire.write_all(first).await?;
        notify_observer(observer);
        self.wire.write_all(rest).await?;
        self.wire.flush().await
    }

    /// With zero linger, the kernel sends a reset when the connection is dropped, right after this.
    fn reset(&mut self) -> io::Result<ConnectionState> {
        self.wire.tcp().set_zero_linger()?;
        Ok(ConnectionState::End)
    }
}

fn notify_observer(observer: &mut Option<Box<dyn ReplyObserver>>) {
    if let Some(mut observer) = observer.take() {
        observer.finishing(Instant::now());
    }
}

/// Status line and headers, with the body's own length or another one.
fn head(response: &HttpResponse, last: bool, length: Option<usize>) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 {} {}\r\n",
        response.status,
        reason_phrase(response.status)
    );
    for (name, value) in &response.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    // These never have a body, and a length would announce one.
    if !matches!(response.status, 101 | 204 | 304) {
        let length = length.unwrap_or(response.body.len());
        text.push_str(&format!("content-length: {length}\r\n"));
    }
    if last {
        text.push_str("connection: close\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn full_response(
    response: &HttpResponse,
    last: bool,
    without_body: bool,
    length: Option<usize>,
) -> Vec<u8> {
    let mut bytes = head(response, last, length);
    if !without_body && response.status != 204 && response.status != 304 {
        bytes.extend_from_slice(&response.body);
    }
    bytes
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        // A reason phrase may be empty, and no client reads it.
        _ => "",
    }
}
