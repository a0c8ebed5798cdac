//! Formats: visitors that write what they see.

#[cfg(feature = "exporter")]
mod any;
mod format;
mod number;
mod protobuf;
mod text;
mod text_foreign;

#[cfg(feature = "exporter")]
pub(crate) use any::Encoder;
pub use format::{Format, TextFormat};
pub use protobuf::ProtobufEncoder;
pub use text::TextEncoder;

use crate::registry::Registry;

/// The whole registry in the Prometheus text format, version 0.0.4.
///
/// For a scrape of any size use the exporter, which never holds more than a piece of it.
#[must_use]
pub fn text(registry: &Registry) -> String {
    encode(registry, TextFormat::Text)
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
    encode(registry, TextFormat::OpenMetrics)
}

/// The whole registry in protobuf: length-delimited `io.prometheus.client.MetricFamily`, with native
/// buckets where histograms have them.
#[must_use]
pub fn protobuf(registry: &Registry) -> Vec<u8> {
    let mut encoder = ProtobufEncoder::new();
    registry.gather(&mut encoder);
    encoder.finish()
}

fn encode(registry: &Registry, format: TextFormat) -> String {
    let mut encoder = TextEncoder::new(format);
    registry.gather(&mut encoder);
    encoder.finish()
}
