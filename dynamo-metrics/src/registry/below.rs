//! A part of a registry by itself, and registries that are shown in others.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::gather::{self, Walk};
use super::merge::Told;
use super::scope::Scope;
use super::source::{Answer, Ask, Asked, SameLabel, SourceKind};
use crate::metric::visit::{self, Number, Visitor};
use crate::metric::{HistogramSnapshot, MetricKind, foreign};
use crate::name::AUTOMATIC_LABELS;

/// Shows those series of ours that are of some places, and all of others.
struct Within<'a> {
    places: HashSet<[Box<str>; 3]>,
    /// The family at hand, until it was shown.
    family: Option<OwnedFamily>,
    to: &'a mut dyn Visitor,
}

struct OwnedFamily {
    name: String,
    help: String,
    unit: Option<String>,
    kind: MetricKind,
}

/// Whether there is a family of this very name.
struct Seek<'a>(&'a str, bool);

/// Keeps what it sees as others' values are kept.
#[derive(Default)]
struct Copied(Vec<foreign::Family>);

impl Scope {
    /// All that is asked before a gather of what is here and below, and those who answer for the
    /// registries that are shown there, each of them once however it is come to.
    pub(super) fn asked(&self) -> Vec<Arc<Asked>> {
        let mut all: Vec<Arc<Asked>> = Vec::new();
        let mut seen = vec![self.clone()];
        let mut waiting = VecDeque::from(self.tree.asked_below(&self.node));
        while let Some(asked) = waiting.pop_front() {
            if let Some(child) = asked.child() {
                if seen.iter().any(|seen| seen.covers(child)) {
                    continue;
                }
                // Its callbacks run when its values are asked for, and not beside.
                let its = child.tree.asked_below(&child.node);
                waiting.extend(its.into_iter().filter(|asked| asked.source().is_some()));
                seen.push(child.clone());
            }
            all.push(asked);
        }
        all
    }

    fn covers(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tree, &other.tree) && self.node.covers(&other.node)
    }

    /// Shows what is here and below, as [`Registry::gather`](super::Registry::gather) shows all.
    ///
    /// Series of ours are told apart by the labels that scopes give them, which nobody else can:
    /// places of the same labels are one.
    pub(crate) fn gather_below(&self, visitor: &mut dyn Visitor) {
        let asked = self.asked();
        gather::refresh(&self.tree, &asked);
        self.show_below(gather::ask_now(&asked), visitor);
    }

    fn show_below(&self, told: Vec<Told>, visitor: &mut dyn Visitor) {
        let mut walk = Walk::new(self, told);
        if self.node.number() == 0 {
            while walk.step(visitor, usize::MAX) {}
            return;
        }
        let mut within = Within { places: self.node.names_below(), family: None, to: visitor };
        while walk.step(&mut within, usize::MAX) {}
    }

    /// Whether a series of the exposed name `name` was registered here, and not below.
    pub(crate) fn has_here(&self, name: &str) -> bool {
        let mut walk = Walk::new(self, Vec::new()).only(HashSet::from([name.to_owned()]));
        let mut seek = Seek(name, false);
        let places = HashSet::from([self.node.names.clone()]);
        let mut within = Within { places, family: None, to: &mut seek };
        while walk.step(&mut within, usize::MAX) {}
        seek.1
    }

    /// Shows what is at `child` and below, a place of another registry, in each gather of what is
    /// here, under its own labels alone; once, however often it is told.
    pub(crate) fn add_child(&self, child: &Scope) {
        let has_it = |asked: &Arc<Asked>| {
            asked.child().is_some_and(|there| there.covers(child) && child.covers(there))
        };
        // What is of this very registry is shown as it is.
        if Arc::ptr_eq(&self.tree, &child.tree) || self.node.asks(has_it) {
            return;
        }
        let shown = child.clone();
        let ask = move || {
            gather::refresh(&shown.tree, &shown.tree.asked_below(&shown.node));
            let mut copied = Copied::default();
            shown.show_below(Vec::new(), &mut copied);
            Answer { families: Arc::new(copied.0), troubles: Vec::new() }
        };
        let ask = Ask::Now(Box::new(ask));
        let child = Some(child.clone());
        self.add_source_with(SourceKind::ChildRegistry, Vec::new(), SameLabel::Theirs, ask, child);
    }
}

impl Visitor for Within<'_> {
    fn family(&mut self, family: &visit::Family<'_>) {
        self.family = Some(OwnedFamily {
            name: family.name.to_owned(),
            help: family.help.to_owned(),
            unit: family.unit.map(str::to_owned),
            kind: family.kind,
        });
    }

    fn series(&mut self, series: &visit::Series<'_>) {
        // Only those who are asked here tell of others.
        if !series.labels.are_foreign() {
            let mut names: [Box<str>; 3] = Default::default();
            for (name, value) in series.labels.iter() {
                let level = AUTOMATIC_LABELS.iter().position(|automatic| *automatic == name);
                if let Some(place) = level.and_then(|level| names.get_mut(level)) {
                    *place = value.into();
                }
            }
            if !self.places.contains(&names) {
                return;
            }
        }
        if let Some(family) = self.family.take() {
            self.to.family(&visit::Family {
                name: &family.name,
                help: &family.help,
                unit: family.unit.as_deref(),
                kind: family.kind,
            });
        }
        self.to.series(series);
    }
}

impl Visitor for Seek<'_> {
    fn family(&mut self, family: &visit::Family<'_>) {
        self.1 |= family.name == self.0;
    }

    fn series(&mut self, _: &visit::Series<'_>) {}
}

impl Visitor for Copied {
    fn family(&mut self, family: &visit::Family<'_>) {
        self.0.push(foreign::Family {
            name: family.name.to_owned(),
            kind: family.kind,
            help: family.help.to_owned(),
            unit: family.unit.map(str::to_owned),
            series: Vec::new(),
        });
    }

    fn series(&mut self, series: &visit::Series<'_>) {
        let Some(family) = self.0.last_mut() else { return };
        let labels = series.labels.iter().filter(|(_, value)| !value.is_empty());
        let mut exemplars: Vec<_> = Vec::new();
        let value = match series.value {
            visit::Value::Counter(number) => {
                exemplars.extend(series.exemplars.counter());
                foreign::Value::Number(float(number))
            }
            visit::Value::Gauge(number) | visit::Value::Unknown(number) => {
                foreign::Value::Number(float(number))
            }
            visit::Value::Info => foreign::Value::Number(1.0),
            visit::Value::State(is_on) => foreign::Value::Number(f64::from(u8::from(is_on))),
            visit::Value::Histogram(seen) => {
                let buckets = 0..seen.counts().len();
                exemplars.extend(buckets.filter_map(|bucket| series.exemplars.bucket(bucket)));
                foreign::Value::Histogram(histogram(seen))
            }
            visit::Value::Summary(summary) => foreign::Value::Summary(summary.clone()),
            visit::Value::Buckets(buckets) => foreign::Value::Histogram(buckets.clone()),
        };
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        family.series.push(foreign::Series {
            labels: labels.map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
            value,
            created: series.created.map(seconds),
            exemplars: exemplars
                .iter()
                .map(|exemplar| foreign::Exemplar {
                    labels: exemplar.labels().map(own).collect(),
                    value: exemplar.value(),
                    timestamp: exemplar.timestamp().map(seconds),
                })
                .collect(),
        });
    }
}

fn float(number: Number) -> f64 {
    match number {
        Number::Unsigned(number) => number as f64,
        Number::Signed(number) => number as f64,
        Number::Float(number) => number,
    }
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1_000.0
}

fn histogram(seen: &HistogramSnapshot) -> foreign::Histogram {
    let mut below = 0_u64;
    let bounds = seen.bounds().iter().copied().chain([f64::INFINITY]);
    let buckets = bounds.zip(seen.counts()).map(|(bound, count)| {
        below = below.saturating_add(*count);
        (bound, below as f64)
    });
    let native = seen.native().map(|native| foreign::Native {
        schema: native.buckets().schema().into(),
        zero_threshold: native.buckets().zero_threshold(),
        zero_count: native.zero_count() as f64,
        positive: (native.buckets().first_index()..)
            .zip(native.counts())
            .filter(|(_, count)| **count > 0)
            .map(|(index, count)| (index, *count as f64))
            .collect(),
        negative: Vec::new(),
    });
    let buckets = buckets.collect();
    foreign::Histogram { buckets, sum: Some(seen.sum()), count: seen.count() as f64, native }
}
