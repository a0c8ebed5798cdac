//! What has no bound has none in an `Option` either.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    model: Option<String>, //~
}

fn main() {}
