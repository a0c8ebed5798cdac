//! `LabelValue` of an enum with a field.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
enum Tier {
    Free,
    Paid { cents: u64 }, //~
}

fn main() {}
