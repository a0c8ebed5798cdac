//! Pages in the format that a scraper asked for.

use super::{Format, ProtobufEncoder, TextEncoder, TextFormat};
use crate::metric::visit::{Family, Series, Visitor};

/// Writes what it visits in any format.
#[derive(Debug)]
pub(crate) enum Encoder {
    Text(TextEncoder),
    Protobuf(ProtobufEncoder),
}

impl Encoder {
    /// Starts an empty page, with times of creation or without them where that is a choice.
    pub(crate) fn new(format: Format, created: bool) -> Self {
        let text = |format| Self::Text(TextEncoder::new(format).created(created));
        match format {
            Format::Text => text(TextFormat::Text),
            Format::OpenMetrics => text(TextFormat::OpenMetrics),
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
