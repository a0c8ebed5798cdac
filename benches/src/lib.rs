//! What recording costs: `cargo bench -p dynamo-metrics-benches`.
