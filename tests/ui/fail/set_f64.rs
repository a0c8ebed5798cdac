//! A field whose values nothing bounds: a float.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    cached: bool,
    model: f64, //~
}

fn main() {}
