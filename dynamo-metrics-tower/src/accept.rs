//! The outermost layer: when a request arrived, and whether it came through to be served.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dynamo_metrics::clock::{self, Instant};
use dynamo_metrics::llm::{CancelReason, RejectMetrics, RejectReason, UserFunction};
use dynamo_metrics::registry::{RegisterError, Scope};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Marks requests with the time of their arrival, and counts those that are never served.
///
/// Put it around everything, and a [`MetricsLayer`](crate::MetricsLayer) within. What lies between
/// (limits, buffers, authentication) may make requests wait, which the endpoint then shows as
/// `dynamo_component_queue_seconds` and never as a part of `request_duration_seconds`, or turn them
/// away, which this shows as `dynamo_component_rejected_total` by [`RejectReason`].
///
/// A service with this layer is always ready: each request has a clone of the service inside to
/// wait for, so that waiting happens where it can be seen.
///
/// # Unit
/// Requests; seconds.
/// # Source
/// A request arrives at `call`, and comes through when a [`Metrics`](crate::Metrics) is called for
/// it. One that does not come through is rejected, unless a layer between answered it with a 2xx or
/// 3xx of its own. What is dropped unanswered is abandoned, unless whoever drops it says why by
/// [`CancelReason`], or a layer between panicked.
/// # Cost
/// A clone of the service inside, and a few allocations for the mark in the request's extensions.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, registry::Registry};
/// use dynamo_metrics_tower::{AcceptLayer, MetricsLayer};
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = Registry::new();
/// let scope = registry.component("api");
/// let service = ServiceBuilder::new()
///     .layer(AcceptLayer::new(&scope).unwrap())
///     .concurrency_limit(100)
///     .layer(MetricsLayer::new(&scope).unwrap())
///     .service_fn(|_| async {
///         Ok::<_, std::convert::Infallible>(Response::new(Full::new(&b"hi"[..])))
///     });
/// service.oneshot(Request::new(Full::new(&b""[..]))).await.unwrap();
/// assert!(encode::text(&registry).contains("dynamo_component_queue_seconds_count"));
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct AcceptLayer<C = NoReasons> {
    metrics: RejectMetrics,
    reasons: C,
}

/// Says what an error means for the request that it answers.
pub trait Reasons<E> {
    /// Why the request was rejected, if the error says so.
    fn reason(&self, error: &E) -> Option<RejectReason>;
}

/// Errors say nothing: each is [`RejectReason::Failed`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReasons;

/// A function says what an error means.
#[derive(Debug, Clone, Copy)]
pub struct ReasonFn<F>(F);

/// A service whose requests are marked as they arrive.
#[derive(Debug, Clone)]
pub struct Accept<S, C = NoReasons> {
    metrics: RejectMetrics,
    reasons: C,
    inner: S,
}

/// When a request arrived at the [`AcceptLayer`]; in its extensions.
#[derive(Debug, Clone)]
pub struct Arrival(Arc<State>);

#[derive(Debug)]
struct State {
    at: Instant,
    /// Whether a measured service was called for it.
    came_through: AtomicBool,
}

/// A request that has not come to its answer. Dropped before, its client has left.
#[derive(Debug)]
struct Waiting {
    metrics: RejectMetrics,
    arrival: Arrival,
    answered: bool,
    /// What it waits for is being polled; a drop that finds this was left by a panic.
    running: bool,
}

pin_project! {
    /// The response of an [`Accept`].
    #[must_use = "a request whose future is dropped counts as abandoned"]
    pub struct AcceptFuture<S, B, C>
    where
        S: Service<Request<B>>,
    {
        // Before the future, so that it is not yet served when its client has left.
        waiting: Waiting,
        reasons: C,
        service: S,
        request: Option<Request<B>>,
        #[pin]
        called: Option<S::Future>,
    }
}

impl AcceptLayer {
    /// Counts the rejected in `scope`, mostly a component's.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if the name is taken by something else.
    pub fn new(scope: &Scope) -> Result<Self, RegisterError> {
        Ok(Self { metrics: RejectMetrics::register(scope)?, reasons: NoReasons })
    }
}

impl<C> AcceptLayer<C> {
    /// Asks `reason` what an error of the service inside means (default: that something failed).
    ///
    /// A panic of the function is `None`.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{llm::RejectReason, registry::Registry};
    /// use dynamo_metrics_tower::AcceptLayer;
    /// use tower::{BoxError, load_shed::error::Overloaded, timeout::error::Elapsed};
    ///
    /// let layer = AcceptLayer::new(&Registry::new().component("api"))?.reasons(|error: &BoxError| {
    ///     if error.is::<Overloaded>() {
    ///         return Some(RejectReason::Overloaded);
    ///     }
    ///     error.is::<Elapsed>().then_some(RejectReason::Timeout)
    /// });
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn reasons<E, F: Fn(&E) -> Option<RejectReason>>(
        self,
        reason: F,
    ) -> AcceptLayer<ReasonFn<F>> {
        AcceptLayer { metrics: self.metrics, reasons: ReasonFn(reason) }
    }

    /// The counts of the rejected.
    pub fn metrics(&self) -> &RejectMetrics {
        &self.metrics
    }
}

impl<E> Reasons<E> for NoReasons {
    fn reason(&self, _: &E) -> Option<RejectReason> {
        None
    }
}

impl<E, F: Fn(&E) -> Option<RejectReason>> Reasons<E> for ReasonFn<F> {
    fn reason(&self, error: &E) -> Option<RejectReason> {
        (self.0)(error)
    }
}

impl<S, C: Clone> Layer<S> for AcceptLayer<C> {
    type Service = Accept<S, C>;

    fn layer(&self, inner: S) -> Accept<S, C> {
        Accept { metrics: self.metrics.clone(), reasons: self.reasons.clone(), inner }
    }
}

impl<S, B, R, C> Service<Request<B>> for Accept<S, C>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    C: Reasons<S::Error> + Clone,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = AcceptFuture<S, B, C>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Of several layers like this one, the outermost saw it arrive.
        let arrival = request.extensions().get::<Arrival>().cloned().unwrap_or_else(Arrival::now);
        request.extensions_mut().insert(arrival.clone());
        AcceptFuture {
            waiting: Waiting {
                metrics: self.metrics.clone(),
                arrival,
                answered: false,
                running: false,
            },
            reasons: self.reasons.clone(),
            service: self.inner.clone(),
            request: Some(request),
            called: None,
        }
    }
}

impl<S, B, R, C> Future for AcceptFuture<S, B, C>
where
    S: Service<Request<B>, Response = Response<R>>,
    C: Reasons<S::Error>,
{
    type Output = Result<Response<R>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.as_mut().project().waiting.running = true;
        let polled = self.as_mut().advance(cx);
        self.project().waiting.running = false;
        polled
    }
}

impl<S, B, R, C> AcceptFuture<S, B, C>
where
    S: Service<Request<B>, Response = Response<R>>,
    C: Reasons<S::Error>,
{
    fn advance(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response<R>, S::Error>> {
        let mut this = self.project();
        let said = |error: &S::Error| UserFunction::Reason.ask(|| this.reasons.reason(error));
        if this.request.is_some() {
            if let Err(error) = ready!(this.service.poll_ready(cx)) {
                *this.request = None;
                let reason = said(&error).unwrap_or(RejectReason::NotReady);
                this.waiting.answered(Some(reason));
                return Poll::Ready(Err(error));
            }
            if let Some(request) = this.request.take() {
                this.called.set(Some(this.service.call(request)));
            }
        }
        let Some(called) = this.called.as_mut().as_pin_mut() else { return Poll::Pending };
        let answer = ready!(called.poll(cx));
        this.waiting.answered(match &answer {
            Ok(response) => reason_of(response.status()),
            Err(error) => Some(said(error).unwrap_or(RejectReason::Failed)),
        });
        Poll::Ready(answer)
    }
}

impl Arrival {
    /// Time since the request arrived.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.at.elapsed()
    }

    /// When it arrived.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.0.at
    }

    fn now() -> Self {
        Self(Arc::new(State { at: clock::now(), came_through: AtomicBool::new(false) }))
    }

    /// It is served; whether it was not before.
    pub(crate) fn comes_through(&self) -> bool {
        !self.0.came_through.swap(true, Ordering::Relaxed)
    }
}

impl Waiting {
    /// Its answer is there; `reason` counts if nobody measured it.
    fn answered(&mut self, reason: Option<RejectReason>) {
        let answered = std::mem::replace(&mut self.answered, true);
        if !answered
            && !self.arrival.0.came_through.load(Ordering::Relaxed)
            && let Some(reason) = reason
        {
            self.metrics.reject(reason);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let reason = match CancelReason::current() {
            _ if self.running || std::thread::panicking() => RejectReason::Failed,
            Some(CancelReason::Timeout) => RejectReason::Timeout,
            Some(CancelReason::Rejected) => RejectReason::Overloaded,
            _ => RejectReason::Abandoned,
        };
        self.answered(Some(reason));
    }
}

fn reason_of(status: http::StatusCode) -> Option<RejectReason> {
    Some(match status.as_u16() {
        408 | 504 => RejectReason::Timeout,
        429 | 503 | 529 => RejectReason::Overloaded,
        400..=499 => RejectReason::Refused,
        500.. => RejectReason::Failed,
        _ => return None,
    })
}

impl<S, B, C> std::fmt::Debug for AcceptFuture<S, B, C>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcceptFuture").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}
