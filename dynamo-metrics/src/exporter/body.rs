//! A page that is written while it is sent: at no time is more than a frame of it in memory.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::compress::{Compressor, Encoding};
use super::scrapes::Scrape;
use crate::clock::{self, Instant};
use crate::encode::Encoder;
use crate::registry::Walk;

/// A frame is sent once it is this long, in bytes.
const FRAME: usize = 64 * 1024;

/// Room for a frame, and for what the series that fills it may write beyond its end.
const ROOM: usize = FRAME + 16 * 1024;

/// Series that are written between two looks at the frame's length.
const STEP: usize = 4;

/// Longest time for a page, from when its values were there: nobody waits longer, and who reads it a
/// few bytes at a time keeps others from theirs.
const LONGEST: Duration = Duration::from_secs(60);

/// The body of an exporter's answer.
#[derive(Debug)]
pub struct ExporterBody(Content);

enum Content {
    Whole(Bytes),
    Page(Box<Page>),
}

struct Page {
    walk: Walk,
    encoder: Encoder,
    compressor: Compressor,
    scrape: Scrape,
    start: Instant,
}

impl ExporterBody {
    fn empty() -> Self {
        Self(Content::Whole(Bytes::new()))
    }

    /// What a request for the head alone gets of this.
    pub(super) fn left_out(mut self) -> Self {
        if let Content::Page(page) = &mut self.0 {
            page.scrape.complete();
        }
        Self::empty()
    }

    pub(super) fn whole(text: impl Into<Bytes>) -> Self {
        Self(Content::Whole(text.into()))
    }

    pub(super) fn page(
        walk: Walk,
        mut encoder: Encoder,
        encoding: Encoding,
        scrape: Scrape,
    ) -> Self {
        // Nothing is there yet but the room for it.
        drop(encoder.take(ROOM));
        let compressor = encoding.compressor();
        Self(Content::Page(Box::new(Page {
            walk,
            encoder,
            compressor,
            scrape,
            start: clock::now(),
        })))
    }
}

impl Page {
    /// The next frame, and whether more come.
    fn next(&mut self) -> io::Result<(Vec<u8>, bool)> {
        if self.start.elapsed() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the page was not taken in time"));
        }
        loop {
            let mut more = true;
            while more && self.encoder.len() < FRAME {
                more = self.walk.step(&mut self.encoder, STEP);
            }
            if !more {
                self.encoder.end();
            }
            let piece = self.encoder.take(if more { ROOM } else { 0 });
            let mut frame = self.compressor.push(piece)?;
            if !more {
                let compressor = std::mem::replace(&mut self.compressor, Compressor::Identity);
                let last = compressor.finish()?;
                if frame.is_empty() {
                    frame = last;
                } else {
                    frame.extend_from_slice(&last);
                }
            }
            // A compressor may keep a piece back.
            if !frame.is_empty() || !more {
                return Ok((frame, more));
            }
        }
    }
}

impl Body for ExporterBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = match &mut self.0 {
            Content::Whole(bytes) => std::mem::take(bytes),
            Content::Page(page) => match page.next() {
                Ok((frame, more)) => {
                    page.scrape.sent(frame.len());
                    if !more {
                        page.scrape.complete();
                        self.0 = Content::Whole(Bytes::new());
                    }
                    frame.into()
                }
                Err(error) => {
                    self.0 = Content::Whole(Bytes::new());
                    return Poll::Ready(Some(Err(error)));
                }
            },
        };
        Poll::Ready((!frame.is_empty()).then(|| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Page(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.len()).finish(),
            Self::Page(page) => f.debug_tuple("Page").field(&page.walk).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::clock::Manual;
    use crate::encode::Format;
    use crate::exporter::scrapes::Scrapes;
    use crate::registry::Registry;

    #[test]
    fn a_page_that_nobody_takes_is_given_up() {
        let registry = Registry::new();
        registry.counter("calls_total", "").register().unwrap();
        let time = Manual::new();
        time.run(|| {
            for (waited, is_given) in [(60, true), (61, false)] {
                let scrape = Scrapes::new(&registry, 1).start(Format::Text).unwrap();
                let encoder = Encoder::new(Format::Text, false);
                let encoding = Encoding::Identity;
                let mut body = ExporterBody::page(registry.walk(), encoder, encoding, scrape);
                time.advance(Duration::from_secs(waited));
                let frame = body.frame().now_or_never().unwrap().unwrap();
                assert_eq!(frame.is_ok(), is_given, "{waited} s");
            }
        });
    }
}
