//! The series of a family by their labels, found without locks.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use papaya::{Equivalent, HashMap};

use crate::label::{Labels, Template, shorten};
use crate::metric::Metric;
use crate::sync::has_maps;

/// Every series of a family, so that no two lines of a scrape collide.
///
/// A thread that is ending may be too far gone to look ([`has_maps`]); it finds nothing here.
#[derive(Debug)]
pub(super) struct ByLabels<M: Metric>(HashMap<Shown<M>, (), Hashed>);

/// A metric, found by its labels.
#[derive(Debug)]
struct Shown<M>(M);

/// Labels as they come, to find a series by.
struct Wanted<'a> {
    hash: u32,
    template: &'a Arc<Template>,
    values: &'a [&'a str],
}

/// Labels that a series has, to find one by.
struct Same<'a>(&'a Labels);

/// Keys that are hashes already.
#[derive(Debug, Clone, Default)]
struct Hashed(u64);

impl<M: Metric> ByLabels<M> {
    pub(super) fn new() -> Self {
        Self(HashMap::with_hasher(Hashed::default()))
    }

    /// Calls `seen` with the series of these labels; hands it back if there is none.
    #[inline]
    pub(super) fn find<R, F: FnOnce(&M) -> R>(
        &self,
        template: &Arc<Template>,
        values: &[&str],
        seen: F,
    ) -> Result<R, F> {
        if !has_maps() {
            return Err(seen);
        }
        let wanted = Wanted { hash: shorten(template.hash(values)), template, values };
        match self.0.pin().get_key_value(&wanted) {
            Some((Shown(metric), ())) => Ok(seen(metric)),
            None => Err(seen),
        }
    }

    /// The metric of the same labels, if there is one.
    pub(super) fn same(&self, metric: &M) -> Option<M> {
        let shown = self.0.pin();
        let there = shown.get_key_value(&Same(&metric.series().labels));
        there.map(|(Shown(there), ())| there.clone())
    }

    /// Adds `metric`; the one that is there already, if one of the same labels is.
    pub(super) fn insert(&self, metric: &M) -> Option<M> {
        let inserted = self.0.pin().try_insert(Shown(metric.clone()), ()).is_ok();
        if inserted { None } else { self.same(metric) }
    }

    pub(super) fn remove(&self, metric: &M) {
        self.0.pin().remove(&Same(&metric.series().labels));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A hash of whose bits both ends vary, made of half of one.
fn spread(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl<M: Metric> Hash for Shown<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(spread(self.0.series().labels.hash()));
    }
}

impl<M: Metric> PartialEq for Shown<M> {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&self.0.series().labels, &other.0.series().labels);
        one.hash() == other.hash() && one.equal(other)
    }
}

impl<M: Metric> Eq for Shown<M> {}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(spread(self.hash));
    }
}

impl<M: Metric> Equivalent<Shown<M>> for Wanted<'_> {
    #[inline]
    fn equivalent(&self, key: &Shown<M>) -> bool {
        let labels = &key.0.series().labels;
        self.hash == labels.hash() && labels.is(self.template, self.values)
    }
}

impl Hash for Same<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(spread(self.0.hash()));
    }
}

impl<M: Metric> Equivalent<Shown<M>> for Same<'_> {
    fn equivalent(&self, key: &Shown<M>) -> bool {
        let labels = &key.0.series().labels;
        self.0.hash() == labels.hash() && self.0.equal(labels)
    }
}

impl BuildHasher for Hashed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys write one number; what else came would only hash badly.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
}
