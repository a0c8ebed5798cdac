//! A field that is renamed to what is no label name.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    #[label(rename = "is-cached")] //~
    cached: bool,
}

fn main() {}
