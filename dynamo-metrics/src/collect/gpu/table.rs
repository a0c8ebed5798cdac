//! Tables of metrics that each show one value of a reading.

use super::reading::Reading;
use crate::label::LabelSet;
use crate::metric::{Counter, FloatCounter, FloatGauge, Gauge, Metric};
use crate::registry::Family;

/// A metric that takes on what a driver says.
pub(super) trait Put: Metric {
    type Given: Copy;

    /// Takes on `value`; whether it could. A counter cannot go back.
    fn put(&self, value: Self::Given) -> bool;
}

impl Put for Gauge {
    type Given = u64;

    fn put(&self, value: u64) -> bool {
        self.set(i64::try_from(value).unwrap_or(i64::MAX));
        true
    }
}

impl Put for FloatGauge {
    type Given = f64;

    fn put(&self, value: f64) -> bool {
        self.set(value);
        true
    }
}

impl Put for Counter {
    type Given = u64;

    fn put(&self, value: u64) -> bool {
        let more = value.checked_sub(self.get());
        more.inspect(|&more| self.inc_by(more)).is_some()
    }
}

impl Put for FloatCounter {
    type Given = f64;

    fn put(&self, value: f64) -> bool {
        let now = self.get();
        if value > now {
            self.inc_by(value - now);
        }
        // Adding rounds, so that the sum may stand a little above what was added up.
        value >= now * (1.0 - 1e-9)
    }
}

/// Shows `value`, or that there is none. A counter that its driver set back starts anew, as one that
/// was set back.
pub(super) fn put<L: LabelSet, M: Put>(family: &Family<L, M>, labels: &L, value: Option<M::Given>) {
    let Some(value) = value else {
        family.remove(labels);
        return;
    };
    let mut taken = true;
    family.with_ref(labels, |metric| taken = metric.put(value));
    if !taken {
        family.remove(labels);
        family.with_ref(labels, |metric| {
            metric.put(value);
        });
    }
}

/// What `value` finds in `reading`; it lets a closure know what it is given.
pub(super) fn find<T>(reading: &Reading, value: impl FnOnce(&Reading) -> Option<T>) -> Option<T> {
    value(reading)
}

/// A set of families with the same labels, each of which shows one value of a [`Reading`].
macro_rules! table {
    (
        $(#[$meta:meta])*
        struct $name:ident of $labels:ty {
            $($(#[$doc:meta])* $field:ident: $metric:ty = $value:expr,)*
        }
    ) => {
        #[derive(Debug, MetricSet)]
        $(#[$meta])*
        pub(super) struct $name {
            $($(#[$doc])* $field: Family<$labels, $metric>,)*
        }

        impl $name {
            /// Shows what `reading` says, and nothing of what it does not.
            pub(super) fn show(&self, labels: &$labels, reading: &Reading) {
                $(put(&self.$field, labels, find(reading, $value));)*
            }

            /// Shows nothing of it.
            pub(super) fn clear(&self, labels: &$labels) {
                $(self.$field.remove(labels);)*
            }
        }
    };
}

pub(super) use table;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode;
    use crate::label::LabelSet;
    use crate::registry::Registry;

    #[derive(LabelSet)]
    struct Of {
        warm: bool,
    }

    #[test]
    fn a_counter_that_was_set_back_starts_anew() {
        let registry = Registry::new();
        let whole: Family<Of, Counter> = registry.counter("replays_total", "").family().unwrap();
        let float: Family<Of, FloatCounter> =
            registry.float_counter("joules_total", "").family().unwrap();
        let of = Of { warm: true };
        for (value, shown) in [(7, 7), (7, 7), (9, 9), (2, 2)] {
            put(&whole, &of, Some(value));
            assert_eq!(whole.with(&of).get(), shown);
        }
        for value in [0.1, 0.2, 0.3, 5e9, 5e9 + 0.1, 5e9 + 0.1, 1.25] {
            put(&float, &of, Some(value));
            assert!((float.with(&of).get() - value).abs() <= 1e-15 * value, "{value}");
        }
        put(&whole, &of, None);
        put(&float, &of, None);
        assert_eq!(encode::text(&registry), "");
    }
}
