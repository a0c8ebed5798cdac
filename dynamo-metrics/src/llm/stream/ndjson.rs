//! A JSON text on each line, cut anywhere.

use memchr::memchr;

use super::lines::{Held, LONGEST, SHORTEST};
use super::{EventReader, Seen, SseEvent, StreamReader, Uninspected};

/// Reads a record from each line, and hands it to `P` as an event without a name.
///
/// Lines end with LF; a CR before it is white space, as it is for JSON. Empty lines say nothing. The
/// last record needs no end of its line.
///
/// # Cost
/// A line that comes in one frame is read where it lies; others are held until their end, 64 KiB at
/// most.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::stream::{Events, Ndjson, Seen, StreamReader};
///
/// let mut reader = Ndjson::new(Events::default());
/// let mut seen = Seen::default();
/// reader.read(b"{\"model\":\"m\",\"response\":\"Hi\",\"done\":false}\n", &mut seen);
/// assert_eq!((seen.model.as_str(), seen.tokens), ("m", 1));
/// ```
#[derive(Debug)]
pub struct Ndjson<P> {
    protocol: P,
    longest: usize,
    held: Held,
}

impl<P: EventReader> Ndjson<P> {
    /// Reads records for `protocol`.
    pub fn new(protocol: P) -> Self {
        Self { protocol, longest: LONGEST, held: Held::default() }
    }

    /// A record of more than so many bytes passes by unread (default: 64 KiB,
    /// at least 64 bytes).
    #[must_use]
    pub fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes.max(SHORTEST);
        self
    }

    fn line(&mut self, line: &[u8], long: bool, seen: &mut Seen) {
        if long {
            seen.miss(Uninspected::Oversized);
            return self.protocol.oversized(b"", seen);
        }
        let data = line.trim_ascii();
        if !data.is_empty() {
            seen.events += 1;
            self.protocol.event(SseEvent { name: b"", data }, seen);
        }
    }

    fn held_line(&mut self, seen: &mut Seen) {
        let mut held = std::mem::take(&mut self.held);
        let (line, long) = held.line();
        self.line(line, long, seen);
        held.clear();
        self.held = held;
    }
}

impl<P: EventReader> StreamReader for Ndjson<P> {
    fn read(&mut self, mut frame: &[u8], seen: &mut Seen) {
        while let Some(end) = memchr(b'\n', frame) {
            if self.held.is_empty() {
                self.line(&frame[..end], end > self.longest, seen);
            } else {
                let _ = self.held.add(&frame[..end], self.longest);
                self.held_line(seen);
            }
            frame = &frame[end + 1..];
        }
        let _ = self.held.add(frame, self.longest);
    }

    fn end(&mut self, seen: &mut Seen) {
        if !self.held.is_empty() {
            self.held_line(seen);
        }
        self.protocol.end(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Events;
    use super::*;

    fn read(frames: &[&[u8]]) -> Seen {
        let (mut reader, mut seen) = (Ndjson::new(Events::default()), Seen::default());
        for frame in frames {
            reader.read(frame, &mut seen);
        }
        reader.end(&mut seen);
        seen
    }

    const RECORD: &[u8] = br#"{"model":"m","response":"a","done":false}"#;

    #[test]
    fn records_are_lines() {
        let seen = read(&[RECORD, b"\r\n\n \n", RECORD, b"\n", RECORD]);
        assert_eq!((seen.events, seen.tokens, seen.needs_marker), (3, 3, true));
        assert_eq!(seen.uninspected, None);
    }

    #[test]
    fn a_record_too_long_costs_itself_and_bounded_memory() {
        let (mut reader, mut seen) = (Ndjson::new(Events::default()), Seen::default());
        for _ in 0..1_000 {
            reader.read(&[b'x'; 10_000], &mut seen);
        }
        assert!(reader.held.capacity() <= 2 * LONGEST);
        reader.read(b"\n", &mut seen);
        reader.read(RECORD, &mut seen);
        reader.end(&mut seen);
        assert_eq!((seen.tokens, seen.uninspected), (1, Some(Uninspected::Oversized)));
        // The marker may have been in there.
        assert!(!seen.needs_marker);
    }
}
