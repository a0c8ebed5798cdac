//! The layer around a client: what a router or gateway sees of its upstreams.

mod served;

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::script::{Broken, Script, Step};
use dynamo_metrics_tower::{BuildError, MetricsLayer, RequestBody};
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::served::{Served, routes};

type Whole = Full<Bytes>;

fn sum(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    Page::read(&encode::text(registry)).sum(name, labels)
}

fn get(uri: impl AsRef<str>) -> Request<Whole> {
    Request::get(uri.as_ref()).body(Whole::default()).unwrap()
}

#[test]
fn a_request_counts_for_its_upstream_and_made_up_ones_for_one_endpoint() {
    let registry = Registry::new();
    let layer = MetricsLayer::client(&registry.component("router"))
        .upstream("10.0.0.1:8000", "worker_a")
        .upstream("10.0.0.2:8000", "worker_b")
        .upstream("10.0.0.3:8000", "worker_b")
        .build()
        .unwrap();
    let client = layer.layer(service_fn(|_: Request<_>| {
        ready(Ok::<_, Infallible>(Response::new(Whole::default())))
    }));
    let send = |uri: String| drop(client.clone().oneshot(get(uri)).now_or_never().unwrap());
    for host in 1..4 {
        send(format!("http://10.0.0.{host}:8000/v1/models"));
    }
    for i in 0..100 {
        send(format!("http://made-up-{i}/v1/models"));
    }
    let of = |endpoint| {
        sum(&registry, "dynamo_upstream_requests_total", &[("dynamo_endpoint", endpoint)])
    };
    assert_eq!((of("worker_a"), of("worker_b"), of("unmatched")), (Some(1.), Some(2.), Some(100.)));
    assert_eq!(sum(&registry, "dynamo_component_requests_total", &[]), None);
    let twice = MetricsLayer::client(&registry).upstream("a", "a").upstream("a", "b").build();
    assert_eq!(twice.err(), Some(BuildError::RepeatedPath("a".into())));
}

#[test]
fn a_stream_from_upstream_is_read_for_its_tokens() {
    let registry = Registry::new();
    let layer = MetricsLayer::client(&registry.component("router")).build().unwrap();
    let script = [&openai::content("Hi"), &openai::content(" you"), DONE].map(Step::data);
    let client = layer.layer(service_fn(move |_: Request<_>| {
        let response = Response::builder().header("content-type", "text/event-stream");
        ready(Ok::<_, Broken>(response.body(Script::new(script.clone())).unwrap()))
    }));
    let answer = client.oneshot(get("http://a/")).now_or_never().unwrap().unwrap();
    answer.into_body().collect().now_or_never().unwrap().unwrap();
    let upstream = |name: &str| sum(&registry, &format!("dynamo_upstream_{name}"), &[]);
    assert_eq!(upstream("time_to_first_token_seconds_count"), Some(1.0));
    assert_eq!(upstream("inter_token_latency_seconds_count"), Some(1.0));
    assert_eq!(upstream("output_tokens_total"), Some(2.0));
}

#[test]
fn a_request_that_is_made_within_a_served_one_counts_even_at_the_same_place() {
    let registry = Registry::new();
    let place = registry.component("router").endpoint("chat");
    let client = MetricsLayer::client(&place).build().unwrap().layer(service_fn(
        |_: Request<RequestBody<Whole>>| {
            ready(Ok::<_, Infallible>(Response::new(Whole::default())))
        },
    ));
    let server = MetricsLayer::new(&place).unwrap().layer(service_fn(
        move |request: Request<RequestBody<Whole>>| {
            let client = client.clone();
            async move { client.oneshot(request.map(|_| Whole::default())).await }
        },
    ));
    let answer = server.oneshot(get("/chat")).now_or_never().unwrap().unwrap();
    answer.into_body().collect().now_or_never().unwrap().unwrap();
    for prefix in ["dynamo_component", "dynamo_upstream"] {
        assert_eq!(sum(&registry, &format!("{prefix}_requests_total"), &[]), Some(1.0));
        assert_eq!(sum(&registry, &format!("{prefix}_inflight_requests"), &[]), Some(0.0));
    }
}

#[tokio::test]
async fn a_real_client_of_a_real_server_sees_the_ends_that_the_server_makes() {
    let (gate, open) = watch::channel(true);
    let served = Served::start_with(routes(&open), gate).await;
    let (registry, authority) = (Registry::new(), served.address.to_string());
    let layer = MetricsLayer::client(&registry).upstream(&authority, "worker").build().unwrap();
    for (path, outcome) in [
        ("/plain", "success"),
        ("/sse", "success"),
        ("/error", "server_error"),
        ("/404", "client_error"),
    ] {
        let socket = TcpStream::connect(served.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let client = layer.layer(service_fn(move |request: Request<RequestBody<Whole>>| {
            sender.send_request(request)
        }));
        let answer = client.oneshot(get(format!("http://{authority}{path}"))).await.unwrap();
        let _ = answer.into_body().collect().await;
        let of = [("dynamo_endpoint", "worker"), ("outcome", outcome)];
        let ended = sum(&registry, "dynamo_upstream_request_outcomes_total", &of);
        assert!(ended >= Some(1.0), "{path}");
    }
    let ended = sum(&registry, "dynamo_upstream_requests_total", &[]);
    assert_eq!(ended, Some(4.0));
}
