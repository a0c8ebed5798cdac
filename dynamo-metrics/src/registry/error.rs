//! Why a metric could not be registered.

use crate::metric::{BucketsError, MetricKind};
use crate::name::{LabelNameError, NameError};
use crate::unit::Unit;

/// Why a metric could not be registered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The metric's name breaks the grammar.
    #[error("invalid metric name")]
    Name(#[from] NameError),
    /// A label's name breaks the grammar, is reserved, or stands twice; the exposed name of a state
    /// set is one of its labels' names.
    #[error("invalid label")]
    Label(#[from] LabelNameError),
    /// The bucket bounds make no histogram.
    #[error("invalid buckets")]
    Buckets(#[from] BucketsError),
    /// The name does not end in the metric's unit.
    #[error("{name} does not end in its unit, _{unit}")]
    UnitSuffix {
        /// The exposed name.
        name: String,
        /// The unit.
        unit: Unit,
    },
    /// The name belongs to a metric of another kind, type or unit.
    #[error("{name} is taken by a {registered} of another type or unit")]
    Conflict {
        /// The exposed name.
        name: String,
        /// What is registered under the name.
        registered: MetricKind,
    },
    /// A sample of the metric would have the name of another metric (`x_count` beside a histogram
    /// `x`, or a gauge `x` beside a counter `x_total`, which OpenMetrics takes for one).
    #[error("samples of {name} would be taken for samples of {other}")]
    Clash {
        /// The exposed name.
        name: String,
        /// The name of the metric that is there already.
        other: String,
    },
    /// The metric is registered without this alias, or the alias is another metric's.
    #[error("{name} has other aliases in this scope, or they are other metrics")]
    OtherAliases {
        /// The exposed name.
        name: String,
    },
    /// What differs in labels was given the name of none.
    #[error("{name} needs the name of a label")]
    NoLabels {
        /// The name as it was given.
        name: String,
    },
    /// The process holds as many values as it can (four million columns; a counter takes one, a
    /// histogram one for each bound and two more).
    #[error("no place is left for another value")]
    TooManyColumns,
    /// The thread is ending, and no other one could be had to register in its place.
    #[error("the thread is ending")]
    ThreadEnds,
    /// The scope was removed from its registry.
    #[error("the scope was removed")]
    ScopeRemoved,
    /// The same series is registered with other bucket bounds.
    #[error("{name} has other buckets in this scope")]
    OtherBuckets {
        /// The exposed name.
        name: String,
    },
}
