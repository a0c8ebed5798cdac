//! Where the events of one stream differ, though all else in them is the same.

/// Holes that are remembered of a text.
pub(super) const MOST_HOLES: usize = 4;

/// A value that differs from event to event, while what stands around it stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) kind: HoleKind,
    /// Where it begins and ends, in bytes before the end of the text.
    pub(super) from: usize,
    pub(super) to: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum HoleKind {
    /// The inside of a string that is not empty, and counts as generated for that.
    #[default]
    Content,
    /// The inside of a string that says nothing to us.
    Text,
    /// A number that says nothing to us.
    Number,
}

/// The holes of a text, in order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Holes {
    all: [Hole; MOST_HOLES],
    /// More than there is room for makes this larger than the room.
    length: usize,
}

impl Holes {
    /// The holes, unless there were too many of them.
    pub(super) fn all(&self) -> Option<&[Hole]> {
        self.all.get(..self.length)
    }

    /// One more, which stands after the others.
    pub(super) fn add(&mut self, hole: Hole) {
        if let Some(place) = self.all.get_mut(self.length) {
            *place = hole;
        }
        self.length = (self.length + 1).min(MOST_HOLES + 1);
    }
}
