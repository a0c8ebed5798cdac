//! Sets: metrics that belong together, registered as one.

use std::sync::Arc;

use super::catalogue::SetInfo;
use super::error::RegisterError;
use super::field::{ByEnum, ByName, IntoBuckets, IntoNative};
use super::scope::Scope;
use crate::metric::{Buckets, BucketsError, NativeBuckets};

/// Metrics that belong together: a struct whose fields are metrics.
///
/// [Derive](macro@crate::registry::MetricSet) it; that page shows all that a field may be and say. An
/// [`Arc`] of a set is a set too.
///
/// # Examples
/// ```
/// use dynamo_metrics::encode;
/// use dynamo_metrics::metric::{Counter, UpDownCounter};
/// use dynamo_metrics::registry::{MetricSet, Registry};
///
/// #[derive(MetricSet)]
/// struct Pool {
///     /// Connections opened.
///     opened_total: Counter,
///     /// Connections that are open.
///     open: UpDownCounter,
/// }
///
/// let registry = Registry::new();
/// let pool = Pool::register(&registry.with_prefix("pool"))?;
/// pool.opened_total.inc();
/// pool.open.inc();
/// assert!(encode::text(&registry).contains("pool_open 1\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no set of metrics",
    note = "use a struct with `#[derive(MetricSet)]`, or an `Arc` of one"
)]
pub trait MetricSet: Sized {
    /// What there is to say of the set.
    const INFO: &'static SetInfo;

    /// Registers the set in `scope`, with more labels on all of its metrics.
    ///
    /// # Errors
    /// Any of [`RegisterError`]; what was registered before the error stays.
    fn register_with(scope: &Scope, labels: &[(&str, &str)]) -> Result<Self, RegisterError>;

    /// Registers the set in `scope`.
    ///
    /// # Errors
    /// Any of [`RegisterError`]; what was registered before the error stays.
    fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Self::register_with(scope, &[])
    }
}

impl<S: MetricSet> MetricSet for Arc<S> {
    const INFO: &'static SetInfo = S::INFO;

    fn register_with(scope: &Scope, labels: &[(&str, &str)]) -> Result<Self, RegisterError> {
        S::register_with(scope, labels).map(Self::new)
    }
}

/// Where the metrics of a set are registered; for the derive, as all below.
#[doc(hidden)]
#[must_use]
pub fn enter(info: &'static SetInfo, scope: &Scope) -> Scope {
    scope.enter(info)
}

/// Buckets, of whatever makes some.
#[doc(hidden)]
pub fn bounds(bounds: impl IntoBuckets) -> Result<Buckets, BucketsError> {
    bounds.into_buckets()
}

/// Native buckets, of whatever makes some.
#[doc(hidden)]
pub fn native(buckets: impl IntoNative) -> Result<NativeBuckets, BucketsError> {
    buckets.into_native()
}

/// Native buckets of those who do not say which.
#[doc(hidden)]
pub fn default_native() -> Result<NativeBuckets, BucketsError> {
    Ok(NativeBuckets::default())
}

/// What is wrong with bounds that are known when the program is built; nothing if they can be buckets.
#[doc(hidden)]
#[must_use]
pub const fn bounds_fault(bounds: &[f64]) -> Option<&'static str> {
    if bounds.is_empty() {
        return Some("there is no bucket bound");
    }
    if bounds.len() > Buckets::MOST {
        return Some("there are more than 256 bucket bounds");
    }
    let mut i = 0;
    while i < bounds.len() {
        if !bounds[i].is_finite() {
            return Some("a bucket bound is not finite; `+Inf` is always there, and is not given");
        }
        if bounds[i] < 0.0 {
            return Some("a bucket bound is negative, where a histogram has no samples");
        }
        if i > 0 && bounds[i - 1] >= bounds[i] {
            return Some("a bucket bound does not lie above the one before it");
        }
        i += 1;
    }
    None
}

/// Whether an array has one metric for each of these values.
#[doc(hidden)]
#[must_use]
pub const fn fits<F: ByEnum>(values: &[&str]) -> bool {
    F::SIZE == values.len()
}

/// Whether a family has so many labels.
#[doc(hidden)]
#[must_use]
pub const fn has_labels<F: ByName>(names: usize) -> bool {
    F::SIZE == names
}

/// Whether a metric within a set has one of these names, or one of those of these sets, wherever all
/// of them are registered.
#[doc(hidden)]
#[must_use]
pub const fn share_names(set: &SetInfo, names: &[&str], sets: &[&SetInfo]) -> bool {
    // Its names start with something that others' do not, by chance apart.
    if set.prefix_is_fixed {
        return false;
    }
    let mut i = 0;
    while i < set.metrics.len() {
        let metric = &set.metrics[i];
        if is_in(metric.name, names, sets) {
            return true;
        }
        let mut j = 0;
        while j < metric.aliases.len() {
            if is_in(metric.aliases[j], names, sets) {
                return true;
            }
            j += 1;
        }
        i += 1;
    }
    let mut i = 0;
    while i < set.sets.len() {
        if share_names(set.sets[i], names, sets) {
            return true;
        }
        i += 1;
    }
    false
}

const fn is_in(name: &str, names: &[&str], sets: &[&SetInfo]) -> bool {
    let mut i = 0;
    while i < names.len() {
        if same(name, names[i]) {
            return true;
        }
        i += 1;
    }
    let mut i = 0;
    while i < sets.len() {
        if share_names(sets[i], &[name], &[]) {
            return true;
        }
        i += 1;
    }
    false
}

/// Equality, which strings have not yet where the program is built.
const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut i = 0;
    while i < one.len() {
        if one[i] != other[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_for_bounds_are_those_of_buckets() {
        for bounds in [
            &[][..],
            &[0.0],
            &[1.0, 1.0],
            &[2.0, 1.0],
            &[f64::NAN],
            &[1.0, f64::INFINITY],
            &[-0.5, 1.0],
            &[0.1, 0.2, 0.3],
            &(0..257).map(f64::from).collect::<Vec<_>>(),
            &(0..256).map(f64::from).collect::<Vec<_>>(),
        ] {
            let made = Buckets::new(bounds.iter().copied());
            assert_eq!(bounds_fault(bounds).is_none(), made.is_ok(), "{bounds:?}");
        }
    }
}
