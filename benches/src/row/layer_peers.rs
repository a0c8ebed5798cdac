//! The peers' layers. None of them reads tokens.

use std::sync::OnceLock;

use anyhow::{Context as _, ensure};
use axum_prometheus::BaseMetricLayer;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_prometheus_text_exporter::PrometheusExporter;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tower_http::metrics::InFlightRequestsLayer;
use tower_http::trace::TraceLayer;
use tower_layer::Layer as _;
use tower_otel::metrics::HttpLayer;

use super::layer::{Ask, Ends, TRACE, Visit};
use super::service::Handler;
use crate::inputs::BOUNDS;
use crate::page::total;

/// Shows `to` every layer that can do what is asked, around `handler`.
pub(super) fn visit(handler: &Handler, ask: Ask, to: &mut impl Visit) -> anyhow::Result<()> {
    if ask == Ask::Events {
        return Ok(());
    }
    // No subscriber: what is left is its clock.
    let trace = TraceLayer::new_for_http().layer(handler.clone());
    to.visit(TRACE, trace, Ends::checked(|_| Ok(())))?;

    let handle = recorder()?;
    let render = handle.clone();
    let ends = Ends {
        settle: Box::new(move || handle.run_upkeep()),
        check: Box::new(move |done| {
            let seen = total(&render.render(), "axum_http_requests_total", "");
            ensure!(seen >= done as f64, "{seen} requests of {done}");
            Ok(())
        }),
    };
    if ask == Ask::Frames {
        let layer = BaseMetricLayer::with_response_body_size();
        return to.visit("axum-prometheus, body sizes", layer.layer(handler.clone()), ends);
    }
    to.visit("axum-prometheus", BaseMetricLayer::new().layer(handler.clone()), ends)?;

    let layer = InFlightRequestsLayer::pair();
    let check = move |_| {
        ensure!(layer.1.get() == 0, "{} in flight", layer.1.get());
        Ok(())
    };
    let service = layer.0.layer(handler.clone());
    to.visit("tower-http InFlightRequests", service, Ends::checked(check))?;

    let exporter = PrometheusExporter::new();
    let provider = SdkMeterProvider::builder().with_reader(exporter.clone()).build();
    let layer = HttpLayer::server(&provider.meter("bench"));
    let check = move |done: u64| {
        // Kept, since its instruments record for as long as it lives.
        let _ = &provider;
        let mut page = Vec::new();
        exporter.export(&mut page)?;
        let page = String::from_utf8(page)?;
        let seen = total(&page, "http_server_request_duration_seconds_count", "");
        ensure!(seen >= done as f64, "{seen} requests of {done}");
        Ok(())
    };
    to.visit("tower-otel", layer.layer(handler.clone()), Ends::checked(check))
}

/// The process's recorder, which axum-prometheus records with.
fn recorder() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if HANDLE.get().is_none() {
        let durations = Matcher::Full("axum_http_requests_duration_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(durations, &BOUNDS)?;
        let recorder = builder.build_recorder();
        HANDLE.get_or_init(|| recorder.handle());
        metrics::set_global_recorder(recorder)
            .map_err(|_| anyhow::anyhow!("the process has a recorder already"))?;
    }
    HANDLE.get().cloned().context("it was made just now")
}
