//! An endpoint's metrics are registered, with what was chosen for it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{EndpointMetrics, EndpointSet, Kept, Metrics, PREFIX};
use crate::llm::idle::Open;
use crate::llm::options::EndpointOptions;
use crate::llm::slo::SloMetrics;
use crate::llm::streams::{StreamMetrics, StreamSet};
use crate::registry::{MetricSet, RegisterError, Scope};

/// Histograms whose bounds [`EndpointOptions`] may change.
const DURATIONS: &[&str] = &["request_duration_seconds", "response_head_seconds"];
const FIRST_TOKENS: &[&str] = &[
    "time_to_first_byte_seconds",
    "time_to_first_token_seconds",
    "time_to_first_answer_token_seconds",
    "generation_time_to_first_token_seconds",
];
const INTER_TOKENS: &[&str] = &[
    "inter_token_latency_seconds",
    "inter_token_wait_seconds",
    "time_per_output_token_seconds",
    "generation_inter_token_latency_seconds",
];

/// Registers an [`EndpointMetrics`].
#[derive(Debug, Clone)]
#[must_use = "nothing is registered until `register` is called"]
pub struct EndpointBuilder<'a> {
    scope: &'a Scope,
    labels: &'a [(&'a str, &'a str)],
    options: EndpointOptions,
    upstream: bool,
}

impl<'a> EndpointBuilder<'a> {
    pub(super) fn new(scope: &'a Scope) -> Self {
        Self { scope, labels: &[], options: EndpointOptions::new(), upstream: false }
    }

    /// Labels that tell a part of the endpoint's requests from the rest (default: none).
    pub fn labels(mut self, labels: &'a [(&'a str, &'a str)]) -> Self {
        self.labels = labels;
        self
    }

    /// The endpoint's choices (default: [`EndpointOptions::new`]).
    pub fn options(mut self, options: &EndpointOptions) -> Self {
        self.options = options.clone();
        self
    }

    /// The requests are those that this process makes, and does not serve: they count wherever they
    /// are made, also within the service of an endpoint at the same place (default: they are served).
    pub fn upstream(mut self) -> Self {
        self.upstream = true;
        self
    }

    /// Registers the set.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else;
    /// [`RegisterError::Label`] for labels that cannot be.
    pub fn register(self) -> Result<EndpointMetrics, RegisterError> {
        static NEXT_UPSTREAM: AtomicU64 = AtomicU64::new(u64::MAX);
        let Self { scope, labels, options, upstream } = self;
        // Places count up from zero, so that no place has the number of an upstream.
        let id = if upstream { NEXT_UPSTREAM.fetch_sub(1, Ordering::Relaxed) } else { scope.id() };
        if let Some(Kept { options: kept, .. }) = scope.slot().filter(|_| !upstream) {
            kept.get_or_init(|| options.clone());
        }
        let mut scope = scope.or_prefix(PREFIX);
        for (names, buckets) in [
            (DURATIONS, &options.duration_buckets),
            (FIRST_TOKENS, &options.first_token_buckets),
            (INTER_TOKENS, &options.inter_token_buckets),
        ] {
            for (name, buckets) in names.iter().zip(buckets.iter().cycle()) {
                scope = scope.with_buckets(name, buckets.clone());
            }
        }
        if options.exemplars {
            scope = scope.with_exemplars();
        }
        let scope = &scope;
        let set = EndpointSet::register_with(scope, labels)?;
        let help = |name| EndpointSet::INFO.metrics.iter().find(|info| info.name == name);
        let help = help("errors_total").map_or("", |info| info.help);
        let errors = scope.counter("errors_total", help).labels(labels);
        let streams = StreamSet::register_with(scope, labels)?;
        Ok(EndpointMetrics(Arc::new(Metrics {
            open: Open::new(),
            id,
            set,
            named_errors: errors.named_family(&["error_type"])?,
            streams: StreamMetrics::new(streams, &options),
            slo: (!options.slo.is_empty())
                .then(|| SloMetrics::register(scope, labels, options.slo))
                .transpose()?,
            token_start: options.token_start,
            reader: options.reader.map(AssertUnwindSafe),
            last_reader: options.last_reader.map(AssertUnwindSafe),
        })))
    }
}
