//! A field that is named as a label of histograms.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    cached: bool,
    le: bool, //~
}

fn main() {}
