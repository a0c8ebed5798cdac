//! foundations with its faster kinds: counters by thread, families by index, whole nanoseconds.

use std::num::NonZeroUsize;

use foundations_metrics::{
    Family, Gauge, LowCardinalityFamily, LowCardinalityLabel, ThreadLocalCounter, TimeHistogram,
};

use super::foundations::{Foundations, NAME, Strings};
use super::{Library, Scratch};
use crate::inputs::{BOUNDS, SERIES, Typed};

pub(crate) struct FoundationsLocal(Foundations);

impl LowCardinalityLabel for Typed {
    const CARDINALITY: NonZeroUsize = NonZeroUsize::new(SERIES).expect("not zero");

    fn index(&self) -> usize {
        Self::index(*self)
    }
}

impl Library for FoundationsLocal {
    const NAME: &'static str = "foundations, thread-local";
    type Typed = Typed;

    fn new() -> anyhow::Result<Self> {
        Foundations::new().map(Self)
    }

    fn typed(n: usize) -> Typed {
        Typed::nth(n)
    }

    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let counter: ThreadLocalCounter = ThreadLocalCounter::default();
        self.0.show(NAME, counter.clone());
        Ok(move || counter.inc())
    }

    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static> {
        let gauge: Gauge = Gauge::default();
        self.0.show(NAME, gauge.clone());
        Ok(move || {
            gauge.inc();
            gauge.dec();
        })
    }

    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static> {
        let histogram = TimeHistogram::new(BOUNDS);
        self.0.show(NAME, histogram.clone());
        Ok(move |sample| histogram.observe(nanoseconds(sample)))
    }

    fn counter_by_type(&mut self) -> anyhow::Result<impl Fn(&Typed) + Send + Sync + 'static> {
        let family = LowCardinalityFamily::<Typed, ThreadLocalCounter>::default();
        self.0.show(NAME, family.clone());
        Ok(move |labels: &Typed| family.get_or_create(labels).inc())
    }

    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static> {
        let family = Family::<Strings, ThreadLocalCounter>::default();
        self.0.show(NAME, family.clone());
        Ok(move |labels: [&str; 5], n| family.get_or_create(&labels.into()).inc_by(n))
    }

    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static> {
        let make: fn() -> TimeHistogram = || TimeHistogram::new(BOUNDS);
        let family = Family::<Strings, TimeHistogram>::new_with_constructor(make);
        self.0.show("http_server_requests_seconds", family.clone());
        Ok(move |labels: [&str; 5], sample| {
            family.get_or_create(&labels.into()).observe(nanoseconds(sample));
        })
    }

    fn scrape(&self, scratch: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        self.0.scrape(scratch, sink)
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let nanoseconds = (seconds * 1e9) as u64;
    nanoseconds
}
