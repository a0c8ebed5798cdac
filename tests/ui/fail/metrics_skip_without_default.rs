//! A field that nobody fills.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    reads_total: Counter,
    #[metric(skip)]
    listener: std::net::TcpListener, //~
}

fn main() {}
