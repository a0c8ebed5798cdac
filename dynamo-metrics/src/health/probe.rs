//! Probes: one small request, through a service's own stack, and what became of it.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use http::header::HeaderValue;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::label::LabelValue;

/// The header by which a service knows a canary's request; its value is `1`.
pub const CANARY_HEADER: &str = "x-dynamo-metrics-canary";

/// Most bytes of an answer, unless somebody says otherwise.
const MOST_BYTES: usize = 64 * 1024;

/// Whether a request with these headers is a canary's, if it came from within.
///
/// A client can send the header as well: use it to leave work out that costs others something
/// (billing, logs, samples), and never to let somebody in.
///
/// # Examples
/// ```
/// use dynamo_metrics::health::{CANARY_HEADER, is_canary};
///
/// let request = http::Request::get("/").header(CANARY_HEADER, "1").body(()).unwrap();
/// assert!(is_canary(request.headers()));
/// ```
#[must_use]
pub fn is_canary(headers: &HeaderMap) -> bool {
    headers.get(CANARY_HEADER).is_some_and(|value| value == "1")
}

/// What a canary sends, and how the answer is judged.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
/// use dynamo_metrics::health::Probe;
/// use http_body_util::{Empty, Full};
///
/// # #[derive(Clone)]
/// # struct Model;
/// # impl tower_service::Service<http::Request<Empty<bytes::Bytes>>> for Model {
/// #     type Response = http::Response<Full<bytes::Bytes>>;
/// #     type Error = Infallible;
/// #     type Future = std::future::Ready<Result<Self::Response, Infallible>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
/// #         std::task::Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, _: http::Request<Empty<bytes::Bytes>>) -> Self::Future {
/// #         std::future::ready(Ok(http::Response::new(Full::from("pong"))))
/// #     }
/// # }
/// // `Model` is the service that is served, with its layers.
/// let probe = Probe::new(Model, || {
///     let mut request = http::Request::new(Empty::new());
///     *request.uri_mut() = http::Uri::from_static("/v1/chat/completions");
///     request
/// })
/// .most_bytes(4096)
/// .judge(|answer| answer.status().is_success() && answer.body() == "pong");
/// ```
pub struct Probe {
    start: Box<dyn FnMut(Wanted) -> Attempt + Send>,
    wanted: Wanted,
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum ProbeOutcome {
    /// The answer came whole and in time, and was judged to be well.
    Success,
    /// The answer came, and was not well: a status other than 2xx, unless the probe judges itself.
    Failure,
    /// The service, or the body of its answer, had an error.
    Error,
    /// It took too long.
    Timeout,
    /// The answer was longer than it may be.
    TooLong,
    /// The service panicked.
    Panic,
}

type Attempt = Pin<Box<dyn Future<Output = ProbeOutcome> + Send>>;
type Judge = Arc<dyn Fn(&Response<Bytes>) -> bool + Send + Sync>;

/// What an answer must be.
#[derive(Clone)]
struct Wanted {
    most_bytes: usize,
    judge: Option<Judge>,
}

/// A future that may panic, when it is polled and when it is dropped.
struct Caught(Option<Attempt>);

impl ProbeOutcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: &'static [Self] =
        &[Self::Success, Self::Failure, Self::Error, Self::Timeout, Self::TooLong, Self::Panic];
}

impl Probe {
    /// Sends what `request` makes, with [`CANARY_HEADER`], through a clone of `service`; an answer
    /// of 2xx that ends well is a success.
    ///
    /// It runs in the canary's task: what blocks its thread cannot be cut short, as anywhere in async
    /// code.
    ///
    /// The service is mostly the one that is served, with all its layers, so that what breaks in
    /// them shows too. To keep probes out of what users see, ask [`is_canary`] in the handler or in
    /// a layer; to keep them out of the endpoint's metrics, give the service below the metrics
    /// layer.
    pub fn new<S, B, R>(
        service: S,
        mut request: impl FnMut() -> Request<B> + Send + 'static,
    ) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        B: Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
    {
        let start = move |wanted| -> Attempt {
            let service = service.clone();
            let mut request = request();
            request.headers_mut().insert(CANARY_HEADER, HeaderValue::from_static("1"));
            Box::pin(ask(service, request, wanted))
        };
        Self { start: Box::new(start), wanted: Wanted { most_bytes: MOST_BYTES, judge: None } }
    }

    /// Asks in a way of its own, for what does not speak HTTP: `true` is a success.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::health::Probe;
    ///
    /// let probe = Probe::custom(|| async { 1 + 1 == 2 });
    /// ```
    pub fn custom<F>(mut ask: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let start = move |_| -> Attempt {
            let asked = ask();
            Box::pin(async move {
                if asked.await { ProbeOutcome::Success } else { ProbeOutcome::Failure }
            })
        };
        Self { start: Box::new(start), wanted: Wanted { most_bytes: MOST_BYTES, judge: None } }
    }

    /// Gives up on an answer that is longer than this (default: 64 KiB). Each frame counts as a byte
    /// at least.
    #[must_use]
    pub fn most_bytes(mut self, most_bytes: usize) -> Self {
        self.wanted.most_bytes = most_bytes;
        self
    }

    /// Decides by `judge` whether a whole answer is well (default: if its status is 2xx).
    #[must_use]
    pub fn judge(
        mut self,
        judge: impl Fn(&Response<Bytes>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.wanted.judge = Some(Arc::new(judge));
        self
    }

    /// Sends one; whatever happens in there stays there.
    pub(super) async fn run(&mut self, timeout: Duration) -> ProbeOutcome {
        let wanted = self.wanted.clone();
        let started = catch_unwind(AssertUnwindSafe(|| (self.start)(wanted)));
        let Ok(attempt) = started else { return ProbeOutcome::Panic };
        let mut attempt = Caught(Some(attempt));
        let ended = tokio::time::timeout(timeout, poll_fn(|cx| attempt.poll(cx))).await;
        ended.unwrap_or(ProbeOutcome::Timeout)
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("most_bytes", &self.wanted.most_bytes).finish_non_exhaustive()
    }
}

impl Caught {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ProbeOutcome> {
        let Some(attempt) = &mut self.0 else { return Poll::Ready(ProbeOutcome::Panic) };
        catch_unwind(AssertUnwindSafe(|| attempt.as_mut().poll(cx)))
            .unwrap_or(Poll::Ready(ProbeOutcome::Panic))
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        let attempt = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(attempt)));
    }
}

async fn ask<S, B, R>(mut service: S, request: Request<B>, wanted: Wanted) -> ProbeOutcome
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await else { return ProbeOutcome::Error };
    let Ok(response) = service.call(request).await else { return ProbeOutcome::Error };
    let (head, body) = response.into_parts();
    let mut body = pin!(body);
    let (mut left, mut read) = (wanted.most_bytes, BytesMut::new());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx).map_err(drop)).await {
        let Ok(frame) = frame else { return ProbeOutcome::Error };
        let data = frame.into_data().ok();
        // Frames without bytes could go on for ever as well.
        let length = data.as_ref().map_or(0, Buf::remaining).max(1);
        let Some(rest) = left.checked_sub(length) else { return ProbeOutcome::TooLong };
        left = rest;
        if let (Some(data), true) = (data, wanted.judge.is_some()) {
            read.put(data);
        }
        // A body that is always ready lets others run too, the time limit among them.
        tokio::task::consume_budget().await;
    }
    let is_well = match wanted.judge {
        Some(judge) => judge(&Response::from_parts(head, read.freeze())),
        None => head.status.is_success(),
    };
    if is_well { ProbeOutcome::Success } else { ProbeOutcome::Failure }
}
