//! Types that a macro by example passes on are the types that were passed.

#![deny(warnings)]

use std::pin::Pin;

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::Registry;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};

macro_rules! endpoint {
    (fn $function:ident($registry:ident: $type:ty) -> $output:ty $body:block) => {
        #[instrumented_endpoint(scope = $registry)]
        async fn $function($registry: $type) -> $output $body
    };
}

endpoint!(fn parse(registry: &Registry) -> Result<u8, std::num::ParseIntError> {
    drop(registry.endpoint("other"));
    "x".parse()
});

endpoint!(fn opaque(_registry: &Registry) -> impl Stream<Item = u8> + use<> {
    stream::iter([1, 2])
});

endpoint!(fn boxed(_registry: &Registry) -> BoxStream<'static, u8> {
    stream::iter([1, 2]).boxed()
});

endpoint!(fn pinned(_registry: &Registry) -> Result<Pin<Box<dyn Stream<Item = u8>>>, ()> {
    Ok(stream::iter([1, 2]).boxed())
});

fn main() {
    let registry = Registry::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert!(parse(&registry).await.is_err());
        let streams = (opaque(&registry).await, boxed(&registry).await, pinned(&registry).await);
        let text = dynamo_metrics::encode::text(&registry);
        for endpoint in ["opaque", "boxed", "pinned"] {
            let line = format!("inflight_requests{{dynamo_endpoint=\"{endpoint}\"}} 1\n");
            assert!(text.contains(&line), "no {line}");
        }
        drop(streams);
    });
    let text = dynamo_metrics::encode::text(&registry);
    let line = "outcomes_total{dynamo_endpoint=\"parse\",outcome=\"server_error\"} 1\n";
    assert!(text.contains(line), "{line} in {text}");
}
