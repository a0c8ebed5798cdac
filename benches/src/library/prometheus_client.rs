//! prometheus-client.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Library, Scratch};
use crate::inputs::{BOUNDS, Typed};
use crate::page::NAME;

pub(crate) struct PrometheusClient(Registry);

/// The labels as the library wants them: owned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Strings {
    method: String,
    status: String,
    region: String,
    route: String,
    tenant: String,
}

impl From<[&str; 5]> for Strings {
    fn from(values: [&str; 5]) -> Self {
        let [method, status, region, route, tenant] = values.map(str::to_owned);
        Self { method, status, region, route, tenant }
    }
}

impl Library for PrometheusClient {
    const NAME: &'static str = "prometheus-client";
    type Typed = Typed;

    fn new() -> anyhow::Result<Self> {
        Ok(Self(Registry::default()))
    }

    fn typed(n: usize) -> Typed {
        Typed::nth(n)
    }

    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let counter: Counter = Counter::default();
        self.0.register(NAME, "Requests", counter.clone());
        Ok(move || {
            counter.inc();
        })
    }

    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let gauge: Gauge = Gauge::default();
        self.0.register(NAME, "Requests", gauge.clone());
        Ok(move || {
            gauge.inc();
            gauge.dec();
        })
    }

    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static> {
        let histogram = Histogram::new(BOUNDS);
        self.0.register(NAME, "Time", histogram.clone());
        Ok(move |sample| histogram.observe(sample))
    }

    fn counter_by_type(&mut self) -> anyhow::Result<impl Fn(&Typed) + Send + Sync + 'static> {
        let family = Family::<Typed, Counter>::default();
        self.0.register(NAME, "Requests", family.clone());
        Ok(move |labels: &Typed| {
            family.get_or_create(labels).inc();
        })
    }

    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static> {
        let family = Family::<Strings, Counter>::default();
        self.0.register(NAME, "Requests", family.clone());
        Ok(move |labels: [&str; 5], n| {
            family.get_or_create(&labels.into()).inc_by(n);
        })
    }

    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static> {
        let make: fn() -> Histogram = || Histogram::new(BOUNDS);
        let family = Family::<Strings, Histogram>::new_with_constructor(make);
        self.0.register("http_server_requests_seconds", "Time", family.clone());
        Ok(move |labels: [&str; 5], sample| family.get_or_create(&labels.into()).observe(sample))
    }

    fn scrape(&self, scratch: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        scratch.text.clear();
        encode(&mut scratch.text, &self.0)?;
        sink(scratch.text.as_bytes());
        Ok(())
    }
}
