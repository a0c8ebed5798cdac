//! A request body that is counted as it is read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use dynamo_metrics::llm::{GrpcMessages, RequestRead};
use dynamo_metrics::metric::Counter;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a measured request: the one that came in, with its bytes counted.
    ///
    /// A clone counts what it reads as well, so that a retry counts what it sends again.
    #[derive(Debug, Clone)]
    pub struct RequestBody<B> {
        bytes: Option<Counter>,
        messages: Option<GrpcMessages>,
        read: Option<RequestRead>,
        #[pin]
        inner: B,
    }
}

impl<B> RequestBody<B> {
    pub(crate) fn new(inner: B, bytes: Option<Counter>, messages: Option<GrpcMessages>) -> Self {
        Self { bytes, messages, read: None, inner }
    }

    /// Tells `read` when the body has come to its end.
    pub(crate) fn telling(mut self, read: Option<RequestRead>) -> Self {
        self.read = read;
        self
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let mut inner = this.inner;
        let frame = ready!(inner.as_mut().poll_frame(cx));
        if let (Some(Ok(frame)), Some(bytes)) = (&frame, this.bytes)
            && let Some(data) = frame.data_ref()
        {
            bytes.inc_by(data.remaining() as u64);
            if let Some(messages) = this.messages {
                messages.read(data);
            }
        }
        if let Some(read) = this.read
            && (matches!(frame, None | Some(Err(_))) || inner.is_end_stream())
        {
            read.ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
