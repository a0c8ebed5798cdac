//! `LabelValue` of an enum without variants.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
enum Tier {} //~

fn main() {}
