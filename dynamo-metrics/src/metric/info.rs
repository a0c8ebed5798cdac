//! Info metrics: facts that do not change while their labels stand.

use std::sync::Arc;

use super::sealed::{Sealed, Stage};
use super::series::Series;
use super::visit::Value;
use super::{MetricType, Plan};
use crate::cell::TooManyColumns;

/// Facts, told by labels: a version, a model, the hardware. Its value is 1.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let build = registry.info("build_info", "What runs.").label("version", "1.4.2").register()?;
/// assert_eq!(
///     encode::openmetrics(&registry),
///     "# TYPE build info\n# HELP build What runs.\nbuild_info{version=\"1.4.2\"} 1\n# EOF\n"
/// );
/// # drop(build);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Info(pub(super) Arc<Series<()>>);

impl Sealed for Info {
    const TYPE: MetricType = MetricType::Info;

    fn lost() -> Self {
        Self(Series::alone(()))
    }

    fn make(_: &Plan) -> Result<(), TooManyColumns> {
        Ok(())
    }

    fn show(series: &Series<()>, at: &mut Stage<'_>) {
        series.show(Value::Info, at.visitor);
    }

    fn digest(_: &Series<()>) -> u64 {
        0
    }
}
