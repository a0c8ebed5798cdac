//! What a registry tells of itself, once there is something to tell.

use super::catalogue::{Known, MetricInfo, SetInfo};
use super::families::DynamicFamily;
use crate::label::LabelInfo;
use crate::metric::Counter;

pub(crate) const SETS: &[Known] = &[Known::set(&REGISTRY)];

pub(super) const OVERFLOW: MetricInfo = counter::<1>(
    "dynamo_metrics_series_overflow_total",
    "Look-ups whose label values became _overflow, past the family's cap.",
    &[LabelInfo::open("family")],
);

pub(super) const INVALID: MetricInfo = counter::<1>(
    "dynamo_metrics_invalid_samples_total",
    "Samples that were dropped: not a number, infinite, or negative.",
    &[LabelInfo::open("family")],
);

pub(super) const HELP_CONFLICTS: MetricInfo = counter::<1>(
    "dynamo_metrics_help_conflicts_total",
    "Registrations whose help text differed from the first one's.",
    &[LabelInfo::open("family")],
);

pub(super) const COLLECT_ERRORS: MetricInfo = counter::<2>(
    "dynamo_metrics_collect_errors_total",
    "Values that could not be collected.",
    &[LabelInfo::open("source"), LabelInfo::open("reason")],
);

pub(super) const LABEL_OVERFLOW: MetricInfo = counter::<1>(
    "dynamo_metrics_label_overflow_total",
    "Label values that became _other, as there were too many.",
    &[LabelInfo::open("label")],
);

const REGISTRY: SetInfo = SetInfo::new(
    "Registry",
    "dynamo_metrics::registry",
    "What a registry tells of itself, once there is something to tell.",
)
.source("The registry, where it happens.")
.metrics(&[COLLECT_ERRORS, HELP_CONFLICTS, INVALID, LABEL_OVERFLOW, OVERFLOW]);

const fn counter<const N: usize>(
    name: &'static str,
    help: &'static str,
    labels: &'static [LabelInfo],
) -> MetricInfo {
    MetricInfo::of::<DynamicFamily<Counter, N>>()
        .named(name, help)
        .names::<DynamicFamily<Counter, N>>(labels)
}
