//! Stream readers: what the bytes of a streamed answer say about its tokens.
//!
//! Frame, event, message and token are four things. A reader takes frames as they come, cut
//! anywhere, and tells what they complete. It holds no more than a bounded tail, and it never
//! changes, delays or fails the stream that it reads.

mod json;
mod openai;
mod sse;

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, response};

pub use openai::OpenAi;
pub use sse::{EventReader, Sse, SseEvent};

/// Reads one streamed body.
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

/// What was seen of one stream so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Tokens in events with content: as many as the stream says, else one for each event.
    pub tokens: u64,
    /// The last usage that the stream gave.
    pub usage: Option<Usage>,
    /// It speaks a protocol that ends with a marker: ending without it is incomplete.
    pub needs_marker: bool,
    /// The marker that ends it was seen: a client may leave now, and has all that it asked for.
    pub complete: bool,
    /// It said that it failed.
    pub failed: bool,
}

/// Token counts, as a server reports them at the end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens generated, reasoning included.
    pub output_tokens: u64,
}

impl Usage {
    /// So many tokens of the prompt, and so many generated.
    #[must_use]
    pub const fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self { input_tokens, output_tokens }
    }
}

/// Chooses the reader for an answer by its head; `None` leaves the choice to the headers.
pub type ChooseReader =
    Arc<dyn Fn(&response::Parts) -> Option<Box<dyn StreamReader>> + Send + Sync>;

/// The reader for a body with these headers; none if it is no stream of events, or is encoded.
#[must_use]
pub(crate) fn reader_for(headers: &HeaderMap) -> Option<Box<dyn StreamReader>> {
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|value| value != "identity");
    (is_event_stream(headers) && !encoded)
        .then(|| Box::new(Sse::new(OpenAi::default())) as Box<dyn StreamReader>)
}

/// Whether the headers declare a stream of server-sent events.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media| media.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Whether the headers declare gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    media_type(headers).is_some_and(|media| {
        media.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
            && matches!(media.get(GRPC.len()), None | Some(b'+'))
    })
}

fn media_type(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(CONTENT_TYPE)?.as_bytes();
    Some(value.split(|&byte| byte == b';').next().unwrap_or(value).trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn readers_are_chosen_by_the_headers() {
        let headers = |pairs: &[(http::HeaderName, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(k, v)| (k.clone(), HeaderValue::from_static(v))).collect()
        };
        let sse = "Text/Event-Stream ; charset=utf-8";
        assert!(reader_for(&headers(&[(CONTENT_TYPE, sse)])).is_some());
        assert!(reader_for(&headers(&[(CONTENT_TYPE, "application/json")])).is_none());
        assert!(reader_for(&headers(&[])).is_none());
        let gzip = headers(&[(CONTENT_TYPE, sse), (CONTENT_ENCODING, "gzip")]);
        assert!(reader_for(&gzip).is_none());
        assert!(is_grpc(&headers(&[(CONTENT_TYPE, "application/grpc+proto")])));
        assert!(!is_grpc(&headers(&[(CONTENT_TYPE, "application/grpc-web")])));
    }
}
