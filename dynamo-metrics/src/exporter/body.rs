//! A page that is written while it is sent: at no time is more than a frame of it in memory.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::encode::{Encoder, Format};
use crate::registry::Walk;

/// A frame is sent once it is this long, in bytes.
const FRAME: usize = 64 * 1024;

/// Room for a frame, and for what the series that fills it may write beyond its end.
const ROOM: usize = FRAME + 16 * 1024;

/// Series that are written between two looks at the frame's length.
const STEP: usize = 4;

/// The body of an exporter's answer.
#[derive(Debug)]
pub struct ExporterBody(Content);

enum Content {
    Whole(Bytes),
    Scrape(Box<Scrape>),
}

struct Scrape {
    walk: Walk,
    encoder: Encoder,
}

impl ExporterBody {
    pub(super) fn empty() -> Self {
        Self(Content::Whole(Bytes::new()))
    }

    pub(super) fn whole(text: String) -> Self {
        Self(Content::Whole(text.into()))
    }

    pub(super) fn scrape(walk: Walk, format: Format) -> Self {
        let mut encoder = Encoder::new(format);
        // Nothing is there yet but the room for it.
        drop(encoder.take(ROOM));
        Self(Content::Scrape(Box::new(Scrape { walk, encoder })))
    }
}

impl Body for ExporterBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match &mut self.0 {
            Content::Whole(bytes) => std::mem::take(bytes),
            Content::Scrape(scrape) => {
                let Scrape { walk, encoder } = &mut **scrape;
                let mut more = true;
                while more && encoder.len() < FRAME {
                    more = walk.step(encoder, STEP);
                }
                if !more {
                    encoder.end();
                }
                if more {
                    encoder.take(ROOM).into()
                } else {
                    let last = encoder.take(0);
                    self.0 = Content::Whole(Bytes::new());
                    last.into()
                }
            }
        };
        Poll::Ready((!frame.is_empty()).then(|| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Scrape(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.len()).finish(),
            Self::Scrape(scrape) => f.debug_tuple("Scrape").field(&scrape.walk).finish(),
        }
    }
}
