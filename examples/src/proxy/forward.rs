//! A request's way to an upstream, and the answer's way back.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dynamo_metrics_tower::{ConnectionMetrics, Metrics, RequestBody, ResponseBody};
use http::header::UPGRADE;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use tower_service::Service;

use crate::body::{ClientBody, Passed, UpstreamBody};
use crate::client::Client;
use crate::failure::Failure;
use crate::headers::{self, Hop};
use crate::tunnel::{self, Tunnel};
use crate::upstream::Upstreams;

/// Who sent a request, among its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Passes requests on.
#[derive(Debug, Clone)]
pub(crate) struct Forward {
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) client: Metrics<Client>,
    /// Web sockets between clients and upstreams.
    pub(crate) sockets: ConnectionMetrics,
    /// Whether the upstreams speak HTTP/2.
    pub(crate) http2: bool,
    /// Longest silence within an answer.
    pub(crate) idle: Option<Duration>,
}

impl Service<Request<RequestBody<Incoming>>> for Forward {
    type Response = Response<ClientBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody<Incoming>>) -> Self::Future {
        // Over HTTP/2 there would be a stream in the place of the connection.
        let tunnel = Tunnel::asked(&mut request, &self.sockets).filter(|_| !self.http2);
        let request = match self.outgoing(request, tunnel.is_some()) {
            Ok(request) => request,
            Err(failure) => return Box::pin(std::future::ready(Ok(own(failure)))),
        };
        let (answer, idle) = (self.client.call(request), self.idle);
        Box::pin(async move {
            let Ok(response) = answer.await;
            Ok(match response.extensions().get() {
                Some(&failure) => own(failure),
                None => passed(response, tunnel, idle),
            })
        })
    }
}

impl Forward {
    /// What an upstream is sent of `request`.
    fn outgoing(
        &self,
        request: Request<RequestBody<Incoming>>,
        tunnel: bool,
    ) -> Result<Request<RequestBody<Incoming>>, Failure> {
        let (mut head, body) = request.into_parts();
        if matches!(head.method, Method::CONNECT | Method::TRACE)
            || (!tunnel && headers::asks_for_web_socket(&head.headers))
        {
            return Err(Failure::NotPassed);
        }
        let upstream = self.upstreams.next().ok_or(Failure::Unreachable)?;
        let uri = upstream.uri(&head.uri).ok_or(Failure::BadTarget)?;
        let peer = head.extensions.get().map_or(IpAddr::from([0, 0, 0, 0]), |&Peer(peer)| peer);
        let hop = Hop {
            peer,
            version: head.version,
            authority: head.uri.authority(),
            body: !body.is_end_stream(),
            http2: self.http2,
        };
        headers::to_upstream(&mut head.headers, hop);
        if tunnel {
            Tunnel::ask(&mut head.headers);
        }
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = head.headers;
        Ok(request)
    }
}

fn passed(
    mut response: Response<ResponseBody<UpstreamBody>>,
    tunnel: Option<Tunnel>,
    idle: Option<Duration>,
) -> Response<ClientBody> {
    let protocol = response.headers().get(UPGRADE).cloned();
    headers::remove_hop_by_hop(response.headers_mut());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (Some(tunnel), Some(protocol)) = (tunnel, protocol) else {
            // Nobody asked for that.
            return own(Failure::Garbled);
        };
        tunnel.open(&mut response);
        tunnel::agree(response.headers_mut(), protocol);
    }
    // Which version the answer is of is for the client's connection to say.
    *response.version_mut() = Version::HTTP_11;
    response.map(|body| ClientBody::Passed(Passed::new(body, idle)))
}

fn own(failure: Failure) -> Response<ClientBody> {
    failure.answer().map(ClientBody::Own)
}
