//! A family whose labels are no set of labels.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::{Family, RegisterError, Registry};

fn register(registry: &Registry) -> Result<Family<bool, Counter>, RegisterError> {
    registry.counter("calls_total", "Calls.").family() //~
}

fn main() {
    drop(register(&Registry::new()));
}
