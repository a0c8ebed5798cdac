//! Requests in flight, as a scrape sees them while streams run, and what connections leave behind.

mod served;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dynamo_metrics::encode;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::{Metrics, MetricsLayer};
use http::Method;
use tokio::sync::watch;
use tower::Layer;

use crate::served::{Served, h2, layer, routes, serve};

/// Counts how often a server asks for the layer.
#[derive(Clone)]
struct Counted {
    layer: MetricsLayer,
    calls: Arc<AtomicUsize>,
}

impl<S> Layer<S> for Counted {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Metrics<S> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.layer.layer(inner)
    }
}

#[tokio::test]
async fn a_stream_is_in_flight_until_its_body_ends_and_not_its_handler() {
    let served = Served::start().await;
    let mut client = h1::Client::open(served.address).await.unwrap();
    client.send(b"GET /gated HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    // The handler has returned long ago when the first event is here.
    client.read_until("Hi").await.unwrap();
    served.start_of_one().await;
    served.gate.send_replace(true);
    client.read_until("[DONE]").await.unwrap();
    assert_eq!(served.end_of_one().await, "success");
}

#[tokio::test]
async fn three_open_requests_are_three_in_flight_at_their_endpoint() {
    let served = Served::start().await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = h1::Client::open(served.address).await.unwrap();
        client.send(b"GET /gated HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        client.read_until("Hi").await.unwrap();
        clients.push(client);
    }
    let client = h2::Client::open(served.address).await;
    let third = client.send(Method::GET, "/gated").await.first_frame().await;
    assert_eq!(served.counts_of("gated").in_flight, 3.0);
    assert_eq!(served.counts_of("unmatched").in_flight, 0.0);
    served.gate.send_replace(true);
    third.rest().await.unwrap();
    for client in &mut clients {
        client.read_until("[DONE]").await.unwrap();
    }
    served.when(|counts| counts.ended == 3.0).await;
    assert!(served.counts_of("gated").is_settled());
    assert_eq!(served.counts_of("gated").outcomes, [("success", 3.0)]);
}

#[tokio::test]
async fn requests_count_at_their_own_endpoint_only() {
    let served = Served::start().await;
    h1::Client::exchange(served.address, "GET", "/plain").await.unwrap();
    served.when(|counts| counts.ended == 1.0).await;
    assert_eq!(served.counts_of("unmatched").ended, 1.0);
    assert_eq!(served.counts_of("gated").started, 0.0);
}

#[tokio::test]
async fn connections_ask_for_the_layer_again_and_add_no_series() {
    let (_gate, open) = watch::channel(false);
    let (registry, layer) = layer();
    let calls = Arc::new(AtomicUsize::new(0));
    let address = serve(routes(&open).layer(Counted { layer, calls: Arc::clone(&calls) })).await;
    let series = || Page::read(&encode::text(&registry)).samples().len();
    h1::Client::exchange(address, "GET", "/plain").await.unwrap();
    let (series_before, calls_before) = (series(), calls.load(Ordering::Relaxed));
    for _ in 0..10 {
        h1::Client::exchange(address, "GET", "/plain").await.unwrap();
    }
    // Else this test says nothing.
    assert!(calls.load(Ordering::Relaxed) >= calls_before + 10);
    assert_eq!(series(), series_before);
}
