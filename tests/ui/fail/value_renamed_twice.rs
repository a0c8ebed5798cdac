//! A variant that reads in two ways.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
enum Tier {
    #[label(rename = "free", rename = "gratis")] //~
    Free,
}

fn main() {}
