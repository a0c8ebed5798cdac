//! Totals: counters that somebody else counts.

use std::sync::Arc;

use super::sealed::{Sealed, Stage};
use super::series::Series;
use super::visit::Value;
use super::{Counter, MetricType, Plan};
use crate::cell::{FloatLevel, TooManyColumns};

/// A counter that somebody else counts (a kernel, a driver, a runtime), and whose total is told.
///
/// It is exposed as a counter. A total that is less than the last one says that counting began anew,
/// and Prometheus reads it so. When counting began is not known: formats that show that leave it
/// out.
///
/// # Cost
/// One atomic that is written. Who counts by itself takes a [`Counter`].
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let read = registry.total("disk_read_bytes_total", "Bytes read from the disk.").register()?;
/// read.set(4096.0);
/// assert!(encode::text(&registry).ends_with("disk_read_bytes_total 4096\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Total(pub(super) Arc<Series<TotalCell>>);

/// The value of a [`Total`].
#[derive(Debug)]
pub struct TotalCell {
    value: FloatLevel,
    invalid: Counter,
}

impl Total {
    /// Says how much it is by now; what is negative, infinite or not a number is dropped and counted.
    #[inline]
    pub fn set(&self, total: f64) {
        let cell = &self.0.value;
        if total.is_finite() && total >= 0.0 {
            cell.value.set(total);
        } else {
            cell.invalid.inc();
        }
    }

    /// What was told last.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.value.value.get()
    }
}

impl Sealed for Total {
    const TYPE: MetricType = MetricType::Total;

    fn lost() -> Self {
        let (value, invalid) = (FloatLevel::default(), Counter::lost());
        Self(Series::alone(TotalCell { value, invalid }))
    }

    fn make(plan: &Plan) -> Result<TotalCell, TooManyColumns> {
        Ok(TotalCell { value: FloatLevel::default(), invalid: plan.invalid.clone() })
    }

    fn show(series: &Series<TotalCell>, at: &mut Stage<'_>) {
        series.show_told(Value::Counter(series.value.value.get().into()), at.visitor);
    }

    fn digest(series: &Series<TotalCell>) -> u64 {
        series.value.value.touches()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::TextEncoder;
    use crate::encode::TextFormat;
    use crate::registry::Registry;

    #[test]
    fn a_total_is_what_was_told_last_if_that_can_be() {
        let invalid = Counter::default();
        let plan = Plan { invalid: invalid.clone(), ..Plan::default() };
        let total = Total(Series::alone(Total::make(&plan).unwrap()));
        for told in [7.5, -1.0, f64::NAN, f64::INFINITY] {
            total.set(told);
        }
        assert!((total.get() - 7.5).abs() < f64::EPSILON);
        total.set(0.0);
        assert_eq!((total.get().to_bits(), invalid.get()), (0, 3));
    }

    #[test]
    fn nobody_says_when_its_counting_began() {
        let registry = Registry::new();
        registry.total("told_total", "Told.").register().unwrap().set(3.0);
        registry.counter("own_total", "Counted.").register().unwrap();
        let mut encoder = TextEncoder::new(TextFormat::OpenMetrics).created(true);
        registry.gather(&mut encoder);
        let page = encoder.finish();
        assert!(page.contains("own_created ") && page.contains("told_total 3"), "{page}");
        assert!(!page.contains("told_created"), "{page}");
    }
}
