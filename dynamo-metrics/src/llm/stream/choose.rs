//! Which reader reads which body, by its head.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use super::{Grpc, KServe, StreamReader};

/// The method whose messages [`KServe`] reads.
const MODEL_STREAM_INFER: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// What a content type stands for, as far as there are readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// Read as [`Events`](super::Events).
    Sse,
    /// Likewise.
    Ndjson,
    /// Messages that are counted, since only their method tells what they are.
    Grpc,
    /// Read for its usage.
    Json,
}

/// The reader for what the gRPC method of this path streams, if there is one that knows it.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::stream::reader_of_method;
///
/// assert!(reader_of_method("/inference.GRPCInferenceService/ModelStreamInfer").is_some());
/// assert!(reader_of_method("/my.Service/Say").is_none());
/// ```
#[must_use]
pub fn reader_of_method(path: &str) -> Option<Box<dyn StreamReader>> {
    (path == MODEL_STREAM_INFER)
        .then(|| Box::new(Grpc::new(KServe::default())) as Box<dyn StreamReader>)
}

/// Whether the headers declare gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    Media::of(headers) == Some(Media::Grpc)
}

impl Media {
    /// What the headers declare, if it is something that is read.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        media(headers.get(CONTENT_TYPE)?.as_bytes())
    }

    /// Whether it is read in an answer of this status: JSON is where that is a good one.
    pub(crate) fn is_read(self, status: StatusCode) -> bool {
        match self {
            Self::Json => status.is_success(),
            Self::Sse | Self::Ndjson | Self::Grpc => true,
        }
    }
}

/// Whether the headers declare a body that cannot be read as it is.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| value != "identity")
}

fn media(value: &[u8]) -> Option<Media> {
    const GRPC: &[u8] = b"application/grpc";
    let name = value.split(|&byte| byte == b';').next().unwrap_or(value).trim_ascii();
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    let is_any = |others: &[&[u8]]| others.iter().any(|other| is(other));
    if is(b"text/event-stream") {
        Some(Media::Sse)
    } else if is(b"application/json") {
        Some(Media::Json)
    } else if is_any(&[
        b"application/x-ndjson",
        b"application/ndjson",
        b"application/jsonl",
        b"application/x-jsonlines",
    ]) {
        Some(Media::Ndjson)
    } else if name.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
        && matches!(name.get(GRPC.len()), None | Some(b'+'))
    {
        Some(Media::Grpc)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.clone(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn readers_are_chosen_by_the_headers() {
        for (name, media) in [
            ("Text/Event-Stream ; charset=utf-8", Some(Media::Sse)),
            ("application/x-ndjson", Some(Media::Ndjson)),
            ("application/json", Some(Media::Json)),
            ("application/grpc+proto", Some(Media::Grpc)),
            ("application/grpc-web", None),
            ("text/html", None),
        ] {
            let headers = headers(&[(CONTENT_TYPE, name)]);
            assert_eq!(Media::of(&headers), media, "{name}");
        }
        assert_eq!(Media::of(&HeaderMap::new()), None);
        assert!(Media::Json.is_read(StatusCode::OK));
        assert!(!Media::Json.is_read(StatusCode::BAD_REQUEST));
        assert!(Media::Sse.is_read(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn an_encoded_body_is_known_by_its_head() {
        for (encoding, encoded) in [("gzip", true), ("identity", false)] {
            let types = [(CONTENT_TYPE, "text/event-stream"), (CONTENT_ENCODING, encoding)];
            assert_eq!(is_encoded(&headers(&types)), encoded);
        }
    }
}
