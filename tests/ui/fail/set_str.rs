//! A field whose values nothing bounds: a `&str`.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    cached: bool,
    model: &'static str, //~
}

fn main() {}
