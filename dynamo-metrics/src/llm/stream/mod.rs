//! Stream readers: what the bytes of an answer say about its tokens.
//!
//! Frame, event, message and token are four things. A reader takes frames as they come, cut
//! anywhere, and tells what they complete. It holds no more than a bounded tail, and it never
//! changes, delays or fails the stream that it reads. What it cannot look at it reports
//! ([`Seen::uninspected`]), and never guesses.
//!
//! | content type | reader | of |
//! |---|---|---|
//! | `text/event-stream` | [`Sse`] of [`Events`] | OpenAI, Anthropic, TGI, Triton |
//! | `application/x-ndjson` and its kin | [`Ndjson`] of [`Events`] | Ollama |
//! | `application/json` | [`JsonAnswer`] | all of these, in one piece |
//! | `application/grpc` | [`Grpc`], which counts messages | any method |
//!
//! [`ChooseReader`] makes another choice: [`KServe`] or [`CountTokens`] for a method of gRPC,
//! [`Frames`] for a stream of tokens without events, or a [`StreamReader`] of one's own.

mod answer;
mod anthropic;
mod choose;
mod events;
mod find;
mod frames;
mod grpc;
mod holes;
mod json;
mod kserve;
mod lines;
mod ndjson;
mod ollama;
mod openai;
mod protobuf;
mod responses;
mod said;
mod scan;
mod seen;
mod sse;
mod string;
mod template;
#[cfg(test)]
mod tests;
mod tgi;
mod triton;
mod usage;

use std::sync::Arc;

use http::response;

pub use answer::JsonAnswer;
pub use choose::reader_of_method;
pub(crate) use choose::{Media, is_encoded, is_grpc};
pub use events::Events;
pub use frames::Frames;
pub(crate) use frames::Unread;
pub use grpc::{CountTokens, Grpc, MessageReader};
pub use kserve::KServe;
pub use ndjson::Ndjson;
pub use seen::{FinishReason, ModelName, Protocol, Seen, TokenSource, Uninspected, Usage};
pub use sse::Sse;

/// Reads one body.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::stream::{Seen, StreamReader};
///
/// /// A protocol of one token per line.
/// struct Lines;
///
/// impl StreamReader for Lines {
///     fn read(&mut self, frame: &[u8], seen: &mut Seen) {
///         seen.tokens += frame.iter().filter(|&&byte| byte == b'\n').count() as u64;
///     }
/// }
///
/// let mut seen = Seen::default();
/// Lines.read(b"Hello\nworld\n", &mut seen);
/// assert_eq!(seen.tokens, 2);
/// ```
pub trait StreamReader: Send + Sync {
    /// Takes the next bytes of the body, and adds what they complete to `seen`.
    ///
    /// # Cost
    /// It runs for each frame of each stream, so it should neither allocate nor block.
    fn read(&mut self, frame: &[u8], seen: &mut Seen);

    /// The body has ended: whatever was held back is complete, or never will be.
    fn end(&mut self, seen: &mut Seen) {
        let _ = seen;
    }
}

impl<R: StreamReader + ?Sized> StreamReader for Box<R> {
    fn read(&mut self, frame: &[u8], seen: &mut Seen) {
        (**self).read(frame, seen);
    }

    fn end(&mut self, seen: &mut Seen) {
        (**self).end(seen);
    }
}

/// One event.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SseEvent<'a> {
    /// The value of its last `event` field; empty if there was none.
    pub name: &'a [u8],
    /// Its `data` lines, joined by line feeds.
    pub data: &'a [u8],
}

/// Understands the events of one protocol.
pub trait EventReader: Send + Sync {
    /// Takes the next event, and adds what it says to `seen`.
    fn event(&mut self, event: SseEvent<'_>, seen: &mut Seen);

    /// More of the data of an event that is too long to be held, if it is one line. What is made of
    /// it must not depend on where the parts were cut. [`oversized`](Self::oversized) is its end.
    fn part(&mut self, part: &[u8], seen: &mut Seen) {
        let _ = (part, seen);
    }

    /// An event called `name` was too long to be held, and passed by. `seen` tells so already.
    fn oversized(&mut self, name: &[u8], seen: &mut Seen) {
        let _ = (name, seen);
    }

    /// The stream has ended.
    fn end(&mut self, seen: &mut Seen) {
        let _ = seen;
    }
}

/// Chooses the reader for an answer by its head; `None` leaves the choice to the headers.
pub type ChooseReader =
    Arc<dyn Fn(&response::Parts) -> Option<Box<dyn StreamReader>> + Send + Sync>;
