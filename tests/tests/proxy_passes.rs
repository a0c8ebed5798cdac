//! What the proxy passes on, what it does not, and that it holds nothing back.

mod proxied;
mod served;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::routing::any;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::peer::{self, Peer, Step};
use dynamo_metrics_tests::program::{Proxy, wait_for};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::proxied::{EVENTS, Upstream, ask, assert_ends, chunk, rest, send};
use crate::served::{h2, serve};

/// A proxy before a server at this address.
fn before(address: SocketAddr, options: &[&str]) -> Proxy {
    Proxy::start(&[&["--upstream", &format!("http://{address}")], options].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_passed_on_before_the_next_is_made() {
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&[]);
    let mut client = ask(&proxy).await;
    let (mut end, _) = upstream.next().await;
    end.send(EVENTS.as_bytes()).await.unwrap();
    client.read_until("\r\n\r\n").await.unwrap();
    for event in ["one", "two", "three"].map(openai::content) {
        end.send(chunk(&event).as_bytes()).await.unwrap();
        // Nothing else is written before the client has this.
        client.read_until(&event).await.unwrap();
    }
    end.send((chunk(DONE) + "0\r\n\r\n").as_bytes()).await.unwrap();
    client.read_until("\r\n0\r\n\r\n").await.unwrap();
    let page = assert_ends(&proxy, &[("success", 1.0)], &[("success", 1.0)]);
    for side in ["component", "upstream"] {
        let of = |name: &str| page.sum(&format!("dynamo_{side}_{name}"), &[]);
        assert_eq!(of("output_tokens_total"), Some(3.0));
        assert_eq!(of("time_to_first_token_seconds_count"), Some(1.0));
        assert_eq!(of("inter_token_latency_seconds_count"), Some(2.0));
    }
    let worker = [("dynamo_endpoint", "worker")];
    assert_eq!(page.sum("dynamo_upstream_requests_total", &worker), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_passed_on_while_its_body_is_still_being_sent() {
    const PART: usize = 8 << 20;
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&[]);
    let head = format!("POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ncontent-length: {}", 2 * PART);
    let mut client = send(&proxy, head + "\r\n\r\n").await;
    let (mut end, head) = upstream.next().await;
    assert!(head.contains(&format!("content-length: {}\r\n", 2 * PART)), "{head}");
    for (byte, mark) in [(b'a', "first"), (b'b', "second")] {
        let mut part = vec![byte; PART - mark.len()];
        part.extend_from_slice(mark.as_bytes());
        let sent = client.send(&part);
        // The second half is not sent before the first is upstream.
        let (sent, _) = tokio::join!(sent, async {
            end.clear();
            end.read_until(mark).await.map(<[u8]>::len).unwrap()
        });
        sent.unwrap();
    }
    end.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    client.read_until("ok").await.unwrap();
    let page = assert_ends(&proxy, &[("success", 1.0)], &[("success", 1.0)]);
    for side in ["component", "upstream"] {
        let name = format!("dynamo_{side}_request_bytes_total");
        assert_eq!(page.sum(&name, &[]), Some(2.0 * PART as f64));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_a_request_that_is_not_whole_yet_passes() {
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&[]);
    let head = "POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nsome";
    let mut client = send(&proxy, head).await;
    let (mut end, _) = upstream.next().await;
    end.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge").await.unwrap();
    let answer = client.read_until("large").await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413 "));
    assert_ends(&proxy, &[("client_error", 1.0)], &[("client_error", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_one_connection_stay_there_and_all_others_pass() {
    let lines = "content-type: text/plain\r\nkeep-alive: timeout=9\r\nx-own: 1\r\nconnection: x-own\r\n\
                 x-told: caf\u{e9}\r\ncontent-length: 2";
    let peer = Peer::start([Step::Send([peer::head(lines), b"ok".to_vec()].concat())]).await;
    let proxy = before(peer.address, &[]);
    let request =
        b"POST /v1/models?a=%20b HTTP/1.1\r\nhost: models.example\r\nconnection: X-Mine\r\n\
        x-mine: 1\r\nkeep-alive: 5\r\nproxy-authorization: Basic eDp5\r\nte: trailers, gzip\r\n\
        upgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nauthorization: Bearer key\r\n\
        accept-encoding: gzip, zstd\r\nx-bytes: \xff\xfe\r\nx-forwarded-for: 192.0.2.7\r\n\
        transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let mut client = send(&proxy, request).await;
    let answer = client.read_until("ok").await.unwrap().to_vec();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("\r\nx-told: caf\u{e9}\r\n"), "{answer}");
    for gone in ["keep-alive", "x-own", "via", "x-forwarded"] {
        assert!(!answer.contains(gone), "{gone} in {answer}");
    }
    let head = peer.heads().remove(0);
    assert!(head.starts_with("POST /v1/models?a=%20b HTTP/1.1\r\n"), "{head}");
    for gone in ["x-mine", "keep-alive", "proxy-auth", "gzip\r", "upgrade", "http2-settings"] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
    for line in [
        &format!("host: {}", peer.address),
        "authorization: Bearer key",
        "accept-encoding: gzip, zstd",
        // What is no UTF-8, as the peer shows it.
        "x-bytes: \u{fffd}\u{fffd}",
        "te: trailers",
        "connection: te",
        "transfer-encoding: chunked",
        "x-forwarded-for: 192.0.2.7, 127.0.0.1",
        "x-forwarded-host: models.example",
        "x-forwarded-proto: http",
        "via: 1.1 dynamo-metrics",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_target_makes_it_go_anywhere_else() {
    let peer = Peer::page(peer::TEXT, "mine").await;
    let other = Peer::page(peer::TEXT, "elsewhere").await;
    let (proxy, away) = (before(peer.address, &[]), other.address);
    for (target, host) in [
        (format!("http://{away}/v1/models"), "a".to_owned()),
        ("/v1/models".to_owned(), away.to_string()),
        (format!("//{away}/v1/models"), "a".to_owned()),
        (format!("/v1/models?url=http://{away}"), "a".to_owned()),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        assert!(rest(send(&proxy, request).await).await.ends_with("mine"), "{target}");
    }
    let refused = [
        (format!("CONNECT {away} HTTP/1.1\r\nhost: {away}\r\n\r\n"), "501"),
        ("TRACE / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "501"),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "400"),
        (
            "POST /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
                .to_owned(),
            "501",
        ),
    ];
    for (request, status) in refused {
        let mut client = send(&proxy, &request).await;
        let head = client.read_until("\r\n\r\n").await.unwrap();
        assert!(head.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{request}");
    }
    assert_eq!((peer.heads().len(), other.heads().len()), (4, 0));
    assert!(peer.heads().iter().all(|head| head.contains(&format!("host: {}\r\n", peer.address))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_in_both_directions() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
                  trailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&[]);
    let mut client = send(
        &proxy,
        "POST /v1/embeddings HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: x-digest\r\n\
         transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-digest: 9\r\n\r\n",
    )
    .await;
    let (mut end, _) = upstream.next().await;
    end.read_until("\r\n0\r\nx-digest: 9\r\n\r\n").await.unwrap();
    end.send(answer.as_bytes()).await.unwrap();
    client.read_until("\r\n0\r\nx-sum: 7\r\n\r\n").await.unwrap();

    let over_http2 = h2::Client::open(proxy.server).await;
    let fetched = tokio::spawn(async move { over_http2.fetch(Method::GET, "/v1/models").await });
    let (mut end, head) = upstream.next().await;
    assert!(head.contains("\r\nvia: 2 dynamo-metrics\r\n"), "{head}");
    assert!(head.contains("\r\nx-forwarded-host: test\r\n"), "{head}");
    end.send(answer.as_bytes()).await.unwrap();
    let fetched = fetched.await.unwrap().unwrap();
    assert_eq!(fetched.data, b"ok");
    assert_eq!(fetched.trailers.unwrap()["x-sum"], "7");
    assert_ends(&proxy, &[("success", 2.0)], &[("success", 2.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_held_for_those_who_do_not_read() {
    /// More than all that the sockets in between can hold.
    const TOO_MUCH: usize = 128 << 20;
    /// Longest time that a socket is waited for which takes some more.
    const STUCK: Duration = Duration::from_millis(500);
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&[]);
    let block = chunk(&"x".repeat(1 << 20));
    let fill = async |end: &mut h1::Client| {
        let mut taken = 0;
        while timeout(STUCK, end.send(block.as_bytes())).await.is_ok_and(|sent| sent.is_ok()) {
            taken += block.len();
            assert!(taken < TOO_MUCH, "somebody holds {taken} bytes");
        }
    };
    // An answer that its client does not read, and then a request that its upstream does not.
    let client = ask(&proxy).await;
    let (mut end, _) = upstream.next().await;
    end.send(EVENTS.as_bytes()).await.unwrap();
    fill(&mut end).await;
    drop(client);

    let head = "POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut client = send(&proxy, head).await;
    let (end, _) = upstream.next().await;
    fill(&mut client).await;
    // That a client leaves would stand behind all that it sent; an upstream's end is seen at once.
    drop(end);
    let ends = [("server_error", 1.0), ("cancelled", 1.0)];
    assert_ends(&proxy, &ends, &ends);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_sockets_become_a_tunnel_that_is_counted_as_a_connection() {
    const ASK: &str = "GET /v1/realtime HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\n\
                       upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&[]);
    let sockets = |name: &str| {
        let labels = [("dynamo_endpoint", "web_sockets")];
        proxy.page().sum(&format!("dynamo_component_{name}"), &labels)
    };
    let mut client = send(&proxy, ASK).await;
    let (mut end, head) = upstream.next().await;
    for line in ["upgrade: websocket", "connection: upgrade", "sec-websocket-key: dGhlIH"] {
        assert!(head.contains(&format!("\r\n{line}")), "{line} in {head}");
    }
    end.send(
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
               sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello",
    )
    .await
    .unwrap();
    let agreed = client.read_until("\r\n\r\nhello").await.unwrap().to_vec();
    let agreed = String::from_utf8(agreed).unwrap();
    for line in ["HTTP/1.1 101", "upgrade: websocket", "connection: upgrade", "sec-websocket-ac"] {
        assert!(agreed.contains(line), "{line} in {agreed}");
    }
    client.send(b"\x00\xffping").await.unwrap();
    end.read_until("ping").await.unwrap();
    assert_eq!(
        (sockets("connections_opened_total"), sockets("connections_active")),
        (Some(1.0), Some(1.0))
    );
    drop(client);
    drop(end);
    wait_for("the tunnel to end", || (sockets("connections_active") == Some(0.0)).then_some(()));
    assert_ends(&proxy, &[("success", 1.0)], &[("success", 1.0)]);

    // One that the upstream does not want is an answer like any other.
    let mut client = send(&proxy, ASK).await;
    let (mut end, _) = upstream.next().await;
    end.send(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
    let refused = client.read_until("\r\n\r\nno").await.unwrap();
    assert!(refused.starts_with(b"HTTP/1.1 403 "));
    assert_eq!(sockets("connections_opened_total"), Some(1.0));
}

/// Answers by the path's last part, and tells the request in headers.
async fn tell(request: Request) -> http::Response<Body> {
    let status = request.uri().path().rsplit('/').next().and_then(|part| part.parse().ok());
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let response = http::Response::builder()
        .status(status.unwrap_or(StatusCode::OK))
        .header("x-version", format!("{:?}", head.version))
        .header("x-method", head.method.as_str())
        .header("x-body", body.len())
        .header("etag", "\"1\"");
    // Axum would give a 204 a length, which it may not have.
    let none = status == Some(StatusCode::NO_CONTENT);
    response.body(if none { Body::empty() } else { Body::from("four") }).unwrap()
}

async fn teller() -> SocketAddr {
    serve(Router::new().fallback(any(tell)).layer(DefaultBodyLimit::disable())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_keep_their_heads() {
    let address = teller().await;
    let proxy = before(address, &[]);
    for (method, path) in [("HEAD", "/200"), ("GET", "/204"), ("GET", "/304"), ("GET", "/200")] {
        let direct = h1::Client::exchange(address, method, path).await.unwrap();
        let passed = h1::Client::exchange(proxy.server, method, path).await.unwrap();
        let lines = |answer: Vec<u8>| {
            let text = String::from_utf8(answer).unwrap();
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.retain(|line| !line.starts_with("date: "));
            // Hyper leaves this out where a 304 comes from elsewhere, as it may.
            lines.retain(|line| path != "/304" || !line.starts_with("content-length: "));
            lines.sort_unstable();
            lines
        };
        assert_eq!(lines(passed), lines(direct), "{method} {path}");
    }
    assert_ends(&proxy, &[("success", 4.0)], &[("success", 4.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_to_be_told_to_go_on_is_told() {
    let proxy = before(teller().await, &[]);
    let head = "POST /v1/embeddings HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n";
    let mut client = send(&proxy, format!("{head}content-length: 3\r\n\r\n")).await;
    client.read_until("HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    client.send(b"yes").await.unwrap();
    client.read_until("x-body: 3\r\n").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_body_of_a_get_passes_as_well() {
    let proxy = before(teller().await, &[]);
    let head = "GET /v1/models HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut client = send(&proxy, format!("{head}3\r\nyes\r\n0\r\n\r\n")).await;
    client.read_until("x-body: 3\r\n").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_of_http_go_in_and_out() {
    let address = teller().await;
    for (options, upstream) in [(&[][..], "HTTP/1.1"), (&["--upstream-http2"], "HTTP/2.0")] {
        let proxy = before(address, options);
        let answer = h2::Client::open(proxy.server).await.fetch(Method::GET, "/v1/models").await;
        let answer = answer.unwrap();
        assert_eq!((answer.status, &answer.data[..]), (StatusCode::OK, &b"four"[..]));
        assert_eq!(answer.headers["x-version"], upstream);
        let old = b"POST /v1/models HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}";
        let answer = rest(send(&proxy, old).await).await;
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("four"), "{answer}");
        assert!(answer.contains(&format!("x-version: {upstream}\r\n")), "{answer}");
        assert_ends(&proxy, &[("success", 2.0)], &[("success", 2.0)]);
    }
}
