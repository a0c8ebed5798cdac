//! The service: a request is counted when it comes, and goes on to its body's end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dynamo_metrics::llm::{ResponseBody, ResponseState, Side, TokenStart};
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::accept::Arrival;
use crate::request::RequestBody;
use crate::routes::Routes;

/// A service whose requests are measured.
#[derive(Debug, Clone)]
pub struct Metrics<S> {
    routes: Arc<Routes>,
    inner: S,
}

pin_project! {
    /// The response of a [`Metrics`].
    #[derive(Debug)]
    #[must_use = "a request whose future is dropped counts as cancelled"]
    pub struct ResponseFuture<F> {
        // Before the future, so that the request has its end when the future's own drop runs.
        state: Option<ResponseState>,
        #[pin]
        inner: F,
    }
}

impl<S> Metrics<S> {
    pub(crate) fn new(routes: Arc<Routes>, inner: S) -> Self {
        Self { routes, inner }
    }
}

impl<S, B, R> Service<Request<B>> for Metrics<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // A request that this process makes may carry the mark of the one that it is made for.
        let served = self.routes.side == Side::Server;
        let arrival = request.extensions().get::<Arrival>().filter(|_| served);
        let arrival = arrival.filter(|arrival| arrival.comes_through());
        let Some(route) = self.routes.find(&request) else {
            let request = request.map(|body| RequestBody::new(body, None, None));
            let state = Some(ResponseState::unmeasured());
            return ResponseFuture { state, inner: self.inner.call(request) };
        };
        // Before the call of the inner service, so that what happens in there is covered.
        let endpoint = route.endpoint(request.method());
        let mut state = ResponseState::start(endpoint, request.method());
        // A part of a request that a layer around counts at the same endpoint is counted there.
        let counts = state.is_measured();
        if let Some(arrival) = arrival.filter(|_| counts) {
            endpoint.queued(arrival.elapsed());
        }
        let mut read = None;
        match (endpoint.token_start(), arrival) {
            (TokenStart::Arrival, Some(arrival)) => state = state.tokens_since(arrival.at()),
            (TokenStart::BodyRead, _) => {
                let (told, when) = state.tokens_since_read();
                (state, read) = (told, Some(when));
            }
            _ => {}
        }
        if let Some(choose) = &self.routes.reader
            && counts
        {
            state = state.with_reader(choose);
        }
        if let Some((frontend, name)) = &route.frontend
            && counts
        {
            let told = frontend.request(name);
            state = state.with_frontend(&told);
            request.extensions_mut().insert(told);
        }
        let mut messages = None;
        if let Some(grpc) = &route.grpc
            && counts
        {
            state = state.with_grpc(grpc, self.routes.side).with_deadline(request.headers());
            messages = grpc.request_messages(request.headers(), self.routes.side);
        }
        let empty = request.body().is_end_stream();
        let bytes = (!empty && counts).then(|| endpoint.request_bytes().clone());
        let request = request.map(|body| RequestBody::new(body, bytes, messages).telling(read));
        let inner = state.serve(|| self.inner.call(request));
        ResponseFuture { state: Some(state), inner }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // A future that is polled after its end is measured no more.
        let state = this.state.get_or_insert_with(ResponseState::unmeasured);
        match state.serve(|| this.inner.poll(cx)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(response)) => {
                let state = this.state.take().unwrap_or_else(ResponseState::unmeasured);
                Poll::Ready(Ok(ResponseBody::wrap(state, response)))
            }
            Poll::Ready(Err(error)) => {
                state.service_error();
                *this.state = None;
                Poll::Ready(Err(error))
            }
        }
    }
}
