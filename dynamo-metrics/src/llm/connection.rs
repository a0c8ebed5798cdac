//! Connections that outlive their request: web sockets and other upgrades.

use std::sync::Arc;

use super::endpoint::PREFIX;
use crate::clock::{self, Instant};
use crate::metric::{Counter, Histogram, UpDownCounter};
use crate::registry::{MetricSet, RegisterError, Scope};

/// From a tenth of a second to a day.
const BOUNDS: [f64; 14] = [
    0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0,
    43_200.0, 86_400.0,
];

/// Connections of one endpoint that an upgrade made.
///
/// The request that asks for an upgrade ends with its 101, or with the 2xx of a CONNECT, and its
/// duration is that of the handshake. What comes then is no request: the task that has the connection
/// holds a [`ConnectionGuard`] for as long.
///
/// | metric (`dynamo_component_` ..) | what it says |
/// |---|---|
/// | `connections_opened_total` | connections that were opened |
/// | `connections_active` | those of them that are open |
/// | `connection_duration_seconds` | how long one was, at its end |
///
/// # Unit
/// Connections; seconds.
/// # Source
/// The life of each guard.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, llm::ConnectionMetrics, registry::Registry};
///
/// let registry = Registry::new();
/// let sockets = ConnectionMetrics::register(&registry.component("api").endpoint("ws"))?;
/// let guard = sockets.open(); // in the handler, to be moved into the upgraded connection's task
/// assert_eq!(sockets.active(), 1);
/// drop(guard);
/// assert_eq!(sockets.active(), 0);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone, MetricSet)]
pub struct ConnectionMetrics(Arc<Metrics>);

/// A connection that is open until this is dropped.
#[derive(Debug)]
#[must_use = "the connection counts as closed when this is dropped"]
pub struct ConnectionGuard {
    metrics: ConnectionMetrics,
    opened: Instant,
}

/// Connections of one endpoint that an upgrade made.
///
/// # Source
/// The life of each guard.
#[derive(Debug, MetricSet)]
#[metric_set(name = "ConnectionMetrics", prefix = PREFIX)]
struct Metrics {
    /// Connections that upgrades opened.
    #[metric(name = "connections_opened_total")]
    opened: Counter,
    /// Upgraded connections that are open.
    #[metric(name = "connections_active")]
    active: UpDownCounter,
    /// Time from the upgrade of a connection to its end.
    #[metric(name = "connection_duration_seconds", unit = seconds, buckets = BOUNDS)]
    duration: Histogram,
}

impl ConnectionMetrics {
    /// Registers the set in `scope`, mostly an endpoint's.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        MetricSet::register(scope)
    }

    /// A connection opens.
    pub fn open(&self) -> ConnectionGuard {
        self.0.opened.inc();
        self.0.active.inc();
        ConnectionGuard { metrics: self.clone(), opened: clock::now() }
    }

    /// Connections that are open now.
    #[must_use]
    pub fn active(&self) -> i64 {
        self.0.active.get()
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.metrics.0.duration.observe_duration(self.opened.elapsed());
        self.metrics.0.active.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Manual;
    use crate::encode;
    use crate::registry::Registry;

    #[test]
    fn a_connection_lasts_as_long_as_its_guard_even_if_its_task_panics() {
        let registry = Registry::new();
        let sockets = ConnectionMetrics::register(&registry.endpoint("ws")).unwrap();
        let time = Manual::new();
        time.run(|| {
            let (first, second) = (sockets.open(), sockets.open());
            time.advance(Duration::from_secs(3_000));
            drop(first);
            assert_eq!(sockets.active(), 1);
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _held = second;
                panic!("as it is meant to");
            }));
            assert!(panicked.is_err());
        });
        assert_eq!(sockets.active(), 0);
        let text = encode::text(&registry);
        for line in [
            "connections_opened_total{dynamo_endpoint=\"ws\"} 2\n",
            "connection_duration_seconds_sum{dynamo_endpoint=\"ws\"} 6000\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
