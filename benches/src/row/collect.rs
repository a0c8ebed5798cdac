//! Collectors: a scrape of all there is, with nothing to do, and what each of them takes of it.

use anyhow::{Context as _, ensure};
use dynamo_metrics::collect::{HostCollector, ProcessCollector, TokioCollector};
use dynamo_metrics::encode;
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::health::Health;
use dynamo_metrics::llm::{
    AdmissionMetrics, BatchMeter, ConnectionMetrics, EndpointMetrics, EngineMetrics,
    EventLoopMetrics, FrontendMetrics, GrpcMetrics, KvbmMetrics, LoraMetrics, OperatorMetrics,
    PlannerMetrics, PluginMetrics, RejectMetrics, RequestPlaneMetrics, RouterMetrics,
    RouterOverhead, WorkPoolMetrics, register_uptime,
};
use dynamo_metrics::registry::Registry;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use tokio::runtime::{Builder, Runtime};
use tower_service::Service as _;

use super::{Pace, Row, Table, Unit};
use crate::library::OURS;
use crate::race::{Contender, Field, long};

pub(crate) const IDLE: &str = "scrape through the exporter, all sets and collectors, idle";
pub(crate) const ASYNC: &str = "collectors asked within a runtime";

pub(super) fn rows() -> Vec<Row> {
    let row = |name, field| Row {
        name,
        table: Table::Scrape,
        unit: Unit::Milliseconds,
        pace: Pace::Quick,
        field,
    };
    vec![row(IDLE, idle), row(ASYNC, asked_within_a_runtime)]
}

fn idle() -> anyhow::Result<Field> {
    Ok(vec![
        (OURS.to_owned(), scraped(everything)?),
        ("(ours) without collectors".to_owned(), scraped(|registry, _| sets(registry))?),
        (
            "(ours) the process alone".to_owned(),
            scraped(|registry, _| Ok(ProcessCollector::register(registry).map(drop)?))?,
        ),
        (
            "(ours) the host alone".to_owned(),
            scraped(|registry, _| Ok(HostCollector::register(registry).map(drop)?))?,
        ),
    ])
}

/// The time that a thread which runs futures is held up.
fn asked_within_a_runtime() -> anyhow::Result<Field> {
    let runtime = runtime()?;
    let registry = Registry::new();
    collectors(&registry, &runtime)?;
    Ok(vec![(
        OURS.to_owned(),
        timed(move || runtime.block_on(async { Ok(encode::text(&registry).len()) })),
    )])
}

fn everything(registry: &Registry, runtime: &Runtime) -> anyhow::Result<()> {
    sets(registry)?;
    collectors(registry, runtime)
}

fn collectors(registry: &Registry, runtime: &Runtime) -> anyhow::Result<()> {
    ProcessCollector::register(registry)?;
    HostCollector::register(registry)?;
    TokioCollector::register(registry, runtime.handle())?;
    Ok(())
}

/// Every set, each where it belongs.
fn sets(registry: &Registry) -> anyhow::Result<()> {
    let component = registry.namespace("prod").component("frontend");
    register_uptime(&component)?;
    RejectMetrics::register(&component)?;
    FrontendMetrics::register(registry)?;
    for endpoint in ["chat_completions", "completions", "responses", "embeddings"] {
        let endpoint = component.endpoint(endpoint);
        EndpointMetrics::register(&endpoint)?;
        GrpcMetrics::register(&endpoint)?;
        ConnectionMetrics::register(&endpoint)?;
    }
    let backend = registry.namespace("prod").component("backend");
    AdmissionMetrics::register(registry)?;
    LoraMetrics::register(registry)?;
    EventLoopMetrics::register(registry)?;
    RouterMetrics::register(&backend, 1)?;
    RouterOverhead::register(registry, 1)?;
    RequestPlaneMetrics::register(registry)?;
    WorkPoolMetrics::register(registry)?;
    EngineMetrics::register(&backend)?;
    BatchMeter::builder(&backend).register()?;
    KvbmMetrics::register(registry)?;
    PlannerMetrics::register(registry, None)?;
    PluginMetrics::register(registry)?;
    OperatorMetrics::register(registry)?;
    // Kept for as long as the program runs, since its metrics go with it.
    std::mem::forget(Health::new(registry)?);
    Ok(())
}

fn scraped(
    fill: impl FnOnce(&Registry, &Runtime) -> anyhow::Result<()>,
) -> anyhow::Result<Box<dyn Contender>> {
    let (registry, runtime) = (Registry::new(), runtime()?);
    fill(&registry, &runtime)?;
    let exporter = Exporter::new(&registry);
    Ok(timed(move || {
        runtime.block_on(async {
            let request = Request::get("/metrics").body(Empty::<bytes::Bytes>::new())?;
            let response = exporter.clone().call(request).await?;
            let body = response.into_body().collect().await.ok().context("no page")?.to_bytes();
            Ok(body.len())
        })
    }))
}

/// Milliseconds of one page.
fn timed(once: impl Fn() -> anyhow::Result<usize> + 'static) -> Box<dyn Contender> {
    long(move || {
        ensure!(once()? > 0, "the page is empty");
        Ok(())
    })
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}
