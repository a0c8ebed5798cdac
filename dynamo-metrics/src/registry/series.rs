//! Families and their series: what a name stands for, and every set of labels under it.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use foldhash::fast::RandomState;
use papaya::{Equivalent, HashMap};

use crate::cell::TooManyColumns;
use crate::label::{Labels, Template};
use crate::metric::{AnyMetric, Buckets, Counter, MetricType};
use crate::sync::{AtomicU64, Ordering};
use crate::unit::Unit;

/// The value that stands for all label values past a family's cap.
pub(crate) const OVERFLOW: &str = "_overflow";

/// One line of a scrape (a dozen for a histogram).
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) metric: AnyMetric,
}

/// All series of one exposed name.
#[derive(Debug)]
pub(crate) struct FamilyCore {
    pub(crate) name: Box<str>,
    pub(crate) help: Box<str>,
    pub(crate) unit: Option<Unit>,
    pub(crate) metric_type: MetricType,
    /// Every series by what tells it from the others, so that no two lines of a scrape collide.
    by_identity: HashMap<ByIdentity, ()>,
    /// The same series in the order of their creation, for a scrape to walk.
    in_order: boxcar::Vec<Arc<Series>>,
    groups: HashMap<Box<str>, Arc<Group>>,
    /// Series whose labels have values that come at run time; these are capped.
    variable: AtomicU64,
    cap: u64,
    pub(crate) health: Health,
}

/// What went wrong with a family; each is exposed once it is not zero.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub(crate) overflow: Counter,
    pub(crate) invalid: Counter,
    pub(crate) help_conflicts: Counter,
}

/// What one registration made: series of one family that share the labels of a scope, and differ
/// in the values of the same label names.
#[derive(Debug)]
pub(crate) struct Group {
    template: Template,
    buckets: Buckets,
    /// Families that show every series of this group under another name.
    aliases: Box<[Arc<FamilyCore>]>,
    /// Label values come at run time, and nothing but the family's cap bounds them.
    open: bool,
    by_values: HashMap<ByValues, (), Hashed>,
    /// Held while a series is made, so that one value takes one place under the cap.
    making: Mutex<()>,
    /// The series past the cap. Once it is there, nothing new is made in this group.
    overflow: OnceLock<Arc<Series>>,
}

/// A series, found by its label text.
#[derive(Debug)]
struct ByIdentity(Arc<Series>);

/// A series, found by its label values; no copy of them is kept, since its text has them.
#[derive(Debug)]
struct ByValues {
    hash: u64,
    series: Arc<Series>,
    /// The labels, if the series has them from elsewhere and without some that are empty here.
    other: Option<Labels>,
}

/// Label text, to find a series by.
struct Identity<'a>(&'a str);

/// Label values as they come, to find a series by.
struct Values<'a> {
    hash: u64,
    given: &'a [&'a str],
    template: &'a Template,
}

/// Keys that are hashes already.
#[derive(Debug, Clone, Default)]
struct Hashed(u64);

impl FamilyCore {
    pub(crate) fn new(
        name: Box<str>,
        help: Box<str>,
        unit: Option<Unit>,
        metric_type: MetricType,
        cap: u64,
    ) -> Self {
        Self {
            name,
            help,
            unit,
            metric_type,
            by_identity: HashMap::new(),
            in_order: boxcar::Vec::new(),
            groups: HashMap::new(),
            variable: AtomicU64::new(0),
            cap,
            health: Health::default(),
        }
    }

    /// The group of `key`, made by `make` if it is new.
    pub(crate) fn group(&self, key: Box<str>, make: impl FnOnce() -> Group) -> Arc<Group> {
        self.groups.pin().get_or_insert_with(key, || Arc::new(make())).clone()
    }

    /// The number of series, some of which may be on their way in.
    pub(crate) fn len(&self) -> usize {
        self.in_order.count()
    }

    /// The series of this index, if it is there yet.
    pub(crate) fn get(&self, index: usize) -> Option<&Series> {
        self.in_order.get(index).map(|series| &**series)
    }

    /// Shows `metric` under `labels`, unless such a series is there; returns the one that is.
    pub(crate) fn attach(&self, labels: Labels, metric: AnyMetric) -> Arc<Series> {
        let series = Arc::new(Series { labels, metric });
        let map = self.by_identity.pin();
        if map.try_insert(ByIdentity(Arc::clone(&series)), ()).is_ok() {
            self.in_order.push(Arc::clone(&series));
            return series;
        }
        self.find(series.labels.identity()).unwrap_or(series)
    }

    /// The series of this label text, if there is one.
    fn find(&self, identity: &str) -> Option<Arc<Series>> {
        let map = self.by_identity.pin();
        map.get_key_value(&Identity(identity)).map(|(there, ())| Arc::clone(&there.0))
    }

    /// Takes a place under the cap, if one is left.
    fn take_place(&self) -> bool {
        self.variable
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < self.cap).then_some(n + 1))
            .is_ok()
    }
}

impl Group {
    pub(crate) fn new(
        fixed: Box<[(Box<str>, Box<str>)]>,
        names: Box<[Box<str>]>,
        open: bool,
        buckets: Buckets,
        aliases: Box<[Arc<FamilyCore>]>,
    ) -> Self {
        Self {
            template: Template::new(fixed, names),
            buckets,
            aliases,
            open,
            by_values: HashMap::with_hasher(Hashed::default()),
            making: Mutex::new(()),
            overflow: OnceLock::new(),
        }
    }

    pub(crate) fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    pub(crate) fn aliases(&self) -> &[Arc<FamilyCore>] {
        &self.aliases
    }

    /// Whether `alias` shows `metric` as this group's series without variable labels.
    pub(crate) fn shows(&self, alias: &FamilyCore, metric: &AnyMetric) -> bool {
        let labels = self.template.render(&[]);
        alias.find(labels.identity()).is_some_and(|series| series.metric.is(metric))
    }

    /// Calls `seen` with the metric of these label values, which is made if it is new.
    ///
    /// There are as many values as names; missing ones would read as empty.
    ///
    /// # Errors
    /// [`TooManyColumns`], if it is new and there is no place for its value.
    pub(crate) fn with<R>(
        &self,
        family: &FamilyCore,
        values: &[&str],
        seen: impl FnOnce(&AnyMetric) -> R,
    ) -> Result<R, TooManyColumns> {
        let wanted = Values { hash: hash(values), given: values, template: &self.template };
        let map = self.by_values.pin();
        if let Some((there, ())) = map.get_key_value(&wanted) {
            return Ok(seen(&there.series.metric));
        }
        if let Some(series) = self.overflow.get() {
            // The family is full, and was so before, so that nobody is making this one just now.
            family.health.overflow.inc();
            return Ok(seen(&series.metric));
        }
        // Makers wait for one another; nobody who finds a series does.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((there, ())) = map.get_key_value(&wanted) {
            return Ok(seen(&there.series.metric));
        }
        if self.open && !family.take_place() {
            family.health.overflow.inc();
            if self.overflow.get().is_none() {
                let all: Vec<&str> = values.iter().map(|_| OVERFLOW).collect();
                let labels = self.template.render(&all);
                let _ = self.overflow.set(self.make(family, &labels)?);
            }
            // It is there: only one maker is in here.
            return self.overflow.get().map(|series| seen(&series.metric)).ok_or(TooManyColumns);
        }
        let labels = self.template.render(values);
        let series = self.make(family, &labels)?;
        let other = (labels != series.labels).then_some(labels);
        map.insert(ByValues { hash: wanted.hash, series: Arc::clone(&series), other }, ());
        Ok(seen(&series.metric))
    }

    fn make(&self, family: &FamilyCore, labels: &Labels) -> Result<Arc<Series>, TooManyColumns> {
        let metric =
            AnyMetric::new(family.metric_type, family.unit, &self.buckets, &family.health.invalid)?;
        let series = family.attach(labels.clone(), metric);
        for alias in &self.aliases {
            alias.attach(series.labels.clone(), series.metric.clone());
        }
        Ok(series)
    }
}

/// The hash of label values, which nobody outside the process can foresee.
fn hash(values: &[&str]) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::default).hash_one(values)
}

impl Hash for ByIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.labels.identity().hash(state);
    }
}

impl PartialEq for ByIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.0.labels.identity() == other.0.labels.identity()
    }
}

impl Eq for ByIdentity {}

impl Hash for Identity<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<ByIdentity> for Identity<'_> {
    fn equivalent(&self, key: &ByIdentity) -> bool {
        self.0 == key.0.labels.identity()
    }
}

impl ByValues {
    fn labels(&self) -> &Labels {
        self.other.as_ref().unwrap_or(&self.series.labels)
    }
}

impl Hash for ByValues {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for ByValues {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.labels() == other.labels()
    }
}

impl Eq for ByValues {}

impl Hash for Values<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<ByValues> for Values<'_> {
    fn equivalent(&self, key: &ByValues) -> bool {
        self.hash == key.hash && self.template.is(key.labels(), self.given)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn family(cap: u64) -> FamilyCore {
        FamilyCore::new("x_total".into(), "".into(), None, MetricType::Counter, cap)
    }

    fn group() -> Group {
        let buckets = Buckets::new([1.0]).unwrap();
        Group::new(Box::new([]), Box::new(["model".into()]), true, buckets, Box::new([]))
    }

    fn inc(group: &Group, family: &FamilyCore, value: &str) {
        group
            .with(family, &[value], |metric| match metric {
                AnyMetric::Counter(counter) => counter.inc(),
                other => panic!("{other:?}"),
            })
            .unwrap();
    }

    #[test]
    fn past_the_cap_values_become_overflow_and_nothing_is_lost() {
        let (family, group) = (family(3), group());
        for i in 0..10 {
            inc(&group, &family, &format!("m{i}"));
            inc(&group, &family, "m0");
        }
        assert_eq!(family.len(), 4);
        assert_eq!(family.health.overflow.get(), 7);
        let total: u64 = (0..family.len())
            .filter_map(|i| match &family.get(i)?.metric {
                AnyMetric::Counter(counter) => Some(counter.get()),
                _ => None,
            })
            .sum();
        assert_eq!(total, 20);
        assert_eq!(family.get(3).unwrap().labels.as_str(), r#"model="_overflow""#);
    }

    #[test]
    fn two_groups_that_name_one_series_share_it() {
        let (family, group) = (family(10), group());
        let fixed = Group::new(
            Box::new([("model".into(), "m".into())]),
            Box::new([]),
            false,
            group.buckets.clone(),
            Box::new([]),
        );
        inc(&group, &family, "m");
        fixed
            .with(&family, &[], |metric| match metric {
                AnyMetric::Counter(counter) => assert_eq!(counter.get(), 1),
                other => panic!("{other:?}"),
            })
            .unwrap();
        assert_eq!(family.len(), 1);
    }

    #[test]
    fn an_empty_value_finds_the_series_without_that_label() {
        let family = family(3);
        let buckets = Buckets::default();
        let plain = Group::new(Box::new([]), Box::new(["a".into()]), true, buckets, Box::new([]));
        inc(&plain, &family, "x");
        let more = ["a".into(), "b".into()];
        let group =
            Group::new(Box::new([]), Box::new(more), true, Buckets::default(), Box::new([]));
        for _ in 0..10 {
            group.with(&family, &["x", ""], |_| ()).unwrap();
        }
        assert_eq!((family.len(), family.health.overflow.get()), (1, 0));
        assert_eq!(family.variable.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn threads_that_make_one_series_at_once_make_one() {
        let (family, group) = (family(100), group());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..50 {
                        inc(&group, &family, &format!("m{i}"));
                    }
                });
            }
        });
        assert_eq!(family.len(), 50);
    }

    #[test]
    fn threads_that_make_one_series_at_once_take_one_place() {
        for _ in 0..200 {
            let (family, group) = (family(2), group());
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| inc(&group, &family, "m"));
                }
            });
            inc(&group, &family, "n");
            assert_eq!((family.len(), family.health.overflow.get()), (2, 0));
        }
    }
}
