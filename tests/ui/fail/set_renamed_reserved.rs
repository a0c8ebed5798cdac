//! A field that is renamed to a label of the scope.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    #[label(rename = "dynamo_component")] //~
    cached: bool,
}

fn main() {}
