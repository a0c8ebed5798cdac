//! How long a component has been there.

use super::endpoint::{Kept, PREFIX};
use crate::clock;
use crate::metric::FloatGauge;
use crate::registry::{MetricSet, RegisterError, Scope};

/// When a component started.
#[derive(Debug, MetricSet)]
#[metric_set(prefix = PREFIX)]
pub(super) struct UptimeSet {
    /// Time since the component started.
    ///
    /// # Source
    /// The clock, at each gather.
    #[metric(unit = seconds)]
    uptime_seconds: FloatGauge,
}

/// Registers `dynamo_component_uptime_seconds` in `scope`: time since the first call for this scope.
///
/// # Unit
/// Seconds, refreshed at each gather.
///
/// # Errors
/// [`RegisterError::Conflict`], if the name is taken by something else.
pub fn register_uptime(scope: &Scope) -> Result<(), RegisterError> {
    let uptime = UptimeSet::register(scope)?.uptime_seconds;
    let kept: Option<&Kept> = scope.slot();
    let start = clock::now();
    if kept.is_some_and(|kept| kept.started.set(start).is_ok()) {
        scope.add_update_callback(move || uptime.set(start.elapsed().as_secs_f64()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Manual;
    use crate::encode;
    use crate::registry::Registry;

    #[test]
    fn uptime_counts_from_the_first_registration() {
        let time = Manual::new();
        time.run(|| {
            let registry = Registry::new();
            let scope = registry.component("c");
            register_uptime(&scope).unwrap();
            time.advance(Duration::from_secs(100));
            register_uptime(&scope).unwrap();
            time.advance(Duration::from_secs(1));
            let text = encode::text(&registry);
            assert!(text.ends_with("uptime_seconds{dynamo_component=\"c\"} 101\n"), "{text}");
        });
    }
}
