//! Strings of JSON: where they end, and what stands in them with escapes.

/// Words of eight bytes that a short string has.
const SHORT: usize = 8;

/// Longest name of a field with escapes in it that is read as what it stands for.
const LONGEST_ESCAPED: usize = 32;

/// Where the string ends whose inside `text` begins with, and whether there are escapes in it.
#[inline]
pub(super) fn string_end(text: &[u8]) -> Option<(usize, bool)> {
    let mut from = 0;
    loop {
        let at = from + end_or_escape(text.get(from..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some((at, from > 0));
        }
        from = at + 2;
    }
}

/// The name that is written so, and its length, if it is one of ASCII letters and not too long.
#[cold]
pub(super) fn unescape(written: &[u8]) -> Option<([u8; LONGEST_ESCAPED], usize)> {
    let (mut name, mut length) = ([0; LONGEST_ESCAPED], 0);
    let mut rest = written;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'\\', [b'u', after @ ..]) => {
                let (digits, after) = after.split_at_checked(4)?;
                let code = u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
                (u8::try_from(code).ok()?, after)
            }
            (b'\\', [escaped, after @ ..]) => (*escaped, after),
            (byte, after) => (byte, after),
        };
        *name.get_mut(length)? = byte;
        length += 1;
        rest = after;
    }
    Some((name, length))
}

/// Where the first quote or backslash is. Most strings are short, so that eight bytes at a time
/// beat a search that first finds out how to go about it.
#[inline]
fn end_or_escape(text: &[u8]) -> Option<usize> {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    // Not zero in the highest bit of bytes that are zero; and of some after one.
    let zeros = |word: u64| word.wrapping_sub(all(1)) & !word & all(0x80);
    let (words, tail) = text.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        if i == SHORT {
            return memchr::memchr2(b'"', b'\\', &text[8 * SHORT..]).map(|at| 8 * SHORT + at);
        }
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ all(b'"')) | zeros(word ^ all(b'\\'));
        if found != 0 {
            return Some(8 * i + found.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(8 * words.len() + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_as_what_they_stand_for() {
        let name = |written: &str| {
            unescape(written.as_bytes()).map(|(name, length)| name[..length].to_vec())
        };
        assert_eq!(name(r"\u0063ho\u0069ces"), Some(b"choices".to_vec()));
        assert_eq!(name(r"a\/b"), Some(b"a/b".to_vec()));
        for none in [r"\u00", r"\u4e2d", "\\u00\u{e9}", &"x".repeat(33)] {
            assert_eq!(name(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn strings_end_at_their_first_quote_without_a_backslash(
            text in prop::collection::vec(prop::sample::select(b"abcdefgh\\\"".to_vec()), 0..200),
        ) {
            let (mut at, mut escaped) = (0, false);
            let expected = loop {
                match text.get(at) {
                    Some(b'"') => break Some((at, escaped)),
                    Some(b'\\') => (at, escaped) = (at + 2, true),
                    Some(_) => at += 1,
                    None => break None,
                }
            };
            prop_assert_eq!(string_end(&text), expected);
        }
    }
}
