//! Ours.

use anyhow::Context as _;
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::Registry;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use tower_service::Service as _;

use super::{Library, Scratch};
use crate::inputs::{BOUNDS, NAMES, Typed};

/// Our name in the tables.
pub(crate) const OURS: &str = "**ours**";

const NAME: &str = "http_server_requests_total";

/// A registry that is read through its exporter.
pub(crate) struct Ours {
    pub(crate) registry: Registry,
    exporter: Exporter,
}

impl Library for Ours {
    const NAME: &'static str = OURS;
    type Typed = Typed;

    fn new() -> anyhow::Result<Self> {
        let registry = Registry::builder().series_cap(u64::MAX).build();
        Ok(Self { exporter: Exporter::new(&registry), registry })
    }

    fn typed(n: usize) -> Typed {
        Typed::nth(n)
    }

    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let counter = self.registry.counter(NAME, "Requests.").register()?;
        Ok(move || counter.inc())
    }

    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let name = "http_server_requests_in_flight";
        let gauge = self.registry.up_down_counter(name, "Requests.").register()?;
        Ok(move || {
            gauge.inc();
            gauge.dec();
        })
    }

    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static> {
        let name = "http_server_requests";
        let histogram = self.registry.histogram(name, "Time.").buckets(BOUNDS).register()?;
        Ok(move |sample| histogram.observe(sample))
    }

    fn counter_by_type(&mut self) -> anyhow::Result<impl Fn(&Typed) + Send + Sync + 'static> {
        let family = self.registry.counter(NAME, "Requests.").family::<Typed>()?;
        Ok(move |labels: &Typed| family.with_ref(labels, Counter::inc))
    }

    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static> {
        let family = self.registry.counter(NAME, "Requests.").dynamic_family(NAMES)?;
        Ok(move |labels: [&str; 5], n| family.with_ref(labels, |counter| counter.inc_by(n)))
    }

    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static> {
        let builder = self.registry.histogram("http_server_requests_seconds", "Time.");
        let family = builder.buckets(BOUNDS).dynamic_family(NAMES)?;
        Ok(move |labels: [&str; 5], sample| {
            family.with_ref(labels, |histogram| histogram.observe(sample));
        })
    }

    fn scrape(&self, _: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        scrape(&self.exporter, sink)
    }
}

/// The page of a registry, as text.
pub(crate) fn text(registry: &Registry) -> anyhow::Result<String> {
    let mut page = Vec::new();
    scrape(&Exporter::new(registry), &mut |piece| page.extend_from_slice(piece))?;
    Ok(String::from_utf8(page)?)
}

/// Takes a page frame by frame, as a connection takes it.
fn scrape(exporter: &Exporter, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
    let request = http::Request::get("/metrics").body(String::new())?;
    let response = exporter.clone().call(request).now_or_never().context("waits")??;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().now_or_never().context("waits")? {
        if let Some(data) = frame?.data_ref() {
            sink(data);
        }
    }
    Ok(())
}
