//! Scrapes: how many there may be at once, and what is told of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::clock::{self, Instant};
use crate::encode::Format;
use crate::label::{LabelSet, LabelValue};
use crate::metric::{Counter, Histogram, UpDownCounter};
use crate::registry::{Family, MetricSet, Registry};

/// Most scrapes at once, unless the exporter is told otherwise: a Prometheus or two, with patience
/// for people.
pub(super) const MOST: usize = 16;

/// What an exporter's scrapes share.
#[derive(Debug)]
pub(super) struct Scrapes {
    registry: Registry,
    most: usize,
    /// Made with the first scrape; `None` if somebody else has the names.
    metrics: OnceLock<Option<Metrics>>,
    in_flight: AtomicUsize,
}

/// What is told of scrapes.
///
/// # Source
/// The exporter, from a scrape's request to the end of its body.
#[derive(Debug, MetricSet)]
#[metric_set(name = "ScrapeMetrics", fixed_prefix = "dynamo_metrics_exporter")]
pub(super) struct Metrics {
    /// Scrapes that ended.
    #[metric(name = "scrapes_total")]
    scrapes: Family<ByEnd, Counter>,
    /// Time from a scrape's request to its end.
    #[metric(name = "scrape_duration_seconds", unit = seconds)]
    duration: Histogram,
    /// Bytes of pages, as they were sent.
    #[metric(name = "scrape_bytes_total", unit = bytes)]
    bytes: Family<ByFormat, Counter>,
    /// Scrapes that are being answered.
    #[metric(name = "scrapes_in_flight")]
    in_flight: UpDownCounter,
    /// Scrapes past the most that there may be at once.
    #[metric(name = "scrapes_rejected_total")]
    rejected: Counter,
}

/// One scrape, from its request to the end of its body.
#[derive(Debug)]
pub(super) struct Scrape {
    shared: Arc<Scrapes>,
    format: PageFormat,
    start: Instant,
    bytes: u64,
    complete: bool,
}

#[derive(Debug, LabelSet)]
struct ByEnd {
    format: PageFormat,
    status: Status,
}

#[derive(Debug, LabelSet)]
struct ByFormat {
    format: PageFormat,
}

#[derive(Debug, Clone, Copy, LabelValue)]
enum PageFormat {
    Text,
    #[label(rename = "openmetrics")]
    OpenMetrics,
    Protobuf,
}

#[derive(Debug, Clone, Copy, LabelValue)]
enum Status {
    /// All of the page was handed to the connection.
    Complete,
    /// The scraper went away before.
    Aborted,
}

impl Scrapes {
    pub(super) fn new(registry: &Registry, most: usize) -> Arc<Self> {
        let (registry, metrics) = (registry.clone(), OnceLock::new());
        Arc::new(Self { registry, most, metrics, in_flight: AtomicUsize::new(0) })
    }

    /// The same with another limit.
    pub(super) fn with_most(&self, most: usize) -> Arc<Self> {
        Self::new(&self.registry, most)
    }

    /// One more scrape, unless there are too many.
    pub(super) fn start(self: &Arc<Self>, format: Format) -> Option<Scrape> {
        let metrics = self.metrics();
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            if let Some(metrics) = metrics {
                metrics.rejected.inc();
            }
            return None;
        }
        if let Some(metrics) = metrics {
            metrics.in_flight.inc();
        }
        let format = match format {
            Format::Text => PageFormat::Text,
            Format::OpenMetrics => PageFormat::OpenMetrics,
            Format::Protobuf => PageFormat::Protobuf,
        };
        let (shared, start) = (Arc::clone(self), clock::now());
        Some(Scrape { shared, format, start, bytes: 0, complete: false })
    }

    fn metrics(&self) -> Option<&Metrics> {
        let metrics = self.metrics.get_or_init(|| Metrics::register(&self.registry).ok());
        metrics.as_ref()
    }
}

impl Scrape {
    /// So many bytes were handed to the connection.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The page came to its end.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for Scrape {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some(metrics) = self.shared.metrics() else { return };
        metrics.in_flight.dec();
        let (format, bytes) = (self.format, self.bytes);
        let status = if self.complete { Status::Complete } else { Status::Aborted };
        metrics.scrapes.with_ref(&ByEnd { format, status }, Counter::inc);
        metrics.bytes.with_ref(&ByFormat { format }, |counter| counter.inc_by(bytes));
        metrics.duration.observe_duration(self.start.elapsed());
    }
}
