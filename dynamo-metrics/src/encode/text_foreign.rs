//! What only others keep, as text: their buckets, and their quantiles.

use super::format::TextFormat;
use super::number::{is_whole, push_canonical, push_f64, to_whole};
use super::text::TextEncoder;
use crate::metric::foreign::{Histogram, Summary};
use crate::metric::visit::{Labels, Number, Series};

impl TextEncoder {
    pub(super) fn foreign_histogram(&mut self, series: &Series<'_>, histogram: &Histogram) {
        let strict = self.format == TextFormat::OpenMetrics;
        // OpenMetrics has whole counts only. Rounded ones would be made up, and there is no histogram
        // without them, so that such a series has no lines here. Its family is announced by then, and
        // may be one without samples.
        if strict && !histogram.buckets.iter().all(|(_, below)| below.fract() == 0.0) {
            return;
        }
        let mut low = f64::NEG_INFINITY;
        for &(bound, below) in &histogram.buckets {
            let low = std::mem::replace(&mut low, bound);
            self.bounded("_bucket", series.labels, ("le", bound), count(below));
            self.end_line(|| series.exemplars.between(low, bound).next());
        }
        if !strict || self.may_have_sum(histogram) {
            self.count_and_sum(series.labels, Some(histogram.count), histogram.sum);
        }
    }

    pub(super) fn summary(&mut self, labels: Labels<'_>, summary: &Summary) {
        let strict = self.format == TextFormat::OpenMetrics;
        for &(quantile, value) in &summary.quantiles {
            // Samples of a summary are not negative in OpenMetrics, and its sum is a counter's.
            if strict && value < 0.0 {
                continue;
            }
            self.bounded("", labels, ("quantile", quantile), value.into());
            self.end_line(|| None);
        }
        let count = summary.count.filter(|count| !strict || count.fract() == 0.0);
        let sum = summary.sum.filter(|sum| !strict || *sum >= 0.0);
        self.count_and_sum(labels, count, sum);
    }

    /// Whether OpenMetrics has a sum, and with it a count, of this histogram: what it adds up is no
    /// NaN and, unless it goes down as well, not negative.
    fn may_have_sum(&self, histogram: &Histogram) -> bool {
        let negative_bounds = histogram.buckets.first().is_some_and(|(bound, _)| *bound < 0.0);
        histogram.sum.is_some_and(|sum| match (self.of_gauges, negative_bounds) {
            (true, true) => !sum.is_nan(),
            (false, true) => false,
            (_, false) => sum >= 0.0,
        })
    }

    fn count_and_sum(&mut self, labels: Labels<'_>, total: Option<f64>, sum: Option<f64>) {
        let [count_suffix, sum_suffix] =
            if self.of_gauges { ["_gcount", "_gsum"] } else { ["_count", "_sum"] };
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

#[cfg(test)]
mod tests {
    use crate::encode::{TextEncoder, TextFormat};
    use crate::foreign::Format;
    use crate::registry::Registry;

    /// The page, without its metadata, of a registry that shows another one.
    fn shown(format: TextFormat, page: &'static str) -> Vec<String> {
        let registry = Registry::new();
        let is_openmetrics = page.ends_with("# EOF\n");
        registry.add_collector(move |collected| {
            let format = if is_openmetrics { Format::OpenMetrics } else { Format::Text };
            collected.page(page, format);
            Ok::<(), std::io::Error>(())
        });
        let mut encoder = TextEncoder::new(format).created(true);
        registry.gather(&mut encoder);
        let page = encoder.finish();
        assert!(!page.contains("dynamo_metrics_"), "{page}");
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    fn openmetrics(page: &'static str) -> Vec<String> {
        shown(TextFormat::OpenMetrics, page)
    }

    #[test]
    fn a_sum_that_may_fall_is_left_out_of_openmetrics_with_its_count() {
        for (bound, sum) in [("1.0", "-3"), ("1.0", "NaN"), ("-1.0", "3")] {
            let page = format!(
                "# TYPE x histogram\nx_bucket{{le=\"{bound}\"}} 1\nx_bucket{{le=\"+Inf\"}} 2\n\
                 x_sum {sum}\nx_count 2\n"
            );
            let page: &'static str = page.leak();
            let [low, all] =
                [format!("x_bucket{{le=\"{bound}\"}} 1"), "x_bucket{le=\"+Inf\"} 2".into()];
            assert_eq!(openmetrics(page), [low, all]);
            let text = shown(TextFormat::Text, page);
            assert_eq!(text[2..], [format!("x_sum {sum}"), "x_count 2".into()]);
        }
    }

    #[test]
    fn a_gauge_histogram_has_a_negative_sum_if_it_has_negative_bounds() {
        for (bound, sum, lines) in
            [("1.0", "-3", 2), ("1.0", "NaN", 2), ("-1.0", "-3", 4), ("-1.0", "3", 4)]
        {
            let page = format!(
                "# TYPE x gaugehistogram\nx_bucket{{le=\"{bound}\"}} 1\nx_bucket{{le=\"+Inf\"}} 2\n\
                 x_gsum {sum}\nx_gcount 2\n# EOF\n"
            );
            assert_eq!(openmetrics(page.leak()).len(), lines, "{bound} {sum}");
        }
    }

    #[test]
    fn what_a_summary_may_not_have_is_left_out_of_openmetrics() {
        let page = "# TYPE x summary\nx{quantile=\"0.1\"} -1\nx{quantile=\"0.5\"} NaN\n\
                    x{quantile=\"0.9\"} 2\nx_sum -4\nx_count 1.5\n";
        assert_eq!(openmetrics(page), ["x{quantile=\"0.5\"} NaN", "x{quantile=\"0.9\"} 2"]);
        assert_eq!(shown(TextFormat::Text, page).len(), 5);
        assert!(openmetrics("# TYPE x summary\nx_sum NaN\n").is_empty());
    }

    #[test]
    fn a_histogram_whose_counts_are_not_whole_is_not_in_openmetrics() {
        let page = "# TYPE x histogram\n\
                    x_bucket{a=\"1\",le=\"1\"} 0.5\nx_bucket{a=\"1\",le=\"+Inf\"} 2\n\
                    x_sum{a=\"1\"} 3\nx_count{a=\"1\"} 2\nx_created{a=\"1\"} 7\n\
                    x_bucket{a=\"2\",le=\"+Inf\"} 2\nx_created{a=\"2\"} 7\n# EOF\n";
        assert_eq!(
            openmetrics(page),
            ["x_bucket{a=\"2\",le=\"+Inf\"} 2", "x_created{a=\"2\"} 7.000"]
        );
        assert_eq!(shown(TextFormat::Text, page).len(), 6);
    }

    #[test]
    fn a_time_of_creation_is_shown_after_a_series_without_one() {
        let page = "# TYPE x counter\nx_total{a=\"1\"} 1\nx_total{a=\"2\"} 1\nx_created{a=\"2\"} 7\n# EOF\n";
        assert_eq!(openmetrics(page).last().unwrap(), "x_created{a=\"2\"} 7.000");
    }
}
