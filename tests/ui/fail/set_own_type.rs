//! A field of a type that is no label value: an id.

use dynamo_metrics::label::LabelSet;

struct Uuid(#[allow(dead_code)] u128);

#[derive(LabelSet)]
struct Call {
    session: Uuid, //~
}

fn main() {}
