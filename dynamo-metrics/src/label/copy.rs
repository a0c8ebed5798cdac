//! Copies of short text into a page, many of them for each line of a scrape.
//!
//! A copy whose length is known only when it is made is a call, which costs more than the bytes. So
//! what is short is copied at a fixed length, which is a few instructions, and cut to its own.

/// Bytes that are copied at once.
const STEP: usize = 32;

/// The same for values, which are shorter, and have only each other for what is cut off.
const HALF: usize = 16;

/// Text that is copied often.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The text, if it fits.
    near: [u8; STEP],
    text: Box<[u8]>,
}

impl Piece {
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut near = [0; STEP];
        for (place, byte) in near.iter_mut().zip(text) {
            *place = *byte;
        }
        Self { near, text: text.into() }
    }

    #[inline]
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        if self.text.len() <= STEP {
            write_cut(out, &self.near, self.text.len());
        } else {
            out.extend_from_slice(&self.text);
        }
    }
}

/// Appends `length` bytes of `texts` from `start`.
#[inline]
pub(super) fn write_part(out: &mut Vec<u8>, texts: &[u8], start: usize, length: usize) {
    let from = texts.get(start..).unwrap_or_default();
    match from.first_chunk::<HALF>() {
        Some(near) if length <= HALF => write_cut(out, near, length),
        _ => out.extend_from_slice(from.get(..length).unwrap_or_default()),
    }
}

#[inline]
fn write_cut<const N: usize>(out: &mut Vec<u8>, near: &[u8; N], length: usize) {
    let end = out.len() + length;
    out.extend_from_slice(near);
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn copies_are_whole_and_nothing_more(texts in prop::collection::vec("[a-zé]{0,50}", 0..12)) {
            let all = texts.concat();
            let mut start = 0;
            let (mut pieces, mut copies) = (Vec::new(), Vec::new());
            for text in &texts {
                Piece::new(text.as_bytes()).write_to(&mut pieces);
                write_part(&mut copies, all.as_bytes(), start, text.len());
                start += text.len();
            }
            prop_assert_eq!(pieces, all.as_bytes());
            prop_assert_eq!(copies, all.as_bytes());
        }
    }
}
