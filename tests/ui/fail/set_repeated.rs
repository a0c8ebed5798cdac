//! Two fields that are named the same.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    cached: bool,
    #[label(rename = "cached")] //~
    warm: bool,
}

fn main() {}
