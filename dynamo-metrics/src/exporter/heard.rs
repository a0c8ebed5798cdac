//! The first bytes of a connection, which tell its protocol, and are put back before the rest.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an HTTP/2 connection starts with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's stream, with the first that it said put back before the rest.
pub(super) struct Heard<S> {
    said: [u8; PREFACE.len()],
    /// What of it is still to be read.
    left: Range<usize>,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let end = this.left.end.min(this.left.start + buf.remaining());
        buf.put_slice(&this.said[this.left.start..end]);
        this.left.start = end;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Listens until a client has said which protocol it speaks, and whether that is HTTP/2.
pub(super) async fn first_word<S: AsyncRead + Unpin>(mut stream: S) -> Option<(Heard<S>, bool)> {
    let mut said = [0; PREFACE.len()];
    let mut room = ReadBuf::new(&mut said);
    let (heard, http2) = loop {
        let before = room.filled().len();
        poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut room)).await.ok()?;
        match room.filled() {
            heard if heard.len() == before => return None,
            heard if heard == PREFACE => break (0..heard.len(), true),
            // The start of a preface, but not all of it: the rest must come in time.
            heard if PREFACE.starts_with(heard) => {}
            heard => break (0..heard.len(), false),
        }
    };
    Some((Heard { said, left: heard, stream }, http2))
}
