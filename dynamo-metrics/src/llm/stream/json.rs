//! JSON as it passes: a reader that goes over a text once, keeps nothing and allocates nothing.
//!
//! It reads what it is asked for and steps over the rest, which it does not check further than it
//! must to find its end. Text is read as bytes: what is not UTF-8, or half of a surrogate pair, is no
//! reason to miss a token.

use super::holes::{Hole, HoleKind, Holes};
use super::string::{string_end, unescape};

/// How deep a value that is looked into may be nested. What is deeper is stepped over.
const DEEPEST: u8 = 8;

/// A JSON text, from where it has been read to.
#[derive(Debug)]
pub(super) struct Json<'a> {
    rest: &'a [u8],
    /// What is looked at now is generated content.
    content: bool,
    holes: Holes,
}

/// What a value says, whatever type it turns out to have: servers send what their authors thought
/// of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Glance {
    /// It says anything at all: it is not null, false, zero or empty.
    pub(super) said: bool,
    /// It holds text that is not empty: itself, or, in a structure, under one of the names that
    /// generated content goes by.
    pub(super) filled: bool,
    /// It is a number that is not negative; without its fraction.
    pub(super) number: Option<u64>,
}

impl<'a> Json<'a> {
    /// Reads `text` with `read`; `None` if it is no JSON, or more than one value.
    pub(super) fn read<R>(text: &'a [u8], read: impl FnOnce(&mut Self) -> Option<R>) -> Option<R> {
        Self::read_with_holes(text, read).map(|(read, _)| read)
    }

    /// The same, and where the content is, and what else was said to [vary](Self::varying).
    pub(super) fn read_with_holes<R>(
        text: &'a [u8],
        read: impl FnOnce(&mut Self) -> Option<R>,
    ) -> Option<(R, Holes)> {
        let mut json = Self { rest: text, content: false, holes: Holes::default() };
        let read = read(&mut json)?;
        json.peek().is_none().then_some((read, json.holes))
    }

    /// The fields of an object, each with its name; `each` must read or step over the value. A value
    /// of another type is stepped over.
    #[inline]
    pub(super) fn fields(
        &mut self,
        mut each: impl FnMut(&[u8], &mut Self) -> Option<()>,
    ) -> Option<()> {
        if self.peek()? != b'{' {
            return self.skip();
        }
        self.step();
        if self.peek()? == b'}' {
            return self.expect(b'}');
        }
        loop {
            let (name, escaped) = self.string()?;
            self.expect(b':')?;
            // Hardly anybody writes names with escapes, but they are the same names.
            let unescaped;
            let name = if escaped {
                unescaped = unescape(name);
                unescaped.as_ref().map_or(&[][..], |(name, length)| &name[..*length])
            } else {
                name
            };
            each(name, self)?;
            match self.take()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// The elements of a list; `each` must read or step over each. A value of another type is stepped
    /// over.
    #[inline]
    pub(super) fn elements(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.peek()? != b'[' {
            return self.skip();
        }
        self.step();
        if self.peek()? == b']' {
            return self.expect(b']');
        }
        loop {
            each(self)?;
            match self.take()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Whether the next value is of a type that starts so.
    pub(super) fn starts(&mut self, byte: u8) -> bool {
        self.peek() == Some(byte)
    }

    /// The text of the next value as it is written; empty if it is no string.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        if self.starts(b'"') { Some(self.string()?.0) } else { self.skip().map(|()| &[][..]) }
    }

    /// Whether the next value, which is generated content, holds any text.
    #[inline]
    pub(super) fn content(&mut self) -> Option<bool> {
        self.content = true;
        let filled = self.glance_within(DEEPEST)?.filled;
        self.content = false;
        Some(filled)
    }

    /// Steps over the next value, which differs from event to event and says nothing.
    pub(super) fn varying(&mut self) -> Option<()> {
        let kind = match self.peek()? {
            b'"' => HoleKind::Text,
            b'0'..=b'9' | b'-' => HoleKind::Number,
            _ => return self.skip(),
        };
        // A string's quotes stand around the hole.
        let quote = usize::from(kind == HoleKind::Text);
        let from = self.rest.len() - quote;
        self.skip()?;
        self.holes.add(Hole { kind, from, to: self.rest.len() + quote });
        Some(())
    }

    /// What the next value says.
    #[inline]
    pub(super) fn glance(&mut self) -> Option<Glance> {
        self.glance_within(DEEPEST)
    }

    fn glance_within(&mut self, depth: u8) -> Option<Glance> {
        match self.peek()? {
            b'"' => {
                let text = self.string()?.0;
                let filled = !text.is_empty();
                if filled && self.content {
                    let to = self.rest.len() + 1;
                    self.holes.add(Hole { kind: HoleKind::Content, from: to + text.len(), to });
                }
                Some(Glance { said: filled, filled, number: None })
            }
            b'n' => self.word(b"null").map(|()| Glance::default()),
            b'f' => self.word(b"false").map(|()| Glance::default()),
            b't' => self.word(b"true").map(|()| Glance { said: true, ..Glance::default() }),
            b'{' | b'[' if depth == 0 => {
                self.skip()?;
                Some(Glance { said: true, ..Glance::default() })
            }
            b'{' => {
                let mut all = Glance::default();
                self.fields(|name, json| {
                    all.said = true;
                    // Parts of content, and of tool calls; a `type` or an `id` is no content.
                    match name {
                        b"text" | b"refusal" | b"function" | b"name" | b"arguments" => {
                            all.filled |= json.glance_within(depth - 1)?.filled;
                            Some(())
                        }
                        _ => json.skip(),
                    }
                })?;
                Some(all)
            }
            b'[' => {
                let mut all = Glance::default();
                self.elements(|json| {
                    all.said = true;
                    all.filled |= json.glance_within(depth - 1)?.filled;
                    Some(())
                })?;
                Some(all)
            }
            _ => self.number(),
        }
    }

    /// Steps over the next value.
    #[inline]
    pub(super) fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.skip_structure(),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            _ => self.number().map(drop),
        }
    }

    fn skip_structure(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.step();
            if open == 0 {
                return Some(());
            }
        }
    }

    /// The text of a string as it is written, and whether there are escapes in it.
    #[inline]
    fn string(&mut self) -> Option<(&'a [u8], bool)> {
        self.expect(b'"')?;
        let (end, escaped) = string_end(self.rest)?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        Some((text, escaped))
    }

    fn number(&mut self) -> Option<Glance> {
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.rest.iter().take_while(is_part).count();
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let whole =
            |number: u64| Glance { said: number != 0, number: Some(number), ..Glance::default() };
        // Few digits and nothing else, mostly.
        if text.len() <= 18 && text.iter().all(u8::is_ascii_digit) && !text.is_empty() {
            let number = text.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            return Some(whole(number));
        }
        let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let number = if number >= 0.0 {
            Glance { said: number != 0.0, ..whole(number as u64) }
        } else {
            Glance { said: true, ..Glance::default() }
        };
        Some(number)
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.take()? == byte).then_some(())
    }

    /// The next byte that is no space.
    #[inline]
    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.step();
        Some(byte)
    }

    #[inline]
    fn step(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// The next byte that is no space, which is not taken.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.rest {
                [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] => self.rest = rest,
                [byte, ..] => return Some(*byte),
                [] => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glance(json: &str) -> Option<Glance> {
        Json::read(json.as_bytes(), Json::glance)
    }

    #[test]
    fn any_value_can_be_glanced_at() {
        for nothing in ["null", "false", "\"\"", "[]", "{}", "0", " [ ] ", "{ }"] {
            let said = glance(nothing).map(|glance| (glance.said, glance.filled));
            assert_eq!(said, Some((false, false)), "{nothing}");
        }
        for said in ["true", "-1", "[0]", r#"{"message":"x"}"#, r#"{"code":null}"#] {
            assert!(glance(said).is_some_and(|glance| glance.said && !glance.filled), "{said}");
        }
        for filled in [r#""x""#, r#"["", "x"]"#, r#"[{"type":"text","text":"x"}]"#, r#""\"""#] {
            assert!(glance(filled).is_some_and(|glance| glance.filled), "{filled}");
        }
        for (number, expected) in [
            ("7", Some(7)),
            ("7.9", Some(7)),
            ("-7.9", None),
            ("1e3", Some(1000)),
            ("1e400", Some(u64::MAX)),
        ] {
            assert_eq!(glance(number).and_then(|glance| glance.number), expected, "{number}");
        }
    }

    #[test]
    fn what_is_no_json_is_none() {
        for junk in [
            "",
            " ",
            "x",
            "nul",
            "\"",
            "\"\\",
            "{",
            "{]",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "1 2",
            "{\"a\":1,}",
            "[",
            "-",
            "1.2.3",
            "{\"a\" 1}",
            "}",
            "]",
        ] {
            assert_eq!(glance(junk), None, "{junk}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}\"x\"{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(glance(&deep).map(|glance| (glance.said, glance.filled)), Some((true, false)));
        assert_eq!(glance(&deep[..150_000]), None);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1e20..1e20).prop_map(Value::from),
            "[a\\\\\"\n\u{7f}é{}\\[\\],:]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            let name = "text|type|name|id|[a\"\\\\]{0,2}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(name, inner, 0..5).prop_map(Value::from_iter),
            ]
        })
    }

    fn expected(value: &serde_json::Value) -> (bool, bool) {
        use serde_json::Value;
        match value {
            Value::Null => (false, false),
            Value::Bool(said) => (*said, false),
            Value::Number(number) => (number.as_f64() != Some(0.0), false),
            Value::String(text) => (!text.is_empty(), !text.is_empty()),
            Value::Array(all) => (!all.is_empty(), all.iter().any(|value| expected(value).1)),
            Value::Object(all) => {
                let counts = ["text", "refusal", "function", "name", "arguments"];
                let filled =
                    all.iter().any(|(name, it)| counts.contains(&&**name) && expected(it).1);
                (!all.is_empty(), filled)
            }
        }
    }

    proptest! {
        #[test]
        fn json_is_read_as_it_is_written(value in json(), pretty in any::<bool>()) {
            let to_text = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
            let text = to_text(&value).unwrap();
            let seen = glance(&text).map(|glance| (glance.said, glance.filled));
            prop_assert_eq!(seen, Some(expected(&value)));
            prop_assert_eq!(Json::read(text.as_bytes(), Json::skip), Some(()));
            // Cut anywhere it is none, unless it is a number.
            let cut = text.len() / 2;
            if !value.is_number() && text.is_char_boundary(cut) {
                prop_assert_eq!(glance(&text[..cut]), None);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Json::read(&bytes, Json::glance);
            let _ = Json::read(&bytes, Json::skip);
        }
    }
}
