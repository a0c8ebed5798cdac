//! What a page of text says, summed up: enough to see that nothing was lost.

use anyhow::{Context as _, ensure};

/// The metric that every row records, without what libraries add to its end.
pub(crate) const NAME: &str = "http_server_requests";

/// The lines of one metric.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Lines with a value that is no part of a histogram.
    pub(crate) series: usize,
    /// Their sum.
    pub(crate) sum: f64,
    /// Histograms.
    pub(crate) histograms: usize,
    /// Lines with a bucket.
    pub(crate) buckets: usize,
    /// Samples in all histograms.
    pub(crate) count: f64,
    /// Sum of all buckets up to 1 s.
    pub(crate) within_a_second: f64,
}

impl Page {
    /// Reads all lines whose name starts as [`NAME`].
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let mut page = Self::default();
        for line in text.lines().filter(|line| line.starts_with(NAME)) {
            let (series, value) = line.rsplit_once(' ').context("a line has a value")?;
            let value: f64 = value.parse().with_context(|| format!("no number in {line}"))?;
            let name = series.split('{').next().unwrap_or(series);
            if name.ends_with("_bucket") {
                page.buckets += 1;
                if ["le=\"1\"", "le=\"1.0\""].iter().any(|le| series.contains(le)) {
                    page.within_a_second += value;
                }
            } else if name.ends_with("_count") {
                page.histograms += 1;
                page.count += value;
            } else if !name.ends_with("_sum") && !name.ends_with("_created") {
                page.series += 1;
                page.sum += value;
            }
        }
        Ok(page)
    }

    /// Fails unless there are `series` plain series, with `sum` together.
    pub(crate) fn has_counts(&self, series: usize, sum: u64) -> anyhow::Result<()> {
        let right = self.series == series && (self.sum - sum as f64).abs() < 0.5;
        ensure!(right, "the page says {self:?}, not {series} series with {sum} together");
        Ok(())
    }

    /// Fails unless there are `histograms` of 14 bounds, with `count` samples together.
    pub(crate) fn has_samples(&self, histograms: usize, count: u64) -> anyhow::Result<()> {
        let right = self.histograms == histograms
            && self.buckets == 15 * histograms
            && (self.count - count as f64).abs() < 0.5;
        ensure!(right, "the page says {self:?}, not {histograms} histograms of {count} samples");
        Ok(())
    }

    /// Fails unless `within` samples are up to 1 s.
    pub(crate) fn has_within_a_second(&self, within: usize) -> anyhow::Result<()> {
        let right = (self.within_a_second - within as f64).abs() < 0.5;
        ensure!(right, "the page says {self:?}, not {within} samples within a second");
        Ok(())
    }
}

/// The sum of all lines of `text` that start with `start` and contain `label`.
pub(crate) fn total(text: &str, start: &str, label: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(start) && line.contains(label));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}
