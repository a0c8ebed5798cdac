//! Lists: the series of a family in the order of their creation, for walks to go along.
//!
//! Whoever changes a list holds its family's lock; whoever walks waits for nobody. A walk sees what
//! was there when it began, less most of what was removed since: a series that is made anew in the meantime
//! is further back than the walk goes, so that no page shows it twice.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::sync::{AtomicUsize, Ordering, Slot};

/// Places of the first block; each block has twice as many as the one before.
const FIRST: usize = if cfg!(dynamo_metrics_loom) { 1 } else { 16 };

/// Blocks, enough for more places than there are columns.
const BLOCKS: usize = 24;

/// A list is not made shorter if it is no longer than this.
const SHORT: usize = if cfg!(dynamo_metrics_loom) { 1 } else { 64 };

#[derive(Debug)]
pub(super) struct List<T> {
    places: ArcSwap<Places<T>>,
}

/// What a walk goes along.
#[derive(Debug)]
pub(super) struct View<T> {
    places: Arc<Places<T>>,
    end: usize,
}

#[derive(Debug)]
struct Places<T> {
    blocks: [OnceLock<Box<[Slot<T>]>>; BLOCKS],
    /// Places that were ever taken.
    end: AtomicUsize,
    /// Those of them that are empty again.
    empty: AtomicUsize,
}

impl<T> List<T> {
    pub(super) fn new() -> Self {
        Self { places: ArcSwap::from_pointee(Places::new()) }
    }

    /// Adds `item`, and returns its place. Only one thread at a time may change the list.
    pub(super) fn push(&self, item: Arc<T>) -> usize {
        self.places.load().push(item)
    }

    /// Empties a place. Only one thread at a time may change the list.
    pub(super) fn clear(&self, place: usize) {
        let places = self.places.load();
        if let Some(slot) = places.slot(place) {
            slot.set(None);
            // Only those who change the list count.
            let empty = places.empty.load(Ordering::Relaxed);
            places.empty.store(empty + 1, Ordering::Relaxed);
        }
    }

    /// Leaves out empty places, once half of them are; `moved` is told where everything is then.
    /// Only one thread at a time may change the list.
    pub(super) fn shorten(&self, mut moved: impl FnMut(&Arc<T>, usize)) {
        let long = self.places.load_full();
        let (end, empty) = (long.end.load(Ordering::Relaxed), long.empty.load(Ordering::Relaxed));
        if end <= SHORT || empty <= end / 2 {
            return;
        }
        let short = Places::new();
        for place in 0..end {
            if let Some(item) = long.slot(place).and_then(|slot| slot.with(Arc::clone)) {
                let place = short.push(Arc::clone(&item));
                moved(&item, place);
            }
        }
        self.places.store(Arc::new(short));
    }

    pub(super) fn view(&self) -> View<T> {
        let places = self.places.load_full();
        let end = places.end.load(Ordering::Acquire);
        View { places, end }
    }
}

impl<T> View<T> {
    /// Places to look at.
    pub(super) fn len(&self) -> usize {
        self.end
    }

    /// Calls `look` with what is at `place`, if it was not removed.
    #[inline]
    pub(super) fn with<R>(&self, place: usize, look: impl FnOnce(&Arc<T>) -> R) -> Option<R> {
        self.places.slot(place)?.with(look)
    }
}

impl<T> Places<T> {
    fn new() -> Self {
        let blocks = std::array::from_fn(|_| OnceLock::new());
        Self { blocks, end: AtomicUsize::new(0), empty: AtomicUsize::new(0) }
    }

    fn push(&self, item: Arc<T>) -> usize {
        let place = self.end.load(Ordering::Relaxed);
        let (block, at) = position(place);
        if let Some(block) = self.blocks.get(block) {
            let len = FIRST << position(place).0;
            let slots = block.get_or_init(|| (0..len).map(|_| Slot::empty()).collect());
            slots[at].set(Some(item));
        }
        // Whoever sees the end sees what is before it.
        self.end.store(place + 1, Ordering::Release);
        place
    }

    #[inline]
    fn slot(&self, place: usize) -> Option<&Slot<T>> {
        let (block, at) = position(place);
        self.blocks.get(block)?.get()?.get(at)
    }
}

/// Block of a place, and where in it.
#[inline]
fn position(place: usize) -> (usize, usize) {
    let from_first = place / FIRST + 1;
    let block = from_first.ilog2() as usize;
    (block, place + FIRST - (FIRST << block))
}

#[cfg(all(test, not(dynamo_metrics_loom)))]
mod tests {
    use super::*;

    fn all(view: &View<u32>) -> Vec<u32> {
        (0..view.len()).filter_map(|place| view.with(place, |item| **item)).collect()
    }

    #[test]
    fn places_follow_one_another_across_blocks() {
        let mut expected = (0, 0);
        for place in 0..10_000 {
            assert_eq!(position(place), expected);
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn a_view_shows_what_was_there_less_what_went() {
        let list = List::new();
        let places: Vec<usize> = (0..100).map(|i| list.push(Arc::new(i))).collect();
        let view = list.view();
        list.push(Arc::new(100));
        list.clear(places[3]);
        assert_eq!(all(&view), (0..100).filter(|i| *i != 3).collect::<Vec<_>>());
        assert_eq!(all(&list.view()).len(), 100);
    }

    #[test]
    fn a_list_is_shortened_once_it_is_half_empty() {
        let list = List::new();
        (0..1_000).for_each(|i| assert_eq!(list.push(Arc::new(i)), i as usize));
        let before = list.view();
        let mut moves = 0;
        for place in 0..501 {
            list.clear(place);
            list.shorten(|_, _| moves += 1);
        }
        assert_eq!((moves, list.view().len()), (499, 499));
        assert_eq!(all(&list.view()), (501..1_000).collect::<Vec<_>>());
        // Somebody still goes along the old one.
        assert_eq!(all(&before), (501..1_000).collect::<Vec<_>>());
    }
}
