//! Bodies that are read whole, up to a length.

use std::future::poll_fn;
use std::pin::pin;

use bytes::Buf;
use http_body::Body;

/// Why a body could not be read.
#[derive(Debug)]
pub(super) enum ReadError<E> {
    /// It has more bytes than it may have.
    TooLong,
    /// It ends with an error.
    Broken(E),
}

/// Reads a body of at most so many bytes.
pub(super) async fn read<B: Body>(body: B, most: usize) -> Result<Vec<u8>, ReadError<B::Error>> {
    if body.size_hint().lower() > most as u64 {
        return Err(ReadError::TooLong);
    }
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(mut data) = frame.map_err(ReadError::Broken)?.into_data() else { continue };
        if data.remaining() > most - bytes.len() {
            return Err(ReadError::TooLong);
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            bytes.extend_from_slice(chunk);
            let taken = chunk.len();
            data.advance(taken);
        }
    }
    Ok(bytes)
}
