//! Counting what is allocated: a row for each thread, so that no two threads write one line.
//!
//! Nothing here allocates, nor may it: it runs within the allocator. The rows are static. A thread takes
//! a free one when it first allocates, and gives it back, counts included, when it ends. Threads past
//! the last row, and those that have given theirs back, share one row, and add to it atomically.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Rows that threads have for themselves.
const ROWS: usize = 128;

/// The place of the row that is everybody's.
const SHARED: usize = ROWS;

/// A thread that has not looked for a row.
const UNKNOWN: usize = usize::MAX;

/// What was allocated and given back.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) allocations: u64,
    pub(super) allocated_bytes: u64,
    pub(super) deallocations: u64,
    pub(super) deallocated_bytes: u64,
}

/// The counts of one thread at a time. Two lines apart, since processors fetch them by twos.
#[repr(align(128))]
struct Row {
    taken: AtomicBool,
    allocations: AtomicU64,
    allocated_bytes: AtomicU64,
    deallocations: AtomicU64,
    deallocated_bytes: AtomicU64,
}

static TABLE: [Row; ROWS + 1] = [const { Row::new() }; ROWS + 1];

thread_local! {
    /// The place of this thread's row. It has no destructor, so it can be used to the thread's end.
    static PLACE: Cell<usize> = const { Cell::new(UNKNOWN) };
    /// Gives the row back when the thread ends.
    static GIVE_BACK: GiveBack = const { GiveBack };
}

struct GiveBack;

impl Row {
    const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            allocations: AtomicU64::new(0),
            allocated_bytes: AtomicU64::new(0),
            deallocations: AtomicU64::new(0),
            deallocated_bytes: AtomicU64::new(0),
        }
    }

    /// Adds to a row that only this thread writes, or else one that everybody does.
    #[inline]
    fn add(count: &AtomicU64, n: u64, is_own: bool) {
        if is_own {
            let before = count.load(Ordering::Relaxed);
            count.store(before.wrapping_add(n), Ordering::Relaxed);
        } else {
            count.fetch_add(n, Ordering::Relaxed);
        }
    }
}

/// A block was allocated.
#[inline]
pub(super) fn allocated(bytes: usize) {
    let place = place();
    let (row, is_own) = (&TABLE[place], place != SHARED);
    Row::add(&row.allocations, 1, is_own);
    Row::add(&row.allocated_bytes, bytes as u64, is_own);
}

/// A block was given back.
#[inline]
pub(super) fn deallocated(bytes: usize) {
    let place = place();
    let (row, is_own) = (&TABLE[place], place != SHARED);
    Row::add(&row.deallocations, 1, is_own);
    Row::add(&row.deallocated_bytes, bytes as u64, is_own);
}

/// All rows together. While others allocate, a block may be in one count and not yet in another.
pub(super) fn sum() -> Counts {
    let mut sum = Counts::default();
    // What was given back is read first: it is never more than what was allocated.
    for row in &TABLE {
        sum.deallocations += row.deallocations.load(Ordering::Relaxed);
        sum.deallocated_bytes += row.deallocated_bytes.load(Ordering::Relaxed);
    }
    for row in &TABLE {
        sum.allocations += row.allocations.load(Ordering::Relaxed);
        sum.allocated_bytes += row.allocated_bytes.load(Ordering::Relaxed);
    }
    sum
}

#[inline]
fn place() -> usize {
    match PLACE.try_with(Cell::get) {
        Ok(UNKNOWN) => look_for_place(),
        Ok(place) => place,
        Err(_) => SHARED,
    }
}

#[cold]
fn look_for_place() -> usize {
    let set = |place| PLACE.try_with(|own| own.set(place)).is_ok();
    // Some systems allocate when a destructor is registered, which comes back here.
    if !set(SHARED) || GIVE_BACK.try_with(|_| ()).is_err() {
        return SHARED;
    }
    // Acquire, with the release of whoever gave it back: what that thread wrote is what is added to.
    let free = |row: &Row| !row.taken.swap(true, Ordering::Acquire);
    let place = TABLE[..ROWS].iter().position(free).unwrap_or(SHARED);
    set(place);
    place
}

impl Drop for GiveBack {
    fn drop(&mut self) {
        let place = PLACE.try_with(|own| own.replace(SHARED)).unwrap_or(SHARED);
        if let Some(row) = TABLE[..ROWS].get(place) {
            row.taken.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that are taken now.
    fn taken() -> usize {
        TABLE[..ROWS].iter().filter(|row| row.taken.load(Ordering::Relaxed)).count()
    }

    #[test]
    fn every_thread_counts_and_rows_go_from_one_to_the_next() {
        let before = sum();
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..ROWS + 10 {
                    scope.spawn(|| {
                        for _ in 0..100 {
                            allocated(10);
                            deallocated(4);
                        }
                    });
                }
            });
        }
        let (after, blocks) = (sum(), 3 * (ROWS as u64 + 10) * 100);
        let wanted = Counts {
            allocations: before.allocations + blocks,
            allocated_bytes: before.allocated_bytes + 10 * blocks,
            deallocations: before.deallocations + blocks,
            deallocated_bytes: before.deallocated_bytes + 4 * blocks,
        };
        assert_eq!(after, wanted);
        assert!(taken() <= 1, "threads that ended keep no row");
    }
}
