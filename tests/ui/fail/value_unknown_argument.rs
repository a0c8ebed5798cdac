//! A misspelt argument of `#[label]`.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
enum Tier {
    #[label(renam = "gratis")] //~
    Free,
}

fn main() {}
