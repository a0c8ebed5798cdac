//! Heap: what a series keeps, and what a request asks for.
//!
//! The program `dynamo-metrics-bench-heap` counts; it prints a line for each figure, and the one
//! that times reads them.

use anyhow::ensure;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Empty;
use tower_service::Service;

use super::layer::{self, Ask, Ends, FRAMES, Visit};
use super::service::{Handler, PATH, exchange};
use super::{Table, Unit};
use crate::inputs::strings;
use crate::library::{Library, OURS, each_library, page};

pub(crate) const COUNTER: &str = "heap per counter series, 5 labels";
pub(crate) const HISTOGRAM: &str = "heap per histogram series, 14 bounds";
pub(crate) const REQUEST: &str = "allocations per request";
pub(crate) const FRAME: &str = "allocations per frame";
const STREAM: &str = "allocations per stream of events";

/// What a figure is, for the report.
pub(crate) const ROWS: [(&str, Table, Unit); 5] = [
    (COUNTER, Table::Heap, Unit::Bytes),
    (HISTOGRAM, Table::Heap, Unit::Bytes),
    (REQUEST, Table::Heap, Unit::Allocations),
    (FRAME, Table::Heap, Unit::Allocations),
    (STREAM, Table::Heap, Unit::Allocations),
];

/// What was asked of the allocator.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allocated {
    /// Bytes that were asked for and not given back.
    pub bytes: i64,
    /// Times that it was asked.
    pub count: u64,
}

/// Counts what a function asks the allocator for.
type Measure<'a> = &'a dyn Fn(&mut dyn FnMut()) -> Allocated;

struct Counting<'a> {
    measure: Measure<'a>,
    handler: Handler,
    /// Counts of one exchange after warm-up, by layer.
    counts: Vec<(String, f64)>,
}

/// Prints the rows that are counted, as `row<TAB>contender<TAB>figure`.
///
/// # Errors
/// Whatever a library says, and that one lost something.
pub fn heap(measure: Measure<'_>) -> anyhow::Result<()> {
    each_library!(counters(measure));
    each_library!(histograms(measure));
    for (name, count) in exchanges(measure, Handler::frames(1), Ask::Requests)? {
        println!("{REQUEST}\t{name}\t{count}");
    }
    for (name, count) in exchanges(measure, Handler::events(16), Ask::Events)? {
        println!("{STREAM}\t{name}\t{count}");
    }
    let few = exchanges(measure, Handler::frames(1), Ask::Frames)?;
    let many = exchanges(measure, Handler::frames(1 + FRAMES), Ask::Frames)?;
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        println!("{FRAME}\t{name}\t{}", (many - few) / FRAMES as f64);
    }
    Ok(())
}

fn counters<L: Library>(measure: Measure<'_>) -> anyhow::Result<()> {
    let labels: Vec<_> = (0..100_000).map(strings).collect();
    let mut library = L::new()?;
    let count = library.counter_by_strings()?;
    let allocated = measure(&mut || {
        for labels in &labels {
            count(labels.each_ref().map(String::as_str), 1);
        }
    });
    page(&library)?.has_counts(labels.len(), labels.len() as u64)?;
    print::<L>(COUNTER, allocated, labels.len(), 1);
    Ok(())
}

fn histograms<L: Library>(measure: Measure<'_>) -> anyhow::Result<()> {
    let labels: Vec<_> = (0..10_000).map(strings).collect();
    let mut library = L::new()?;
    let observe = library.histogram_by_strings()?;
    let allocated = measure(&mut || {
        for labels in &labels {
            observe(labels.each_ref().map(String::as_str), 0.1);
        }
        library.settle();
    });
    page(&library)?.has_samples(labels.len(), labels.len() as u64)?;
    print::<L>(HISTOGRAM, allocated, labels.len(), 16);
    Ok(())
}

fn print<L: Library>(row: &str, allocated: Allocated, series: usize, columns: usize) {
    let bytes = allocated.bytes as f64 / series as f64;
    // The cells of the one thread that recorded are a budget of their own.
    let cells = if L::NAME == OURS { 8 * columns } else { 0 };
    println!("{row}\t{}\t{}", L::NAME, bytes - cells as f64);
}

fn exchanges(
    measure: Measure<'_>,
    handler: Handler,
    ask: Ask,
) -> anyhow::Result<Vec<(String, f64)>> {
    let layers = handler.clone();
    let mut counting = Counting { measure, handler, counts: Vec::new() };
    layer::visit(&layers, ask, &mut counting)?;
    Ok(counting.counts)
}

impl Visit for Counting<'_> {
    fn visit<S, B>(&mut self, name: &str, mut service: S, ends: Ends) -> anyhow::Result<()>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>> + 'static,
        B: Body<Data = Bytes>,
    {
        let uri = Uri::from_static(PATH);
        let own = count(self.measure, &mut self.handler, &uri)?;
        let all = count(self.measure, &mut service, &uri)?;
        (ends.settle)();
        self.counts.push((name.to_owned(), all - own));
        Ok(())
    }
}

/// Allocations of one exchange, after some that warm up.
fn count<S, B>(measure: Measure<'_>, service: &mut S, uri: &Uri) -> anyhow::Result<f64>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    let mut failed = 0;
    let mut exchange = || failed += u64::from(exchange(service, uri).is_none());
    (0..100).for_each(|_| exchange());
    let counted = measure(&mut || (0..100).for_each(|_| exchange())).count;
    ensure!(failed == 0, "{failed} requests failed");
    Ok(counted as f64 / 100.0)
}
