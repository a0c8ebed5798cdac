//! `LabelSet` of an enum.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
enum Call { //~
    Cached,
}

fn main() {}
