//! A name with a control character.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "gen\u{7}erate")] //~
async fn generate() {}

fn main() {}
