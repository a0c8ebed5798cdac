//! A server for the exporter alone, so that a service without HTTP can be scraped as well.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
#[cfg(feature = "tls")]
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use super::Exporter;
use super::heard::first_word;

/// Longest time for a client to say which protocol it speaks.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time for a client to send a request's head, and to wait before its next request: longer
/// than scrapes are mostly apart, so that they share a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Longest time for a client to take more of an answer, when it takes nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a client of HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Most connections at a time; others wait in the system's queue.
const MOST_CONNECTIONS: usize = 256;

/// Most bytes of a head that are read, and of a page that wait to be written, for a connection of
/// HTTP/1: room for the longest path that there can be.
const MOST_HELD: usize = 128 * 1024;

/// Longest time for scrapes to end once the server is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after an `accept` that failed, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An exporter with a listener of its own.
#[derive(Debug)]
pub struct Server {
    exporter: Exporter,
    door: Door,
}

/// Where clients come in.
#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixDoor),
}

/// A client that came in.
enum Visitor {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A Unix socket, whose file goes with it.
#[cfg(unix)]
#[derive(Debug)]
struct UnixDoor {
    listener: UnixListener,
    path: PathBuf,
}

/// What connections share.
#[derive(Clone)]
struct Reception {
    builder: auto::Builder<TokioExecutor>,
    exporter: Exporter,
    /// Closes when the server is told to stop.
    stopping: watch::Receiver<()>,
}

impl Exporter {
    /// Listens at `address`; [`DEFAULT_ADDRESS`](super::DEFAULT_ADDRESS) is a good one.
    ///
    /// # Errors
    /// What the system says if it cannot listen there: the port is in use, for one.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{exporter::Exporter, registry::Registry};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let server = Exporter::new(&Registry::new()).bind("127.0.0.1:0").await?;
    /// let address = server.local_addr()?;
    /// assert!(address.ip().is_loopback());
    /// // In a service, this would be a signal.
    /// let stop = async {};
    /// server.serve(stop).await;
    /// # Ok::<(), std::io::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn bind(&self, address: impl ToSocketAddrs) -> io::Result<Server> {
        Ok(self.listen(TcpListener::bind(address).await?))
    }

    /// Serves at a listener that is there already.
    #[must_use]
    pub fn listen(&self, listener: TcpListener) -> Server {
        Server { exporter: self.clone(), door: Door::Tcp(listener) }
    }

    /// Answers one client over a stream of any sort, until it is gone: for transports that a
    /// [`Server`] does not listen at. The guard's TLS is not spoken.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{exporter::Exporter, registry::Registry};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (mut client, server) = tokio::io::duplex(1024);
    /// let exporter = Exporter::new(&Registry::new());
    /// tokio::spawn(async move { exporter.serve_connection(server).await });
    /// client.write_all(b"GET /live HTTP/1.0\r\n\r\n").await?;
    /// let mut answer = String::new();
    /// client.read_to_string(&mut answer).await?;
    /// assert!(answer.ends_with(r#"{"status":"live"}"#));
    /// # Ok::<(), std::io::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn serve_connection(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) {
        let (_running, stopped) = watch::channel(());
        let reception = Reception::new(self.clone(), stopped);
        if let Some((stream, http2)) = reception.in_time(first_word(stream)).await {
            reception.answer(stream, http2, GracefulShutdown::new().watcher()).await;
        }
    }

    /// Listens at a Unix socket, whose file is removed when the server ends. One that nobody listens
    /// at any more is replaced.
    ///
    /// # Errors
    /// What the system says if it cannot listen there; [`io::ErrorKind::AddrInUse`] if somebody does.
    #[cfg(unix)]
    pub async fn bind_unix(&self, path: impl Into<PathBuf>) -> io::Result<Server> {
        let path = path.into();
        let listener = match UnixListener::bind(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if !is_left_over(&path).await {
                    return Err(error);
                }
                std::fs::remove_file(&path)?;
                UnixListener::bind(&path)?
            }
            listener => listener?,
        };
        Ok(Server { exporter: self.clone(), door: Door::Unix(UnixDoor { listener, path }) })
    }
}

/// Whether a socket is there, and nobody listens at it.
#[cfg(unix)]
async fn is_left_over(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = UnixStream::connect(path)
        .await
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    socket && refused
}

#[cfg(unix)]
impl Drop for UnixDoor {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Server {
    /// Where the server listens.
    ///
    /// # Errors
    /// What the system says if it does not know; [`io::ErrorKind::Unsupported`] for a Unix socket,
    /// which has no such address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.door {
            Door::Tcp(listener) => listener.local_addr(),
            #[cfg(unix)]
            Door::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Answers HTTP/1.1 and HTTP/2 until `stop` is ready, then lets scrapes end (5 s at most).
    ///
    /// No connection outlives the future. There are at most 256 of them; one whose client says
    /// nothing is closed after 10 s, one that takes nothing of its answer after 30 s, and one without
    /// a request after 75 s (HTTP/1.1) or when it does not answer a ping (HTTP/2).
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(());
        let reception = Reception::new(self.exporter, stopped);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let next = poll_fn(|cx| {
                if stop.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                // Those that have ended make room; being woken for it is enough.
                while let Poll::Ready(Some(_)) = connections.poll_join_next(cx) {}
                if connections.len() >= MOST_CONNECTIONS {
                    return Poll::Pending;
                }
                self.door.poll_accept(cx).map(Some)
            });
            match next.await {
                None => break,
                Some(Ok(visitor)) => {
                    connections.spawn(reception.clone().receive(visitor, graceful.watcher()));
                }
                Some(Err(error)) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop((self.door, stopping));
        // Whatever is left after that is dropped with the set.
        let _ = timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
    }
}

impl Door {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Visitor>> {
        match self {
            Self::Tcp(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| Visitor::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(door) => {
                door.listener.poll_accept(cx).map_ok(|(stream, _)| Visitor::Unix(stream))
            }
        }
    }
}

impl Reception {
    fn new(exporter: Exporter, stopping: watch::Receiver<()>) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        let http1 = &mut builder.http1();
        // Who has asked for all that it wants may say so, and stays to read.
        http1.half_close(true);
        http1.max_buf_size(MOST_HELD);
        http1.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        let http2 = &mut builder.http2();
        http2.timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL);
        Self { builder, exporter, stopping }
    }

    /// Answers one client until it has gone. One that goes away, or says nothing, is no news.
    async fn receive(self, visitor: Visitor, watcher: Watcher) {
        match visitor {
            #[cfg(feature = "tls")]
            Visitor::Tcp(stream) if self.exporter.guard.has_tls() => {
                if let Some((stream, http2)) = self.in_time(self.enter(stream)).await {
                    self.answer(stream, http2, watcher).await;
                }
            }
            Visitor::Tcp(stream) => {
                if let Some((stream, http2)) = self.in_time(first_word(stream)).await {
                    self.answer(stream, http2, watcher).await;
                }
            }
            #[cfg(unix)]
            Visitor::Unix(stream) => {
                if let Some((stream, http2)) = self.in_time(first_word(stream)).await {
                    self.answer(stream, http2, watcher).await;
                }
            }
        }
    }

    /// What a client said first, unless it takes too long or the server stops before.
    async fn in_time<T>(&self, first: impl Future<Output = Option<T>>) -> Option<T> {
        let mut stopping = self.stopping.clone();
        let mut stopped = pin!(stopping.changed());
        let mut first = pin!(timeout(FIRST_BYTES_TIMEOUT, first));
        poll_fn(|cx| match first.as_mut().poll(cx) {
            Poll::Ready(first) => Poll::Ready(first.ok().flatten()),
            Poll::Pending => stopped.as_mut().poll(cx).map(|_| None),
        })
        .await
    }

    /// A client's stream within TLS, once it has said something there, and whether it speaks HTTP/2.
    #[cfg(feature = "tls")]
    async fn enter(
        &self,
        stream: TcpStream,
    ) -> Option<(BufReader<tokio_rustls::server::TlsStream<TcpStream>>, bool)> {
        let stream = self.exporter.guard.acceptor().await?.accept(stream).await.ok()?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let mut stream = BufReader::new(stream);
        let said = stream.fill_buf().await.is_ok_and(|said| !said.is_empty());
        said.then_some((stream, http2))
    }

    async fn answer(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        http2: bool,
        watcher: Watcher,
    ) {
        let exporter = self.exporter;
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let exporter = exporter.clone();
            async move { Ok::<_, Infallible>(exporter.admit(request).await) }
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let io = TokioIo::new(Box::pin(stream));
        let builder = self.builder;
        let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
        let connection = builder.serve_connection(io, service);
        let _ = watcher.watch(connection.into_owned()).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::registry::Registry;

    #[tokio::test]
    async fn connections_end_with_the_server() {
        let server = Exporter::new(&Registry::new()).bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serving = tokio::spawn(server.serve(std::future::pending()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut some = [0; 16];
        stream.read_exact(&mut some).await.unwrap();
        serving.abort();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.ends_with(b"{\"status\":\"live\"}"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_unix_socket_is_a_door_too() {
        let path = std::env::temp_dir().join(format!("dynamo-metrics-{}.sock", std::process::id()));
        let exporter = Exporter::new(&Registry::new());
        let left_over = UnixListener::bind(&path).unwrap();
        drop(left_over);
        let server = exporter.bind_unix(&path).await.unwrap();
        let taken = exporter.bind_unix(&path).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(server.local_addr().unwrap_err().kind(), io::ErrorKind::Unsupported);
        let serving = tokio::spawn(server.serve(std::future::pending()));
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream
            .write_all(b"GET /live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut read = String::new();
        stream.read_to_string(&mut read).await.unwrap();
        assert!(read.ends_with("{\"status\":\"live\"}"), "{read}");
        serving.abort();
        let _ = serving.await;
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let path = std::env::temp_dir().join(format!("dynamo-metrics-{}.txt", std::process::id()));
        std::fs::write(&path, "mine").unwrap();
        assert!(Exporter::new(&Registry::new()).bind_unix(&path).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(&path).unwrap();
    }
}
