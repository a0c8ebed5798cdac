//! What the events of one stream have in common, so that it is not read again and again.
//!
//! Successive events mostly differ in one text, and in a number or two that say nothing. When one
//! was read, what stands around these is kept; an event that has the same around its own is read by
//! comparing, and says the same. It is the long way that tells where the texts are, so both ways
//! come to one result.

use super::holes::{Hole, HoleKind, Holes, MOST_HOLES};
use super::said::{Content, Said};
use super::string::string_end;

/// Most bytes around the holes that are kept.
const LONGEST: usize = 1_024;

/// Events in a row that were not alike, after which there is less hope for the next.
const HOPE: u8 = 4;

/// The last event with content, without its texts.
#[derive(Debug, Default)]
pub(super) struct Template {
    /// Its name, and then what stands before, between and after its holes.
    text: Vec<u8>,
    name: usize,
    /// Each hole, with the length of what stands before it, from the one before.
    holes: [(usize, HoleKind); MOST_HOLES],
    /// How many there are; none if nothing was kept.
    count: usize,
    said: Said,
    /// Events in a row that were not like it.
    misses: u8,
}

impl Template {
    /// Whether the event is like the one that was kept, and says the same.
    #[inline]
    pub(super) fn is_like(&mut self, name: &[u8], data: &[u8]) -> bool {
        if self.count == 0 {
            return false;
        }
        let like = self.compare(name, data).is_some();
        self.misses = if like { 0 } else { self.misses.saturating_add(1) };
        like
    }

    /// What the event that was kept says.
    #[inline]
    pub(super) fn said(&self) -> &Said {
        &self.said
    }

    #[inline]
    fn compare(&self, name: &[u8], mut data: &[u8]) -> Option<()> {
        let (own, mut text) = self.text.split_at_checked(self.name)?;
        if !same(name, own) {
            return None;
        }
        for &(before, kind) in self.holes.get(..self.count)? {
            let around;
            (around, text) = text.split_at_checked(before)?;
            let start;
            (start, data) = data.split_at_checked(before)?;
            if !same(start, around) {
                return None;
            }
            let length = match kind {
                HoleKind::Content => Some(string_end(data)?.0).filter(|&length| length > 0)?,
                HoleKind::Text => string_end(data)?.0,
                HoleKind::Number => number(data)?,
            };
            data = data.get(length..)?;
        }
        same(data, text).then_some(())
    }

    /// Keeps an event that was read the long way.
    pub(super) fn keep(&mut self, name: &[u8], data: &[u8], said: &Said, holes: &Holes) {
        // Where events are never alike, not each of them is worth keeping.
        if said.content == Content::Nothing
            || (self.misses > HOPE && !self.misses.is_multiple_of(8))
        {
            return;
        }
        self.count = 0;
        let Some(holes) = holes.all() else { return };
        let around = (name.len() + data.len()).saturating_sub(held(holes));
        if around > LONGEST {
            return;
        }
        self.text.clear();
        self.text.reserve(around);
        self.text.extend_from_slice(name);
        self.name = name.len();
        let mut from = 0;
        for (place, hole) in self.holes.iter_mut().zip(holes) {
            let Some(around) = data.get(from..data.len().saturating_sub(hole.from)) else { return };
            self.text.extend_from_slice(around);
            *place = (around.len(), hole.kind);
            from = data.len().saturating_sub(hole.to);
        }
        self.text.extend_from_slice(data.get(from..).unwrap_or_default());
        self.said = *said;
        self.count = holes.len();
    }

    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.count = 0;
    }
}

/// Whether both are the same. Without bytes the C library may look for them where an empty slice
/// points to, which is nowhere; on some machines that costs more than all the rest.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}

/// The bytes in the holes.
fn held(holes: &[Hole]) -> usize {
    holes.iter().map(|hole| hole.from.saturating_sub(hole.to)).sum()
}

/// The length of the plain number that the text begins with. Others are read the long way.
fn number(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let text = text.get(from..).unwrap_or_default();
        text.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let sign = usize::from(text.first() == Some(&b'-'));
    let whole = sign + digits(sign);
    let all = match text.get(whole) {
        Some(b'.') => whole + 1 + Some(digits(whole + 1)).filter(|&length| length > 0)?,
        _ => whole,
    };
    (whole > sign).then_some(all)
}
