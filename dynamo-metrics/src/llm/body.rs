//! A body that is measured as it passes, and otherwise the body it wraps.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::response::ResponseState;

pin_project! {
    /// The body of a measured response.
    ///
    /// Frames, `size_hint` and `is_end_stream` are those of the body within, untouched, so that
    /// what goes over the wire is what it would be without.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        // Before the body, so that the request has its end when the body's own drop runs.
        state: ResponseState,
        #[pin]
        inner: B,
    }
}

impl<B: Body> ResponseBody<B> {
    /// Measures `response` by `state`, which learns the head here and the rest as it passes.
    pub fn wrap(mut state: ResponseState, response: http::Response<B>) -> http::Response<Self> {
        let (head, inner) = response.into_parts();
        state.head(&head, inner.is_end_stream(), inner.size_hint().exact());
        http::Response::from_parts(head, Self { state, inner })
    }
}

impl<B: Default> Default for ResponseBody<B> {
    /// An empty body of nobody's request, for layers that answer in the place of a service.
    fn default() -> Self {
        Self { state: ResponseState::unmeasured(), inner: B::default() }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let state = this.state;
        // Looked at where it is, and not taken out: a frame is moved with all its trailers' room.
        let polled = state.serve(|| this.inner.as_mut().poll_frame(cx));
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => state.complete(),
            Poll::Ready(Some(Err(_))) => state.body_error(),
            Poll::Ready(Some(Ok(frame))) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => state.data(data, this.inner.is_end_stream()),
                (None, Some(trailers)) => state.trailers(trailers),
                // A kind of frame that is not invented yet.
                (None, None) => {}
            },
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
