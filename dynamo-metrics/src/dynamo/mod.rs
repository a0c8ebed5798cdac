//! The names of Dynamo's own API, over this engine: a component of Dynamo moves by changing its
//! imports.
//!
//! [`MetricsHierarchy`] gives every [`Scope`], and every [`Registry`] as its root, what Dynamo's
//! runtime, namespaces, components and endpoints have: [`metrics`](MetricsHierarchy::metrics), which
//! makes metrics, and [`get_metrics_registry`](MetricsHierarchy::get_metrics_registry), which takes
//! callbacks and other registries. Names are exposed with Dynamo's prefix `dynamo_component_` at all
//! levels, the root too, unless the scope was given another one.
//!
//! What is not as it is there:
//!
//! - A name that has the prefix is not given it twice; an empty or wholly invalid one is an error,
//!   where Dynamo panics.
//! - Registering the same thing again gives the same metric, and is no error.
//! - Help or kinds that disagree cost a registration, or a family; never the scrape.
//! - Pages of callbacks are read and checked; what is wrong is left out, and counted in
//!   `dynamo_metrics_collect_errors_total`. Their series get the labels of the scope, unless they
//!   have them.
//! - Labels of vectors are bounded: past the registry's cap they read `_overflow`.
//! - Recording does not panic, with whatever labels.
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//! use dynamo_metrics::dynamo::MetricsHierarchy;
//! use dynamo_metrics::registry::Registry;
//!
//! let drt = Registry::builder().worker_id(0x1a2b).build();
//! let endpoint = drt.namespace("prod").component("backend").endpoint("generate");
//!
//! let metrics = endpoint.metrics();
//! let requests = metrics.create_intcounter("my_requests", "Requests.", &[("model", "m")])?;
//! let bytes = metrics.create_intcountervec("my_bytes", "Bytes.", &["direction"], &[])?;
//! requests.inc();
//! bytes.with_label_values(&["in"]).inc_by(512);
//!
//! let depth = metrics.create_intgauge("my_depth", "Queued.", &[])?;
//! endpoint.get_metrics_registry().add_update_callback(Arc::new(move || {
//!     depth.set("7".parse()?);
//!     Ok(())
//! }));
//! let labels = "dynamo_component=\"backend\",dynamo_endpoint=\"generate\",dynamo_namespace=\"prod\"";
//! let page = drt.metrics().prometheus_expfmt()?;
//! assert!(page.contains(&format!("dynamo_component_my_depth{{{labels},worker_id=\"1a2b\"}} 7\n")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod metrics;
mod node;
mod vector;

use std::error::Error;

pub use metrics::Metrics;
pub use node::MetricsRegistry;
pub use vector::MetricVec;

use crate::metric;
use crate::registry::{Registry, Scope};

/// The prefix of what is made at any level.
const PREFIX: &str = "dynamo_component";

/// What a callback of Dynamo's returns. Any error fits, `anyhow`'s too.
pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// A counter of any steps, as Dynamo calls it.
pub type Counter = metric::FloatCounter;
/// A counter of whole steps, as Dynamo calls it.
pub type IntCounter = metric::Counter;
/// A gauge of any numbers, as Dynamo calls it.
pub type Gauge = metric::FloatGauge;
/// A gauge of whole numbers, as Dynamo calls it.
pub type IntGauge = metric::Gauge;
/// A histogram, as Dynamo calls it.
pub type Histogram = metric::Histogram;
/// [`Counter`]s that differ in labels.
pub type CounterVec = MetricVec<Counter>;
/// [`IntCounter`]s that differ in labels.
pub type IntCounterVec = MetricVec<IntCounter>;
/// [`Gauge`]s that differ in labels.
pub type GaugeVec = MetricVec<Gauge>;
/// [`IntGauge`]s that differ in labels.
pub type IntGaugeVec = MetricVec<IntGauge>;
/// [`Histogram`]s that differ in labels.
pub type HistogramVec = MetricVec<Histogram>;

/// A level of Dynamo's hierarchy: runtime, namespace, component or endpoint.
pub trait MetricsHierarchy: Send + Sync {
    /// What makes metrics at this level.
    fn metrics(&self) -> Metrics;

    /// What takes callbacks and other registries at this level.
    fn get_metrics_registry(&self) -> MetricsRegistry;
}

impl MetricsHierarchy for Scope {
    fn metrics(&self) -> Metrics {
        Metrics(self.or_prefix(PREFIX))
    }

    fn get_metrics_registry(&self) -> MetricsRegistry {
        MetricsRegistry(self.clone())
    }
}

impl MetricsHierarchy for Registry {
    fn metrics(&self) -> Metrics {
        Scope::metrics(self)
    }

    fn get_metrics_registry(&self) -> MetricsRegistry {
        Scope::get_metrics_registry(self)
    }
}

impl MetricsHierarchy for MetricsRegistry {
    fn metrics(&self) -> Metrics {
        self.0.metrics()
    }

    fn get_metrics_registry(&self) -> MetricsRegistry {
        self.clone()
    }
}

impl<H: MetricsHierarchy + ?Sized> MetricsHierarchy for &H {
    fn metrics(&self) -> Metrics {
        (**self).metrics()
    }

    fn get_metrics_registry(&self) -> MetricsRegistry {
        (**self).get_metrics_registry()
    }
}

/// The text of what is at a place and below.
fn text(scope: &Scope) -> String {
    let mut encoder = crate::encode::TextEncoder::new(crate::encode::TextFormat::Text);
    scope.gather_below(&mut encoder);
    encoder.finish()
}
