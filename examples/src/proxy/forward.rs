//! A request's way to an upstream, and the answer's way back.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dynamo_metrics_tower::{Metrics, RequestBody, ResponseBody};
use http::{Method, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use tower_service::Service;

use crate::body::{ClientBody, Passed, UpstreamBody};
use crate::client::Client;
use crate::failure::Failure;
use crate::headers::{self, Hop};
use crate::upstream::Upstreams;

/// Who sent a request, among its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Passes requests on.
#[derive(Debug, Clone)]
pub(crate) struct Forward {
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) client: Metrics<Client>,
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

    fn call(&mut self, request: Request<RequestBody<Incoming>>) -> Self::Future {
        let request = match self.outgoing(request) {
            Ok(request) => request,
            Err(failure) => return Box::pin(std::future::ready(Ok(own(failure)))),
        };
        let (answer, idle) = (self.client.call(request), self.idle);
        Box::pin(async move {
            let Ok(response) = answer.await;
            Ok(match response.extensions().get() {
                Some(&failure) => own(failure),
                None => passed(response, idle),
            })
        })
    }
}

impl Forward {
    /// What an upstream is sent of `request`.
    fn outgoing(
        &self,
        request: Request<RequestBody<Incoming>>,
    ) -> Result<Request<RequestBody<Incoming>>, Failure> {
        let (mut head, body) = request.into_parts();
        // A tunnel's bytes could not be read; what asks for it only among others goes without.
        if matches!(head.method, Method::CONNECT | Method::TRACE)
            || headers::asks_for_web_socket(&head.headers)
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
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = head.headers;
        Ok(request)
    }
}

fn passed(
    response: Response<ResponseBody<UpstreamBody>>,
    idle: Option<Duration>,
) -> Response<ClientBody> {
    let (mut head, body) = response.into_parts();
    headers::remove_hop_by_hop(&mut head.headers);
    // What hyper answers with is for the client's connection to say.
    head.version = Version::HTTP_11;
    Response::from_parts(head, ClientBody::Passed(Passed::new(body, idle)))
}

fn own(failure: Failure) -> Response<ClientBody> {
    failure.answer().map(ClientBody::Own)
}
