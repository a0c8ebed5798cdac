//! The formats, by the names that scrapers call them.

use super::{ProtobufEncoder, TextEncoder};
use crate::metric::visit::{Family, Series, Visitor};

/// A format of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The Prometheus text format, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.
    OpenMetrics,
    /// Length-delimited `io.prometheus.client.MetricFamily`.
    Protobuf,
}

/// A format that is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextFormat {
    /// The Prometheus text format, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.
    OpenMetrics,
}

/// Writes what it visits in any format.
#[derive(Debug)]
pub(crate) enum Encoder {
    Text(TextEncoder),
    Protobuf(ProtobufEncoder),
}

impl Format {
    /// The media type of the format, as a scraper wants it to the letter.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }
}

impl Encoder {
    pub(crate) fn new(format: Format) -> Self {
        match format {
            Format::Text => Self::Text(TextEncoder::new(TextFormat::Text)),
            Format::OpenMetrics => Self::Text(TextEncoder::new(TextFormat::OpenMetrics)),
            Format::Protobuf => Self::Protobuf(ProtobufEncoder::new()),
        }
    }

    /// How much of the page was written and not taken yet, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(encoder) => encoder.len(),
            Self::Protobuf(encoder) => encoder.len(),
        }
    }

    /// Takes what was written so far, and makes room for `room` bytes more.
    pub(crate) fn take(&mut self, room: usize) -> Vec<u8> {
        match self {
            Self::Text(encoder) => encoder.take(room),
            Self::Protobuf(encoder) => encoder.take(room),
        }
    }

    /// Writes what ends a page.
    pub(crate) fn end(&mut self) {
        match self {
            Self::Text(encoder) => encoder.end(),
            Self::Protobuf(encoder) => encoder.end(),
        }
    }
}

impl Visitor for Encoder {
    fn family(&mut self, family: &Family<'_>) {
        match self {
            Self::Text(encoder) => encoder.family(family),
            Self::Protobuf(encoder) => encoder.family(family),
        }
    }

    #[inline]
    fn series(&mut self, series: &Series<'_>) {
        match self {
            Self::Text(encoder) => encoder.series(series),
            Self::Protobuf(encoder) => encoder.series(series),
        }
    }
}
