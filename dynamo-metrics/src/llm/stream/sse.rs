//! Server-sent events, cut anywhere.

use memchr::memchr2;

use super::{Seen, StreamReader};

/// Longest line, and longest data of an event, that is held, in bytes. An event with more passes by
/// unread.
const LONGEST: usize = 64 * 1024;

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
}

/// Reads server-sent events as the HTML standard has them, and hands each to `P`.
///
/// Lines end with LF, CR or CRLF, and with nothing else. An event without data is handed over only
/// if it has a name (some servers say `event: error` and no more). An event that the stream's end
/// cuts off is dropped, unless it is the `[DONE]` that many clients take without its empty line.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the position")]
pub struct Sse<P> {
    protocol: P,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    /// That line is longer than is held.
    long_line: bool,
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
            line: Vec::new(),
            long_line: false,
            data: Vec::new(),
            name: Vec::new(),
            has_data: false,
            oversized: false,
            after_cr: false,
            first_line: true,
        }
    }

    /// A whole line, or the start of one that is too long to hold.
    fn line(&mut self, mut line: &[u8], long: bool, seen: &mut Seen) {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch(seen);
        }
        if long {
            // A comment or a field that says nothing costs itself; data costs its event.
            self.oversized |= line.starts_with(b"data");
            return;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match field {
            b"data" => {
                if self.data.len() + value.len() + 1 > LONGEST {
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

    fn dispatch(&mut self, seen: &mut Seen) {
        let oversized = std::mem::take(&mut self.oversized);
        if !oversized && (self.has_data || !self.name.is_empty()) {
            self.protocol.event(SseEvent { name: &self.name, data: &self.data }, seen);
        }
        self.data.clear();
        self.name.clear();
        self.has_data = false;
    }

    /// Keeps a part of a line until its end comes, as much as there is room for.
    fn hold(&mut self, bytes: &[u8]) {
        let room = LONGEST.saturating_sub(self.line.len());
        self.long_line |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Takes the line that was held.
    fn held_line(&mut self, seen: &mut Seen) {
        let line = std::mem::take(&mut self.line);
        let long = std::mem::take(&mut self.long_line);
        self.line(&line, long, seen);
        self.line = line;
        self.line.clear();
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
                return self.hold(frame);
            };
            self.after_cr = frame[end] == b'\r';
            if self.line.is_empty() {
                self.line(&frame[..end], end > LONGEST, seen);
            } else {
                self.hold(&frame[..end]);
                self.held_line(seen);
            }
            frame = &frame[end + 1..];
        }
    }

    fn end(&mut self, seen: &mut Seen) {
        if !self.line.is_empty() {
            self.held_line(seen);
        }
        if self.data == b"[DONE]" {
            self.dispatch(seen);
        }
    }
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
        let held = sse.line.capacity() + sse.data.capacity() + sse.name.capacity();
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
