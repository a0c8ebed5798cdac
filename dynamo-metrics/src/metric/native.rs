//! Native buckets: bounds at equal ratios, as Prometheus's native histograms have them.

use super::buckets::BucketsError;

/// Most buckets between the ends of a range.
const MOST: i32 = 640;

/// The exponential buckets of a native histogram, over a bounded range.
///
/// Bounds are the powers of 2 to the power of 2<sup>-schema</sup>: eight to a doubling at schema 3,
/// so that a quantile is within 4.4 %. What lies at or below the range counts in the zero bucket,
/// what lies above it in one bucket more; nothing is lost.
///
/// # Cost
/// A column for each bucket and thread: 8 bytes; recording costs the same as without.
///
/// # Examples
/// ```
/// use dynamo_metrics::metric::NativeBuckets;
///
/// let buckets = NativeBuckets::new(3, 0.001, 60.0)?;
/// assert_eq!(buckets.schema(), 3);
/// // The range is widened to bounds: from 2^-10 to 2^(47/8).
/// assert_eq!(buckets.zero_threshold(), 1.0 / 1024.0);
/// # Ok::<(), dynamo_metrics::metric::BucketsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NativeBuckets {
    schema: u8,
    /// The bound of the zero bucket, as an exponent in steps of the schema.
    low: i32,
    /// The highest bound.
    high: i32,
}

impl NativeBuckets {
    /// Buckets of a schema (0 to 8; each doubles the resolution) from `low` to `high`, which are
    /// widened to the next bounds.
    ///
    /// # Errors
    /// [`BucketsError::Schema`], [`BucketsError::Scale`] unless `0 < low < high`, both finite and not
    /// subnormal, and [`BucketsError::TooMany`], if that takes more than 640 buckets.
    pub fn new(schema: u8, low: f64, high: f64) -> Result<Self, BucketsError> {
        if schema > 8 {
            return Err(BucketsError::Schema(schema));
        }
        if !(low.is_normal() && high.is_normal() && 0.0 < low && low < high) {
            return Err(BucketsError::Scale { min: low, max: high });
        }
        let (low, high) = (Self::below(schema, low), Self::above(schema, high));
        if high - low > MOST {
            return Err(BucketsError::TooMany(high.abs_diff(low) as usize));
        }
        Ok(Self { schema, low, high })
    }

    /// Buckets from one power of two to another.
    pub(crate) const fn of_powers(schema: u8, low: i32, high: i32) -> Self {
        Self { schema, low: low << schema, high: high << schema }
    }

    /// The schema: bounds are powers of 2 to the power of 2<sup>-schema</sup>.
    #[must_use]
    pub fn schema(&self) -> u8 {
        self.schema
    }

    /// Samples at or below this count in the zero bucket.
    #[must_use]
    pub fn zero_threshold(&self) -> f64 {
        bound(self.schema, self.low)
    }

    /// The index of the first bucket above the zero bucket; bucket `i` ends at the `i`-th bound, and
    /// 0 ends at 1.
    #[must_use]
    pub fn first_index(&self) -> i32 {
        self.low + 1
    }

    /// All bounds, that of the zero bucket first.
    pub(super) fn bounds(&self) -> impl Iterator<Item = f64> + '_ {
        (self.low..=self.high).map(|index| bound(self.schema, index))
    }

    /// The highest bound that is not above `value`.
    fn below(schema: u8, value: f64) -> i32 {
        let mut index = estimate(schema, value);
        while bound(schema, index) > value {
            index -= 1;
        }
        while bound(schema, index + 1) <= value {
            index += 1;
        }
        index
    }

    /// The lowest bound that is not below `value`.
    fn above(schema: u8, value: f64) -> i32 {
        let index = Self::below(schema, value);
        if bound(schema, index) < value { index + 1 } else { index }
    }
}

impl Default for NativeBuckets {
    /// Eight buckets to a doubling, from a millisecond to eight and a half minutes, in seconds.
    fn default() -> Self {
        Self::of_powers(3, -10, 9)
    }
}

/// An index near the bound that is not above `value`.
fn estimate(schema: u8, value: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 1024 times 256")]
    let index = (value.log2() * f64::from(1 << schema)).floor() as i32;
    index
}

/// 2 to the power of `index` steps of 2<sup>-schema</sup>; exact where that is a whole number.
fn bound(schema: u8, index: i32) -> f64 {
    let steps = 1 << schema;
    let (whole, rest) = (index.div_euclid(steps), index.rem_euclid(steps));
    let fraction = (f64::from(rest) / f64::from(steps)).exp2();
    // In two factors, since the least powers are less than any normal number.
    let half = whole / 2;
    fraction * f64::from(half).exp2() * f64::from(whole - half).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_other_clients() {
        // From client_golang's table, which starts at a half.
        let known = [
            0.5,
            0.545_253_866_332_628_8,
            0.594_603_557_501_360_5,
            0.648_419_777_325_504_8,
            0.707_106_781_186_547_5,
            0.771_105_412_703_970_4,
            0.840_896_415_253_714_5,
            0.917_004_043_204_671_2,
        ];
        for (index, expected) in (-8..).zip(known) {
            let bound = bound(3, index);
            assert!((bound - expected).abs() <= f64::EPSILON / 2.0, "{bound} {expected}");
        }
        assert!((bound(8, 256 * 5) - 32.0).abs() < f64::EPSILON);
    }

    #[test]
    fn ranges_are_widened_to_bounds() {
        let buckets = NativeBuckets::new(0, 0.3, 5.0).unwrap();
        assert_eq!(buckets.bounds().collect::<Vec<_>>(), [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(buckets.first_index(), -1);
        let exact = NativeBuckets::new(3, 0.25, 4.0).unwrap();
        assert_eq!(exact, NativeBuckets::of_powers(3, -2, 2));
        assert_eq!(exact.bounds().count(), 33);
    }

    #[test]
    fn a_range_that_is_none_is_an_error() {
        assert_eq!(NativeBuckets::new(9, 1.0, 2.0), Err(BucketsError::Schema(9)));
        for (low, high) in
            [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (1.0, f64::INFINITY), (1e-310, 1.0)]
        {
            assert!(matches!(NativeBuckets::new(3, low, high), Err(BucketsError::Scale { .. })));
        }
        let wide = NativeBuckets::new(8, f64::MIN_POSITIVE, f64::MAX);
        assert!(matches!(wide, Err(BucketsError::TooMany(_))), "{wide:?}");
        assert!(NativeBuckets::new(0, 1e-90, 1e90).is_ok());
    }
}
