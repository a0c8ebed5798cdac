//! What only some metrics have a choice of: buckets and exemplars.

use super::builder::MetricBuilder;
use crate::metric::{Buckets, Counter, Histogram, NativeBuckets};

impl MetricBuilder<Counter> {
    /// Keeps an exemplar: the latest sample that came within a sampled trace
    /// ([`TraceContext`](crate::metric::TraceContext)) or with labels of its own, at most one a
    /// second (default: none is kept).
    pub fn exemplars(mut self) -> Self {
        self.exemplars = true;
        self
    }
}

impl MetricBuilder<Histogram> {
    /// The buckets' upper bounds (default: 5 ms to 10 s); `+Inf` is always there.
    pub fn buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.buckets = Some(Buckets::new(bounds));
        self
    }

    /// Counts the same samples in native buckets too, for formats that can show them (default:
    /// none).
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{metric::NativeBuckets, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let waits = registry
    ///     .histogram("wait_seconds", "")
    ///     .buckets([0.1, 1.0])
    ///     .native(NativeBuckets::default())
    ///     .register()?;
    /// waits.observe(0.3);
    /// let seen = waits.snapshot();
    /// assert_eq!(seen.counts(), [0, 1, 0]);
    /// assert_eq!(seen.native().map(|native| native.counts().iter().sum()), Some(1));
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn native(mut self, buckets: NativeBuckets) -> Self {
        self.native = Some(buckets);
        self
    }

    /// Keeps an exemplar for each bucket: the latest sample that came within a sampled trace
    /// ([`TraceContext`](crate::metric::TraceContext)) or with labels of its own, at most one a
    /// second (default: none is kept).
    pub fn exemplars(mut self) -> Self {
        self.exemplars = true;
        self
    }
}
