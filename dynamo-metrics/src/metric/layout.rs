//! Layouts: which column of a histogram's run counts which samples.

use super::finder::Finder;
use super::{Buckets, NativeBuckets};

/// The columns of a histogram: one for each interval between neighbouring bounds, where the bounds
/// are the classic and the native ones together. So a sample changes one column, and both forms are
/// exact.
#[derive(Debug)]
pub(super) struct Layout {
    finder: Finder,
    /// For each classic bound, the last column of samples that are not above it.
    classic: Box<[u16]>,
    /// The same for the native bounds, that of the zero bucket first.
    native: Box<[u16]>,
    columns: usize,
    /// Columns are classic buckets.
    plain: bool,
}

impl Layout {
    /// A layout of samples that compare with what `scale` makes of a bound.
    pub(super) fn new(buckets: &Buckets, scale: impl Fn(f64) -> f64) -> Self {
        let native = || buckets.native().into_iter().flat_map(NativeBuckets::bounds);
        let mut all: Vec<f64> = buckets.iter().chain(native()).map(&scale).collect();
        all.sort_unstable_by(f64::total_cmp);
        // Bounds that the scale does not tell apart share a column; one of two buckets stays empty.
        all.dedup_by(|a, b| a.total_cmp(b).is_eq());
        let column = |bound: f64| {
            let scaled = scale(bound);
            u16::try_from(all.partition_point(|other| *other < scaled)).unwrap_or(u16::MAX)
        };
        let classic: Box<[u16]> = buckets.iter().map(column).collect();
        Self {
            finder: Finder::new(&all),
            native: native().map(column).collect(),
            columns: all.len() + 1,
            plain: classic.len() == all.len(),
            classic,
        }
    }

    /// Finds the column of a sample.
    pub(super) fn finder(&self) -> &Finder {
        &self.finder
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The classic bucket of what a column counts.
    pub(super) fn bucket(&self, column: usize) -> usize {
        self.classic.partition_point(|&last| usize::from(last) < column)
    }

    /// Samples in each classic bucket.
    pub(super) fn classic(&self, columns: &[u64], counts: &mut Vec<u64>) {
        counts.clear();
        if self.plain {
            counts.extend_from_slice(columns);
        } else {
            fold(columns, &self.classic, counts);
        }
    }

    /// Samples in the zero bucket, each native bucket, and above them.
    pub(super) fn native(&self, columns: &[u64], counts: &mut Vec<u64>) {
        counts.clear();
        if !self.native.is_empty() {
            fold(columns, &self.native, counts);
        }
    }
}

/// Sums of columns, up to each of `lasts` and after the last of them.
fn fold(columns: &[u64], lasts: &[u16], counts: &mut Vec<u64>) {
    let mut from = 0;
    for &last in lasts {
        let to = usize::from(last) + 1;
        // Two bounds may have one column; the second bucket is empty then.
        counts.push(columns.get(from..to).map_or(0, |columns| columns.iter().sum()));
        from = to;
    }
    counts.push(columns.get(from..).map_or(0, |columns| columns.iter().sum()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_that_both_have_are_one() {
        let buckets = Buckets::new([0.5, 0.75, 4.0]).unwrap();
        let buckets = buckets.with_native(NativeBuckets::of_powers(0, -1, 1));
        // 0.5, 0.75, 1, 2, 4
        let layout = Layout::new(&buckets, |bound| bound);
        assert_eq!(layout.columns(), 6);
        let (mut classic, mut native) = (Vec::new(), Vec::new());
        layout.classic(&[1, 2, 3, 4, 5, 6], &mut classic);
        layout.native(&[1, 2, 3, 4, 5, 6], &mut native);
        assert_eq!((classic, native), (vec![1, 2, 12, 6], vec![1, 5, 4, 11]));
        assert_eq!((0..6).map(|c| layout.bucket(c)).collect::<Vec<_>>(), [0, 1, 2, 2, 2, 3]);
    }

    #[test]
    fn bounds_that_are_too_near_share_a_column() {
        let buckets = Buckets::new([1e-9, 1.2e-9, 2e-9]).unwrap();
        let layout = Layout::new(&buckets, |bound| (bound * 1e9).round());
        assert_eq!(layout.columns(), 3);
        let mut classic = Vec::new();
        layout.classic(&[1, 2, 3], &mut classic);
        assert_eq!(classic, [1, 0, 2, 3]);
    }

    proptest! {
        #[test]
        fn each_sample_is_in_one_bucket_of_either_form(
            mut bounds in prop::collection::vec(0.0..100.0, 1..40),
            schema in 0_u8..=8,
            samples in prop::collection::vec(0.0..200.0, 1..50),
        ) {
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            let native = NativeBuckets::of_powers(schema, -1, 1);
            let buckets = Buckets::new(bounds.clone()).unwrap().with_native(native);
            let layout = Layout::new(&buckets, |bound| bound);
            let mut columns = vec![0; layout.columns()];
            for &sample in &samples {
                columns[layout.finder().find(sample)] += 1;
            }
            for (uppers, classic) in [(bounds, true), (native.bounds().collect(), false)] {
                let mut counts = Vec::new();
                if classic {
                    layout.classic(&columns, &mut counts);
                } else {
                    layout.native(&columns, &mut counts);
                }
                let mut expected = vec![0_u64; uppers.len() + 1];
                for sample in &samples {
                    expected[uppers.partition_point(|upper| upper < sample)] += 1;
                }
                prop_assert_eq!(counts, expected);
            }
        }
    }
}
