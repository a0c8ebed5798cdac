//! A function that never returns, without a warning for the code that is never reached.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
async fn serve() -> ! {
    loop {
        std::future::pending::<()>().await;
    }
}

fn main() {
    drop(serve());
}
