//! The case of all, on one.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
enum Tier {
    #[label(rename_all = "PascalCase")] //~
    PaidUp,
}

fn main() {}
