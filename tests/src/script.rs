//! A body that does what it is told, poll by poll.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// A body that plays a script, and says of itself what the script has it say.
///
/// After its last step it answers `None`, however often it is asked.
#[derive(Debug, Clone)]
pub struct Script {
    steps: VecDeque<(Step, Says)>,
    says: Says,
}

/// What one poll gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet; the task is woken at once.
    Pending,
    /// Nothing, now and for ever.
    Stuck,
    /// Data.
    Data(Bytes),
    /// Trailers.
    Trailers(HeaderMap),
    /// An error.
    Fail,
    /// A panic.
    Panic,
}

/// What a body says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Says {
    /// Its `is_end_stream`.
    pub ended: bool,
    /// The lower bound of its `size_hint`.
    pub lower: u64,
    /// The upper bound of its `size_hint`, not below the lower one.
    pub upper: Option<u64>,
}

/// The error of a [`Script`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl Script {
    /// A body that says neither how long it is nor when it is at its end, as most streams do.
    #[must_use]
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::saying(Says::default(), steps.into_iter().map(|step| (step, Says::default())))
    }

    /// A body that says `first` of itself, and after each step what stands beside it.
    #[must_use]
    pub fn saying(first: Says, steps: impl IntoIterator<Item = (Step, Says)>) -> Self {
        Self { steps: steps.into_iter().collect(), says: first }
    }

    /// Says that it has ended as soon as no step is left, as a body held in memory does.
    #[must_use]
    pub fn telling_end(mut self) -> Self {
        match self.steps.back_mut() {
            Some((_, says)) => says.ended = true,
            None => self.says.ended = true,
        }
        self
    }

    /// Says how many bytes are left, exactly.
    #[must_use]
    pub fn telling_length(mut self) -> Self {
        let mut left = 0;
        for (step, says) in self.steps.iter_mut().rev() {
            (says.lower, says.upper) = (left, Some(left));
            if let Step::Data(data) = step {
                left += data.len() as u64;
            }
        }
        (self.says.lower, self.says.upper) = (left, Some(left));
        self
    }
}

impl Step {
    /// A frame of this text.
    #[must_use]
    pub fn data(text: &str) -> Self {
        Self::Data(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Trailers of one field.
    #[must_use]
    pub fn trailer(name: &'static str, value: &'static str) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert(name, http::HeaderValue::from_static(value));
        Self::Trailers(trailers)
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    #[expect(clippy::panic, reason = "the panic of code that serves a request")]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some((Step::Stuck, _)) = self.steps.front() {
            return Poll::Pending;
        }
        let Some((step, says)) = self.steps.pop_front() else {
            return Poll::Ready(None);
        };
        self.says = says;
        match step {
            Step::Pending | Step::Stuck => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Data(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Step::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Step::Fail => Poll::Ready(Some(Err(Broken))),
            Step::Panic => panic!("as the script has it"),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.says.ended
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.says.lower);
        if let Some(upper) = self.says.upper {
            hint.set_upper(upper);
        }
        hint
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken as scripted")
    }
}

impl std::error::Error for Broken {}

/// Polls a body once, and says what came in the words of a script; `None` is its end.
pub fn poll_once<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Option<Step> {
    let mut cx = Context::from_waker(Waker::noop());
    Some(match Pin::new(body).poll_frame(&mut cx) {
        Poll::Pending => Step::Pending,
        Poll::Ready(None) => return None,
        Poll::Ready(Some(Err(_))) => Step::Fail,
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) => Step::Data(data),
            Err(frame) => Step::Trailers(frame.into_trailers().unwrap_or_default()),
        },
    })
}
