//! Families: what a name stands for, and every set of labels under it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::any::Head;
use super::group::Group;
use super::list::{List, View};
use super::shown::ByLabels;
use crate::clock::Instant;
use crate::label::Template;
use crate::metric::{Metric, Series};
use crate::sync::with_maps;

/// All series of one exposed name.
#[derive(Debug)]
pub(crate) struct FamilyCore<M: Metric> {
    pub(crate) head: Head,
    /// Every series by its labels, so that no two lines of a scrape collide.
    by_labels: ByLabels<M>,
    /// The same series in the order of their creation.
    list: List<Series<M::Value>>,
    /// Series whose labels have values that come at run time; these are capped.
    open: AtomicU64,
    /// Some series have a time to live.
    mortal: AtomicBool,
    making: Mutex<Making<M>>,
}

/// What those who make and remove series need, one at a time.
#[derive(Debug)]
pub(super) struct Making<M: Metric> {
    groups: HashMap<Box<str>, Arc<Group<M>>>,
    /// Places of series that are another family's, and shown here as well.
    others: HashMap<Address, usize>,
    /// Groups, here and of those that show their series here.
    users: usize,
    /// Nobody used it any more, and it is out of the index.
    closed: bool,
    /// What series with a time to live looked like when they last changed.
    pub(super) idle: HashMap<Address, (u64, Instant)>,
}

/// Tells a series from the others, for as long as it is there.
type Address = usize;

/// The family was out of the index before it was used; the next one of its name is another.
#[derive(Debug)]
pub(super) struct Closed;

impl<M: Metric> FamilyCore<M> {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            by_labels: ByLabels::new(),
            list: List::new(),
            open: AtomicU64::new(0),
            mortal: AtomicBool::new(false),
            making: Mutex::new(Making {
                groups: HashMap::new(),
                others: HashMap::new(),
                users: 0,
                closed: false,
                idle: HashMap::new(),
            }),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Making<M>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `seen` with the series of these labels; hands it back if there is none.
    #[inline]
    pub(super) fn find<R, F: FnOnce(&M) -> R>(
        &self,
        template: &Arc<Template>,
        values: &[&str],
        seen: F,
    ) -> Result<R, F> {
        self.by_labels.find(template, values, seen)
    }

    /// Whether this very metric is shown, and not another one of its labels.
    pub(super) fn shows(&self, metric: &M) -> bool {
        self.by_labels.same(metric).is_some_and(|there| is(&there, metric))
    }

    /// Shows a series of this family, unless one of the same labels is there; returns the one that is.
    /// The lock is held.
    pub(super) fn attach(&self, group: &Group<M>, metric: M) -> M {
        if let Some(there) = self.by_labels.insert(&metric) {
            return there;
        }
        let place = self.list.push(Arc::clone(metric.series()));
        metric.series().set_place(Some(place));
        group.places.widen(place);
        metric
    }

    /// Shows a series that is another family's, unless one of the same labels is there.
    pub(crate) fn attach_other(&self, metric: &M) {
        let mut making = self.lock();
        if self.by_labels.insert(metric).is_none() {
            let place = self.list.push(Arc::clone(metric.series()));
            making.others.insert(address(metric), place);
        }
    }

    /// The same, in the place of one of the same labels: the same thing, told by somebody who came
    /// later.
    pub(crate) fn attach_in_place(&self, metric: &M) {
        if let Some(before) = self.by_labels.same(metric).filter(|before| !is(before, metric)) {
            self.detach(&before);
        }
        self.attach_other(metric);
    }

    /// Shows a series of another family no longer.
    pub(crate) fn detach(&self, metric: &M) {
        let mut making = self.lock();
        if let Some(place) = making.others.remove(&address(metric)) {
            self.take_out(&mut making, metric, place);
        }
    }

    /// Removes the series of these labels from this family and its aliases, if it is one of
    /// `group`'s own.
    pub(crate) fn remove(&self, group: &Group<M>, values: &[&str]) -> bool {
        with_maps(|| self.remove_here(group, values)).unwrap_or_default()
    }

    fn remove_here(&self, group: &Group<M>, values: &[&str]) -> bool {
        let Ok(metric) = self.find(&group.template, values, M::clone) else { return false };
        let removed = self.remove_own(&mut self.lock(), group, &metric);
        if removed {
            group.hide_aliases(&metric);
        }
        removed
    }

    /// Removes those series of `group` whose label `name` has this value; how many they were.
    pub(crate) fn remove_where(&self, group: &Group<M>, name: &str, value: &str) -> usize {
        let remove = || {
            let mut making = self.lock();
            let mut removed = self.series_of(group);
            removed.retain(|metric| {
                let mut labels = metric.series().labels.iter();
                labels.any(|(own, has)| own == name && has == value)
                    && self.remove_own(&mut making, group, metric)
            });
            drop(making);
            for metric in &removed {
                group.hide_aliases(metric);
            }
            removed.len()
        };
        with_maps(remove).unwrap_or_default()
    }

    /// Removes a series of this group, but not from the aliases: their locks are for when this one is
    /// free.
    fn remove_own(&self, making: &mut Making<M>, group: &Group<M>, metric: &M) -> bool {
        let own = Arc::ptr_eq(metric.series().labels.template(), &group.template);
        let Some(place) = metric.series().place().filter(|_| own) else { return false };
        metric.series().set_place(None);
        making.idle.remove(&address(metric));
        self.take_out(making, metric, place);
        if group.choices.open && !group.is_overflow(metric) {
            self.give_place_back();
        }
        true
    }

    fn take_out(&self, making: &mut Making<M>, metric: &M, place: usize) {
        self.by_labels.remove(metric);
        self.list.clear(place);
        let Making { groups, others, .. } = making;
        let mut by_template = HashMap::new();
        self.list.shorten(|series, place| {
            if by_template.is_empty() {
                by_template.extend(groups.values().map(|group| {
                    group.places.empty();
                    (Arc::as_ptr(&group.template), group)
                }));
            }
            if let Some(other) = others.get_mut(&Arc::as_ptr(series).addr()) {
                *other = place;
                return;
            }
            series.set_place(Some(place));
            if let Some(group) = by_template.get(&Arc::as_ptr(series.labels.template())) {
                group.places.widen(place);
            }
        });
    }

    /// The group of `key`, made by `make` if it is new.
    ///
    /// # Errors
    /// [`Closed`], if the family is out of the index.
    pub(super) fn group(
        &self,
        key: &str,
        make: impl FnOnce() -> Group<M>,
    ) -> Result<(Arc<Group<M>>, bool), Closed> {
        let mut making = self.lock();
        if making.closed {
            return Err(Closed);
        }
        if let Some(group) = making.groups.get(key) {
            return Ok((Arc::clone(group), false));
        }
        let group = Arc::new(make());
        if group.choices.time_to_live.is_some() {
            self.mortal.store(true, Ordering::Relaxed);
        }
        making.users += 1;
        making.groups.insert(key.into(), Arc::clone(&group));
        Ok((group, true))
    }

    /// Keeps the family in the index.
    pub(super) fn hold(&self) -> Result<(), Closed> {
        let mut making = self.lock();
        if making.closed {
            return Err(Closed);
        }
        making.users += 1;
        Ok(())
    }

    /// Undoes [`hold`](Self::hold); whether the family is to leave the index.
    pub(super) fn release(&self) -> bool {
        let mut making = self.lock();
        making.users = making.users.saturating_sub(1);
        Self::close_unused(&mut making)
    }

    /// Whether nobody uses the family, so that it is to leave the index.
    pub(super) fn is_unused(&self) -> bool {
        Self::close_unused(&mut self.lock())
    }

    fn close_unused(making: &mut Making<M>) -> bool {
        let close = making.users == 0 && !making.closed;
        making.closed |= close;
        close
    }

    /// Removes a group with its series; whether the family is to leave the index.
    pub(super) fn remove_group(&self, key: &str, group: &Arc<Group<M>>) -> bool {
        let mut making = self.lock();
        if !making.groups.get(key).is_some_and(|there| Arc::ptr_eq(there, group)) {
            return false;
        }
        making.groups.remove(key);
        group.set_gone();
        let mut removed = self.series_of(group);
        removed.retain(|metric| self.remove_own(&mut making, group, metric));
        making.users = making.users.saturating_sub(1);
        let unused = Self::close_unused(&mut making);
        drop(making);
        for metric in &removed {
            group.hide_aliases(metric);
        }
        unused
    }

    fn series_of(&self, group: &Group<M>) -> Vec<M> {
        let view = self.list.view();
        group
            .places
            .get()
            .filter_map(|place| view.with(place, Arc::clone))
            .filter(|series| Arc::ptr_eq(series.labels.template(), &group.template))
            .map(M::of)
            .collect()
    }

    /// Whether no place is left under the cap.
    pub(super) fn is_full(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= self.head.cap
    }

    /// Takes a place under the cap, if one is left. The lock is held.
    pub(super) fn take_place(&self) -> bool {
        let free = !self.is_full();
        if free {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
        free
    }

    pub(super) fn give_place_back(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Removes what did not change for as long as its group lets it live, and what nobody holds.
    fn remove_idle(&self, now: Instant) {
        let mut making = self.lock();
        let mut removed = Vec::new();
        let mortal: Vec<_> = making
            .groups
            .values()
            .filter(|group| group.choices.time_to_live.is_some())
            .map(Arc::clone)
            .collect();
        for group in mortal {
            let life = group.choices.time_to_live.unwrap_or_default();
            for metric in self.series_of(&group) {
                let digest = M::digest(metric.series());
                let seen = making.idle.entry(address(&metric)).or_insert((digest, now));
                if seen.0 != digest {
                    *seen = (digest, now);
                }
                let idle = now.since(seen.1) >= life;
                // One more reference is the one at hand.
                let held =
                    || Arc::strong_count(metric.series()) > group.own_references(&metric) + 1;
                if idle && !held() && self.remove_own(&mut making, &group, &metric) {
                    removed.push((Arc::clone(&group), metric));
                }
            }
        }
        drop(making);
        for (group, metric) in &removed {
            group.hide_aliases(metric);
        }
    }

    pub(super) fn view(&self) -> View<Series<M::Value>> {
        self.list.view()
    }

    /// Removes what nobody recorded to for as long as it was to live.
    pub(super) fn expire(&self, now: Instant) {
        if self.mortal.load(Ordering::Relaxed) {
            self.remove_idle(now);
        }
    }

    /// Series that take a place under the cap.
    #[cfg(test)]
    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// The number of series.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_labels.len()
    }
}

fn address<M: Metric>(metric: &M) -> Address {
    Arc::as_ptr(metric.series()).addr()
}

pub(super) fn is<M: Metric>(one: &M, other: &M) -> bool {
    Arc::ptr_eq(one.series(), other.series())
}
