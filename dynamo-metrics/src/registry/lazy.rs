//! Metrics that are shown once somebody uses them.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::families::lost;
use super::family::FamilyCore;
use super::group::Group;
use crate::cell::TooManyColumns;
use crate::metric::Metric;

/// A metric that is shown once somebody uses it: what only some services do, and what is not known
/// before.
///
/// Its name is taken at once, so that a conflict shows where it is registered.
///
/// # Cost
/// That of the metric, and a load to see that it is there.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, metric::Gauge, registry::{Lazy, Registry}};
///
/// let registry = Registry::new();
/// let hit_rate: Lazy<Gauge> = registry.gauge("cache_entries", "Entries.").lazy()?;
/// assert_eq!(encode::text(&registry), "");
/// hit_rate.set(3);
/// assert!(encode::text(&registry).ends_with("cache_entries 3\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
pub struct Lazy<M: Metric> {
    core: Arc<FamilyCore<M>>,
    group: Arc<Group<M>>,
    made: OnceLock<M>,
}

impl<M: Metric> Lazy<M> {
    pub(super) fn new(core: Arc<FamilyCore<M>>, group: Arc<Group<M>>) -> Self {
        Self { core, group, made: OnceLock::new() }
    }

    /// The metric, which is shown from now on.
    #[inline]
    pub fn get(&self) -> &M {
        self.made.get_or_init(|| {
            let made = self.group.with(&self.core, &[], M::clone);
            made.unwrap_or_else(|TooManyColumns| lost(&self.core))
        })
    }

    /// The metric, if this handle has used it.
    #[inline]
    pub fn made(&self) -> Option<&M> {
        self.made.get()
    }

    /// Removes the series; whether it was there. Handles that used it, this one among them, record to
    /// a value that is not shown any more; who registers it again has a new one.
    pub fn remove(&self) -> bool {
        self.core.remove(&self.group, &[])
    }
}

impl<M: Metric> Deref for Lazy<M> {
    type Target = M;

    /// The metric, which is shown from now on.
    #[inline]
    fn deref(&self) -> &M {
        self.get()
    }
}

impl<M: Metric> Clone for Lazy<M> {
    fn clone(&self) -> Self {
        let (core, group) = (Arc::clone(&self.core), Arc::clone(&self.group));
        Self { core, group, made: self.made.clone() }
    }
}

impl<M: Metric> fmt::Debug for Lazy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy")
            .field("name", &self.core.head.name)
            .field("made", &self.made.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::encode;
    use crate::metric::Counter;
    use crate::registry::{Lazy, RegisterError, Registry};

    fn register(registry: &Registry) -> Lazy<Counter> {
        registry.counter("x_total", "").alias("y_total").lazy().unwrap()
    }

    #[test]
    fn the_name_is_taken_at_once_and_the_series_is_shown_when_it_is_used() {
        let registry = Registry::new();
        let lazy = register(&registry);
        let taken = registry.gauge("x_total", "").register().unwrap_err();
        assert!(matches!(taken, RegisterError::Conflict { .. }), "{taken}");
        assert_eq!((encode::text(&registry), lazy.made().is_none()), (String::new(), true));
        let other = register(&registry);
        let clone = lazy.clone();
        lazy.inc();
        other.inc();
        clone.inc();
        assert_eq!(lazy.made().map(Counter::get), Some(3));
        let text = encode::text(&registry);
        assert!(text.contains("x_total 3\n") && text.contains("y_total 3\n"), "{text}");
    }

    #[test]
    fn what_was_removed_comes_anew_to_who_registers_it_again() {
        let registry = Registry::new();
        let lazy = register(&registry);
        assert!(!lazy.remove());
        lazy.inc();
        assert!(lazy.remove() && !lazy.remove());
        lazy.inc();
        assert_eq!(encode::text(&registry), "");
        register(&registry).inc();
        assert!(encode::text(&registry).contains("x_total 1\n"));
    }
}
