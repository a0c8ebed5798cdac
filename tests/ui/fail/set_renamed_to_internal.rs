//! A field that is renamed to a name that Prometheus keeps for itself.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    #[label(rename = "__cached")] //~
    cached: bool,
}

fn main() {}
