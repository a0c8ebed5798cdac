//! The client of the upstreams: connections that are kept, and limits on how long it waits.
//!
//! It answers where the upstream does not: 502 and 504, which the layers around it count.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use dynamo_metrics_tower::RequestBody;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use crate::body::UpstreamBody;
use crate::failure::Failure;

/// How long a connection is kept that nobody uses. Uvicorn, under most of the Python servers, closes
/// its side after five seconds, and a request that is sent just then is lost.
const KEPT: Duration = Duration::from_secs(4);

/// A request's body, counted by the layer around the server and by the one around this client.
type Outgoing = RequestBody<RequestBody<Incoming>>;

/// A client of all upstreams.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    inner: legacy::Client<HttpConnector, Outgoing>,
    head: Duration,
}

/// How an upstream is spoken to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Longest time to connect, without the look-up of the name.
    pub(crate) connect: Duration,
    /// Longest time to the head of the answer.
    pub(crate) head: Duration,
    pub(crate) http2: bool,
}

impl Client {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(limits.connect));
        connector.set_nodelay(true);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .http2_only(limits.http2)
            .build(connector);
        Self { inner, head: limits.head }
    }
}

impl Service<Request<Outgoing>> for Client {
    type Response = Response<UpstreamBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Outgoing>) -> Self::Future {
        let answer = tokio::time::timeout(self.head, self.inner.request(request));
        Box::pin(async move {
            let failure = match answer.await {
                Ok(Ok(response)) => return Ok(response.map(|body| UpstreamBody(Some(body)))),
                Ok(Err(error)) => Failure::of(&error),
                Err(_) => Failure::SlowHead,
            };
            // The words are put in outside of the measuring: the upstream sent none.
            let mut response = Response::new(UpstreamBody::default());
            *response.status_mut() = failure.status();
            response.extensions_mut().insert(failure);
            Ok(response)
        })
    }
}
