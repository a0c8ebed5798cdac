//! What every handle points to: a value, the labels that it is shown with, and since when it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::exemplar::Exemplars;
use super::visit::{self, Value, Visitor};
use crate::clock;
use crate::label::Labels;

/// One line of a scrape (a dozen for a histogram), kept for as long as a handle or the registry has
/// it.
#[derive(Debug)]
pub struct Series<V> {
    pub(crate) labels: Labels,
    /// Milliseconds since 1970.
    created: u64,
    /// Where in its family's list it is, or that it is not.
    place: AtomicU32,
    pub(super) exemplars: Option<Box<Exemplars>>,
    pub(super) value: V,
}

/// No place in any list.
const NOWHERE: u32 = u32::MAX;

impl<V> Series<V> {
    pub(super) fn new(labels: Labels, exemplars: Option<Box<Exemplars>>, value: V) -> Arc<Self> {
        let place = AtomicU32::new(NOWHERE);
        Arc::new(Self { labels, created: clock::unix_milliseconds(), place, exemplars, value })
    }

    /// A value that no registry shows.
    pub(super) fn alone(value: V) -> Arc<Self> {
        Self::new(Labels::none(), None, value)
    }

    /// Shows the series with this value.
    #[inline]
    pub(super) fn show(&self, value: Value<'_>, visitor: &mut dyn Visitor) {
        self.show_as(visit::Labels::of(&self.labels, None), value, Some(self.created), visitor);
    }

    /// The same, for what somebody else counts since nobody knows when.
    pub(super) fn show_told(&self, value: Value<'_>, visitor: &mut dyn Visitor) {
        self.show_as(visit::Labels::of(&self.labels, None), value, None, visitor);
    }

    /// Shows one state of it.
    pub(super) fn show_state(&self, state: (&str, &str), is_on: bool, visitor: &mut dyn Visitor) {
        let labels = visit::Labels::of(&self.labels, Some(state));
        self.show_as(labels, Value::State(is_on), Some(self.created), visitor);
    }

    #[inline]
    fn show_as(
        &self,
        labels: visit::Labels<'_>,
        value: Value<'_>,
        created: Option<u64>,
        visitor: &mut dyn Visitor,
    ) {
        let exemplars = visit::Exemplars::of(self.exemplars.as_deref());
        visitor.series(&visit::Series { labels, value, created, exemplars });
    }

    /// Its place in its family's list; `None` if it was removed, or never shown.
    #[inline]
    pub(crate) fn place(&self) -> Option<usize> {
        let place = self.place.load(Ordering::Relaxed);
        (place != NOWHERE).then_some(place as usize)
    }

    pub(crate) fn set_place(&self, place: Option<usize>) {
        let place = place.and_then(|place| u32::try_from(place).ok()).unwrap_or(NOWHERE);
        self.place.store(place, Ordering::Relaxed);
    }
}
