//! Constants wherever they may stand.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::Registry;

const BOUNDS: [f64; 3] = [0.1, 1.0, 10.0];
static SLICE: &[f64] = &[0.5, f64::MAX];
const HALF: f64 = 0.5;

struct Batch<const N: usize>([u8; N]);

#[instrumented_endpoint(labels(full = Self::FULL))]
impl<const N: usize> Batch<N> {
    const FULL: bool = N > 2;

    fn sum<const M: usize>(&self, others: [u8; M]) -> [u8; N] {
        const STEP: u8 = 1;
        self.0.map(|value| value + others.len() as u8 + STEP)
    }

    #[instrumented_endpoint(skip)]
    const fn len(&self) -> usize {
        N
    }
}

#[instrumented_endpoint(buckets = BOUNDS)]
fn array() {}

#[instrumented_endpoint(buckets = SLICE)]
fn slice() {}

#[instrumented_endpoint(buckets = [HALF * 0.5, HALF, 1, 2.5])]
fn computed() {}

const fn untouched() -> u8 {
    7
}

fn main() {
    const _: u8 = untouched();
    let batch = Batch([1, 2, 3]);
    assert_eq!((batch.sum([7, 7]), batch.len()), ([4, 5, 6], 3));
    array();
    slice();
    computed();
    let text = dynamo_metrics::encode::text(Registry::global());
    let line = "requests_total{dynamo_endpoint=\"Batch__sum\",full=\"true\"} 1\n";
    assert!(text.contains(line), "{line} in {text}");
}
