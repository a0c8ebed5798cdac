//! Formats: visitors that write what they see.

mod number;
mod text;

pub use text::{Format, TextEncoder};

use crate::registry::Registry;

/// The whole registry in the Prometheus text format, version 0.0.4.
///
/// For a scrape of any size use the exporter, which never holds more than a piece of it.
#[must_use]
pub fn text(registry: &Registry) -> String {
    encode(registry, Format::Text)
}

/// The whole registry in OpenMetrics 1.0.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// registry.counter("calls_total", "Calls.").register()?.inc();
/// assert_eq!(
///     encode::openmetrics(&registry),
///     "# TYPE calls counter\n# HELP calls Calls.\ncalls_total 1\n# EOF\n"
/// );
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[must_use]
pub fn openmetrics(registry: &Registry) -> String {
    encode(registry, Format::OpenMetrics)
}

fn encode(registry: &Registry, format: Format) -> String {
    let mut encoder = TextEncoder::new(format);
    registry.gather(&mut encoder);
    encoder.finish()
}
