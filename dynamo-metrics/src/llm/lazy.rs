//! Metrics that are registered at once, and appear when they are first used.

use std::sync::OnceLock;

use crate::label::LabelSet;
use crate::metric::Metric;
use crate::registry::{Family, MetricBuilder, RegisterError};

/// A metric without labels of its own that is registered, so that a conflict shows at once, and
/// whose series is made when it is first asked for.
#[derive(Debug)]
pub(super) struct Lazy<M: Metric> {
    family: Family<NoLabels, M>,
    made: OnceLock<M>,
}

#[derive(LabelSet)]
pub(super) struct NoLabels {}

impl<M: Metric> Lazy<M> {
    pub(super) fn register(builder: MetricBuilder<M>) -> Result<Self, RegisterError> {
        Ok(Self { family: builder.family()?, made: OnceLock::new() })
    }

    /// The metric, made if this is the first time.
    #[inline]
    pub(super) fn get(&self) -> &M {
        self.made.get_or_init(|| self.family.with(&NoLabels {}))
    }
}
