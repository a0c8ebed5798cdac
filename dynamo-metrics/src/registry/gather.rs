//! The walk: every family once, in the order of names, in steps of any size.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::index::{Families, Wanted};
use super::scope::Scope;
use super::series::FamilyCore;
use crate::label::Labels;
use crate::metric::visit::{Family, Series, Visitor};
use crate::metric::{AnyMetric, Counter, HistogramSnapshot, MetricType};

/// A walk over a registry that can rest between series, so that a scrape need not hold a page.
///
/// The list of families is the one at the start; series that come while it walks may be seen.
#[derive(Debug)]
pub(crate) struct Walk {
    families: Arc<Families>,
    family: usize,
    series: usize,
    /// Whether the visitor has seen the family itself, which it does before the first series.
    announced: bool,
    scratch: HistogramSnapshot,
}

impl Walk {
    pub(super) fn new(scope: &Scope) -> Self {
        refresh(scope);
        expose_health(scope);
        Self {
            families: scope.tree.families(),
            family: 0,
            series: 0,
            announced: false,
            scratch: HistogramSnapshot::default(),
        }
    }

    /// Shows at most `most` series to `visitor`; `false` if there are no more.
    pub(crate) fn step<V: Visitor + ?Sized>(&mut self, visitor: &mut V, most: usize) -> bool {
        let mut left = most;
        while let Some(family) = self.families.get(self.family) {
            while let Some(at) = (self.series < family.len()).then_some(self.series) {
                if left == 0 {
                    return true;
                }
                self.series += 1;
                // A series that another thread is just adding has its place, but is not there yet.
                let Some(series) = family.get(at) else {
                    continue;
                };
                if !std::mem::replace(&mut self.announced, true) {
                    visitor.family(&describe(family));
                }
                visitor.series(&Series {
                    labels: series.labels.as_str(),
                    value: series.metric.value(&mut self.scratch),
                });
                left -= 1;
            }
            self.family += 1;
            self.series = 0;
            self.announced = false;
        }
        false
    }
}

fn describe(family: &FamilyCore) -> Family<'_> {
    Family {
        name: &family.name,
        help: &family.help,
        unit: family.unit,
        kind: family.metric_type.kind(),
    }
}

/// Runs the update callbacks.
fn refresh(scope: &Scope) {
    for (_, callback) in &scope.tree.callbacks {
        if catch_unwind(AssertUnwindSafe(callback)).is_err() {
            if scope.tree.callback_panics.get() == 0 {
                tracing::error!("an update callback panicked; its values are not refreshed");
            }
            scope.tree.callback_panics.inc();
        }
    }
}

/// Shows what went wrong in the registry itself, once something did: counters that are kept where
/// they are counted, and attached here to the families of our own.
fn expose_health(scope: &Scope) {
    for family in &*scope.tree.families() {
        for (name, help, count) in [
            (
                "dynamo_metrics_series_overflow_total",
                "Look-ups whose label values became _overflow, past the family's cap.",
                &family.health.overflow,
            ),
            (
                "dynamo_metrics_invalid_samples_total",
                "Samples that were dropped: not a number, infinite, or negative.",
                &family.health.invalid,
            ),
            (
                "dynamo_metrics_help_conflicts_total",
                "Registrations whose help text differed from the first one's.",
                &family.health.help_conflicts,
            ),
        ] {
            expose(scope, name, help, ("family", &family.name), count);
        }
    }
    expose(
        scope,
        "dynamo_metrics_collect_errors_total",
        "Values that could not be collected.",
        ("source", "update_callback"),
        &scope.tree.callback_panics,
    );
}

fn expose(scope: &Scope, name: &str, help: &str, label: (&str, &str), count: &Counter) {
    if count.get() == 0 {
        return;
    }
    let metric_type = MetricType::Counter;
    let wanted = Wanted { name, help, unit: None, metric_type, cap: u64::MAX };
    // A user who took one of these names keeps it, and does without our counter.
    let Ok(family) = scope.tree.index.family(&wanted) else {
        return;
    };
    let mut pairs: Vec<_> = scope.labels().chain([label]).collect();
    family.attach(Labels::render(&mut pairs), AnyMetric::Counter(count.clone()));
}
