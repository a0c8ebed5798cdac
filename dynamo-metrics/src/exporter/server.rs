//! A server for the exporter alone, so that a service without HTTP can be scraped as well.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, ToSocketAddrs};

use super::Exporter;

/// Longest time for a client to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time for scrapes to end once the server is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after an `accept` that failed, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An exporter with a listener of its own.
#[derive(Debug)]
pub struct Server {
    exporter: Exporter,
    listener: TcpListener,
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
        Server { exporter: self.clone(), listener }
    }
}

impl Server {
    /// Where the server listens.
    ///
    /// # Errors
    /// What the system says if it does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers HTTP/1.1 and HTTP/2 until `stop` is ready, then lets scrapes end (5 s at most).
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        builder.http2().timer(TokioTimer::new());
        let connections = GracefulShutdown::new();
        let mut stop = pin!(stop);
        loop {
            let accepted = poll_fn(|cx| match stop.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => self.listener.poll_accept(cx).map(Some),
            });
            let stream = match accepted.await {
                None => break,
                Some(Ok((stream, _))) => stream,
                Some(Err(error)) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let exporter = self.exporter.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let response = exporter.respond(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                // A client that goes away is no news.
                let _ = connection.await;
            });
        }
        drop(self.listener);
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, connections.shutdown()).await;
    }
}
