//! Bodies that are not looked into: each frame is a token, or nothing is said of them but why.

use super::{Seen, StreamReader, Uninspected};

/// Takes each frame that is not empty for a token, for streams that no other reader knows. It is
/// used where it is asked for, and never by itself.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::stream::{Frames, Seen, StreamReader, TokenSource};
///
/// let mut seen = Seen::default();
/// Frames::default().read(b"some bytes", &mut seen);
/// assert_eq!(seen.output_tokens(), (1, TokenSource::Estimated));
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Frames {}

/// Says why nothing of a body is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unread(pub(crate) Uninspected);

impl StreamReader for Frames {
    fn read(&mut self, frame: &[u8], seen: &mut Seen) {
        let tokens = u64::from(!frame.is_empty());
        seen.events += tokens;
        seen.tokens += tokens;
    }
}

impl StreamReader for Unread {
    fn read(&mut self, _: &[u8], seen: &mut Seen) {
        seen.miss(self.0);
    }
}
