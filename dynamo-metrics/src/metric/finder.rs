//! Which bucket a sample falls into, in constant time.
//!
//! The exponent and the leading bits of the mantissa of a positive number grow with it. They pick a
//! place in a table, which holds the first bound that can be meant; a compare settles it. There are
//! as many bits as it takes for no place to hold two bounds, up to a table of bounded size; past
//! that, a place may take a few compares more. The answer is exact in any case.

use std::sync::Arc;

/// Most places of a table.
const MOST_PLACES: u64 = 4096;

/// Finds the first bound that is not below a sample. Clones share their tables.
#[derive(Debug, Clone)]
pub(super) struct Finder {
    /// Bits below the leading ones.
    shift: u32,
    /// What the leading bits of the first positive bound are.
    origin: u64,
    table: Arc<[Place]>,
    /// No place holds two bounds.
    apart: bool,
    /// The first bound that is not negative, and the first that is positive.
    first_not_negative: usize,
    first_positive: usize,
    /// All bounds, increasing.
    bounds: Arc<[f64]>,
}

/// The first bound that a sample in a place can be meant for. Its value stands beside it, so that
/// a look at the table is all that it takes.
#[derive(Debug, Clone, Copy)]
struct Place {
    bound: f64,
    at: usize,
}

impl Finder {
    /// A finder over `bounds`, which are finite and increasing.
    pub(super) fn new(bounds: &[f64]) -> Self {
        let first_not_negative = bounds.partition_point(|&bound| bound < 0.0);
        let first_positive = bounds.partition_point(|&bound| bound <= 0.0);
        let positive = &bounds[first_positive..];
        let (shift, origin, places) = layout(positive);
        let place = |bound: f64| (bound.to_bits() >> shift) - origin;
        let table = (0..places)
            .map(|number| {
                let at = first_positive + positive.partition_point(|&bound| place(bound) < number);
                Place { bound: bounds.get(at).copied().unwrap_or(f64::INFINITY), at }
            })
            .collect();
        let apart = positive.windows(2).all(|pair| place(pair[0]) != place(pair[1]));
        let bounds = bounds.into();
        Self { shift, origin, table, apart, first_not_negative, first_positive, bounds }
    }

    /// The index of the first bound that is not below `sample`, which is not negative; the number
    /// of bounds if there is none.
    #[inline]
    pub(super) fn find(&self, sample: f64) -> usize {
        if sample <= 0.0 {
            return self.first_not_negative;
        }
        // Below the origin lies what is below the first positive bound.
        let Some(number) = (sample.to_bits() >> self.shift).checked_sub(self.origin) else {
            return self.first_positive;
        };
        let place = usize::try_from(number).ok().and_then(|number| self.table.get(number));
        let Some(place) = place else { return self.bounds.len() };
        if sample <= place.bound {
            return place.at;
        }
        let mut at = place.at + 1;
        if !self.apart {
            while self.bounds.get(at).is_some_and(|&bound| bound < sample) {
                at += 1;
            }
        }
        at
    }
}

/// The shift, the origin and the number of places for these positive bounds.
fn layout(positive: &[f64]) -> (u32, u64, u64) {
    let (Some(first), Some(last)) = (positive.first(), positive.last()) else {
        // No positive bound: whatever is positive lies above all.
        return (52, u64::MAX >> 52, 0);
    };
    let mut fits = (52, first.to_bits() >> 52, 1);
    for shift in (32..=52).rev() {
        let origin = first.to_bits() >> shift;
        let places = (last.to_bits() >> shift) - origin + 1;
        if places > MOST_PLACES {
            break;
        }
        fits = (shift, origin, places);
        let apart = |pair: &[f64]| pair[0].to_bits() >> shift != pair[1].to_bits() >> shift;
        if positive.windows(2).all(apart) {
            break;
        }
    }
    fits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn linear(bounds: &[f64], sample: f64) -> usize {
        bounds.iter().take_while(|&&bound| bound < sample).count()
    }

    fn bounds() -> impl Strategy<Value = Vec<f64>> {
        let any = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
        let near = (-1e3..1e3).prop_map(|x: f64| x);
        let neighbours = (1_u64..1 << 62, 0_u64..40).prop_map(|(x, d)| f64::from_bits(x + d));
        prop::collection::vec(prop_oneof![any, near, neighbours], 1..60).prop_map(|mut bounds| {
            bounds.retain(|bound| bound.is_finite());
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            bounds
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_linear_search_finds(
            bounds in bounds(),
            samples in prop::collection::vec(
                prop::num::f64::POSITIVE | prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL
                    | prop::num::f64::ZERO | prop::num::f64::INFINITE,
                0..20,
            ),
        ) {
            let finder = Finder::new(&bounds);
            let near = bounds.iter().flat_map(|bound| [bound.next_down(), *bound, bound.next_up()]);
            for sample in samples.into_iter().chain(near).filter(|sample| *sample >= 0.0) {
                prop_assert_eq!(finder.find(sample), linear(&bounds, sample), "{}", sample);
            }
        }
    }

    #[test]
    fn the_usual_bounds_take_one_compare() {
        let usual = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let finder = Finder::new(&usual);
        assert!(finder.table.len() < 64, "{}", finder.table.len());
        for (i, &bound) in usual.iter().enumerate() {
            assert_eq!(finder.find(bound), i);
            assert_eq!(finder.find(bound.next_up()), i + 1);
        }
    }
}
