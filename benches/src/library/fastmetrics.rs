//! fastmetrics.

use fastmetrics::derive::{EncodeLabelSet, LabelSetSchema};
use fastmetrics::format::text::{TextProfile, encode};
use fastmetrics::metrics::counter::Counter;
use fastmetrics::metrics::family::Family;
use fastmetrics::metrics::gauge::Gauge;
use fastmetrics::metrics::histogram::Histogram;
use fastmetrics::registry::Registry;

use super::{Library, Scratch};
use crate::inputs::{BOUNDS, Typed};
use crate::page::NAME;

pub(crate) struct Fastmetrics(Registry);

/// The labels as the library wants them: owned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet, LabelSetSchema)]
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

impl Library for Fastmetrics {
    const NAME: &'static str = "fastmetrics";
    type Typed = Typed;

    fn new() -> anyhow::Result<Self> {
        Ok(Self(Registry::builder().build()?))
    }

    fn typed(n: usize) -> Typed {
        Typed::nth(n)
    }

    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let counter: Counter = Counter::default();
        self.0.register(NAME, "Requests", counter.clone())?;
        Ok(move || {
            counter.inc();
        })
    }

    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let gauge: Gauge = Gauge::default();
        self.0.register(NAME, "Requests", gauge.clone())?;
        Ok(move || {
            gauge.inc();
            gauge.dec();
        })
    }

    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static> {
        let histogram = Histogram::new(BOUNDS);
        self.0.register(NAME, "Time", histogram.clone())?;
        Ok(move |sample| histogram.observe(sample))
    }

    fn counter_by_type(&mut self) -> anyhow::Result<impl Fn(&Typed) + Send + Sync + 'static> {
        let family = Family::<Typed, Counter>::default();
        self.0.register(NAME, "Requests", family.clone())?;
        Ok(move |labels: &Typed| {
            family.with_or_new(labels, Counter::inc);
        })
    }

    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static> {
        let family = Family::<Strings, Counter>::default();
        self.0.register(NAME, "Requests", family.clone())?;
        Ok(move |labels: [&str; 5], n| {
            family.with_or_new(&labels.into(), |counter| counter.inc_by(n));
        })
    }

    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static> {
        let family = Family::<Strings, Histogram>::new(|| Histogram::new(BOUNDS));
        self.0.register("http_server_requests_seconds", "Time", family.clone())?;
        Ok(move |labels: [&str; 5], sample| {
            family.with_or_new(&labels.into(), |histogram| histogram.observe(sample));
        })
    }

    fn scrape(&self, scratch: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        scratch.text.clear();
        encode(&mut scratch.text, &self.0, TextProfile::PrometheusV0_0_4)?;
        sink(scratch.text.as_bytes());
        Ok(())
    }
}
