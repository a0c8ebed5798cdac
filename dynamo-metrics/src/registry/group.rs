//! Groups: what one registration made.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::family::FamilyCore;
use crate::cell::TooManyColumns;
use crate::label::{Labels, Template, presentable};
use crate::metric::{self, Metric, Plan};
use crate::sync::{Slot, with_maps};

/// The value that stands for all label values past a family's cap.
pub(crate) const OVERFLOW: &str = "_overflow";

/// Series of one family that share the labels of a scope, and differ in the values of the same
/// label names.
#[derive(Debug)]
pub(crate) struct Group<M: Metric> {
    pub(super) template: Arc<Template>,
    pub(super) choices: Choices,
    /// Families that show every series of this group under another name.
    aliases: Box<[Weak<FamilyCore<M>>]>,
    /// Where in the family's list its series are, among others.
    pub(super) places: Span,
    /// The series past the cap.
    overflow: Slot<metric::Series<M::Value>>,
    /// Its scope was removed: nothing new is shown.
    gone: AtomicBool,
    /// What is recorded to then.
    lost: OnceLock<M>,
}

/// A range of places. Only those who hold the family's lock change it.
#[derive(Debug, Default)]
pub(super) struct Span {
    start: AtomicUsize,
    end: AtomicUsize,
}

/// What a registration chose.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) plan: Plan,
    /// Label values come at run time, and nothing but the family's cap bounds them.
    pub(crate) open: bool,
    /// Series go that nobody recorded to for so long.
    pub(crate) time_to_live: Option<Duration>,
}

impl Span {
    pub(super) fn get(&self) -> Range<usize> {
        self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed)
    }

    /// Takes in `place`.
    pub(super) fn widen(&self, place: usize) {
        let Range { start, end } = self.get();
        let start = if start == end { place } else { start.min(place) };
        self.start.store(start, Ordering::Relaxed);
        self.end.store(end.max(place + 1), Ordering::Relaxed);
    }

    pub(super) fn empty(&self) {
        self.start.store(0, Ordering::Relaxed);
        self.end.store(0, Ordering::Relaxed);
    }
}

impl<M: Metric> Group<M> {
    pub(crate) fn new(
        template: Arc<Template>,
        choices: Choices,
        aliases: Box<[Weak<FamilyCore<M>>]>,
    ) -> Self {
        Self {
            template,
            choices,
            aliases,
            places: Span::default(),
            overflow: Slot::empty(),
            gone: AtomicBool::new(false),
            lost: OnceLock::new(),
        }
    }

    /// Calls `seen` with the metric of these label values, which is made if it is new.
    ///
    /// There are as many values as names; missing ones would read as empty.
    ///
    /// # Errors
    /// [`TooManyColumns`], if it is new and there is no place for its value.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        family: &FamilyCore<M>,
        values: &[&str],
        seen: impl FnOnce(&M) -> R,
    ) -> Result<R, TooManyColumns> {
        match family.find(&self.template, values, seen) {
            Ok(result) => Ok(result),
            Err(seen) => self.make(family, values, None).map(|metric| seen(&metric)),
        }
    }

    /// The metric of these label values, made if it is new; `cell` is where its index leads.
    pub(crate) fn find_or_make(
        &self,
        family: &FamilyCore<M>,
        values: &[&str],
        cell: Option<&OnceLock<M>>,
    ) -> Result<M, TooManyColumns> {
        match (family.find(&self.template, values, M::clone), cell) {
            (Ok(metric), Some(cell)) => {
                // Made by another handle. What is another group's may be one that is to expire.
                if Arc::ptr_eq(metric.series().labels.template(), &self.template) {
                    let _ = cell.set(metric.clone());
                }
                Ok(metric)
            }
            (Ok(metric), None) => Ok(metric),
            (Err(_), cell) => self.make(family, values, cell),
        }
    }

    /// The metric of these label values; there was none a moment ago, or the thread cannot look.
    #[cold]
    fn make(
        &self,
        family: &FamilyCore<M>,
        values: &[&str],
        cell: Option<&OnceLock<M>>,
    ) -> Result<M, TooManyColumns> {
        with_maps(|| self.make_here(family, values, cell)).unwrap_or_else(|| Ok(self.lost()))
    }

    fn make_here(
        &self,
        family: &FamilyCore<M>,
        values: &[&str],
        cell: Option<&OnceLock<M>>,
    ) -> Result<M, TooManyColumns> {
        if let Some(replaced) = presentable(values) {
            let replaced: Vec<&str> = replaced.iter().map(String::as_str).collect();
            return self.find_or_make(family, &replaced, None);
        }
        if self.choices.open && family.is_full() {
            // Full before the lock as well, so that nobody is making this one just now.
            let overflow = self.overflow.with(Arc::clone).filter(|series| series.place().is_some());
            if let Some(series) = overflow {
                family.head.health.overflow.inc();
                return Ok(M::of(series));
            }
        }
        let metric = {
            // Makers wait for one another; nobody who finds a series does.
            let _making = family.lock();
            if self.is_gone() {
                return Ok(self.lost());
            }
            if let Ok(found) = family.find(&self.template, values, M::clone) {
                return Ok(found);
            }
            let by_name = self.choices.open && values.iter().all(|value| *value == OVERFLOW);
            if !self.choices.open || (!by_name && family.take_place()) {
                let made = metric::make(Labels::new(&self.template, values), &self.choices.plan);
                if made.is_err() && self.choices.open {
                    family.give_place_back();
                }
                let metric = family.attach(self, made?);
                if let Some(cell) = cell {
                    // Filled already if that one was removed; look-ups go the long way then.
                    let _ = cell.set(metric.clone());
                }
                metric
            } else {
                // Whoever asks for it by name is not past the cap.
                if !by_name {
                    family.head.health.overflow.inc();
                }
                self.find_or_make_overflow(family, values.len())?
            }
        };
        self.show_aliases(&metric);
        Ok(metric)
    }

    /// The series past the cap, of so many values. The family's lock is held.
    fn find_or_make_overflow(
        &self,
        family: &FamilyCore<M>,
        values: usize,
    ) -> Result<M, TooManyColumns> {
        let all = vec![OVERFLOW; values];
        let overflow = if let Ok(there) = family.find(&self.template, &all, M::clone) {
            there
        } else {
            let labels = Labels::new(&self.template, &all);
            family.attach(self, metric::make(labels, &self.choices.plan)?)
        };
        self.overflow.set(Some(Arc::clone(overflow.series())));
        Ok(overflow)
    }

    /// What is recorded to where nothing is shown.
    fn lost(&self) -> M {
        self.lost.get_or_init(M::lost).clone()
    }

    /// Shows `metric` under the other names too. The family's lock is free: the other families
    /// have locks of their own, and may be each other's aliases.
    pub(super) fn show_aliases(&self, metric: &M) {
        for alias in self.aliases() {
            alias.attach_other(metric);
            // Whoever removed it meanwhile did not find it there.
            if metric.series().place().is_none() {
                alias.detach(metric);
            }
        }
    }

    /// Shows `metric`, which was removed, under the other names no longer.
    pub(super) fn hide_aliases(&self, metric: &M) {
        self.aliases().for_each(|alias| alias.detach(metric));
    }

    /// The families that show these series too.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = Arc<FamilyCore<M>>> {
        self.aliases.iter().filter_map(Weak::upgrade)
    }

    /// References to `metric` that the registry holds itself.
    pub(super) fn own_references(&self, metric: &M) -> usize {
        // A look-up and a list, here and in each alias.
        2 * (1 + self.aliases.len()) + usize::from(self.is_overflow(metric))
    }

    /// Whether `metric` stands for all past the cap.
    pub(super) fn is_overflow(&self, metric: &M) -> bool {
        self.overflow.with(|series| Arc::ptr_eq(series, metric.series())).unwrap_or_default()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// The family's lock is held.
    pub(super) fn set_gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}
