//! Bodies on their way to a client: frame by frame, and never held.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dynamo_metrics_tower::{CancelReason, ResponseBody};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

/// What breaks a client's body.
pub(crate) type BodyError = Box<dyn Error + Send + Sync>;

/// The body of an upstream's answer; none if there is no answer.
#[derive(Debug, Default)]
pub(crate) struct UpstreamBody(pub(crate) Option<Incoming>);

/// What a client gets.
#[derive(Debug)]
pub(crate) enum ClientBody {
    /// What an upstream sent.
    Passed(Passed),
    /// What the proxy says itself.
    Own(Full<Bytes>),
}

/// An upstream's body, which is dropped when it is silent for too long.
#[derive(Debug)]
pub(crate) struct Passed {
    /// `None` once it was dropped for its silence.
    inner: Option<ResponseBody<UpstreamBody>>,
    idle: Option<Idle>,
}

#[derive(Debug)]
struct Idle {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    /// Whether somebody waits for a frame. What a client takes to ask for one is no silence.
    waiting: bool,
}

impl Passed {
    /// A body that may be silent for `limit`, or for ever.
    pub(crate) fn new(inner: ResponseBody<UpstreamBody>, limit: Option<Duration>) -> Self {
        let idle = limit.map(|limit| Idle { limit, sleep: Box::pin(sleep(limit)), waiting: false });
        Self { inner: Some(inner), idle }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            if let Some(idle) = &mut self.idle {
                idle.waiting = false;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(idle) = &mut self.idle else { return Poll::Pending };
        if !idle.waiting {
            idle.waiting = true;
            // A limit past the end of time is none.
            let Some(end) = Instant::now().checked_add(idle.limit) else { return Poll::Pending };
            idle.sleep.as_mut().reset(end);
        }
        std::task::ready!(idle.sleep.as_mut().poll(cx));
        // The upstream's side is told why; the client's sees its body break.
        CancelReason::Timeout.during(|| self.inner = None);
        Poll::Ready(Some(Err("the upstream was silent for too long".into())))
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Passed(body) => body.poll(cx),
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Passed(body) => body.inner.as_ref().is_some_and(Body::is_end_stream),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Passed(body) => body.inner.as_ref().map(Body::size_hint).unwrap_or_default(),
            Self::Own(body) => body.size_hint(),
        }
    }
}
