//! An argument of `#[label]` that is like none.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
enum Tier {
    #[label(text = "gratis")] //~
    Free,
}

fn main() {}
