//! What went wrong where others were asked: counted by source and reason, logged once for each cause.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use super::source::Trouble;
use crate::label::{Labels, Template};
use crate::metric::{self, Counter};

/// Causes that are remembered; those that come later are counted alone.
const MOST_CAUSES: usize = 1_000;

/// What went wrong where others were asked.
///
/// Sources come and go as outsiders like, so nothing here is by source: kinds and reasons are few.
#[derive(Debug)]
pub(crate) struct Errors {
    worker_id: Option<Box<str>>,
    counters: Mutex<BTreeMap<(&'static str, &'static str), Counter>>,
    hasher: RandomState,
    /// Hashes of causes that were logged.
    logged: Mutex<HashSet<u64>>,
}

impl Errors {
    pub(super) fn new(worker_id: Option<Box<str>>) -> Self {
        let (counters, logged) = (Mutex::default(), Mutex::default());
        Self { worker_id, counters, hasher: RandomState::new(), logged }
    }

    /// Counts what went wrong in a source of this kind, whose scope has these labels.
    pub(super) fn count(&self, kind: &'static str, labels: &[(String, String)], trouble: Trouble) {
        let Trouble { reason, count, text } = trouble;
        let cause = self.hasher.hash_one((kind, labels, reason));
        let is_new = {
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            logged.len() < MOST_CAUSES && logged.insert(cause)
        };
        if is_new {
            tracing::warn!(source = kind, ?labels, reason, text, "values were left out");
        }
        self.counter(kind, reason).inc_by(count);
    }

    /// Calls `show` with every counter.
    pub(super) fn each(&self, show: impl FnMut(&Counter)) {
        let counters: Vec<_> = {
            let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
            counters.values().cloned().collect()
        };
        counters.iter().for_each(show);
    }

    fn counter(&self, kind: &'static str, reason: &'static str) -> Counter {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let mut labels = vec![("source", kind), ("reason", reason)];
            labels.extend(self.worker_id.as_deref().map(|id| ("worker_id", id)));
            metric::counter(Labels::new(&Arc::new(Template::new(&labels, &[])), &[]))
        };
        counters.entry((kind, reason)).or_insert_with(make).clone()
    }
}
