//! The start of a line whose end has not come yet.

/// Longest line, and longest data of an event, that is held, in bytes, if nothing else is asked for.
/// What is longer passes by unread.
pub(super) const LONGEST: usize = 64 * 1024;

/// What is held at least, so that the start of a line says what line it is.
pub(super) const SHORTEST: usize = 64;

/// The part of a line that came; of a line that is too long, its start.
#[derive(Debug, Default)]
pub(super) struct Held {
    line: Vec<u8>,
    long: bool,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Keeps more of the line, as much as there is room for; returns the rest.
    pub(super) fn add<'a>(&mut self, bytes: &'a [u8], longest: usize) -> &'a [u8] {
        let room = longest.saturating_sub(self.line.len());
        let (kept, rest) = bytes.split_at(bytes.len().min(room));
        self.long |= !rest.is_empty();
        self.line.extend_from_slice(kept);
        rest
    }

    /// The line, and whether it is only the start of one.
    pub(super) fn line(&self) -> (&[u8], bool) {
        (&self.line, self.long)
    }

    /// The next line begins.
    pub(super) fn clear(&mut self) {
        self.line.clear();
        self.long = false;
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.line.capacity()
    }
}
