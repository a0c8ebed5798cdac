//! A limit on the time to an answer's head, that tells the metrics what it does.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use dynamo_metrics::llm::CancelReason;
use http::{Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Answers with 504 what has no head of an answer in time, and drops the request.
///
/// A request that is dropped here has the outcome `timeout`, wherever this layer stands: a measured
/// service inside sees why it is dropped, and one outside sees the 504. Other time-outs outside of a
/// measured service look like clients that leave, unless they say otherwise by [`CancelReason`].
///
/// Bodies take as long as they want.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics_tower::TimeoutLayer;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let never = service_fn(|_: Request<()>| {
///     std::future::pending::<Result<Response<Full<&[u8]>>, std::convert::Infallible>>()
/// });
/// let service = TimeoutLayer::new(Duration::from_millis(1)).layer(never);
/// assert_eq!(service.oneshot(Request::new(())).await.unwrap().status(), 504);
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TimeoutLayer {
    after: Duration,
    status: StatusCode,
}

/// A service whose answers have to begin in time.
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    limit: TimeoutLayer,
    inner: S,
}

pin_project! {
    /// The response of a [`Timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are polled"]
    pub struct TimeoutFuture<F> {
        status: StatusCode,
        #[pin]
        inner: Option<F>,
        #[pin]
        sleep: tokio::time::Sleep,
    }
}

impl TimeoutLayer {
    /// The head of an answer has to be there `after` the call.
    #[must_use]
    pub fn new(after: Duration) -> Self {
        Self { after, status: StatusCode::GATEWAY_TIMEOUT }
    }

    /// Answers with `status` (default 504, as is 408 a `timeout` to the metrics).
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { limit: *self, inner }
    }
}

impl<S, T, R> Service<T> for Timeout<S>
where
    S: Service<T, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: T) -> Self::Future {
        TimeoutFuture {
            status: self.limit.status,
            inner: Some(self.inner.call(request)),
            sleep: tokio::time::sleep(self.limit.after),
        }
    }
}

impl<F, R, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(inner) = this.inner.as_mut().as_pin_mut()
            && let Poll::Ready(answer) = inner.poll(cx)
        {
            return Poll::Ready(answer);
        }
        std::task::ready!(this.sleep.poll(cx));
        CancelReason::Timeout.during(|| this.inner.set(None));
        let mut response = Response::new(R::default());
        *response.status_mut() = *this.status;
        Poll::Ready(Ok(response))
    }
}
