//! A field of a type that might be anything.

use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Call<M> {
    model: M, //~
}

fn main() {}
