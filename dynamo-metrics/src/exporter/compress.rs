//! Compression of pages, as scrapers ask for it by `Accept-Encoding`.

use std::fmt;
use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use super::negotiate::{split, weight};

/// How hard gzip tries: most of what there is to gain, at a third of the time of its default.
const GZIP_LEVEL: u32 = 3;

/// How hard zstd tries; its default.
const ZSTD_LEVEL: i32 = 3;

/// How a page is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Compresses a page piece by piece.
pub(super) enum Compressor {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoding {
    /// The encoding that `headers` give the most weight; among equals the better one.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let mut weights = [(Self::Zstd, None), (Self::Gzip, None), (Self::Identity, None)];
        let mut others = None;
        let values =
            headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for entry in values.flat_map(|value| split(value, ',')) {
            let mut parts = split(entry, ';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let Some(weight) = weight(parts) else { continue };
            if name == "*" {
                others = Some(weight);
            }
            if let Some((_, place)) = weights.iter_mut().find(|(known, _)| known.as_str() == name) {
                *place = Some(weight);
            }
        }
        // What is not named is as `*` says; without that, a page as it is can always be sent.
        let given = weights.map(|(encoding, weight)| {
            let least = if encoding == Self::Identity { f32::MIN_POSITIVE } else { 0.0 };
            (encoding, weight.or(others).unwrap_or(least))
        });
        let best = given.into_iter().filter(|(_, weight)| *weight > 0.0);
        best.reduce(|best, other| if other.1 > best.1 { other } else { best })
            .map_or(Self::Identity, |(encoding, _)| encoding)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    pub(super) fn compressor(self) -> Compressor {
        match self {
            Self::Identity => Compressor::Identity,
            Self::Gzip => {
                Compressor::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)))
            }
            Self::Zstd => zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)
                .map_or(Compressor::Identity, Compressor::Zstd),
        }
    }
}

impl Compressor {
    /// What there is to send after one more piece of the page; empty if that is yet to come.
    ///
    /// # Errors
    /// What the compressor says; writing to memory does not fail of itself.
    pub(super) fn push(&mut self, piece: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(piece),
            Self::Gzip(gzip) => {
                gzip.write_all(&piece)?;
                Ok(std::mem::take(gzip.get_mut()))
            }
            Self::Zstd(zstd) => {
                zstd.write_all(&piece)?;
                Ok(std::mem::take(zstd.get_mut()))
            }
        }
    }

    /// What there is to send at the end of the page.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(Vec::new()),
            Self::Gzip(gzip) => gzip.finish(),
            Self::Zstd(zstd) => zstd.finish(),
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "Identity",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn wanted(accept: &str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accept.parse().unwrap());
        Encoding::wanted(&headers).as_str()
    }

    #[test]
    fn the_weightiest_encoding_is_sent() {
        assert_eq!(Encoding::wanted(&HeaderMap::new()), Encoding::Identity);
        for (accept, expected) in [
            ("gzip", "gzip"),
            ("GZIP", "gzip"),
            ("gzip, zstd", "zstd"),
            ("gzip;q=0.9, zstd;q=0.5", "gzip"),
            ("gzip;q=0", "identity"),
            ("gzip;q=0, *", "zstd"),
            ("*;q=0", "identity"),
            ("identity", "identity"),
            ("identity;q=1, gzip;q=0.5", "identity"),
            ("identity;q=0.5, gzip;q=0.5", "gzip"),
            ("br, deflate", "identity"),
            ("", "identity"),
            (" gzip ; q=0.1 ,,;", "gzip"),
            ("gzip;q=2", "identity"),
        ] {
            assert_eq!(wanted(accept), expected, "{accept}");
        }
    }

    #[test]
    fn pieces_come_out_whole() {
        let pieces: Vec<Vec<u8>> =
            (0..50_u32).map(|i| i.to_string().into_bytes().repeat(9_999)).collect();
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            let mut compressor = encoding.compressor();
            let mut sent = Vec::new();
            for piece in &pieces {
                sent.extend(compressor.push(piece.clone()).unwrap());
            }
            sent.extend(compressor.finish().unwrap());
            let mut read = Vec::new();
            match encoding {
                Encoding::Identity => read = sent,
                Encoding::Gzip => {
                    flate2::read::GzDecoder::new(&*sent).read_to_end(&mut read).map(drop).unwrap();
                }
                Encoding::Zstd => read = zstd::decode_all(&*sent).unwrap(),
            }
            assert!(read == pieces.concat(), "{encoding:?}");
        }
    }
}
