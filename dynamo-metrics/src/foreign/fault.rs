//! What is wrong with a page.

use std::fmt;

use super::Limits;
use crate::label::LabelValue;

/// Most characters of the page that a fault repeats.
const EXCERPT: usize = 60;

/// Something wrong with a page. Unless its reason says otherwise, what it is about was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The line, from 1; `None` where there are no lines, and where it is about the whole page.
    pub line: Option<usize>,
    /// What sort of fault it is.
    pub reason: Reason,
    /// What it is, for people, with the start of what it is about: less than 400 bytes.
    pub text: String,
}

/// What sort of fault it is. A label may have it as its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum Reason {
    /// It is not as the format says.
    Syntax,
    /// A metric's name breaks the old grammar, is quoted, or does not go with its unit.
    Name,
    /// A label's name breaks the old grammar, is quoted, reserved, or given twice.
    Label,
    /// No number, or one that such a metric cannot have.
    Value,
    /// A series, a part of one, or a line of metadata is there twice. The first one stands.
    Duplicate,
    /// The kind is unknown, told twice or too late, or the line is none of such a metric.
    Kind,
    /// The buckets of a histogram make no sense together.
    Histogram,
    /// The quantiles of a summary make no sense.
    Summary,
    /// An exemplar is wrong, or where none can be. Its sample stands.
    Exemplar,
    /// Other families stand between the lines of one. They are kept.
    Interleaved,
    /// It is past one of the limits.
    Limit,
    /// Something is not UTF-8; or lines end with CR, or a byte order mark is there, which both are
    /// overlooked.
    Encoding,
    /// The page ends too early.
    Truncated,
}

/// All reasons, in their order.
const REASONS: [Reason; 13] = [
    Reason::Syntax,
    Reason::Name,
    Reason::Label,
    Reason::Value,
    Reason::Duplicate,
    Reason::Kind,
    Reason::Histogram,
    Reason::Summary,
    Reason::Exemplar,
    Reason::Interleaved,
    Reason::Limit,
    Reason::Encoding,
    Reason::Truncated,
];

/// A fault, before it is known where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) reason: Reason,
    pub(super) what: &'static str,
}

/// The faults of a page.
#[derive(Debug)]
pub(super) struct Faults {
    told: Vec<Fault>,
    most: usize,
    totals: [u64; REASONS.len()],
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Flaw {
    pub(super) const fn new(reason: Reason, what: &'static str) -> Self {
        Self { reason, what }
    }
}

impl Faults {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { told: Vec::new(), most: limits.faults, totals: [0; REASONS.len()] }
    }

    /// Tells a flaw of what is written, or named, so.
    pub(super) fn tell(&mut self, line: Option<usize>, flaw: Flaw, about: impl AsRef<[u8]>) {
        let Flaw { reason, what } = flaw;
        if let Some(total) = self.totals.get_mut(reason.index()) {
            *total += 1;
        }
        if self.told.len() < self.most {
            let about = Excerpt(about.as_ref());
            self.told.push(Fault { line, reason, text: format!("{what}{about}") });
        }
    }

    /// The faults, and how many there are of each reason.
    pub(super) fn finish(self) -> (Vec<Fault>, Vec<(Reason, u64)>) {
        let totals = REASONS.into_iter().zip(self.totals).filter(|(_, total)| *total > 0);
        (self.told, totals.collect())
    }
}

/// The start of what a fault is about.
struct Excerpt<'a>(&'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        // No character has more bytes than four.
        let start = self.0.get(..4 * EXCERPT).unwrap_or(self.0);
        f.write_str(": ")?;
        String::from_utf8_lossy(start)
            .chars()
            .take(EXCERPT)
            .try_for_each(|c| fmt::Write::write_char(f, if c.is_control() { ' ' } else { c }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_in_its_place() {
        assert_eq!(Reason::COUNT, Some(REASONS.len()));
        assert!(REASONS.iter().enumerate().all(|(i, reason)| reason.index() == i));
        assert_eq!(Reason::Interleaved.as_label(), "interleaved");
    }

    #[test]
    fn all_are_counted_few_are_told_and_none_at_length() {
        let mut faults = Faults::new(&Limits::default().faults(2));
        for line in 0..5 {
            faults.tell(Some(line), Flaw::new(Reason::Limit, "too long"), "\u{7}é".repeat(1000));
        }
        let (told, totals) = faults.finish();
        assert_eq!(totals, [(Reason::Limit, 5)]);
        assert_eq!(told.len(), 2);
        assert!(told[0].text.starts_with("too long:  é é") && told[0].text.len() < 400);
    }
}
