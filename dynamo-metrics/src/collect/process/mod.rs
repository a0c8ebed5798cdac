//! What the process uses.

mod read;

use std::sync::Arc;

use super::told::{One, tell};
use crate::metric::{FloatGauge, Total};
use crate::registry::catalogue::Known;
use crate::registry::{MetricSet, RegisterError, Scope};

pub(crate) const SETS: &[Known] = &[Known::of::<Set>()];

/// What the process uses: `process_cpu_seconds_total`, `process_resident_memory_bytes` and the others
/// that Prometheus's own clients have.
///
/// # Source
/// On Linux the system's clock of the process, `/proc/self/stat`, `/proc/self/fd` and the limits of the
/// process; on other Unix systems the clock, `/dev/fd` and the limits; elsewhere nothing.
/// # Cost
/// About 15 µs at each gather. Before Linux 6.2 descriptors have to be counted one by one.
///
/// # Examples
/// ```
/// use dynamo_metrics::{collect::ProcessCollector, encode, registry::Registry};
///
/// let registry = Registry::builder().worker_id(0x1f).build();
/// ProcessCollector::register(&registry)?;
/// # #[cfg(unix)]
/// assert!(encode::text(&registry).contains("\nprocess_max_fds{worker_id=\"1f\"} "));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProcessCollector(Arc<Set>);

/// What the process uses.
#[derive(Debug, MetricSet)]
#[metric_set(name = "ProcessCollector", fixed_prefix = "process")]
struct Set {
    /// Time that the process spent on processors, in user and in system code.
    ///
    /// # Source
    /// The system's clock of the process.
    #[metric(unit = seconds)]
    cpu_seconds_total: One<Total>,
    /// Memory of the process that is in RAM.
    ///
    /// # Source
    /// `/proc/self/stat`.
    #[metric(unit = bytes)]
    resident_memory_bytes: One<FloatGauge>,
    /// Address space that the process has.
    ///
    /// # Source
    /// `/proc/self/stat`.
    #[metric(unit = bytes)]
    virtual_memory_bytes: One<FloatGauge>,
    /// Most address space that the process may have.
    ///
    /// # Source
    /// Its limits; as much as 64 bits can say if there is none.
    #[metric(unit = bytes)]
    virtual_memory_max_bytes: One<FloatGauge>,
    /// File descriptors that are open.
    ///
    /// # Source
    /// `/proc/self/fd`.
    open_fds: One<FloatGauge>,
    /// Most file descriptors that may be open.
    ///
    /// # Source
    /// The limits of the process.
    max_fds: One<FloatGauge>,
    /// Threads of the process.
    ///
    /// # Source
    /// `/proc/self/stat`.
    threads: One<FloatGauge>,
    /// When the process started, since 1970.
    ///
    /// # Source
    /// `/proc/self/stat`, after the start of the system in `/proc/stat`.
    #[metric(unit = seconds)]
    start_time_seconds: One<FloatGauge>,
}

/// What could be found out.
#[derive(Debug, Default)]
struct Usage {
    cpu: Option<f64>,
    resident: Option<f64>,
    address_space: Option<f64>,
    most_address_space: Option<f64>,
    descriptors: Option<f64>,
    most_descriptors: Option<f64>,
    threads: Option<f64>,
    started: Option<f64>,
}

impl ProcessCollector {
    /// Registers the collector in `scope`, mostly a registry, for as long as that is there.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        let own = Self(Arc::new(Set::register(scope)?));
        let set = Arc::clone(&own.0);
        scope.add_refresh("process", move || {
            let (usage, result) = read::usage();
            set.show(&usage);
            result.map_err(Into::into)
        });
        Ok(own)
    }
}

impl Set {
    fn show(&self, usage: &Usage) {
        tell(&self.cpu_seconds_total, usage.cpu);
        for (gauge, value) in [
            (&self.resident_memory_bytes, usage.resident),
            (&self.virtual_memory_bytes, usage.address_space),
            (&self.virtual_memory_max_bytes, usage.most_address_space),
            (&self.open_fds, usage.descriptors),
            (&self.max_fds, usage.most_descriptors),
            (&self.threads, usage.threads),
            (&self.start_time_seconds, usage.started),
        ] {
            tell(gauge, value);
        }
    }
}
