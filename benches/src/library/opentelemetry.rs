//! opentelemetry's SDK, with opentelemetry-prometheus-text-exporter as its way to text.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_prometheus_text_exporter::PrometheusExporter;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};

use super::{Library, Scratch};
use crate::inputs::{BOUNDS, NAMES, Typed};
use crate::page::NAME;

pub(crate) struct OpenTelemetry {
    // Instruments record for as long as their provider lives.
    _provider: SdkMeterProvider,
    meter: Meter,
    exporter: PrometheusExporter,
}

impl Library for OpenTelemetry {
    const NAME: &'static str = "opentelemetry";
    type Typed = [&'static str; 3];

    fn new() -> anyhow::Result<Self> {
        let exporter = PrometheusExporter::builder().without_scope_info().build();
        let all = |_: &Instrument| Stream::builder().with_cardinality_limit(200_000).build().ok();
        let provider =
            SdkMeterProvider::builder().with_reader(exporter.clone()).with_view(all).build();
        Ok(Self { meter: provider.meter("bench"), _provider: provider, exporter })
    }

    fn typed(n: usize) -> [&'static str; 3] {
        Typed::texts(n)
    }

    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let counter = self.meter.u64_counter(NAME).build();
        Ok(move || counter.add(1, &[]))
    }

    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let gauge = self.meter.i64_up_down_counter(NAME).build();
        Ok(move || {
            gauge.add(1, &[]);
            gauge.add(-1, &[]);
        })
    }

    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static> {
        let histogram = self.meter.f64_histogram(NAME).with_boundaries(BOUNDS.to_vec()).build();
        Ok(move |sample| histogram.record(sample, &[]))
    }

    fn counter_by_type(
        &mut self,
    ) -> anyhow::Result<impl Fn(&[&'static str; 3]) + Send + Sync + 'static> {
        let counter = self.meter.u64_counter(NAME).build();
        Ok(move |labels: &[&'static str; 3]| {
            let [method, route, status] = *labels;
            let labels = [
                KeyValue::new("method", method),
                KeyValue::new("route", route),
                KeyValue::new("status", status),
            ];
            counter.add(1, &labels);
        })
    }

    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static> {
        let counter = self.meter.u64_counter(NAME).build();
        Ok(move |labels: [&str; 5], n| counter.add(n, &pairs(labels)))
    }

    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static> {
        let builder = self.meter.f64_histogram("http_server_requests_seconds");
        let histogram = builder.with_boundaries(BOUNDS.to_vec()).build();
        Ok(move |labels: [&str; 5], sample| histogram.record(sample, &pairs(labels)))
    }

    fn scrape(&self, scratch: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        scratch.bytes.clear();
        self.exporter.export(&mut scratch.bytes)?;
        sink(&scratch.bytes);
        Ok(())
    }
}

fn pairs(values: [&str; 5]) -> [KeyValue; 5] {
    std::array::from_fn(|i| KeyValue::new(NAMES[i], values[i].to_owned()))
}
