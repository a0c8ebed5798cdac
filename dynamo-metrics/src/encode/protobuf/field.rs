//! Numbers of fields, as the schema of `io.prometheus.client` has them.

pub(super) const FAMILY_NAME: u32 = 1;
pub(super) const FAMILY_HELP: u32 = 2;
pub(super) const FAMILY_TYPE: u32 = 3;
pub(super) const FAMILY_METRIC: u32 = 4;
pub(super) const FAMILY_UNIT: u32 = 5;

pub(super) const METRIC_LABEL: u32 = 1;
pub(super) const METRIC_GAUGE: u32 = 2;
pub(super) const METRIC_COUNTER: u32 = 3;
pub(super) const METRIC_SUMMARY: u32 = 4;
pub(super) const METRIC_UNTYPED: u32 = 5;
pub(super) const METRIC_HISTOGRAM: u32 = 7;

pub(super) const LABEL_NAME: u32 = 1;
pub(super) const LABEL_VALUE: u32 = 2;

/// Of counters, gauges and untyped ones.
pub(super) const VALUE: u32 = 1;
pub(super) const COUNTER_EXEMPLAR: u32 = 2;
pub(super) const COUNTER_CREATED: u32 = 3;

pub(super) const HISTOGRAM_COUNT: u32 = 1;
pub(super) const HISTOGRAM_SUM: u32 = 2;
pub(super) const HISTOGRAM_BUCKET: u32 = 3;
pub(super) const HISTOGRAM_COUNT_FLOAT: u32 = 4;
pub(super) const HISTOGRAM_SCHEMA: u32 = 5;
pub(super) const HISTOGRAM_ZERO_THRESHOLD: u32 = 6;
pub(super) const HISTOGRAM_ZERO_COUNT: u32 = 7;
pub(super) const HISTOGRAM_ZERO_COUNT_FLOAT: u32 = 8;
pub(super) const HISTOGRAM_NEGATIVE: Side = Side { span: 9, delta: 10, count: 11 };
pub(super) const HISTOGRAM_POSITIVE: Side = Side { span: 12, delta: 13, count: 14 };
pub(super) const HISTOGRAM_CREATED: u32 = 15;
pub(super) const HISTOGRAM_EXEMPLAR: u32 = 16;

pub(super) const BUCKET_COUNT: u32 = 1;
pub(super) const BUCKET_BOUND: u32 = 2;
pub(super) const BUCKET_EXEMPLAR: u32 = 3;
pub(super) const BUCKET_COUNT_FLOAT: u32 = 4;

pub(super) const SPAN_OFFSET: u32 = 1;
pub(super) const SPAN_LENGTH: u32 = 2;

pub(super) const EXEMPLAR_LABEL: u32 = 1;
pub(super) const EXEMPLAR_VALUE: u32 = 2;
pub(super) const EXEMPLAR_TIME: u32 = 3;

pub(super) const TIME_SECONDS: u32 = 1;
pub(super) const TIME_NANOSECONDS: u32 = 2;

pub(super) const SUMMARY_COUNT: u32 = 1;
pub(super) const SUMMARY_SUM: u32 = 2;
pub(super) const SUMMARY_QUANTILE: u32 = 3;
pub(super) const SUMMARY_CREATED: u32 = 4;

pub(super) const QUANTILE: u32 = 1;
pub(super) const QUANTILE_VALUE: u32 = 2;

/// The fields of native buckets on one side of zero.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) span: u32,
    /// Whole counts, each as its difference to the one before.
    pub(super) delta: u32,
    /// Counts that need not be whole.
    pub(super) count: u32,
}
