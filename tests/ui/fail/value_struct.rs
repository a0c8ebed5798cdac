//! `LabelValue` of a struct.

use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
struct Tier(#[allow(dead_code)] u8); //~

fn main() {}
