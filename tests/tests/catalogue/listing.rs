//! The catalogue as the pages have it: each set once, with the names under which its metrics are shown.

use std::collections::BTreeMap;

use dynamo_metrics::label::{LabelInfo, LabelValues};
use dynamo_metrics::metric::MetricKind;
use dynamo_metrics::registry::catalogue::{Form, Listed, MetricInfo, SetInfo};

/// A set that has metrics of its own.
pub(crate) struct Entry {
    pub(crate) info: &'static SetInfo,
    /// It under each of its prefixes.
    pub(crate) under: Vec<Listed>,
    /// Labels that its series have where its user says so.
    pub(crate) more: &'static [LabelInfo],
}

/// A metric of such a set.
#[derive(Clone)]
pub(crate) struct Metric {
    /// Under each of the set's prefixes, and then its aliases likewise.
    pub(crate) names: Vec<String>,
    /// Under how many prefixes.
    pub(crate) prefixes: usize,
    pub(crate) info: &'static MetricInfo,
    /// Where its value is taken.
    pub(crate) source: &'static str,
    /// Labels that its series have where its user says so.
    pub(crate) more: &'static [LabelInfo],
}

/// Every set, in the order of the catalogue.
pub(crate) fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for set in dynamo_metrics::catalogue() {
        for listed in set.listed().filter(|listed| !listed.info().metrics.is_empty()) {
            let info = listed.info();
            let same = |entry: &&mut Entry| std::ptr::eq(entry.info, info);
            match entries.iter_mut().find(same) {
                Some(entry) => entry.under.push(listed),
                None => entries.push(Entry { info, under: vec![listed], more: set.more_labels() }),
            }
        }
    }
    entries
}

impl Entry {
    pub(crate) fn metrics(&self) -> impl Iterator<Item = Metric> {
        self.info.metrics.iter().map(|info| {
            let names = std::iter::once(&info.name).chain(info.aliases);
            let names = names.flat_map(|name| self.under.iter().map(|under| under.exposed(name)));
            let source = if info.source.is_empty() { self.info.source } else { info.source };
            let prefixes = self.under.len();
            Metric { names: names.collect(), prefixes, info, source, more: self.more }
        })
    }
}

/// What we named ourselves; other names are those of the systems that had them first.
const OURS: [&str; 5] =
    ["dynamo_component_", "dynamo_upstream_", "dynamo_metrics_", "gpu_", "allocator_"];

/// Every metric by each of its names.
pub(crate) fn by_name() -> BTreeMap<String, Metric> {
    let metrics = entries().into_iter().flat_map(|entry| entry.metrics().collect::<Vec<_>>());
    let named = |metric: Metric| {
        let names = metric.names.clone();
        names.into_iter().map(move |name| (name, metric.clone()))
    };
    metrics.flat_map(named).collect()
}

/// What the buckets are: bounds as numbers, native ones in a word.
pub(crate) fn buckets(metric: &MetricInfo) -> Option<(Vec<f64>, bool)> {
    let bounds = metric.bounds()?.unwrap();
    Some((bounds.bounds().to_vec(), metric.native.is_some()))
}

/// The values of a label, if they are known.
pub(crate) fn values(label: &LabelInfo) -> Option<&'static [&'static str]> {
    match label.values {
        LabelValues::Closed(values) => Some(values),
        _ => None,
    }
}

pub(crate) fn form(form: Form) -> &'static str {
    match form {
        Form::Single => "single",
        Form::Lazy => "lazy",
        Form::Each => "each",
        Form::Family => "family",
        Form::DynamicFamily => "dynamic_family",
        _ => "other",
    }
}

#[test]
fn no_two_metrics_have_one_name_unless_they_are_the_same() {
    let mut kinds: BTreeMap<String, (MetricKind, &str)> = BTreeMap::new();
    for entry in entries() {
        for metric in entry.metrics() {
            for name in metric.names {
                let said = (metric.info.kind, metric.info.help);
                let before = kinds.insert(name.clone(), said);
                let same = before.is_none_or(|before| before == said);
                assert!(same, "{name} is in the catalogue twice: {before:?} {said:?}");
            }
        }
    }
    assert!(kinds.len() > 100, "{}", kinds.len());
}

#[test]
fn every_set_and_every_metric_says_what_it_is_and_where_it_is_taken() {
    for entry in entries() {
        assert!(!entry.info.help.is_empty(), "{}", entry.info.name);
        for metric in entry.metrics() {
            let name = &metric.names[0];
            assert!(!metric.info.help.is_empty() && !metric.source.is_empty(), "{name}");
            let is_counter = metric.info.kind == MetricKind::Counter;
            if OURS.iter().any(|ours| name.starts_with(ours)) {
                assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            }
        }
    }
}
