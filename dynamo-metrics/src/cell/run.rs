//! Runs of neighbouring columns: taken when a series is made, given back with its last handle.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::row::{self, plus, plus_float};
use super::slab::{COLUMNS, PAGE, Pool};

/// Neighbouring columns, zero in every slab when they are taken.
///
/// They lie in one page, so that a histogram touches one.
#[derive(Debug)]
pub(crate) struct Run {
    start: u32,
    len: u32,
}

/// A run of one column.
#[derive(Debug)]
pub(super) struct Column(u32);

/// There are no columns left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyColumns;

#[derive(Debug)]
struct Columns {
    /// From here on, no column was ever taken.
    next: u32,
    /// Runs that were given back, by their length.
    free: BTreeMap<u32, Vec<u32>>,
}

/// The first page is nobody's: it takes what is recorded past the last column.
static TAKEN: Mutex<Columns> = Mutex::new(Columns { next: LOST, free: BTreeMap::new() });

/// Columns that nobody reads, from the first one on.
#[expect(clippy::cast_possible_truncation, reason = "a page is small")]
const LOST: u32 = PAGE as u32;

impl Run {
    /// Takes `len` columns; at least one, and no more than a page holds.
    pub(crate) fn take(len: usize) -> Result<Self, TooManyColumns> {
        let len = u32::try_from(len.clamp(1, PAGE)).map_err(|_| TooManyColumns)?;
        Ok(Self { start: take(len)?, len })
    }

    /// Columns for values that nobody will read, since recording cannot fail.
    pub(crate) fn lost(len: usize) -> Self {
        Self { start: 0, len: u32::try_from(len.min(PAGE)).unwrap_or(LOST) }
    }

    /// Adds `n` to one column, and `by` to one of floating-point numbers.
    #[inline]
    pub(crate) fn add_both(&self, (column, n): (usize, u64), (float, by): (usize, f64)) {
        let (column, float) = (self.within(column), self.within(float));
        row::change_two(self.start, (column, plus(n)), (float, plus_float(by)));
    }

    /// Adds to two columns.
    #[inline]
    pub(crate) fn add_two(&self, (first, n): (usize, u64), (second, m): (usize, u64)) {
        let (first, second) = (self.within(first), self.within(second));
        row::change_two(self.start, (first, plus(n)), (second, plus(m)));
    }

    /// The sum of a column.
    pub(crate) fn sum(&self, column: usize) -> u64 {
        sum(self.column(column))
    }

    /// The sums of the first `columns` columns, in place of what is in `sums`.
    pub(crate) fn sums(&self, columns: usize, sums: &mut Vec<u64>) {
        sums.clear();
        sums.resize(columns, 0);
        if self.start < LOST {
            return;
        }
        for slab in Pool::global().iter() {
            slab.add_run(self.start, sums);
        }
    }

    /// The sum of a column of floating-point numbers.
    pub(crate) fn sum_float(&self, column: usize) -> f64 {
        sum_float(self.column(column))
    }

    fn column(&self, column: usize) -> u32 {
        self.start + self.within(column)
    }

    #[inline]
    fn within(&self, column: usize) -> u32 {
        // Callers stay within the run, whose length is a `u32`.
        #[expect(clippy::cast_possible_truncation, reason = "less than a page")]
        let column = column as u32;
        debug_assert!(column < self.len);
        column
    }
}

impl Column {
    pub(super) fn take() -> Result<Self, TooManyColumns> {
        take(1).map(Self)
    }

    pub(super) fn lost() -> Self {
        Self(0)
    }

    #[inline]
    pub(super) fn add(&self, n: u64) {
        row::change(self.0, plus(n));
    }

    #[inline]
    pub(super) fn add_float(&self, by: f64) {
        row::change(self.0, plus_float(by));
    }

    pub(super) fn sum(&self) -> u64 {
        sum(self.0)
    }

    pub(super) fn sum_float(&self) -> f64 {
        sum_float(self.0)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        give_back(self.start, self.len);
    }
}

impl Drop for Column {
    fn drop(&mut self) {
        give_back(self.0, 1);
    }
}

fn take(len: u32) -> Result<u32, TooManyColumns> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take(len)
}

fn give_back(start: u32, len: u32) {
    if start < LOST {
        return;
    }
    // No handle is left, so nobody writes these cells: whoever did so last dropped a handle
    // before this, and whoever will gets one after it.
    for slab in Pool::global().iter() {
        for column in start..start + len {
            slab.clear(column);
        }
    }
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner).give_back(start, len);
}

impl Columns {
    fn take(&mut self, len: u32) -> Result<u32, TooManyColumns> {
        if let Some(start) = self.free.get_mut(&len).and_then(Vec::pop) {
            return Ok(start);
        }
        let page = u32::try_from(PAGE).map_err(|_| TooManyColumns)?;
        let left = page - self.next % page;
        if left < len {
            // Too few for this run, but not for a counter.
            self.free.entry(1).or_default().extend((self.next..self.next + left).rev());
            self.next += left;
        }
        let start = self.next;
        if start + len > COLUMNS {
            return Err(TooManyColumns);
        }
        self.next += len;
        Ok(start)
    }

    fn give_back(&mut self, start: u32, len: u32) {
        self.free.entry(len).or_default().push(start);
    }
}

fn sum(column: u32) -> u64 {
    if column < LOST {
        return 0;
    }
    Pool::global().iter().fold(0, |sum, slab| sum.wrapping_add(slab.read(column)))
}

fn sum_float(column: u32) -> f64 {
    if column < LOST {
        return 0.0;
    }
    Pool::global().iter().map(|slab| f64::from_bits(slab.read(column))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_lie_in_one_page_and_leave_nothing_unused() {
        let mut columns = Columns { next: 0, free: BTreeMap::new() };
        let page = u32::try_from(PAGE).unwrap();
        assert_eq!(columns.take(page - 3), Ok(0));
        assert_eq!(columns.take(16), Ok(page));
        let singles: Vec<_> = (0..3).map(|_| columns.take(1).unwrap()).collect();
        assert_eq!(singles, [page - 3, page - 2, page - 1]);
        columns.give_back(page, 16);
        assert_eq!(columns.take(16), Ok(page));
        assert_eq!(columns.take(16), Ok(page + 16));
    }

    #[test]
    fn columns_run_out_with_an_error() {
        let mut columns = Columns { next: COLUMNS - 4, free: BTreeMap::new() };
        assert_eq!(columns.take(5), Err(TooManyColumns));
        assert!(columns.take(1).is_ok());
    }

    #[test]
    fn a_run_that_is_taken_again_starts_at_zero() {
        for _ in 0..10 {
            let run = Run::take(700).unwrap();
            assert_eq!(run.sum(5), 0);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| run.add_two((5, 3), (5, 4)));
                }
            });
            assert_eq!(run.sum(5), 21);
        }
    }
}
