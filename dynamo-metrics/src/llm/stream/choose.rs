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
    Other,
}

/// How a body with this head is read, and whether it is encoded, so that it cannot be; `None` if its
/// content type has no reader. JSON is read where the status is a good one.
#[must_use]
pub(crate) fn chosen(status: StatusCode, headers: &HeaderMap) -> Option<(Media, bool)> {
    let media = media(headers);
    if media == Media::Other || (media == Media::Json && !status.is_success()) {
        return None;
    }
    let encoded = headers.get_all(CONTENT_ENCODING).iter().any(|value| value != "identity");
    Some((media, encoded))
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
    media(headers) == Media::Grpc
}

fn media(headers: &HeaderMap) -> Media {
    const GRPC: &[u8] = b"application/grpc";
    let Some(value) = headers.get(CONTENT_TYPE) else { return Media::Other };
    let value = value.as_bytes();
    let name = value.split(|&byte| byte == b';').next().unwrap_or(value).trim_ascii();
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    let is_any = |others: &[&[u8]]| others.iter().any(|other| is(other));
    if is(b"text/event-stream") {
        Media::Sse
    } else if is(b"application/json") {
        Media::Json
    } else if is_any(&[
        b"application/x-ndjson",
        b"application/ndjson",
        b"application/jsonl",
        b"application/x-jsonlines",
    ]) {
        Media::Ndjson
    } else if name.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
        && matches!(name.get(GRPC.len()), None | Some(b'+'))
    {
        Media::Grpc
    } else {
        Media::Other
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
            ("Text/Event-Stream ; charset=utf-8", Media::Sse),
            ("application/x-ndjson", Media::Ndjson),
            ("application/json", Media::Json),
            ("application/grpc+proto", Media::Grpc),
            ("application/grpc-web", Media::Other),
            ("text/html", Media::Other),
        ] {
            let headers = headers(&[(CONTENT_TYPE, name)]);
            assert_eq!(super::media(&headers), media, "{name}");
            let read = (media != Media::Other).then_some((media, false));
            assert_eq!(chosen(StatusCode::OK, &headers), read, "{name}");
        }
        assert_eq!(chosen(StatusCode::OK, &HeaderMap::new()), None);
        let json = headers(&[(CONTENT_TYPE, "application/json")]);
        assert_eq!(chosen(StatusCode::BAD_REQUEST, &json), None);
    }

    #[test]
    fn an_encoded_body_is_known_by_its_head() {
        for (encoding, encoded) in [("gzip", true), ("identity", false)] {
            let types = [(CONTENT_TYPE, "text/event-stream"), (CONTENT_ENCODING, encoding)];
            assert_eq!(chosen(StatusCode::OK, &headers(&types)), Some((Media::Sse, encoded)));
        }
    }
}
