//! `LabelSet` of a struct whose fields have no names.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call(bool, bool); //~

fn main() {}
