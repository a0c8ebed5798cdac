//! metrics, with its exporter for Prometheus.
//!
//! The recorder is called as the macros call it, but found without a look at the thread's own and the
//! process's, so that each registry here is on its own.

use std::sync::Arc;

use metrics::{Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::{Library, Scratch};
use crate::inputs::{BOUNDS, NAMES, Typed};

const NAME: &str = "http_server_requests_total";

static METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

pub(crate) struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Library for Metrics {
    const NAME: &'static str = "metrics + exporter";
    type Typed = [&'static str; 3];

    fn new() -> anyhow::Result<Self> {
        let recorder = PrometheusBuilder::new().set_buckets(&BOUNDS)?.build_recorder();
        Ok(Self { handle: recorder.handle(), recorder: Arc::new(recorder) })
    }

    fn typed(n: usize) -> [&'static str; 3] {
        Typed::texts(n)
    }

    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let counter = self.recorder.register_counter(&Key::from_static_name(NAME), &METADATA);
        Ok(move || counter.increment(1))
    }

    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let gauge = self.recorder.register_gauge(&Key::from_static_name(NAME), &METADATA);
        Ok(move || {
            gauge.increment(1.0);
            gauge.decrement(1.0);
        })
    }

    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static> {
        let key = Key::from_static_name("http_server_requests");
        let histogram = self.recorder.register_histogram(&key, &METADATA);
        Ok(move |sample| histogram.record(sample))
    }

    fn counter_by_type(
        &mut self,
    ) -> anyhow::Result<impl Fn(&[&'static str; 3]) + Send + Sync + 'static> {
        let recorder = self.recorder.clone();
        Ok(move |labels: &[&'static str; 3]| {
            let [method, route, status] = *labels;
            let labels = vec![
                Label::from_static_parts("method", method),
                Label::from_static_parts("route", route),
                Label::from_static_parts("status", status),
            ];
            let key = Key::from_parts(NAME, labels);
            recorder.register_counter(&key, &METADATA).increment(1);
        })
    }

    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static> {
        let recorder = self.recorder.clone();
        Ok(move |labels: [&str; 5], n| {
            recorder.register_counter(&key(NAME, labels), &METADATA).increment(n);
        })
    }

    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static> {
        let recorder = self.recorder.clone();
        Ok(move |labels: [&str; 5], sample| {
            let key = key("http_server_requests_seconds", labels);
            recorder.register_histogram(&key, &METADATA).record(sample);
        })
    }

    fn scrape(&self, scratch: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        scratch.bytes.clear();
        self.handle.render_to_write(&mut scratch.bytes)?;
        sink(&scratch.bytes);
        Ok(())
    }

    fn settle(&self) {
        self.handle.run_upkeep();
    }
}

fn key(name: &'static str, values: [&str; 5]) -> Key {
    let labels = NAMES.iter().zip(values);
    Key::from_parts(
        name,
        labels.map(|(&name, value)| Label::new(name, value.to_owned())).collect::<Vec<_>>(),
    )
}
