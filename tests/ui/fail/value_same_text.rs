//! Two variants that read the same.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
enum Tier {
    PaidUp,
    #[label(rename = "paid_up")]
    Paid, //~
}

fn main() {}
