//! Where values live: storage that many threads write and a scrape reads.
//!
//! | file | holds |
//! |---|---|
//! | `slab` | rows of cells, one for each thread, and the pool of them |
//! | `row` | the current thread's row |
//! | `run` | neighbouring columns across all rows: what one series takes |
//!
//! Recording is a plain load and store in a row that no other thread writes; reading is a sum over
//! the rows. Metrics reach all of it through the types of this file.

#[cfg(all(test, dynamo_metrics_loom))]
mod model;
mod row;
mod run;
mod slab;
#[cfg(all(test, not(dynamo_metrics_loom)))]
mod tests;

use run::Column;
pub(crate) use run::{Run, TooManyColumns};

use crate::sync::{AtomicI64, AtomicU64, Ordering};

/// A whole number that only grows by steps, or goes up and down by steps. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Count(Column);

/// A floating-point number that changes by steps. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct FloatCount(Column);

/// A whole number that is set.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicI64);

/// A floating-point number that is set.
#[derive(Debug, Default)]
pub(crate) struct FloatLevel(AtomicU64);

impl Count {
    pub(crate) fn new() -> Result<Self, TooManyColumns> {
        Column::take().map(Self)
    }

    /// One whose value nobody will read.
    pub(crate) fn lost() -> Self {
        Self(Column::lost())
    }

    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.add(n);
    }

    /// Takes one away; the sum is what counts, so a row may well go below zero.
    #[inline]
    pub(crate) fn dec(&self) {
        self.0.add(1_u64.wrapping_neg());
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.sum()
    }

    pub(crate) fn get_signed(&self) -> i64 {
        self.get().cast_signed()
    }

    /// Whether both are clones of one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }
}

impl FloatCount {
    pub(crate) fn new() -> Result<Self, TooManyColumns> {
        Column::take().map(Self)
    }

    /// One whose value nobody will read.
    pub(crate) fn lost() -> Self {
        Self(Column::lost())
    }

    #[inline]
    pub(crate) fn add(&self, by: f64) {
        self.0.add_float(by);
    }

    pub(crate) fn get(&self) -> f64 {
        self.0.sum_float()
    }

    /// Whether both are clones of one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }
}

impl Level {
    #[inline]
    pub(crate) fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl FloatLevel {
    #[inline]
    pub(crate) fn add(&self, by: f64) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let sum = (f64::from_bits(seen) + by).to_bits();
            match self.0.compare_exchange_weak(seen, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    #[inline]
    pub(crate) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}
