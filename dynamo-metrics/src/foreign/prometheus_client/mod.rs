//! The bridge to the crate `prometheus-client`, both ways: its registries shown in ours, and our
//! metrics and registries in its.
//!
//! [`Scope::add_prometheus_client`] shows one of its registries below a scope of ours. The other way,
//! all metrics of ours implement its `EncodeMetric`, and [`Registry`](crate::registry::Registry)
//! its `Collector`. Go one way only: each of two registries shown in the other gives pages on which
//! all is there twice, and if theirs is behind a lock that its own encoding holds, never ends.
//!
//! What its encoder cannot express is lost on the way to it: exemplars of histograms, and times of
//! creation. Help is escaped for its text format, which does not do that. State sets become gauges. A counter whose name does not end in
//! `_total`, which it would add, is of an unknown kind; summaries and gauge histograms that others
//! tell us are left out.
//!
//! # Examples
//! ```
//! use std::sync::{Arc, Mutex};
//! use dynamo_metrics::{encode, registry::Registry};
//! use prometheus_client::metrics::counter::Counter;
//!
//! // Theirs in ours.
//! let theirs = Arc::new(Mutex::new(prometheus_client::registry::Registry::default()));
//! let hits: Counter = Counter::default();
//! theirs.lock().unwrap().register("hits", "Hits", hits.clone());
//! hits.inc();
//!
//! let ours = Registry::new();
//! ours.component("cache").add_prometheus_client(theirs);
//! assert!(encode::text(&ours).ends_with("hits_total{dynamo_component=\"cache\"} 1\n"));
//!
//! // Ours in theirs.
//! let ours = Registry::new();
//! let depth = ours.component("queue").gauge("depth", "Depth.").register()?;
//! depth.set(7);
//! let mut theirs = prometheus_client::registry::Registry::default();
//! theirs.register_collector(Box::new(ours));
//! theirs.register("queue_depth", "Depth", depth); // one metric by itself
//!
//! let mut page = String::new();
//! prometheus_client::encoding::text::encode(&mut page, &theirs).unwrap();
//! assert!(page.contains("\ndynamo_component_depth{dynamo_component=\"queue\"} 7\n"));
//! assert!(page.contains("\nqueue_depth{dynamo_component=\"queue\"} 7\n"));
//! # Ok::<(), dynamo_metrics::registry::RegisterError>(())
//! ```

mod ours;
mod page;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ::prometheus_client::encoding::text::encode_registry;
use ::prometheus_client::registry::Registry;

use super::{Collected, Format};
use crate::foreign::collect::finish;
use crate::registry::{Ask, SameLabel, Scope, SourceKind};
use page::Page;

/// What holds a registry of `prometheus-client`, and lets it be read.
///
/// The registry itself does, and a reference to a static one, an `Arc`, a `Mutex` and an `RwLock` of
/// the standard library around it. For other locks, and for registries within other things, there
/// are closures.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use dynamo_metrics::registry::Registry;
/// use prometheus_client::registry::Registry as Theirs;
///
/// let theirs = Arc::new(tokio::sync::RwLock::new(Theirs::default()));
/// Registry::new().add_prometheus_client(move |read: &mut dyn FnMut(&Theirs)| {
///     read(&theirs.blocking_read());
/// });
/// ```
pub trait ReadRegistry: Send + Sync {
    /// Calls `read` with the registry; not at all if it cannot be had.
    fn read(&self, read: &mut dyn FnMut(&Registry));
}

impl Scope {
    /// Shows a registry of the crate `prometheus-client` here.
    ///
    /// It is read when and where a [collector](Self::add_collector) is asked, and checked as pages
    /// are. Names stay as they are; the labels of the scope are added, and where a series has one of
    /// them already, its own counts. What is wrong is left out, and counted in
    /// `dynamo_metrics_collect_errors_total{source="prometheus_client"}`. It stays for as long as the
    /// scope does.
    ///
    /// Of histograms with native buckets the classic ones are taken. One that has none ends the
    /// reading of the registry: what was registered after it is missing, and
    /// `reason="failed"` counts.
    ///
    /// # Cost
    /// A page of text for each gather, written and read; a lock around the registry is held while it
    /// is written.
    pub fn add_prometheus_client(&self, registry: impl ReadRegistry + 'static) {
        let ask = move || {
            let mut page = Page::default();
            let mut error = Some("the registry could not be had");
            registry.read(&mut |registry| {
                let written = encode_registry(&mut page, registry);
                error = written.is_err().then_some("the registry could not be encoded to its end");
            });
            let mut collected = Collected::new();
            page.finish(|family| collected.page(family, Format::OpenMetrics));
            finish(collected, error)
        };
        self.add_source(SourceKind::PrometheusClient, SameLabel::Theirs, Ask::Now(Box::new(ask)));
    }
}

impl ReadRegistry for Registry {
    fn read(&self, read: &mut dyn FnMut(&Registry)) {
        read(self);
    }
}

impl ReadRegistry for &'static Registry {
    fn read(&self, read: &mut dyn FnMut(&Registry)) {
        read(self);
    }
}

impl<R: ReadRegistry + ?Sized> ReadRegistry for Arc<R> {
    fn read(&self, read: &mut dyn FnMut(&Registry)) {
        (**self).read(read);
    }
}

impl<R: ReadRegistry + ?Sized> ReadRegistry for Mutex<R> {
    fn read(&self, read: &mut dyn FnMut(&Registry)) {
        self.lock().unwrap_or_else(PoisonError::into_inner).read(read);
    }
}

impl<R: ReadRegistry + ?Sized> ReadRegistry for RwLock<R> {
    fn read(&self, read: &mut dyn FnMut(&Registry)) {
        RwLock::read(self).unwrap_or_else(PoisonError::into_inner).read(read);
    }
}

impl<F: Fn(&mut dyn FnMut(&Registry)) + Send + Sync> ReadRegistry for F {
    fn read(&self, read: &mut dyn FnMut(&Registry)) {
        self(read);
    }
}
