//! A field whose values nothing bounds: an integer.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    cached: bool,
    model: u64, //~
}

fn main() {}
