//! foundations, by its crate foundations-metrics; registries are its own list, not the process's.

use foundations_metrics::{
    Counter, EncodeMetric, EncodeMetricValue, Family, Gauge, Histogram, NamedMetric, encode_to_text,
};
use serde::Serialize;

use super::{Library, Scratch};
use crate::inputs::{BOUNDS, Typed};

pub(crate) const NAME: &str = "http_server_requests";

#[derive(Default)]
pub(crate) struct Foundations(Vec<Box<dyn EncodeMetric>>);

/// The labels as the library wants them: owned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Strings {
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

impl Foundations {
    pub(crate) fn show(&mut self, name: &'static str, metric: impl EncodeMetricValue + 'static) {
        self.0.push(Box::new(NamedMetric::new(name, "Requests", metric)));
    }
}

impl Library for Foundations {
    const NAME: &'static str = "foundations";
    type Typed = Typed;

    fn new() -> anyhow::Result<Self> {
        Ok(Self::default())
    }

    fn typed(n: usize) -> Typed {
        Typed::nth(n)
    }

    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let counter: Counter = Counter::default();
        self.show(NAME, counter.clone());
        Ok(move || {
            counter.inc();
        })
    }

    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let gauge: Gauge = Gauge::default();
        self.show(NAME, gauge.clone());
        Ok(move || {
            gauge.inc();
            gauge.dec();
        })
    }

    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static> {
        let histogram = Histogram::new(BOUNDS);
        self.show(NAME, histogram.clone());
        Ok(move |sample| histogram.observe(sample))
    }

    fn counter_by_type(&mut self) -> anyhow::Result<impl Fn(&Typed) + Send + Sync + 'static> {
        let family = Family::<Typed, Counter>::default();
        self.show(NAME, family.clone());
        Ok(move |labels: &Typed| {
            family.get_or_create(labels).inc();
        })
    }

    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static> {
        let family = Family::<Strings, Counter>::default();
        self.show(NAME, family.clone());
        Ok(move |labels: [&str; 5], n| {
            family.get_or_create(&labels.into()).inc_by(n);
        })
    }

    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static> {
        let make: fn() -> Histogram = || Histogram::new(BOUNDS);
        let family = Family::<Strings, Histogram>::new_with_constructor(make);
        self.show("http_server_requests_seconds", family.clone());
        Ok(move |labels: [&str; 5], sample| family.get_or_create(&labels.into()).observe(sample))
    }

    fn scrape(&self, _: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        let families: Vec<_> = self.0.iter().flat_map(|metric| metric.encode()).collect();
        sink(encode_to_text(&families).as_bytes());
        Ok(())
    }
}
