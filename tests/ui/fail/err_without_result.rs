//! A label for errors where there are none.

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::label::LabelValue;

#[derive(LabelValue)]
pub enum Kind {
    Any,
}

#[instrumented_endpoint(name = "generate", err(label = |_| Kind::Any))] //~
async fn generate() -> u8 {
    7
}

fn main() {}
