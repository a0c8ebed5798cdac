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

/// A whole number that only grows by steps, or goes up and down by steps.
#[derive(Debug)]
pub struct Count(Column);

/// A floating-point number that changes by steps.
#[derive(Debug)]
pub(crate) struct FloatCount(Column);

/// A whole number that is set.
#[derive(Debug, Default)]
pub struct Level {
    value: AtomicI64,
    touches: Touches,
}

/// A floating-point number that is set.
#[derive(Debug, Default)]
pub struct FloatLevel {
    value: AtomicU64,
    touches: Touches,
}

/// Changes whenever it is told to, so that one can see that somebody was here. Two at once may
/// count as one.
#[derive(Debug, Default)]
struct Touches(AtomicU64);

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
}

impl Level {
    #[inline]
    pub(crate) fn add(&self, n: i64) {
        self.value.fetch_add(n, Ordering::Relaxed);
        self.touches.touch();
    }

    #[inline]
    pub(crate) fn set(&self, value: i64) {
        self.value.store(value, Ordering::Relaxed);
        self.touches.touch();
    }

    pub(crate) fn get(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }

    /// Something that changes whenever the value is written.
    pub(crate) fn touches(&self) -> u64 {
        self.touches.get()
    }
}

impl FloatLevel {
    #[inline]
    pub(crate) fn add(&self, by: f64) {
        let mut seen = self.value.load(Ordering::Relaxed);
        loop {
            let sum = (f64::from_bits(seen) + by).to_bits();
            match self.value.compare_exchange_weak(seen, sum, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return self.touches.touch(),
                Err(now) => seen = now,
            }
        }
    }

    #[inline]
    pub(crate) fn set(&self, value: f64) {
        self.value.store(value.to_bits(), Ordering::Relaxed);
        self.touches.touch();
    }

    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }

    /// Something that changes whenever the value is written.
    pub(crate) fn touches(&self) -> u64 {
        self.touches.get()
    }
}

impl Touches {
    #[inline]
    fn touch(&self) {
        self.0.store(self.get().wrapping_add(1), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
