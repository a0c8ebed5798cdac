//! A misspelt argument of `#[label]`.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call {
    #[label(rname = "is_cached")] //~
    cached: bool,
}

fn main() {}
