//! measured.

use std::sync::{Arc, Mutex, PoisonError};

use measured::metric::MetricFamilyEncoding;
use measured::metric::histogram::Thresholds;
use measured::metric::name::MetricName;
use measured::text::BufferedTextEncoder;
use measured::{Counter, CounterVec, Gauge, Histogram, HistogramVec, LabelGroup};
use paracord::ParaCord;

use super::{Library, Scratch};
use crate::inputs::{BOUNDS, Method, Route, Status, Typed};

const COUNTER: &MetricName = MetricName::from_str("http_server_requests_total");
const PLAIN: &MetricName = MetricName::from_str("http_server_requests");

/// A metric, and the name that it goes by.
type Shown = Box<dyn Fn(&mut BufferedTextEncoder) + Send + Sync>;

pub(crate) struct Measured {
    shown: Vec<Shown>,
    encoder: Mutex<BufferedTextEncoder>,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = ClosedSet)]
pub(crate) struct Closed {
    method: Method,
    route: Route,
    status: Status,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = StringSet)]
struct Strings<'a> {
    #[label(dynamic_with = ParaCord)]
    method: &'a str,
    #[label(dynamic_with = ParaCord)]
    status: &'a str,
    #[label(dynamic_with = ParaCord)]
    region: &'a str,
    #[label(dynamic_with = ParaCord)]
    route: &'a str,
    #[label(dynamic_with = ParaCord)]
    tenant: &'a str,
}

impl Measured {
    fn show<M>(&mut self, name: &'static MetricName, metric: M) -> Arc<M>
    where
        M: MetricFamilyEncoding<BufferedTextEncoder> + Send + Sync + 'static,
    {
        let metric = Arc::new(metric);
        let shown = metric.clone();
        self.shown.push(Box::new(move |encoder| {
            let Ok(()) = shown.collect_family_into(name, encoder);
        }));
        metric
    }
}

impl Library for Measured {
    const NAME: &'static str = "measured";
    type Typed = Closed;

    fn new() -> anyhow::Result<Self> {
        Ok(Self { shown: Vec::new(), encoder: Mutex::default() })
    }

    fn typed(n: usize) -> Closed {
        let Typed { method, route, status } = Typed::nth(n);
        Closed { method, route, status }
    }

    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let counter = self.show(COUNTER, Counter::new());
        Ok(move || counter.inc())
    }

    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let gauge = self.show(PLAIN, Gauge::new());
        Ok(move || {
            gauge.get_metric().inc();
            gauge.get_metric().dec();
        })
    }

    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static> {
        let histogram = Histogram::<14>::with_metadata(Thresholds::with_buckets(BOUNDS));
        let histogram = self.show(PLAIN, histogram);
        Ok(move |sample| histogram.observe(sample))
    }

    fn counter_by_type(&mut self) -> anyhow::Result<impl Fn(&Closed) + Send + Sync + 'static> {
        let family = self.show(COUNTER, CounterVec::<ClosedSet>::new());
        Ok(move |labels: &Closed| family.inc(*labels))
    }

    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static> {
        let family = self.show(COUNTER, CounterVec::with_label_set(strings()));
        Ok(move |labels: [&str; 5], n| family.inc_by(group(labels), n))
    }

    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static> {
        const NAME: &MetricName = MetricName::from_str("http_server_requests_seconds");
        let bounds = Thresholds::<14>::with_buckets(BOUNDS);
        let family = HistogramVec::with_label_set_and_metadata(strings(), bounds);
        let family = self.show(NAME, family);
        Ok(move |labels: [&str; 5], sample| family.observe(group(labels), sample))
    }

    fn scrape(&self, _: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        self.shown.iter().for_each(|shown| shown(&mut encoder));
        sink(&encoder.finish());
        Ok(())
    }
}

fn strings() -> StringSet {
    StringSet {
        method: ParaCord::default(),
        status: ParaCord::default(),
        region: ParaCord::default(),
        route: ParaCord::default(),
        tenant: ParaCord::default(),
    }
}

fn group([method, status, region, route, tenant]: [&str; 5]) -> Strings<'_> {
    Strings { method, status, region, route, tenant }
}
