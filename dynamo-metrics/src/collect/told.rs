//! Values that somebody else has, and may not tell.

use crate::label::LabelSet;
use crate::metric::{FloatGauge, Metric, Total};
use crate::registry::{DynamicFamily, Family};

/// The labels of a series that has only its scope's.
#[derive(Debug, LabelSet)]
pub(super) struct Alone {}

/// A metric that is shown while its value is known.
pub(super) type One<M> = Family<Alone, M>;

/// A metric whose value is told as a number.
pub(super) trait Told: Metric {
    fn tell(&self, value: f64);
}

impl Told for Total {
    fn tell(&self, value: f64) {
        self.set(value);
    }
}

impl Told for FloatGauge {
    fn tell(&self, value: f64) {
        self.set(value);
    }
}

/// Shows a value, or that there is none.
pub(super) fn tell<M: Told>(one: &One<M>, value: Option<f64>) {
    match value {
        Some(value) => one.with_ref(&Alone {}, |metric| metric.tell(value)),
        None => drop(one.remove(&Alone {})),
    }
}

/// The same, for a series of these labels.
#[cfg_attr(
    not(any(feature = "host", feature = "tokio")),
    expect(dead_code, reason = "others' need")
)]
pub(super) fn tell_of<M: Told, const N: usize>(
    family: &DynamicFamily<M, N>,
    labels: [&str; N],
    value: Option<f64>,
) {
    match value {
        Some(value) => family.with_ref(labels, |metric| metric.tell(value)),
        None => drop(family.remove(labels)),
    }
}
