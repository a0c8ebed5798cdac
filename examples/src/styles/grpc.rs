//! The layer around a tonic server and around its client: methods are endpoints, with messages and
//! statuses, at both ends.
//!
//! `cargo run --bin style-grpc`

use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_examples::{bind, say};
use dynamo_metrics_tower::{MetricsLayer, RequestBody};
use tonic::body::Body;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt as _;
use tower_layer::Layer as _;

const SERVICE: &str = "grpc.health.v1.Health";
const METHODS: [&str; 2] = ["Check", "Watch"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let registry = Registry::new();
    let namespace = registry.namespace("example");

    let layer = MetricsLayer::builder(&namespace.component("server"))
        .grpc_service(SERVICE, METHODS)
        .build()?;
    let (_reporter, health) = tonic_health::server::health_reporter();
    let listener = bind("--listen", "127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::builder().layer(layer).add_service(health);
    let running = tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    let layer = MetricsLayer::client(&namespace.component("client"))
        .grpc_service(SERVICE, METHODS)
        .build()?;
    let channel = Endpoint::try_from(format!("http://{address}"))?.connect().await?;
    // The channel takes one kind of body.
    let boxed = |request: http::Request<RequestBody<Body>>| request.map(Body::new);
    let mut client = HealthClient::new(layer.layer(channel.map_request(boxed)));
    for service in ["", "nowhere"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        match client.check(request).await {
            Ok(answer) => say(&format!("{service:?}: {:?}\n", answer.into_inner().status())),
            Err(status) => say(&format!("{service:?}: {}\n", status.code())),
        }
    }
    running.abort();
    say(&encode::text(&registry));
    Ok(())
}
