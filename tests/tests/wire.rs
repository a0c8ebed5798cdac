//! The layer changes nothing on the wire: the same routes with it and without it, byte for byte.

mod served;

use std::net::SocketAddr;

use dynamo_metrics_tests::h1;
use http::Method;
use tokio::sync::watch;

use crate::served::h2::{Answer, Client};
use crate::served::{layer, routes, serve};

/// Two servers that differ in the layer alone.
struct Pair {
    plain: SocketAddr,
    measured: SocketAddr,
    _gate: watch::Sender<bool>,
}

impl Pair {
    async fn start() -> Self {
        let (gate, open) = watch::channel(true);
        let (_, layer) = layer();
        let plain = serve(routes(&open)).await;
        let measured = serve(routes(&open).layer(layer)).await;
        Self { plain, measured, _gate: gate }
    }

    /// What both servers answer over HTTP/1.1, as the client reads it.
    async fn over_http1(&self, method: &str, path: &str) -> String {
        let plain = h1::Client::exchange(self.plain, method, path).await.unwrap();
        let measured = h1::Client::exchange(self.measured, method, path).await.unwrap();
        same(&plain, &measured)
    }

    /// What both servers answer over HTTP/2.
    async fn over_http2(&self, method: Method, path: &str) -> Answer {
        let mut plain = Client::open(self.plain).await.fetch(method.clone(), path).await.unwrap();
        let mut measured = Client::open(self.measured).await.fetch(method, path).await.unwrap();
        assert!(plain.headers.remove("date").is_some());
        assert!(measured.headers.remove("date").is_some());
        assert_eq!(measured, plain);
        measured
    }
}

/// The text that both are but for their dates, of which each answer must have one.
fn same(plain: &[u8], measured: &[u8]) -> String {
    let [plain, measured] = [plain, measured].map(|bytes| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (dates, rest): (Vec<_>, Vec<_>) =
            text.split_inclusive("\r\n").partition(|line| line.starts_with("date: "));
        assert!(!dates.is_empty(), "no answer: {text:?}");
        (dates.len(), rest.concat())
    });
    assert_eq!(measured, plain);
    measured.1
}

#[tokio::test]
async fn http1_a_fixed_body_keeps_its_length() {
    let text = Pair::start().await.over_http1("GET", "/plain").await;
    assert!(text.contains("content-length: 5\r\n") && text.ends_with("\r\n\r\nhello"), "{text}");
}

#[tokio::test]
async fn http1_an_empty_body_keeps_its_zero() {
    let text = Pair::start().await.over_http1("GET", "/empty").await;
    assert!(text.contains("content-length: 0\r\n") && text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn http1_a_stream_stays_chunked_frame_by_frame() {
    let text = Pair::start().await.over_http1("GET", "/chunked").await;
    assert!(text.contains("transfer-encoding: chunked\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn http1_a_stream_of_declared_length_is_not_chunked() {
    let text = Pair::start().await.over_http1("GET", "/declared").await;
    assert!(text.contains("content-length: 10\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nhelloworld"), "{text}");
}

#[tokio::test]
async fn http1_trailers_reach_a_client_that_takes_them() {
    let text = Pair::start().await.over_http1("GET", "/trailers").await;
    assert!(text.ends_with("5\r\nhello\r\n0\r\nkey: value\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn http1_a_head_keeps_the_length_that_a_get_would_have() {
    let text = Pair::start().await.over_http1("HEAD", "/plain").await;
    assert!(text.contains("content-length: 5\r\n") && text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn http1_a_head_of_a_stream_has_no_body() {
    let pair = Pair::start().await;
    for path in ["/chunked", "/declared", "/sse"] {
        let text = pair.over_http1("HEAD", path).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }
}

#[tokio::test]
async fn http1_a_204_has_no_body() {
    let text = Pair::start().await.over_http1("GET", "/204").await;
    assert!(text.starts_with("HTTP/1.1 204 No Content\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn http1_a_304_has_no_body_and_keeps_its_length() {
    let text = Pair::start().await.over_http1("GET", "/304").await;
    assert!(text.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{text}");
    assert!(text.contains("content-length: 10\r\n") && text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn http1_events_are_one_chunk_each() {
    let text = Pair::start().await.over_http1("GET", "/sse").await;
    assert!(text.ends_with("\r\nE\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn http1_an_error_cuts_the_body_at_the_same_byte() {
    let text = Pair::start().await.over_http1("GET", "/error").await;
    assert!(text.ends_with("5\r\nhello\r\n"), "{text}");
}

#[tokio::test]
async fn http1_answers_on_one_connection_follow_each_other() {
    let pair = Pair::start().await;
    let mut answers = Vec::new();
    for address in [pair.plain, pair.measured] {
        let mut client = h1::Client::open(address).await.unwrap();
        let paths = ["/declared", "/chunked", "/304", "/plain"];
        let requests = paths.map(|path| format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
        client.send(requests.concat().as_bytes()).await.unwrap();
        // The last one says that no more will come, so that the server closes.
        let last = b"GET /empty HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        client.send(last).await.unwrap();
        answers.push(client.read_to_end().await.unwrap());
    }
    let text = same(&answers[0], &answers[1]);
    assert_eq!(text.matches("HTTP/1.1 ").count(), 5, "{text}");
}

#[tokio::test]
async fn http1_a_client_of_version_1_0_gets_the_same() {
    let pair = Pair::start().await;
    let mut answers = Vec::new();
    for address in [pair.plain, pair.measured] {
        let mut client = h1::Client::open(address).await.unwrap();
        client.send(b"GET /chunked HTTP/1.0\r\n\r\n").await.unwrap();
        answers.push(client.read_to_end().await.unwrap());
    }
    // Without chunks: that version does not know them.
    let text = same(&answers[0], &answers[1]);
    assert!(text.ends_with("\r\n\r\nhelloworld"), "{text}");
}

#[tokio::test]
async fn http2_a_fixed_body_keeps_its_length() {
    let answer = Pair::start().await.over_http2(Method::GET, "/plain").await;
    assert_eq!(answer.headers["content-length"], "5");
    assert_eq!(answer.data, b"hello");
}

#[tokio::test]
async fn http2_an_empty_body_is_empty() {
    let answer = Pair::start().await.over_http2(Method::GET, "/empty").await;
    assert_eq!((answer.status.as_u16(), answer.data.len(), answer.trailers), (200, 0, None));
}

#[tokio::test]
async fn http2_streams_keep_their_headers_and_data() {
    let pair = Pair::start().await;
    let chunked = pair.over_http2(Method::GET, "/chunked").await;
    assert_eq!(chunked.data, b"helloworld");
    assert!(!chunked.headers.contains_key("content-length"));
    let declared = pair.over_http2(Method::GET, "/declared").await;
    assert_eq!(declared.data, b"helloworld");
    assert_eq!(declared.headers["content-length"], "10");
}

#[tokio::test]
async fn http2_trailers_reach_the_client() {
    let answer = Pair::start().await.over_http2(Method::GET, "/trailers").await;
    assert_eq!(answer.data, b"hello");
    assert_eq!(answer.trailers.unwrap()["key"], "value");
}

#[tokio::test]
async fn http2_a_head_has_the_headers_and_no_data() {
    let pair = Pair::start().await;
    let plain = pair.over_http2(Method::HEAD, "/plain").await;
    assert_eq!((plain.headers["content-length"].as_bytes(), plain.data.len()), (&b"5"[..], 0));
    let stream = pair.over_http2(Method::HEAD, "/chunked").await;
    assert_eq!((stream.status.as_u16(), stream.data.len()), (200, 0));
}

#[tokio::test]
async fn http2_events_arrive_whole() {
    let answer = Pair::start().await.over_http2(Method::GET, "/sse").await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert!(answer.data.ends_with(b"\n\ndata: [DONE]\n\n"));
}
