//! A field whose values nothing bounds.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    cached: bool,
    model: String, //~
}

fn main() {}
