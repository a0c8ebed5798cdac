//! A set of a program that allows nothing: no warning is of our making, whatever is in scope.

#![no_implicit_prelude]
#![deny(warnings, missing_docs)]
#![deny(clippy::all, clippy::pedantic, clippy::panic, clippy::indexing_slicing)]

use ::dynamo_metrics::label::{LabelSet, LabelValue};
use ::dynamo_metrics::metric::{Counter, Gauge, Histogram};
use ::dynamo_metrics::registry::{DynamicFamily, Family, Lazy, MetricSet, Registry};
use ::std::default::Default as _;

/// A type of this name.
pub struct Result;

/// And of this.
pub struct Option;

/// And of this.
#[allow(non_camel_case_types)]
pub struct str;

#[derive(LabelValue)]
#[label(rename_all = "kebab-case")]
enum Kind {
    PageRead,
    PageWrite,
}

#[derive(LabelSet)]
struct Of {
    kind: Kind,
}

const BOUNDS: &[f64] = &[0.1, 1.0];

/// A store.
#[derive(MetricSet)]
#[metric_set(prefix = "store")]
pub struct Store<const N: usize> {
    /// Steps.
    #[metric(name = "steps_total", each(kind: Kind))]
    steps: [Counter; 2],
    /// Reads.
    r#reads_total: Family<Of, Counter>,
    /// Sessions.
    #[metric(labels(r#type, session))]
    sessions: DynamicFamily<Gauge, 2>,
    /// Waits.
    #[metric(buckets = BOUNDS, native, unit = seconds)]
    wait_seconds: Lazy<Histogram>,
    #[metric(flatten)]
    inner: Inner,
    #[metric(skip)]
    names: [u8; 3],
}

/// What is in it.
#[derive(MetricSet)]
struct Inner {
    /// Entries.
    entries: Gauge,
}

fn main() {
    let registry = Registry::new();
    let store = Store::<3>::register(&registry).unwrap();
    store.steps[Kind::PageWrite as usize].inc();
    store.reads_total.with_ref(&Of { kind: Kind::PageRead }, Counter::inc);
    store.sessions.with(["a", "b"]).set(1);
    store.wait_seconds.observe(0.5);
    store.inner.entries.set(3);
    ::std::assert_eq!(store.names, <[u8; 3]>::default());
    let text = ::dynamo_metrics::encode::text(&registry);
    ::std::assert!(text.contains("store_reads_total{kind=\"page-read\"} 1\n"), "{text}");
}
