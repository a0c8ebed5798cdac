//! Clients and services that behave badly: no series more, none in flight, and the server serves on.

mod served;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, post};
use bytes::Bytes;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::counts::Counts;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::RequestBody;
use futures_util::stream;
use http::{Method, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::{Layer as _, Service};

use crate::served::{Served, h2, layer, routes, serve};

/// More than the buffers of both sockets take, so that a reader that stops is felt.
const LARGE: usize = 32 << 20;

/// Bytes that are no request. Nothing of them may reach the service.
const GARBAGE: [&[u8]; 11] = [
    b"\0\x01\x02\x03\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"GET\r\n\r\n",
    b"G\0T / HTTP/1.1\r\n\r\n",
    b" / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nno header\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand then nonsense that is no frame at all",
    b"GET / HTTP/1.1\r\nhost: and then nothing",
];

/// Panics when it is called, before there is a future.
#[derive(Clone)]
struct PanicsInCall;

/// The same numbers in every run.
struct Dice(usize);

impl Service<Request<RequestBody<Body>>> for PanicsInCall {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody<Body>>) -> Self::Future {
        panic!("in the call")
    }
}

impl Dice {
    /// A number below `limit`, by xorshift.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// The usual routes, one for uploads, and one that sends more than fits into buffers.
async fn served() -> Served {
    let (gate, open) = watch::channel(false);
    let frame = Bytes::from(vec![b'x'; 64 << 10]);
    let large = move || {
        let frames = std::iter::repeat_n(Ok::<_, Infallible>(frame.clone()), LARGE >> 16);
        std::future::ready(Response::new(Body::from_stream(stream::iter(frames))))
    };
    let upload = post(async |body: Bytes| body.len().to_string());
    let routes = routes(&open).route("/large", get(large)).route("/upload", upload);
    Served::start_with(routes, gate).await
}

async fn open(served: &Served, request: &str) -> h1::Client {
    let mut client = h1::Client::open(served.address).await.unwrap();
    client.send(request.as_bytes()).await.unwrap();
    client
}

/// The server still answers, at once and in full.
async fn assert_serves(served: &Served) {
    let answer = h1::Client::exchange(served.address, "GET", "/plain").await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK") && answer.ends_with(b"hello"));
}

/// Every series, by name and labels.
fn series(registry: &Registry) -> BTreeSet<String> {
    let page = Page::read(&encode::text(registry));
    page.samples().iter().map(|sample| format!("{}{:?}", sample.name, sample.labels)).collect()
}

/// Up to `most` characters of `alphabet`, and at least one.
fn word(dice: &mut Dice, alphabet: &[u8], most: usize) -> String {
    let length = 1 + dice.below(most);
    let character = |_| char::from(alphabet[dice.below(alphabet.len())]);
    (0..length).map(character).collect()
}

fn random_request(dice: &mut Dice) -> http::Request<Full<Bytes>> {
    const NAMES: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    let method = match dice.below(4) {
        0 => word(dice, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-_abc", 30),
        1 => word(dice, b"!#$%&'*+.^`|~", 5),
        _ => ["GET", "POST", "HEAD", "DELETE", "OPTIONS", "get"][dice.below(6)].into(),
    };
    let path = match dice.below(4) {
        0 => "/plain".to_owned(),
        1 => format!("/test.Service/{}", word(dice, NAMES, 20)),
        _ => format!("/{}/{}", word(dice, NAMES, 40), word(dice, b"%2e%00/..;=&{}\"", 8)),
    };
    let path = path.replace(['{', '}', '"'], "-");
    let types = ["application/grpc", "text/event-stream", "application/json", "no/such;type"];
    http::Request::builder()
        .method(method.as_bytes())
        .uri(format!("{path}?{}={}", word(dice, NAMES, 10), word(dice, NAMES, 30)))
        .header("host", word(dice, NAMES, 30))
        .header("x-forwarded-host", word(dice, NAMES, 30))
        .header("user-agent", word(dice, NAMES, 60))
        .header("content-type", types[dice.below(4)])
        .header(format!("x-{}", word(dice, b"abcdefgh", 10)), word(dice, NAMES, 10))
        .body(Full::new(Bytes::from(word(dice, NAMES, 50))))
        .unwrap()
}

#[tokio::test]
async fn requests_of_random_text_add_no_series() {
    let served = served().await;
    let socket = TcpStream::connect(served.address).await.unwrap();
    let (mut client, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let mut dice = Dice(0x9E37_79B9);
    let mut after_the_first = None;
    for number in 0..2_000 {
        if number == 20 {
            after_the_first = Some(series(&served.registry));
        }
        client.ready().await.unwrap();
        let response = client.send_request(random_request(&mut dice)).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    let counts = served.when(|counts| counts.ended == 2_000.0).await;
    assert!(counts.is_settled(), "{counts:?}");
    assert_eq!(Some(series(&served.registry)), after_the_first);
    // Else all were turned away for the same reason, and little was tried.
    assert!(counts.outcomes.iter().any(|(outcome, count)| *outcome == "success" && *count > 100.0));
    assert!(counts.outcomes.iter().any(|(what, count)| *what == "client_error" && *count > 100.0));
}

#[tokio::test]
async fn a_slow_reader_is_in_flight_and_keeps_nobody_waiting() {
    let served = served().await;
    let request = "GET /large HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let mut slow = open(&served, request).await;
    slow.read_until("xxxx").await.unwrap();
    assert_serves(&served).await;
    let counts = served.when(|counts| counts.ended == 1.0).await;
    assert_eq!((counts.in_flight, counts.outcomes), (1.0, vec![("success", 1.0)]));
    assert!(slow.read_to_end().await.unwrap().len() > LARGE);
    let counts = served.when(|counts| counts.ended == 2.0).await;
    assert_eq!(counts.outcomes, [("success", 2.0)]);
    assert_eq!(counts.response_bytes, (LARGE + "hello".len()) as f64);
    assert!(counts.is_settled());
}

#[tokio::test]
async fn a_reader_that_vanishes_while_the_server_waits_for_it_is_cancelled() {
    let served = served().await;
    let mut slow = open(&served, "GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    slow.read_until("xxxx").await.unwrap();
    drop(slow);
    assert_eq!(served.end_of_one().await, "cancelled");
    assert_serves(&served).await;
}

#[tokio::test]
async fn a_client_that_vanishes_in_its_request_body_leaves_nothing_in_flight() {
    let served = served().await;
    let head = "POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n";
    let client = open(&served, &format!("{head}{}", "x".repeat(100))).await;
    let counts = served.when(|counts| counts.request_bytes == 100.0).await;
    assert_eq!((counts.started, counts.in_flight), (1.0, 1.0));
    drop(client);
    // Whether the handler still gets to say that the body is broken is the server's affair.
    let outcome = served.end_of_one().await;
    assert!(matches!(outcome, "cancelled" | "client_error"), "{outcome}");
    assert_serves(&served).await;
}

#[tokio::test]
async fn a_chunked_upload_of_nonsense_is_the_clients_error() {
    let served = served().await;
    let head = "POST /upload HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    let client = open(&served, &format!("{head}5\r\nhello\r\nnonsense\r\n")).await;
    client.read_to_end().await.unwrap();
    let outcome = served.end_of_one().await;
    assert!(matches!(outcome, "cancelled" | "client_error"), "{outcome}");
    assert_serves(&served).await;
}

#[tokio::test]
async fn a_client_that_half_closes_leaves_nothing_in_flight() {
    let served = served().await;
    for path in ["/plain", "/gated"] {
        let mut client = open(&served, &format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        client.close_sending().await.unwrap();
        served.gate.send_replace(true);
        client.read_to_end().await.unwrap();
    }
    let counts = served.when(|counts| counts.in_flight == 0.0).await;
    assert!(counts.is_settled(), "{counts:?}");
    assert_serves(&served).await;
}

#[tokio::test]
async fn garbage_is_no_request() {
    let served = served().await;
    for garbage in GARBAGE {
        let mut client = h1::Client::open(served.address).await.unwrap();
        client.send(garbage).await.unwrap();
        client.close_sending().await.unwrap();
        client.read_to_end().await.unwrap();
    }
    assert_eq!(served.counts().started, 0.0);
    assert_serves(&served).await;
    assert_eq!(served.end_of_one().await, "success");
}

#[tokio::test]
async fn a_head_without_end_is_no_request() {
    let served = served().await;
    let mut client = open(&served, "GET / HTTP/1.1\r\nx-long: ").await;
    let more = vec![b'x'; 64 << 10];
    // The server stops reading at some point and hangs up; until then it gets more.
    for _ in 0..64 {
        if client.send(&more).await.is_err() {
            break;
        }
    }
    drop(client);
    assert_eq!(served.counts().started, 0.0);
    assert_serves(&served).await;
}

#[tokio::test]
async fn connections_that_say_nothing_are_no_requests() {
    let served = served().await;
    for _ in 0..50 {
        drop(h1::Client::open(served.address).await.unwrap());
    }
    assert_serves(&served).await;
    assert_eq!(served.end_of_one().await, "success");
}

#[tokio::test]
async fn streams_that_are_reset_at_once_leave_nothing_in_flight() {
    let served = served().await;
    let mut started = 0.0;
    for _ in 0..10 {
        let client = h2::Client::open(served.address).await;
        // A few only: servers close a connection on which they see many.
        for _ in 0..10 {
            client.send(Method::GET, "/never").await.reset();
            started += 1.0;
        }
        // One that is answered, behind them, so that the server has seen them all.
        assert_eq!(client.fetch(Method::GET, "/plain").await.unwrap().data, b"hello");
    }
    let counts = served.when(|counts| counts.in_flight == 0.0).await;
    assert!(counts.is_settled(), "{counts:?}");
    // A stream that was reset before the server looked at it never became a request.
    assert!(counts.ended >= 10.0 && counts.ended <= started + 10.0, "{counts:?}");
}

#[tokio::test]
async fn a_service_that_panics_in_its_call_counts_as_a_panic() {
    let (registry, layer) = layer();
    let app = Router::new().fallback_service(layer.layer(PanicsInCall));
    let address = serve(app).await;
    for _ in 0..3 {
        assert_eq!(h1::Client::exchange(address, "GET", "/").await.unwrap(), b"");
    }
    let counts = Counts::of_all(&encode::text(&registry));
    assert_eq!(counts.outcomes, [("panic", 3.0)]);
    assert!(counts.is_settled());
}

#[tokio::test]
async fn panics_in_handlers_and_bodies_do_not_stop_the_server() {
    let served = served().await;
    for path in ["/panic-early", "/panic"] {
        h1::Client::exchange(served.address, "GET", path).await.unwrap();
        assert!(h2::Client::open(served.address).await.fetch(Method::GET, path).await.is_err());
        assert_serves(&served).await;
    }
    let counts = served.when(|counts| counts.ended == 6.0).await;
    assert_eq!(counts.outcomes, [("success", 2.0), ("panic", 4.0)]);
    assert!(counts.is_settled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_leaves_whenever_it_likes_is_counted_to_the_last() {
    let served = served().await;
    let paths =
        ["/plain", "/chunked", "/declared-open", "/sse", "/error", "/panic", "/never", "/204"];
    let mut crowd = Vec::new();
    for number in 0..160 {
        let (address, path) = (served.address, paths[number % paths.len()]);
        crowd.push(tokio::spawn(async move {
            let mut client = h1::Client::open(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
            client.send(request.as_bytes()).await.unwrap();
            // Half of those that get an answer stay to see some of it.
            if path != "/never" && number % 16 < paths.len() {
                let _ = client.read_until("HTTP/1.1").await;
            }
        }));
    }
    for client in crowd {
        client.await.unwrap();
    }
    assert_serves(&served).await;
    // Those that stayed, and the one that came after; whether a server still reads what the others
    // asked for before they left is its own affair.
    let counts = served.when(|counts| counts.is_settled() && counts.started >= 71.0).await;
    assert!(counts.started <= 161.0, "{counts:?}");
}
