//! A case that label values cannot be in.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
#[label(rename_all = "camelCase")] //~
enum Tier {
    PaidUp,
}

fn main() {}
