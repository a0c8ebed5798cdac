//! Calls that go on as a stream: of tokens, or of bytes that are read for them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use pin_project_lite::pin_project;

use super::ends::Tag;
use crate::llm::call::Call;
use crate::llm::items::{Heard, Metered};
use crate::llm::response::ResponseState;

/// Items that may be errors.
pub trait IsResult<T> {
    fn __dynamo_metrics_is_error(&self) -> fn(&T) -> bool;
}

/// Items that are never errors.
pub trait IsValue<T> {
    fn __dynamo_metrics_is_error(&self) -> fn(&T) -> bool {
        |_| false
    }
}

/// Items that are bytes of a stream of events.
#[diagnostic::on_unimplemented(
    message = "`stream(sse)` reads events from bytes, and `{Self}` has none",
    note = "the items may be `Bytes`, `Vec<u8>`, `String`, slices of these, or a `Result` of one"
)]
pub trait Chunk {
    /// The bytes; `None` for an error.
    fn bytes(&self) -> Option<&[u8]>;
}

pin_project! {
    /// A stream of bytes, whose events are the tokens of a call.
    pub struct Bytes<S: Stream> {
        // Before the stream, so that the call has its end when the stream's own drop runs.
        state: ResponseState,
        read: for<'a> fn(&'a S::Item) -> Option<&'a [u8]>,
        #[pin]
        inner: S,
    }
}

/// The call goes on as `stream`. Once an item is the `first` token, so many as `count` says are in
/// each.
///
/// `is_error` is a pointer, for a function may make several streams of one type.
pub fn metered<S, F, C>(
    stream: S,
    call: Call,
    is_error: fn(&S::Item) -> bool,
    first: F,
    count: C,
) -> Metered<S, impl FnMut(&S::Item) -> Heard>
where
    S: Stream,
    F: Fn(&S::Item) -> bool,
    C: Fn(&S::Item) -> u32,
{
    let mut begun = false;
    Metered::new(call, stream, move |item: &S::Item| {
        if is_error(item) {
            return Heard::Error;
        }
        begun = begun || first(item);
        Heard::Tokens(if begun { count(item).into() } else { 0 })
    })
}

/// The call goes on as `stream`, whose bytes are server-sent events.
pub fn metered_bytes<S: Stream<Item: Chunk>>(stream: S, call: Call) -> Bytes<S> {
    let mut state = ResponseState::from_call(call);
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    state.head(&head, false, None);
    Bytes { state, read: Chunk::bytes, inner: stream }
}

/// What `function` says of an item.
pub fn ask<T, R, F: FnOnce(&T) -> R>(item: &T, function: F) -> R {
    function(item)
}

/// Any item is the first token.
pub fn any<T>(_: &T) -> bool {
    true
}

/// Any item is one token.
pub fn one<T>(_: &T) -> u32 {
    1
}

impl<T, E> IsResult<Result<T, E>> for &Tag<Result<T, E>> {
    fn __dynamo_metrics_is_error(&self) -> fn(&Result<T, E>) -> bool {
        Result::is_err
    }
}

impl<T> IsValue<T> for Tag<T> {}

impl<S: Stream> Stream for Bytes<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let state = this.state;
        let item = ready!(state.serve(|| this.inner.poll_next(cx)));
        match item.as_ref().map(this.read) {
            None => state.complete(),
            Some(None) => state.body_error(),
            Some(Some(bytes)) => state.data(&bytes, false),
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl Chunk for [u8] {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Chunk for str {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

impl Chunk for bytes::Bytes {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Chunk for Vec<u8> {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Chunk for String {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

impl<C: Chunk + ?Sized> Chunk for &C {
    fn bytes(&self) -> Option<&[u8]> {
        (**self).bytes()
    }
}

impl<C: Chunk, E> Chunk for Result<C, E> {
    fn bytes(&self) -> Option<&[u8]> {
        self.as_ref().ok().and_then(Chunk::bytes)
    }
}
