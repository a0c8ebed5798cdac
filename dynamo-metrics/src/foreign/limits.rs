//! How much of a page is read and kept.

/// How much of a page is read and kept. What is past a limit is left out and told.
///
/// # Examples
/// ```
/// use dynamo_metrics::foreign::{Format, Limits, Reason, parse};
///
/// let parsed = parse(b"a 1\nb 2\n", Format::Text, &Limits::default().families(1));
/// assert_eq!(parsed.families.len(), 1);
/// assert_eq!(parsed.totals, [(Reason::Limit, 1)]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub(super) bytes: usize,
    pub(super) line: usize,
    pub(super) families: usize,
    pub(super) series: usize,
    pub(super) buckets: usize,
    pub(super) labels: usize,
    pub(super) text: usize,
    pub(super) faults: usize,
}

macro_rules! setters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        impl Limits {$(
            $(#[doc = $doc])*
            #[must_use]
            pub fn $name(mut self, $name: usize) -> Self {
                self.$name = $name;
                self
            }
        )*}
    };
}

setters! {
    /// Reads so many bytes of the page (default 16 MiB), up to the last whole line or message.
    bytes,
    /// Reads lines of so many bytes (default 256 KiB); in the protobuf format, metrics.
    line,
    /// Keeps so many families (default 10 000).
    families,
    /// Keeps so many series of all families together (default 100 000).
    series,
    /// Keeps histograms with so many buckets of each form, and summaries with so many quantiles
    /// (default 1 000).
    buckets,
    /// Keeps series with so many labels (default 64).
    labels,
    /// Keeps names, label values and help of so many bytes (default 4 KiB).
    text,
    /// Tells so many faults in words (default 100); all are counted.
    faults,
}

#[cfg(feature = "exporter")]
impl Limits {
    /// Bytes of a page that are read.
    pub(crate) fn most_bytes(&self) -> usize {
        self.bytes
    }
}

/// The limits of those who set none.
pub(super) static DEFAULT: Limits = Limits {
    bytes: 16 << 20,
    line: 256 << 10,
    families: 10_000,
    series: 100_000,
    buckets: 1_000,
    labels: 64,
    text: 4 << 10,
    faults: 100,
};

impl Default for Limits {
    fn default() -> Self {
        DEFAULT.clone()
    }
}
