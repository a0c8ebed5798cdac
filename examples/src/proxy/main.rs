//! A reverse proxy that measures model servers, whatever they are written in, without touching them.
//!
//! Clients are measured by a `MetricsLayer` around the whole, upstreams by another around the client:
//! so the time to first token that clients see (`dynamo_component_*`, `dynamo_frontend_*`) stands
//! beside the one that the proxy waits (`dynamo_upstream_*`).
//!
//! It changes as little as a proxy may. Bodies and trailers pass frame by frame, in both directions. A
//! client that leaves takes its request with it, and an answer that breaks off breaks off for its
//! client too. Web sockets over HTTP/1.1 become a tunnel. An upstream that cannot be reached, or breaks
//! off before it answers, is a 502; one that is late, a 504.
//!
//! What it does not do:
//! - balance by load, or try again with another upstream;
//! - speak TLS;
//! - read what goes through a tunnel, or wait for its end;
//! - pass on CONNECT, TRACE, and web sockets over HTTP/2 (they get 501), or other upgrades (they are
//!   left out, as a server may);
//! - pass on interim answers: it says `100 Continue` itself, when it begins to read.

mod body;
mod client;
mod failure;
mod forward;
mod headers;
mod options;
mod routes;
mod serve;
mod tunnel;
mod upstream;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::health::Health;
use dynamo_metrics::llm::{FrontendMetrics, register_uptime};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_examples::{Interrupts, bind, exit, say};
use dynamo_metrics_tower::{ConnectionMetrics, MetricsLayer};
use tokio::sync::watch;
use tower_layer::Layer as _;

use client::{Client, Limits};
use forward::Forward;
use options::Options;
use upstream::{Upstream, Upstreams};

fn main() -> ExitCode {
    exit("proxy", run(Options::parse()))
}

async fn run(options: Options) -> anyhow::Result<()> {
    let mut interrupts = Interrupts::listen();
    let registry = Registry::new();
    let namespace = registry.namespace("proxy");

    // What the upstreams do: each of them is an endpoint.
    let mut around_client = MetricsLayer::client(&namespace.component("upstream"));
    for upstream in &options.upstreams {
        around_client = around_client.upstream(upstream.authority.as_str(), &upstream.name);
    }
    let client = Client::new(Limits {
        connect: options.connect_timeout,
        head: options.timeout_head,
        http2: options.upstream_http2,
    });
    let client = around_client.build().context("--upstream")?.layer(client);

    // What clients see of it.
    let component = namespace.component("frontend");
    register_uptime(&component)?;
    let frontend = FrontendMetrics::register(&registry)?;
    for model in &options.models {
        frontend.serve(model);
    }
    let layer = routes::of_model_servers(MetricsLayer::builder(&component), &frontend).build()?;
    let greeting = greeting(&options.upstreams);
    let service = layer.layer(Forward {
        upstreams: Arc::new(Upstreams::new(options.upstreams)),
        client,
        sockets: ConnectionMetrics::register(&component.endpoint("web_sockets"))?,
        http2: options.upstream_http2,
        idle: options.idle_timeout,
    });

    let listener = bind("--listen", &options.listen).await?;
    let health = Health::new(&registry)?;
    let report = health.clone();
    let metrics = Exporter::new(&registry)
        .answers(move |path| report.answer(path))
        .listen(bind("--metrics-listen", &options.metrics_listen).await?);
    say(&greeting(listener.local_addr()?, metrics.local_addr()?));

    let (stop, stopped) = watch::channel(false);
    let (stop_metrics, metrics_stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|&stopped| stopped).await;
    };
    let served = tokio::spawn(serve::serve(listener, service, until(stopped)));
    let exported = tokio::spawn(metrics.serve(until(metrics_stopped)));
    health.ready();

    interrupts.next().await;
    // Whoever balances load sends no more.
    let stopping = health.hold("stopping");
    let _ = stop.send(true);
    say(&format!(
        "stopping: waiting for answers to end (at most {} s; Ctrl-C again cuts them)\n",
        options.drain_timeout.as_secs_f64()
    ));
    let drained = tokio::time::timeout(options.drain_timeout, async {
        let _ = served.await;
        layer.drain().await;
    });
    tokio::select! {
        _ = drained => {}
        () = interrupts.next() => {}
    }
    // The exporter goes last, so that a scrape can still see how it ended.
    let _ = stop_metrics.send(true);
    drop(stopping);
    let _ = exported.await;
    Ok(())
}

/// What is said once the addresses of the proxy and of its metrics are known.
fn greeting(upstreams: &[Upstream]) -> impl Fn(SocketAddr, SocketAddr) -> String + use<> {
    let mut targets = String::new();
    for upstream in upstreams {
        let _ = writeln!(targets, "  {upstream} as \"{}\"", upstream.name);
    }
    move |server, metrics| {
        format!(
            "proxy: a measured server at http://{server}, which passes requests on to\n\
             {targets}\
             see the metrics:\n  \
             curl http://{metrics}/metrics\n\
             or point Prometheus at {metrics}; Ctrl-C stops\n\n"
        )
    }
}
