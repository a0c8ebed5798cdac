//! prometheus, `TiKV`'s.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use super::{Library, Scratch};
use crate::inputs::{BOUNDS, NAMES, Typed};

const NAME: &str = "http_server_requests_total";

pub(crate) struct Prometheus(Registry);

impl Library for Prometheus {
    const NAME: &'static str = "prometheus";
    type Typed = [&'static str; 3];

    fn new() -> anyhow::Result<Self> {
        Ok(Self(Registry::new()))
    }

    fn typed(n: usize) -> [&'static str; 3] {
        Typed::texts(n)
    }

    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let counter = IntCounter::new(NAME, "Requests.")?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(move || counter.inc())
    }

    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let gauge = IntGauge::new("http_server_requests", "Requests.")?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(move || {
            gauge.inc();
            gauge.dec();
        })
    }

    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static> {
        let options = HistogramOpts::new("http_server_requests", "Time.").buckets(BOUNDS.to_vec());
        let histogram = Histogram::with_opts(options)?;
        self.0.register(Box::new(histogram.clone()))?;
        Ok(move |sample| histogram.observe(sample))
    }

    fn counter_by_type(
        &mut self,
    ) -> anyhow::Result<impl Fn(&[&'static str; 3]) + Send + Sync + 'static> {
        let names = ["method", "route", "status"];
        let family = IntCounterVec::new(Opts::new(NAME, "Requests."), &names)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(move |labels: &[&'static str; 3]| family.with_label_values(labels).inc())
    }

    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static> {
        let family = IntCounterVec::new(Opts::new(NAME, "Requests."), &NAMES)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(move |labels: [&str; 5], n| family.with_label_values(&labels).inc_by(n))
    }

    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static> {
        let name = "http_server_requests_seconds";
        let options = HistogramOpts::new(name, "Time.").buckets(BOUNDS.to_vec());
        let family = HistogramVec::new(options, &NAMES)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(move |labels: [&str; 5], sample| family.with_label_values(&labels).observe(sample))
    }

    fn scrape(&self, scratch: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        scratch.text.clear();
        TextEncoder::new().encode_utf8(&self.0.gather(), &mut scratch.text)?;
        sink(scratch.text.as_bytes());
        Ok(())
    }
}
