//! A service in memory, for layers to be put around.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::Empty;
use tower_service::Service;

/// The path of every request.
pub(super) const PATH: &str = "/v1/chat/completions";

/// An event of 180 bytes with one token, as OpenAI's servers send them.
const EVENT: &[u8] = b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\
    \"created\":17000,\"model\":\"demo\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\
    \"logprobs\":null,\"finish_reason\":null}]}\n\n";

const _: () = assert!(EVENT.len() == 180, "rows are named after it");

/// Answers every request alike, and at once.
#[derive(Debug, Clone)]
pub(super) struct Handler {
    content_type: HeaderValue,
    frames: usize,
    frame: Bytes,
    last: Option<Bytes>,
}

/// The body of an answer: frames that are ready.
#[derive(Debug)]
pub(super) struct Frames {
    left: usize,
    frame: Bytes,
    last: Option<Bytes>,
}

impl Handler {
    /// An answer of so many frames of 180 bytes, which say nothing.
    pub(super) fn frames(frames: usize) -> Self {
        let frame = Bytes::from_static(&[b'x'; 180]);
        let content_type = HeaderValue::from_static("application/octet-stream");
        Self { content_type, frames, frame, last: None }
    }

    /// An answer of so many events with a token each, and the marker that ends a stream.
    pub(super) fn events(events: usize) -> Self {
        let last = Some(Bytes::from_static(b"data: [DONE]\n\n"));
        let content_type = HeaderValue::from_static("text/event-stream");
        Self { content_type, frames: events, frame: Bytes::from_static(EVENT), last }
    }
}

impl<B> Service<Request<B>> for Handler {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Frames>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let (left, frame, last) = (self.frames, self.frame.clone(), self.last.clone());
        let mut response = Response::new(Frames { left, frame, last });
        response.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
        ready(Ok(response))
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(self.frame.clone())
            }
            None => self.last.take(),
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.last.is_none()
    }
}

/// Sends a request and takes its answer to the end: the bytes of its body, unless it failed.
pub(super) fn exchange<S, B>(service: &mut S, uri: &Uri) -> Option<usize>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    let Poll::Ready(Ok(())) = service.poll_ready(&mut context) else { return None };
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
        return None;
    };
    let (mut body, mut bytes) = (pin!(response.into_body()), 0);
    loop {
        match body.as_mut().poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::remaining),
            Poll::Ready(None) => return Some(bytes),
            _ => return None,
        }
    }
}
