//! Server-sent events, cut anywhere.

use memchr::{memchr, memchr2};

use super::lines::{Held, LONGEST, SHORTEST};
use super::{EventReader, Seen, SseEvent, StreamReader, Uninspected};

/// A byte order mark, which may stand before the first line.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads server-sent events as the HTML standard has them, and hands each to `P`.
///
/// Lines end with LF, CR or CRLF, and with nothing else. An event without data is handed over only
/// if it has a name (some servers say `event: error` and no more). An event that the stream's end
/// cuts off is dropped, unless it is the `[DONE]` that many clients take without its empty line.
///
/// # Cost
/// An event of one line of data that comes in one frame is read where it lies. What is cut is held
/// until its end: 64 KiB of a line and 64 KiB of an event's data at most.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::stream::{EventReader, Seen, Sse, SseEvent, StreamReader};
///
/// /// A protocol of one word in each event.
/// struct Words;
///
/// impl EventReader for Words {
///     fn event(&mut self, event: SseEvent<'_>, seen: &mut Seen) {
///         seen.tokens += u64::from(event.name == b"word" && !event.data.is_empty());
///     }
/// }
///
/// let mut seen = Seen::default();
/// let mut reader = Sse::new(Words);
/// reader.read(b"event: word\nda", &mut seen);
/// reader.read(b"ta: hello\n\n", &mut seen);
/// assert_eq!(seen.tokens, 1);
/// ```
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the position")]
pub struct Sse<P> {
    protocol: P,
    longest: usize,
    held: Held,
    /// The `data` of the event at hand.
    data: Vec<u8>,
    name: Vec<u8>,
    has_data: bool,
    /// The event at hand has more data than is held.
    oversized: bool,
    /// The last line ended with CR, so that a line feed now belongs to it.
    after_cr: bool,
    /// No line has ended yet; the first may start with a byte order mark.
    first_line: bool,
}

impl<P: EventReader> Sse<P> {
    /// Reads events for `protocol`.
    pub fn new(protocol: P) -> Self {
        Self {
            protocol,
            longest: LONGEST,
            held: Held::default(),
            data: Vec::new(),
            name: Vec::new(),
            has_data: false,
            oversized: false,
            after_cr: false,
            first_line: true,
        }
    }

    /// A line, or an event's data, of more than so many bytes passes by unread (default: 64 KiB,
    /// at least 64 bytes).
    ///
    /// Of the last event of OpenAI's responses, which holds the whole answer again, usage is found
    /// all the same.
    #[must_use]
    pub fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes.max(SHORTEST);
        self
    }

    /// An event that is one line of data and an empty one, both in this frame, is handed over from
    /// there. Returns its length.
    #[inline]
    fn lone(&mut self, frame: &[u8], end: usize, seen: &mut Seen) -> Option<usize> {
        let blank = match &frame[end..] {
            [b'\n', b'\n', ..] => 2,
            [b'\r', b'\n', b'\r', b'\n', ..] => 4,
            _ => return None,
        };
        let value = frame[..end].strip_prefix(b"data:")?;
        // The rules for what is too long are those of lines that are held.
        if self.has_data || self.oversized || end > self.longest {
            return None;
        }
        self.first_line = false;
        self.after_cr = false;
        let data = value.strip_prefix(b" ").unwrap_or(value);
        seen.events += 1;
        self.protocol.event(SseEvent { name: &self.name, data }, seen);
        self.name.clear();
        Some(end + blank)
    }

    /// A whole line, or the start of one that is too long to hold.
    fn line(&mut self, mut line: &[u8], long: bool, seen: &mut Seen) {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch(seen);
        }
        if long {
            // A comment or a field that says nothing costs itself; data costs its event.
            self.oversized |= line.starts_with(b"data:");
            return;
        }
        let (field, value) = match memchr(b':', line) {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match field {
            b"data" => {
                // No line alone is too long, since it was held with its name.
                if self.data.len() + value.len() + 1 > self.longest {
                    self.oversized = true;
                    return;
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // A comment has an empty field name; `id`, `retry` and the rest say nothing to us.
            _ => {}
        }
    }

    /// Keeps a part of a line until its end comes; what there is no room for passes by.
    fn hold(&mut self, bytes: &[u8], seen: &mut Seen) {
        let (_, was_long) = self.held.line();
        let rest = self.held.add(bytes, self.longest);
        if !rest.is_empty() {
            let held = std::mem::take(&mut self.held);
            let line = held.line().0;
            self.pass_by(line, if was_long { None } else { data_of(line, self.first_line) }, seen);
            self.pass_by(line, Some(rest), seen);
            self.held = held;
        }
    }

    /// A part of a line that is too long passes by. If all of its event's data is in that line, the
    /// protocol may look at it.
    fn pass_by(&mut self, line: &[u8], part: Option<&[u8]>, seen: &mut Seen) {
        let alone = !self.has_data && !self.oversized && data_of(line, self.first_line).is_some();
        if let (true, Some(part)) = (alone, part) {
            self.protocol.part(part, seen);
        }
    }

    fn dispatch(&mut self, seen: &mut Seen) {
        if std::mem::take(&mut self.oversized) {
            seen.miss(Uninspected::Oversized);
            self.protocol.oversized(&self.name, seen);
        } else if self.has_data || !self.name.is_empty() {
            seen.events += u64::from(self.has_data);
            self.protocol.event(SseEvent { name: &self.name, data: &self.data }, seen);
        }
        self.data.clear();
        self.name.clear();
        self.has_data = false;
    }

    /// Takes the line that was held.
    fn held_line(&mut self, seen: &mut Seen) {
        let mut held = std::mem::take(&mut self.held);
        let (line, long) = held.line();
        self.line(line, long, seen);
        held.clear();
        self.held = held;
    }
}

impl<P: EventReader> StreamReader for Sse<P> {
    fn read(&mut self, mut frame: &[u8], seen: &mut Seen) {
        while let Some(&first) = frame.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                frame = &frame[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', frame) else {
                return self.hold(frame, seen);
            };
            if self.held.is_empty() {
                if let Some(length) = self.lone(frame, end, seen) {
                    frame = &frame[length..];
                    continue;
                }
                self.after_cr = frame[end] == b'\r';
                let line = &frame[..end];
                if end > self.longest {
                    self.pass_by(line, data_of(line, self.first_line), seen);
                }
                self.line(line, end > self.longest, seen);
            } else {
                self.after_cr = frame[end] == b'\r';
                self.hold(&frame[..end], seen);
                self.held_line(seen);
            }
            frame = &frame[end + 1..];
        }
    }

    fn end(&mut self, seen: &mut Seen) {
        if !self.held.is_empty() {
            self.held_line(seen);
        }
        if self.data == b"[DONE]" {
            self.dispatch(seen);
        }
        self.protocol.end(seen);
    }
}

/// The data that a line holds, or that its start holds, if that is what it is for.
fn data_of(mut line: &[u8], first: bool) -> Option<&[u8]> {
    if first {
        line = line.strip_prefix(MARK).unwrap_or(line);
    }
    let value = line.strip_prefix(b"data:")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Default, Clone, PartialEq)]
    struct Record(Vec<(String, String)>);

    impl EventReader for Record {
        fn event(&mut self, event: SseEvent<'_>, _: &mut Seen) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            self.0.push((text(event.name), text(event.data)));
        }
    }

    fn read(frames: &[&[u8]]) -> (Vec<(String, String)>, Seen) {
        let (mut sse, mut seen) = (Sse::new(Record::default()), Seen::default());
        for frame in frames {
            sse.read(frame, &mut seen);
        }
        sse.end(&mut seen);
        (sse.protocol.0, seen)
    }

    fn data(text: &str) -> Vec<String> {
        read(&[text.as_bytes()]).0.into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn events_are_read_as_the_standard_has_them() {
        assert_eq!(data("data: a\n\ndata:b\r\n\r\ndata:  c\r\r"), ["a", "b", " c"]);
        assert_eq!(data("data: a\ndata: b\n\n"), ["a\nb"]);
        assert_eq!(data("data\n\n"), [""]);
        assert_eq!(data("\u{FEFF}data: bom\n\n"), ["bom"]);
        assert_eq!(data(": comment\ndata: a\n:in between\nid: 1\nretry: 2\nfoo\n\n"), ["a"]);
        assert_eq!(
            data("data: one\u{2028}line\u{85}\u{b}\u{c}\n\n"),
            ["one\u{2028}line\u{85}\u{b}\u{c}"]
        );
        assert_eq!(data("data: cut off\n"), Vec::<String>::new());
        assert_eq!(data("data: a\n\ndata: [DONE]"), ["a", "[DONE]"]);
        assert_eq!(
            read(&[b"event: error\n: why\n\nevent: x\ndata: y\n\n"]).0,
            [("error".into(), String::new()), ("x".into(), "y".into())]
        );
    }

    #[test]
    fn an_event_too_long_costs_itself_and_bounded_memory() {
        let (mut sse, mut seen) = (Sse::new(Record::default()), Seen::default());
        sse.read(b"data: ", &mut seen);
        for _ in 0..1_000 {
            sse.read(&[b'x'; 10_000], &mut seen);
        }
        sse.read(b"\n\ndata: next\n\n", &mut seen);
        assert_eq!(sse.protocol.0, [(String::new(), "next".into())]);
        let held = sse.held.capacity() + sse.data.capacity() + sse.name.capacity();
        assert!(held <= 4 * LONGEST, "{held}");
    }

    #[test]
    fn many_lines_that_make_one_long_event_cost_no_more() {
        let (mut sse, mut seen) = (Sse::new(Record::default()), Seen::default());
        for _ in 0..1_000 {
            sse.read(b"data: 0123456789012345678901234567890123456789\n", &mut seen);
            sse.read(&[b"data: ", &[b'x'; 500][..], b"\n"].concat(), &mut seen);
        }
        sse.read(b"\ndata: next\n\n", &mut seen);
        assert_eq!(sse.protocol.0, [(String::new(), "next".into())]);
    }

    #[test]
    fn what_is_too_long_is_so_wherever_it_is_cut() {
        for length in [LONGEST - 8, LONGEST - 7, LONGEST - 6, LONGEST - 5, LONGEST, LONGEST + 9] {
            for start in ["data: ", ": ", "foo: "] {
                let text = format!("{start}{}\ndata: x\n\ndata: y\n\n", "z".repeat(length));
                let whole = read(&[text.as_bytes()]).0;
                assert!(whole.ends_with(&[(String::new(), "y".into())]), "{start} {length}");
                let (first, rest) = text.as_bytes().split_at(7);
                assert!(read(&[first, rest]).0 == whole, "{start} {length}");
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(1_000).collect();
                assert!(read(&pieces).0 == whole, "{start} {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn where_the_frames_are_cut_changes_nothing(
            text in "((data|event|id)?: ?[a-z:]{0,4}(\r\n|\n|\r){1,2}){0,12}",
            cuts in prop::collection::vec(0_usize..200, 0..8),
        ) {
            let whole = read(&[text.as_bytes()]);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let mut from = 0;
            let frames: Vec<&[u8]> = cuts
                .iter()
                .map(|&to| &text.as_bytes()[std::mem::replace(&mut from, to)..to])
                .collect();
            prop_assert_eq!(&read(&frames), &whole);
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            prop_assert_eq!(&read(&bytes), &whole);
        }
    }
}
