//! What only others keep, as text: their buckets, and their quantiles.

use super::format::TextFormat;
use super::number::{is_whole, push_canonical, push_f64, to_whole};
use super::text::TextEncoder;
use crate::metric::foreign::{Histogram, Summary};
use crate::metric::visit::{Labels, Number, Series};

impl TextEncoder {
    pub(super) fn foreign_histogram(&mut self, series: &Series<'_>, histogram: &Histogram) {
        let mut low = f64::NEG_INFINITY;
        for &(bound, below) in &histogram.buckets {
            let low = std::mem::replace(&mut low, bound);
            self.bounded("_bucket", series.labels, ("le", bound), count(below));
            self.end_line(|| series.exemplars.between(low, bound).next());
        }
        // OpenMetrics has both or none of a histogram, and no sum that is no number.
        let strict = self.format == TextFormat::OpenMetrics;
        if !strict || histogram.sum.is_some_and(|sum| !sum.is_nan()) {
            self.count_and_sum(series.labels, Some(histogram.count), histogram.sum);
        }
    }

    pub(super) fn summary(&mut self, labels: Labels<'_>, summary: &Summary) {
        for &(quantile, value) in &summary.quantiles {
            self.bounded("", labels, ("quantile", quantile), value.into());
            self.end_line(|| None);
        }
        self.count_and_sum(labels, summary.count, summary.sum);
    }

    fn count_and_sum(&mut self, labels: Labels<'_>, total: Option<f64>, sum: Option<f64>) {
        let [count_suffix, sum_suffix] = self.count_and_sum;
        if let Some(sum) = sum {
            self.sample(sum_suffix, labels, sum.into());
            self.end_line(|| None);
        }
        if let Some(total) = total {
            self.sample(count_suffix, labels, count(total));
            self.end_line(|| None);
        }
    }

    /// Starts a line of a series that has several, told apart by a number.
    fn bounded(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        (name, bound): (&str, f64),
        value: Number,
    ) {
        self.page.extend_from_slice(self.name.as_bytes());
        self.page.extend_from_slice(suffix.as_bytes());
        self.page.push(b'{');
        if !labels.is_empty() {
            labels.write_to(&mut self.page);
            self.page.push(b',');
        }
        self.page.extend_from_slice(name.as_bytes());
        self.page.extend_from_slice(b"=\"");
        match self.format {
            TextFormat::Text => push_f64(&mut self.page, bound),
            TextFormat::OpenMetrics => push_canonical(&mut self.page, bound),
        }
        self.page.extend_from_slice(b"\"} ");
        self.number(value);
    }
}

/// A count, whole if it is.
fn count(count: f64) -> Number {
    if is_whole(count) { to_whole(count).into() } else { count.into() }
}
