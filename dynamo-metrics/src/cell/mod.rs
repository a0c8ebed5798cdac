//! Where values live: storage that many threads write and a scrape reads.
//!
//! A cell stands alone and publishes no other memory, so every ordering is `Relaxed`. Metrics
//! reach their storage through these types only, so that how a cell is laid out (one atomic, or a
//! column across per-thread slabs) stays a matter of this module.

use crate::sync::{AtomicI64, AtomicU64, Ordering};

/// A whole number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

/// A whole number that goes up and down by steps.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicI64);

/// A floating-point number that is set or added to.
#[derive(Debug, Default)]
pub(crate) struct Float(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
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

impl Float {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_lose_nothing() {
        let (count, level, float) = (Count::default(), Level::default(), Float::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        count.add(3);
                        level.add(2);
                        level.add(-1);
                        float.add(0.5);
                    }
                });
            }
        });
        assert_eq!((count.get(), level.get()), (120_000, 40_000));
        assert!((float.get() - 20_000.0).abs() < f64::EPSILON);
    }
}
