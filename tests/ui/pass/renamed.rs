//! The crate has another name here, and its own name is another crate's.

#![deny(warnings)]

extern crate dynamo_metrics as sdk;
extern crate std as dynamo_metrics;

use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use sdk::instrumented_endpoint;
use sdk::registry::{Registry, Scope};

sdk::default_scope!(Registry::global());

#[instrumented_endpoint(crate = sdk)]
fn generate() -> Result<u8, u8> {
    Ok(7)
}

#[instrumented_endpoint(crate = ::sdk, scope = scope, labels(cached), ok_if = |value| *value > 1)]
async fn value(scope: &Scope, cached: bool) -> u8 {
    drop(scope.clone());
    2
}

#[instrumented_endpoint(crate = crate::sdk, buckets = [0.1, 1], slo(e2e = "1s"))]
fn tokens() -> BoxStream<'static, Result<u8, u8>> {
    stream::iter([Ok(7)]).boxed()
}

struct Engine;

#[instrumented_endpoint(crate = sdk)]
impl Engine {
    fn opaque(&self) -> impl Future<Output = Result<impl Stream<Item = u8>, u8>> {
        std::future::ready(Ok(stream::iter([7])))
    }

    #[instrumented_endpoint(stream(sse))]
    async fn events(&self) -> impl Stream<Item = &'static str> {
        stream::iter(["data: x\n\n"])
    }
}

fn main() {
    assert_eq!(generate(), Ok(7));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert_eq!(value(Registry::global(), true).await, 2);
        assert_eq!(tokens().count().await, 1);
        assert_eq!(Engine.opaque().await.unwrap().count().await, 1);
        assert_eq!(Engine.events().await.count().await, 1);
    });
    let text = sdk::encode::text(Registry::global());
    for endpoint in ["generate", "tokens", "Engine__opaque", "Engine__events"] {
        let line = format!("_requests_total{{dynamo_endpoint=\"{endpoint}\"}} 1\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}
