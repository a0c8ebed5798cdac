//! A scrape: every series of a page, from cells to text.

use divan::Bencher;
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::registry::Registry;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use tower_service::Service as _;

fn main() {
    divan::main();
}

/// Bytes of one page, taken frame by frame as a connection takes them.
fn scrape(exporter: &mut Exporter) -> usize {
    let request = http::Request::get("/metrics").body(());
    let response = request.ok().and_then(|request| exporter.call(request).now_or_never());
    let Some(Ok(response)) = response else { return 0 };
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(Some(Ok(frame))) = body.frame().now_or_never() {
        bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
    }
    bytes
}

#[divan::bench(sample_count = 30)]
fn counters_100_000_with_5_labels(bencher: Bencher<'_, '_>) {
    let registry = Registry::builder().series_cap(u64::MAX).build();
    let names = ["method", "route", "status", "tenant", "region"];
    let Ok(family) = registry.counter("requests_total", "").dynamic_family(names) else { return };
    for i in 0..100_000 {
        let route = format!("/v1/route/{}", i % 1_000);
        let tenant = format!("tenant-{:04}", i / 1_000);
        family.with(["GET", &route, "200", &tenant, "eu-west-1"]).inc_by(i);
    }
    let mut exporter = Exporter::new(&registry);
    bencher.bench_local(|| scrape(&mut exporter));
}

#[divan::bench(sample_count = 30)]
fn histograms_10_000_with_14_bounds(bencher: Bencher<'_, '_>) {
    let registry = Registry::builder().series_cap(u64::MAX).build();
    let builder = registry.histogram("latency_seconds", "");
    let bounds = (0..14).map(|i| 0.001 * f64::from(1 << i));
    let Ok(family) = builder.buckets(bounds).dynamic_family(["route", "tenant"]) else { return };
    for i in 0..10_000_u32 {
        let (route, tenant) = (format!("/v1/route/{}", i % 100), format!("tenant-{:04}", i / 100));
        let histogram = family.with([&route, &tenant]);
        (0..20).for_each(|j| histogram.observe(f64::from(j * i % 4_000) * 0.002));
    }
    let mut exporter = Exporter::new(&registry);
    bencher.bench_local(|| scrape(&mut exporter));
}
