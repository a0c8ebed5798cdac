//! A model server with an embedded token generator, measured by this SDK, in the protocol of one's
//! choice.
//!
//! The frontend is measured by a `MetricsLayer`, the engine by `#[instrumented_endpoint]`, and an
//! exporter shows both to Prometheus. See the README for what to do with it.

mod anthropic;
mod api;
mod dialect;
mod engine;
mod fault;
mod fields;
mod kserve;
mod load;
mod ollama;
mod openai;
mod protocol;
mod responses;
mod screen;
mod tgi;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use dynamo_metrics::collect::gpu::{GpuCollector, Missing};
use dynamo_metrics::collect::{HostCollector, ProcessCollector, TokioCollector};
use dynamo_metrics::exporter::{Backends, DEFAULT_ADDRESS, Exporter};
use dynamo_metrics::health::Health;
use dynamo_metrics::llm::register_uptime;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_examples::{Interrupts, bind, exit, say};
use tokio::sync::watch;

use api::App;
use engine::{Engine, Pace};
use protocol::Protocol;

/// Longest time for answers to end once the program is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// A model server to look at metrics with. It needs no weights and no network.
#[derive(Debug, Parser)]
#[command(name = "quickstart", version)]
struct Options {
    /// What the server speaks
    #[arg(long, value_enum, default_value_t = Protocol::Openai)]
    protocol: Protocol,
    /// Where the model server listens: host:port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    listen: String,
    /// Where Prometheus finds the metrics: host:port
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_ADDRESS.to_string())]
    metrics_listen: String,
    /// The model that is served
    #[arg(long, default_value = "demo", value_parser = NonEmptyStringValueParser::new())]
    model: String,
    /// Time to the first token, on average
    #[arg(long, value_name = "MS", default_value_t = 200, allow_negative_numbers = true)]
    ttft_ms: u64,
    /// Time between chunks, on average
    #[arg(long, value_name = "MS", default_value_t = 20, allow_negative_numbers = true)]
    itl_ms: u64,
    /// Tokens in each chunk, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    tokens_per_chunk: u32,
    /// Share of requests whose generation fails in mid-stream, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, allow_negative_numbers = true)]
    #[arg(value_parser = share)]
    fail_rate: f64,
    /// Built-in clients that stream chats, up to 1000; 0 for none
    #[arg(long, value_name = "N", default_value_t = 4, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
    load: u32,
    /// Stop after so many seconds [default: at Ctrl-C]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    duration: Option<u64>,
}

fn main() -> ExitCode {
    exit("quickstart", run(Options::parse()))
}

async fn run(options: Options) -> anyhow::Result<()> {
    let mut interrupts = Interrupts::listen();
    let registry = Registry::new();

    // The process, the machine and the runtime.
    ProcessCollector::register(&registry)?;
    HostCollector::register(&registry)?;
    TokioCollector::register(&registry, &tokio::runtime::Handle::current())?;

    // The frontend: every request, measured by the layer to the end of its answer.
    let namespace = registry.namespace("quickstart");
    let component = namespace.component("frontend");
    register_uptime(&component)?;

    // The GPUs that this machine has, if it has some.
    let _gpus = GpuCollector::new().missing(Missing::Ignored).register(&registry)?;

    // The engine: its `generate` is measured by the attribute.
    let pace = Pace {
        first: Duration::from_millis(options.ttft_ms),
        next: Duration::from_millis(options.itl_ms),
        tokens_per_chunk: options.tokens_per_chunk,
    };
    let engine = Arc::new(Engine::new(namespace.component("engine"), pace, options.fail_rate));
    let app = App { engine, model: options.protocol.name(&options.model).into() };
    let app = options.protocol.serve(app, &registry, &component)?;

    let listener = bind("--listen", &options.listen).await?;
    let health = Health::new(&registry)?;
    let report = health.clone();
    // Other processes' metrics: those of DYN_BACKENDS, and those that come to be told of.
    let backends = Backends::new(&registry);
    backends.env(|name| std::env::var(name).ok()).context("DYN_BACKENDS")?;
    let metrics = Exporter::new(&registry)
        .answers(move |path| report.answer(path))
        .accept_backends(&backends)
        .listen(bind("--metrics-listen", &options.metrics_listen).await?);
    let (address, metrics_address) = (listener.local_addr()?, metrics.local_addr()?);

    let (stop, stopped) = watch::channel(false);
    let (stop_metrics, metrics_stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|&stopped| stopped).await;
    };
    let mut served = tokio::spawn(
        axum::serve(listener, app).with_graceful_shutdown(until(stopped.clone())).into_future(),
    );
    let exported = tokio::spawn(metrics.serve(until(metrics_stopped)));
    health.ready();
    let clients: Vec<_> = (0..options.load)
        .map(|_| {
            let model = options.model.clone();
            tokio::spawn(load::client(options.protocol, address, model, stopped.clone()))
        })
        .collect();
    let shown = tokio::spawn(screen::show(
        registry.clone(),
        screen::Place {
            protocol: options.protocol,
            server: address,
            metrics: metrics_address,
            model: options.model,
        },
        until(stopped.clone()),
    ));

    tokio::select! {
        () = interrupts.next() => {}
        () = timeout(options.duration) => {}
        ended = &mut served => ended.context("the server ended by itself")??,
    }
    // Whoever balances load sends no more.
    let stopping = health.hold("stopping");
    let _ = stop.send(true);
    let _ = shown.await;
    say(&format!(
        "\nstopping: waiting for answers to end (at most {} s; Ctrl-C again cuts them)\n",
        DRAIN.as_secs()
    ));
    let drained = tokio::time::timeout(DRAIN, async {
        for client in clients {
            let _ = client.await;
        }
        let _ = served.await;
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

async fn timeout(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected a number from 0 to 1".to_owned())
}
