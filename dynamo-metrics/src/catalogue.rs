//! The catalogue of this crate: every metric that it can show, with nothing registered.

use crate::registry::catalogue::Known;

/// Every set of metrics of this crate, as far as its features are on.
///
/// What one registry has registered, sets of others' included, its
/// [`catalogue`](crate::registry::Registry::catalogue) says.
///
/// # Examples
/// ```
/// let names: Vec<String> = dynamo_metrics::catalogue()
///     .iter()
///     .flat_map(|set| set.listed())
///     .flat_map(|set| set.metrics().map(|(name, _)| name).collect::<Vec<_>>())
///     .collect();
/// assert!(names.iter().any(|name| name == "dynamo_component_time_to_first_token_seconds"));
/// assert!(names.iter().any(|name| name == "dynamo_metrics_collect_errors_total"));
/// ```
#[must_use]
pub fn catalogue() -> Vec<Known> {
    let mut sets = Vec::new();
    sets.extend(crate::llm::SETS.concat());
    sets.extend_from_slice(crate::health::SETS);
    sets.extend(crate::collect::SETS.concat());
    #[cfg(feature = "exporter")]
    sets.extend_from_slice(crate::exporter::SETS);
    sets.extend_from_slice(crate::registry::SETS);
    sets
}
