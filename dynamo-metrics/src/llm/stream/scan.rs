//! JSON in pieces: finds a few values of a text that may be cut anywhere, and holds none of it.
//!
//! It does not check the text. It follows strings and brackets, looks into the objects that it is
//! asked to, and goes over the rest.

use memchr::memchr2;

/// Levels that may be looked into. The objects that usage stands in lie no deeper.
const LEVELS: usize = 6;

/// Longest name that is told from others, and longest value that is handed over, in bytes.
const LONGEST: usize = 64;

/// What is asked of a text.
pub(super) trait Ask {
    /// The objects and lists that are told apart; the default is the text itself.
    type Place: Copy + Default;

    /// Whether the value `name` of `place`, which is an object or a list, is to be looked into;
    /// elements of a list have no name.
    fn enter(&mut self, place: Self::Place, name: &[u8]) -> Option<Self::Place>;

    /// A value: a string's inside as it is written, or a number or a word.
    fn value(&mut self, place: Self::Place, name: &[u8], value: Value<'_>);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// The inside of a string; of one longer than is kept, its start.
    Text(&'a [u8]),
    /// A number or a word.
    Other(&'a [u8]),
}

/// Where a text has been read to.
#[derive(Debug)]
pub(super) struct Scan<P> {
    state: State,
    /// What is looked into, from the outside.
    levels: [Level<P>; LEVELS],
    depth: usize,
    /// Brackets that are open in what is not looked into.
    closed: usize,
    /// The name of the value at hand.
    name: Kept,
    value: Kept,
}

#[derive(Debug, Clone, Copy, Default)]
struct Level<P> {
    place: P,
    list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a value, a name or what stands between them.
    Between { value: bool },
    /// In a string, and whether it is a value.
    Text { value: bool },
    /// After a backslash there.
    Escape { value: bool },
    /// In a number or a word.
    Word,
    /// It was no JSON.
    Broken,
}

/// The start of a name or of a value.
#[derive(Debug)]
struct Kept {
    bytes: [u8; LONGEST],
    length: usize,
}

impl<P: Copy + Default> Scan<P> {
    pub(super) fn new() -> Self {
        Self {
            state: State::Between { value: true },
            levels: [Level::default(); LEVELS],
            depth: 0,
            closed: 0,
            name: Kept::new(),
            value: Kept::new(),
        }
    }

    /// Whether this is no JSON, so that nothing more will be found.
    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Takes more of the text.
    pub(super) fn read(&mut self, mut text: &[u8], ask: &mut impl Ask<Place = P>) {
        while let Some((&byte, rest)) = text.split_first() {
            if let (State::Between { .. }, 1..) = (self.state, self.closed) {
                let plain = plain(text);
                if plain > 0 {
                    text = text.get(plain..).unwrap_or_default();
                    continue;
                }
            }
            match self.state {
                State::Text { value } => {
                    let end = memchr2(b'"', b'\\', text).unwrap_or(text.len());
                    self.keep(value, &text[..end]);
                    text = &text[end..];
                    if let Some((&byte, rest)) = text.split_first() {
                        text = rest;
                        if byte == b'"' {
                            self.end_text(value, ask);
                        } else {
                            self.keep(value, b"\\");
                            self.state = State::Escape { value };
                        }
                    }
                    continue;
                }
                State::Escape { value } => {
                    self.keep(value, &[byte]);
                    self.state = State::Text { value };
                }
                State::Word if is_word(byte) => self.keep(true, &[byte]),
                State::Word => {
                    self.end_word(ask);
                    // This byte stands after the word.
                    continue;
                }
                State::Between { value } => self.between(byte, value, ask),
                State::Broken => return,
            }
            text = rest;
        }
    }

    fn between(&mut self, byte: u8, value: bool, ask: &mut impl Ask<Place = P>) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            // A text that a server answers with is an object or a list.
            _ if self.depth == 0 && !matches!(byte, b'{' | b'[') => self.state = State::Broken,
            b'{' | b'[' => self.open(byte == b'[', ask),
            b'}' | b']' => self.close(),
            b'"' => {
                let kept = if value { &mut self.value } else { &mut self.name };
                kept.length = 0;
                self.state = State::Text { value };
            }
            b':' => self.state = State::Between { value: true },
            b',' => self.next(),
            _ => {
                self.value.length = 0;
                self.keep(true, &[byte]);
                self.state = State::Word;
            }
        }
    }

    fn open(&mut self, list: bool, ask: &mut impl Ask<Place = P>) {
        let level = self.level();
        let place = if self.closed > 0 {
            None
        } else if self.depth == 0 {
            Some(P::default())
        } else {
            let name = if level.list { &[][..] } else { self.name.text() };
            ask.enter(level.place, name)
        };
        if let (Some(place), Some(level)) = (place, self.levels.get_mut(self.depth)) {
            *level = Level { place, list };
            self.depth += 1;
            self.state = State::Between { value: list };
        } else {
            self.closed += 1;
            self.state = State::Between { value: true };
        }
    }

    fn close(&mut self) {
        if self.closed > 0 {
            self.closed -= 1;
        } else {
            self.depth = self.depth.saturating_sub(1);
        }
        self.state = State::Between { value: false };
        if self.depth == 0 {
            self.state = State::Between { value: true };
        }
    }

    /// After a comma comes a value in a list, and a name in an object.
    fn next(&mut self) {
        self.state = State::Between { value: self.closed > 0 || self.level().list };
    }

    fn end_text(&mut self, value: bool, ask: &mut impl Ask<Place = P>) {
        self.state = State::Between { value: false };
        if value {
            self.tell(Value::Text(self.value.text()), ask);
        }
    }

    fn end_word(&mut self, ask: &mut impl Ask<Place = P>) {
        self.state = State::Between { value: false };
        self.tell(Value::Other(self.value.text()), ask);
    }

    fn tell(&self, value: Value<'_>, ask: &mut impl Ask<Place = P>) {
        let level = self.level();
        if self.closed == 0 && !level.list {
            ask.value(level.place, self.name.text(), value);
        }
    }

    fn level(&self) -> Level<P> {
        let innermost = self.depth.checked_sub(1).and_then(|depth| self.levels.get(depth));
        innermost.copied().unwrap_or_default()
    }

    fn keep(&mut self, value: bool, bytes: &[u8]) {
        if self.closed == 0 {
            let kept = if value { &mut self.value } else { &mut self.name };
            kept.add(bytes);
        }
    }
}

impl Kept {
    fn new() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let length = bytes.len().min(room.len());
        room[..length].copy_from_slice(&bytes[..length]);
        self.length += length;
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// How much of the text comes before the next quote or bracket. Lists of numbers are long, so it
/// looks at many bytes at once.
fn plain(text: &[u8]) -> usize {
    // The brackets `[` and `{` are one bit apart, and so are those that close.
    let stops = |byte: u8| byte == b'"' || matches!(byte | 0x20, b'{' | b'}');
    let (wide, _) = text.as_chunks::<32>();
    let is_plain = |bytes: &&[u8; 32]| !bytes.iter().fold(false, |any, &byte| any | stops(byte));
    let start = 32 * wide.iter().take_while(is_plain).count();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().position(|&byte| stops(byte)).unwrap_or(rest.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tells of everything that lies in objects called `in`, and in lists.
    #[derive(Debug, Default, PartialEq)]
    struct Tell(Vec<(String, String)>);

    impl Ask for Tell {
        type Place = ();

        fn enter(&mut self, (): (), name: &[u8]) -> Option<()> {
            matches!(name, b"in" | b"").then_some(())
        }

        fn value(&mut self, (): (), name: &[u8], value: Value<'_>) {
            let (Value::Text(value) | Value::Other(value)) = value;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            self.0.push((text(name), text(value)));
        }
    }

    fn told<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Tell, bool) {
        let (mut scan, mut tell) = (Scan::new(), Tell::default());
        for piece in pieces {
            scan.read(piece, &mut tell);
        }
        (tell, scan.is_broken())
    }

    #[test]
    fn values_are_told_with_the_names_of_their_objects() {
        let text = br#" {"a": 1, "out": {"b": [2, {"c": 3}]}, "in": {"d":"x\"}", "e":null},
            "in": [{"f": -1.5e3}, 7, "g"], "h": "", "i":true}"#;
        let (told, broken) = told([&text[..]]);
        let pairs = [
            ("a", "1"),
            ("d", r#"x\"}"#),
            ("e", "null"),
            ("f", "-1.5e3"),
            ("h", ""),
            ("i", "true"),
        ];
        let expected = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!((told.0, broken), (expected.to_vec(), false));
    }

    #[test]
    fn what_is_no_answer_is_broken() {
        for (text, broken) in [("x", true), ("\"a\"", true), ("7", true), (" \n", false)] {
            assert_eq!(told([text.as_bytes()]).1, broken, "{text}");
        }
        let deep = "[".repeat(100_000) + &"{\"in\":".repeat(100_000);
        assert_eq!(told([deep.as_bytes()]).0.0, []);
    }

    proptest! {
        #[test]
        fn where_it_is_cut_changes_nothing(
            text in r#"[\[{]("(in|a|\\"|\\\\)"|[\[\]{}:, ]|[-0-9a-z.]{1,3}|[^"]){0,40}"#,
            cut in 0_usize..80,
        ) {
            let text = text.as_bytes();
            let whole = told([text]);
            prop_assert_eq!(&told(text.chunks(1)), &whole);
            let (start, rest) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(&told([start, rest]), &whole);
        }
    }
}
