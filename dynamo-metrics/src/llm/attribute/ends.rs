//! Where a call ends, by the type of its value, and not by what the type is called: each trait here
//! is implemented behind one more reference than the next, so that the compiler tries them from the
//! most special to the most general.

use std::marker::PhantomData;
use std::sync::{Arc, LazyLock};

use futures_core::Stream;
use http::{Response, StatusCode};
use http_body::Body;

use crate::llm::body::ResponseBody;
use crate::llm::call::Call;
use crate::llm::outcome::{End, Outcome};
use crate::llm::response::ResponseState;
use crate::llm::stream::{ChooseReader, Events, Frames, Sse, StreamReader};

static READ_SSE: LazyLock<ChooseReader> =
    LazyLock::new(|| Arc::new(|_| Some(Box::new(Sse::new(Events::default())) as _)));

static COUNT_FRAMES: LazyLock<ChooseReader> =
    LazyLock::new(|| Arc::new(|_| Some(Box::<Frames>::default() as Box<dyn StreamReader>)));

/// The type of a value, without the value.
pub struct Tag<T>(PhantomData<fn(T)>);

/// How a body is read for its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// As its content type says.
    ByType,
    Sse,
    /// Each frame is a token.
    Frames,
}

/// The call ends with the body of what the value is made into.
pub struct ResponseEnd;
/// The call ends with the body of the response.
pub struct BodyEnd;
/// The call ends with the value, and its status says how.
pub struct StatusEnd;
/// The call ends with the result, and its variant says how.
pub struct ResultEnd;
/// The call ends with the value.
pub struct ValueEnd;

/// A body type that can hold a measured body of its own type.
pub trait Rewrap: Body + Sized {
    fn rewrap(measured: ResponseBody<Self>) -> Self;
}

/// Values that are made into responses.
pub trait IntoResponseEnd {
    fn __dynamo_metrics_kind(&self) -> ResponseEnd {
        ResponseEnd
    }
}

/// Responses whose body can be measured.
pub trait ToBodyEnd {
    fn __dynamo_metrics_kind(&self) -> BodyEnd {
        BodyEnd
    }
}

/// Other values with a status.
pub trait ByStatus {
    fn __dynamo_metrics_kind(&self) -> StatusEnd {
        StatusEnd
    }
}

/// Other results.
pub trait ByResult {
    fn __dynamo_metrics_kind(&self) -> ResultEnd {
        ResultEnd
    }
}

/// Other values.
pub trait ByValue {
    fn __dynamo_metrics_kind(&self) -> ValueEnd {
        ValueEnd
    }
}

/// Results whose error has a status.
pub trait Refuses<T> {
    fn __dynamo_metrics_refused(&self, value: &T) -> Option<StatusCode>;
}

/// Other values.
pub trait MayRefuse<T> {
    fn __dynamo_metrics_refused(&self, _: &T) -> Option<StatusCode> {
        None
    }
}

/// What says by a status how it went.
pub trait Status {
    fn status(&self) -> StatusCode;
}

/// What may say so.
pub trait MaybeStatus {
    fn maybe_status(&self) -> Option<StatusCode>;
}

/// A response, or a result that may hold one.
pub trait MaybeResponse: Sized {
    type Body;

    /// Replaces the response, if there is one; an `Err` ends the call.
    fn map(
        self,
        call: Call,
        response: impl FnOnce(Call, Response<Self::Body>) -> Response<Self::Body>,
    ) -> Self;
}

impl<T> Tag<T> {
    #[must_use]
    pub fn of(_: &T) -> Self {
        Self(PhantomData)
    }

    /// The type of a stream's items.
    #[must_use]
    pub fn of_items<S: Stream<Item = T>>(_: &S) -> Self {
        Self(PhantomData)
    }
}

#[cfg(feature = "axum")]
impl<T: axum_core::response::IntoResponse> IntoResponseEnd for &&&&Tag<T> {}
/// Nothing is one, where nobody can make responses; the impl keeps the trait in use.
#[cfg(not(feature = "axum"))]
impl IntoResponseEnd for &&&&Tag<std::convert::Infallible> {}

impl<B: Rewrap> ToBodyEnd for &&&Tag<Response<B>> {}
impl<B: Rewrap, E> ToBodyEnd for &&&Tag<Result<Response<B>, E>> {}
impl<S: Status> ByStatus for &&Tag<S> {}
impl<S: Status, E> ByStatus for &&Tag<Result<S, E>> {}
impl<T, E> ByResult for &Tag<Result<T, E>> {}
impl<T> ByValue for Tag<T> {}

impl<T, E: Status> Refuses<Result<T, E>> for &Tag<Result<T, E>> {
    fn __dynamo_metrics_refused(&self, value: &Result<T, E>) -> Option<StatusCode> {
        value.as_ref().err().map(Status::status)
    }
}

impl<T> MayRefuse<T> for Tag<T> {}

impl Status for StatusCode {
    fn status(&self) -> StatusCode {
        *self
    }
}

impl<B> Status for Response<B> {
    fn status(&self) -> StatusCode {
        Response::status(self)
    }
}

impl<A> Status for (StatusCode, A) {
    fn status(&self) -> StatusCode {
        self.0
    }
}

impl<A, B> Status for (StatusCode, A, B) {
    fn status(&self) -> StatusCode {
        self.0
    }
}

impl<S: Status> MaybeStatus for S {
    fn maybe_status(&self) -> Option<StatusCode> {
        Some(self.status())
    }
}

impl<S: Status, E> MaybeStatus for Result<S, E> {
    fn maybe_status(&self) -> Option<StatusCode> {
        self.as_ref().ok().map(Status::status)
    }
}

impl<B> MaybeResponse for Response<B> {
    type Body = B;

    fn map(self, call: Call, response: impl FnOnce(Call, Self) -> Self) -> Self {
        response(call, self)
    }
}

impl<B, E> MaybeResponse for Result<Response<B>, E> {
    type Body = B;

    fn map(self, call: Call, response: impl FnOnce(Call, Response<B>) -> Response<B>) -> Self {
        match self {
            Ok(value) => Ok(response(call, value)),
            Err(error) => {
                fail(call);
                Err(error)
            }
        }
    }
}

#[cfg(feature = "axum")]
#[expect(clippy::unused_self, reason = "as the others, of which one is called")]
impl ResponseEnd {
    pub fn __dynamo_metrics_finish<T: axum_core::response::IntoResponse>(
        self,
        call: Call,
        reader: Reader,
        value: T,
    ) -> axum_core::response::Response {
        BodyEnd.__dynamo_metrics_finish(call, reader, value.into_response())
    }
}

impl BodyEnd {
    pub fn __dynamo_metrics_finish<V: MaybeResponse<Body: Rewrap>>(
        self,
        call: Call,
        reader: Reader,
        value: V,
    ) -> V {
        value.map(call, |call, response| {
            let state = ResponseState::from_call(call);
            let state = match reader {
                Reader::ByType => state,
                Reader::Sse => state.with_reader(&READ_SSE),
                Reader::Frames => state.with_reader(&COUNT_FRAMES),
            };
            ResponseBody::wrap(state, response).map(Rewrap::rewrap)
        })
    }
}

impl StatusEnd {
    pub fn __dynamo_metrics_finish<V: MaybeStatus>(self, mut call: Call, _: Reader, value: V) -> V {
        match value.maybe_status() {
            Some(status) => end_by(&mut call, status),
            None => fail(call),
        }
        value
    }
}

impl ResultEnd {
    #[inline]
    pub fn __dynamo_metrics_finish<T, E>(
        self,
        mut call: Call,
        _: Reader,
        value: Result<T, E>,
    ) -> Result<T, E> {
        let outcome = if value.is_ok() { Outcome::Success } else { Outcome::ServerError };
        call.end(End { outcome, in_body: false, status: None });
        value
    }
}

impl ValueEnd {
    #[inline]
    pub fn __dynamo_metrics_finish<T>(self, mut call: Call, _: Reader, value: T) -> T {
        call.end(End { outcome: Outcome::Success, in_body: false, status: None });
        value
    }
}

#[cfg(feature = "axum")]
impl Rewrap for axum_core::body::Body {
    fn rewrap(measured: ResponseBody<Self>) -> Self {
        Self::new(measured)
    }
}

impl<D, E> Rewrap for http_body_util::combinators::BoxBody<D, E>
where
    D: bytes::Buf + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    fn rewrap(measured: ResponseBody<Self>) -> Self {
        Self::new(measured)
    }
}

impl<D, E> Rewrap for http_body_util::combinators::UnsyncBoxBody<D, E>
where
    D: bytes::Buf + Send + 'static,
    E: Send + 'static,
{
    fn rewrap(measured: ResponseBody<Self>) -> Self {
        Self::new(measured)
    }
}

/// Runs a function's body, so that `?` and `return` come back.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is the body of a function of the user's")]
pub fn run<T, F: FnOnce() -> T>(body: F) -> T {
    body()
}

/// The call failed.
pub fn fail(mut call: Call) {
    call.end(End { outcome: Outcome::ServerError, in_body: false, status: None });
}

/// The call, if nobody has taken it yet.
#[must_use]
pub fn take(slot: &mut Option<Call>) -> Call {
    slot.take().unwrap_or_else(Call::unmeasured)
}

/// Ends the call if its value is an error of this status.
#[must_use]
pub fn refused(mut call: Call, status: Option<StatusCode>) -> Call {
    if let Some(status) = status {
        end_by(&mut call, status);
    }
    call
}

fn end_by(call: &mut Call, status: StatusCode) {
    call.end(End { outcome: Outcome::of_status(status), in_body: false, status: Some(status) });
}
