//! Functions that a macro by example writes.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::Registry;
use futures_util::stream::{self, BoxStream, StreamExt as _};

macro_rules! endpoint {
    ($scope:expr, $name:literal, $label:ident = $value:expr, fn $function:ident($($argument:ident: $type:ty),*) -> $output:ty $body:block) => {
        #[instrumented_endpoint(name = $name, scope = $scope, labels($label = $value))]
        async fn $function($($argument: $type),*) -> $output $body
    };
}

endpoint!(registry, "parse", cached = false, fn parse(registry: &Registry, text: &str) -> Result<u8, std::num::ParseIntError> {
    drop(registry.endpoint("other"));
    text.parse()
});

endpoint!(registry, "tokens", tier = "free", fn tokens(registry: &Registry) -> BoxStream<'static, u8> {
    drop(registry.endpoint("other"));
    stream::iter([1, 2]).boxed()
});

fn main() {
    let registry = Registry::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert!(parse(&registry, "x").await.is_err());
        let stream = tokens(&registry).await;
        let text = dynamo_metrics::encode::text(&registry);
        assert!(
            text.contains("inflight_requests{dynamo_endpoint=\"tokens\",tier=\"free\"} 1\n"),
            "a type that a macro passes on is the type that was passed: {text}"
        );
        drop(stream);
    });
    let text = dynamo_metrics::encode::text(&registry);
    assert!(text.contains(
        "outcomes_total{cached=\"false\",dynamo_endpoint=\"parse\",outcome=\"server_error\"} 1\n"
    ));
}
