//! gRPC through the proxy: HTTP/2 on both sides, streams both ways at once, statuses in trailers.

mod grpc_echo;
mod proxied;

use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::program::Proxy;
use dynamo_metrics_tower::MetricsLayer;
use futures_util::StreamExt as _;
use tonic::Code;

use crate::grpc_echo::{Client, METHODS, NAME, ones, serve};
use crate::proxied::assert_ends;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_all_four_kinds_pass_with_their_statuses() {
    let registry = Registry::new();
    let layer = |name| {
        let layer = MetricsLayer::builder(&registry.component(name));
        layer.grpc_service(NAME, METHODS).build().unwrap()
    };
    let address = serve(layer("server")).await;
    let upstream = format!("http://{address}");
    let proxy = Proxy::start(&["--upstream", &upstream, "--upstream-http2"]);
    let mut client = Client::connect(proxy.server, &layer("client")).await;
    assert_eq!(client.unary("Say", b"hi").await.unwrap(), b"hi");
    assert_eq!(client.server_streaming("Repeat", b"3").await.unwrap().count().await, 3);
    assert_eq!(client.client_streaming("Collect", ones(4)).await.unwrap(), b"4");
    assert_eq!(client.streaming("Chat", ones(5)).await.unwrap().count().await, 5);
    let refused = client.unary("Say", b"fail").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "as it was told"));
    let mut left = client.server_streaming("Repeat", b"1000000").await.unwrap();
    left.next().await.unwrap().unwrap();
    drop(left);
    let ends = [("success", 4.0), ("client_error", 1.0), ("cancelled", 1.0)];
    assert_ends(&proxy, &ends, &ends);
}
