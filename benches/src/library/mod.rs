//! The libraries, behind one trait.

#[cfg(feature = "peers")]
mod fastmetrics;
#[cfg(feature = "peers")]
mod foundations;
#[cfg(feature = "peers")]
mod foundations_local;
#[cfg(feature = "peers")]
mod measured;
#[cfg(feature = "peers")]
mod metrics;
#[cfg(feature = "peers")]
mod opentelemetry;
mod ours;
#[cfg(feature = "peers")]
mod prometheus;
#[cfg(feature = "peers")]
mod prometheus_client;

#[cfg(feature = "peers")]
pub(crate) use fastmetrics::Fastmetrics;
#[cfg(feature = "peers")]
pub(crate) use foundations::Foundations;
#[cfg(feature = "peers")]
pub(crate) use foundations_local::FoundationsLocal;
#[cfg(feature = "peers")]
pub(crate) use measured::Measured;
#[cfg(feature = "peers")]
pub(crate) use metrics::Metrics;
#[cfg(feature = "peers")]
pub(crate) use opentelemetry::OpenTelemetry;
pub(crate) use ours::{OURS, Ours, text};
#[cfg(feature = "peers")]
pub(crate) use prometheus::Prometheus;
#[cfg(feature = "peers")]
pub(crate) use prometheus_client::PrometheusClient;

/// A library, with a registry of its own in which nothing is yet.
///
/// What a method makes is registered, and is recorded with by calling it.
pub(crate) trait Library: Sized + Send + Sync + 'static {
    /// The name in the tables.
    const NAME: &'static str;

    /// Three labels, in the form that suits the library best.
    type Typed: Send + Sync + 'static;

    fn new() -> anyhow::Result<Self>;

    /// The `n`th of 64 label sets.
    fn typed(n: usize) -> Self::Typed;

    /// Counts one.
    fn counter(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static>;

    /// Goes up by one, and down again.
    fn gauge(&mut self) -> anyhow::Result<impl Fn() + Send + Sync + 'static>;

    /// Takes a sample, in seconds.
    fn histogram(&mut self) -> anyhow::Result<impl Fn(f64) + Send + Sync + 'static>;

    /// Looks a series up and counts one.
    fn counter_by_type(&mut self) -> anyhow::Result<impl Fn(&Self::Typed) + Send + Sync + 'static>;

    /// The same by five borrowed strings, and counts so many.
    fn counter_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], u64) + Send + Sync + 'static>;

    /// Looks a series up by five borrowed strings and takes a sample.
    fn histogram_by_strings(
        &mut self,
    ) -> anyhow::Result<impl Fn([&str; 5], f64) + Send + Sync + 'static>;

    /// Shows all that was recorded to `sink`, in one piece or many.
    fn scrape(&self, scratch: &mut Scratch, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<()>;

    /// Does what the library puts off until somebody asks for it.
    fn settle(&self) {}
}

/// A buffer that keeps its size from scrape to scrape.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    #[cfg(feature = "peers")]
    pub(crate) text: String,
    #[cfg(feature = "peers")]
    pub(crate) bytes: Vec<u8>,
}

/// Calls a generic function with each library, and passes on the first error.
macro_rules! each_library {
    ($function:ident($($argument:expr),*)) => {{
        $function::<crate::library::Ours>($($argument),*)?;
        #[cfg(feature = "peers")]
        {
            $function::<crate::library::PrometheusClient>($($argument),*)?;
            $function::<crate::library::Prometheus>($($argument),*)?;
            $function::<crate::library::Metrics>($($argument),*)?;
            $function::<crate::library::Measured>($($argument),*)?;
            $function::<crate::library::Fastmetrics>($($argument),*)?;
            $function::<crate::library::OpenTelemetry>($($argument),*)?;
            $function::<crate::library::Foundations>($($argument),*)?;
            $function::<crate::library::FoundationsLocal>($($argument),*)?;
        }
    }};
}
pub(crate) use each_library;

/// The whole page of a library.
pub(crate) fn page<L: Library>(library: &L) -> anyhow::Result<crate::page::Page> {
    let mut page = Vec::new();
    library.scrape(&mut Scratch::default(), &mut |piece| page.extend_from_slice(piece))?;
    crate::page::Page::read(&String::from_utf8(page)?)
}
