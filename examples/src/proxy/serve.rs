//! The proxy's own server: HTTP/1.1 and HTTP/2 without TLS, told apart by their first bytes.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

use crate::body::BodyError;
use crate::forward::Peer;

/// Longest time for the head of a request, and between two requests of one connection.
const HEAD: Duration = Duration::from_secs(75);

/// How long to wait when there is no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Serves until `stop` is ready, and then on until every connection has had its last answer.
///
/// The service has to be ready at all times.
pub(crate) async fn serve<S, B>(listener: TcpListener, service: S, stop: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error = BodyError> + Send + 'static,
{
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(NO_ROOM).await;
            continue;
        };
        let (service, peer) = (service.clone(), Peer(peer.ip()));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            service.clone().call(request)
        });
        let connection =
            server.serve_connection_with_upgrades(TokioIo::new(unhurried(stream)), service);
        let connection = connections.watch(connection.into_owned());
        // How it ended is in the numbers.
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(listener);
    connections.shutdown().await;
}

/// Tokens are small, and nobody waits for more of them to fill a packet.
fn unhurried(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}
