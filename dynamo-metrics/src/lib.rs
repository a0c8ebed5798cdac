//! Metrics for services that stream, model servers above all: a lock-free tree of scopes, the
//! sets that a model server needs, and an exporter that serves them to Prometheus.
//!
//! - [`registry`]: the tree. [`Registry`](registry::Registry) → namespace → component → endpoint;
//!   each level adds its label, and metrics are registered where they belong.
//!   Those that belong together are a [`MetricSet`](registry::MetricSet), by derive.
//! - [`metric`]: counters, gauges, histograms, and the shape in which a scrape sees them.
//! - [`label`]: labels with bounded values, typed by derive.
//! - [`llm`]: what is measured of endpoints and of inference frontends; stream readers.
//! - [`encode`]: the Prometheus text format, OpenMetrics and protobuf.
//! - `exporter`: `/metrics`, `/health` and `/live` as a service, mounted or on its own.
//! - [`health`]: whether endpoints are ready, and canaries that find out.
//! - [`foreign`]: other processes' values: pages that are read and checked, collectors.
//! - [`collect`]: what the process, its host, its runtime and its allocator use.
//! - [`dynamo`]: the names of Dynamo's own API, for components that move.
//! - [`instrumented_endpoint`]: the attribute that measures a function, where its scope or the
//!   crate's ([`default_scope`]) says. For HTTP services there is the layer of the crate
//!   `dynamo-metrics-tower`.
//! - [`clock`]: the one door to time, which tests can move.
//!
//! # Examples
//! ```
//! use dynamo_metrics::{encode, instrumented_endpoint, registry::{Registry, Scope}};
//!
//! #[instrumented_endpoint(scope = backend)]
//! async fn generate(backend: &Scope, prompt: &str) -> Result<usize, std::num::ParseIntError> {
//!     prompt.parse()
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let registry = Registry::new();
//! let backend = registry.namespace("prod").component("backend");
//! generate(&backend, "17").await.unwrap();
//!
//! assert!(encode::text(&registry).contains(
//!     "dynamo_component_requests_total{dynamo_component=\"backend\",\
//!      dynamo_endpoint=\"generate\",dynamo_namespace=\"prod\"} 1"
//! ));
//! # });
//! ```

// Generated code names this crate from outside; it must find it from inside as well.
extern crate self as dynamo_metrics;

mod catalogue;
mod causes;
mod cell;
pub mod clock;
pub mod collect;
pub mod dynamo;
pub mod encode;
#[cfg(feature = "exporter")]
pub mod exporter;
pub mod foreign;
pub mod health;
pub mod label;
pub mod llm;
pub mod metric;
pub mod name;
pub mod registry;
mod sync;
pub mod unit;

pub use catalogue::catalogue;
pub use dynamo_metrics_macros::instrumented_endpoint;

/// Sets where the endpoints of a crate are counted whose attribute names no scope.
///
/// It stands in the root of the crate, once, and is a scope, a registry, or a reference to one; the
/// expression is evaluated when it is first needed. A crate without it counts in
/// [`Registry::global()`](registry::Registry::global).
///
/// # Examples
/// ```standalone_crate
/// use dynamo_metrics::{default_scope, encode, instrumented_endpoint, registry::Registry};
///
/// default_scope!(Registry::global().namespace("prod").component("backend"));
///
/// mod handlers {
///     #[dynamo_metrics::instrumented_endpoint]
///     pub fn generate() {}
/// }
///
/// fn main() {
///     handlers::generate();
///     assert!(encode::text(Registry::global()).contains(
///         "requests_total{dynamo_component=\"backend\",dynamo_endpoint=\"generate\",\
///          dynamo_namespace=\"prod\"} 1"
///     ));
/// }
/// ```
#[macro_export]
macro_rules! default_scope {
    ($scope:expr $(,)?) => {
        #[doc(hidden)]
        pub(crate) fn __dynamo_metrics_scope() -> &'static $crate::registry::Scope {
            static SCOPE: ::std::sync::OnceLock<$crate::registry::Scope> =
                ::std::sync::OnceLock::new();
            SCOPE.get_or_init(|| $crate::registry::Scope::clone(&$scope))
        }
    };
}

/// For the code that macros write. Anything here may change with them.
#[doc(hidden)]
pub mod __private {
    pub use crate::label::{LabelInfo, LabelSet, LabelValue, combinations, combine};
    pub use crate::llm::attribute::{
        __dynamo_metrics_scope, BodyEnd, ByResult, ByStatus, ByValue, Bytes, Call, Cancelled,
        Choices, Chunk, Fallible, IntoResponseEnd, IsResult, IsValue, MayRefuse, MaybeResponse,
        Measured, Reader, Refuses, ResultEnd, Rewrap, Site, Status, StatusEnd, Tag, ToBodyEnd,
        ValueEnd, any, ask, error_if, error_label, fail, measured, metered, metered_bytes, ok_if,
        one, refused, run, start, take, time_bounds, traced,
    };
    pub use crate::registry::catalogue::{MetricInfo, SetInfo};
    pub use crate::registry::{
        MetricField, MetricSet, RegisterError, Scope, bounds, bounds_fault, default_native, enter,
        fits, has_labels, native, share_names,
    };
    pub use crate::unit::Unit;
}
