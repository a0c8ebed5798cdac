//! Two variants that read the same in the case of all.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
#[label(rename_all = "SCREAMING_SNAKE_CASE")]
enum Tier {
    #[label(rename = "PAID_UP")]
    Paid,
    PaidUp, //~
}

fn main() {}
