//! HTTP/1 at the exporter's own door, to the byte: what is answered to those who ask in odd ways.

mod door;

use crate::door::{Answer, Door, LARGE, large};

/// The page of the small registry's gauge.
const PAGE: &str = "# TYPE x gauge\nx 7\n";

/// A `GET` of the gauge, the last on its connection, with `more` headers.
fn ask(more: &str) -> String {
    format!("GET /metrics?name[]=x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n")
}

/// Asks for what `query` names; status and body.
async fn asked(door: &Door, query: &str) -> (u16, String) {
    let answer = door.get(&format!("/metrics?{query}"), "").await;
    (answer.status, answer.text().to_owned())
}

#[tokio::test]
async fn requests_at_once_are_answered_in_order() {
    let door = Door::open().await;
    let paths = ["/metrics?name[]=x", "/live", "/nowhere", "/metrics?name[]=nothing"];
    let requests: Vec<String> = (0..80)
        .map(|n| format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", paths[n % 4]))
        .chain([ask("")])
        .collect();
    let sent = door.hear(requests.concat()).await;
    let mut rest = &sent[..];
    for n in 0..81 {
        let (answer, after) = Answer::read(rest, true);
        rest = after;
        let expected = [
            (200, PAGE),
            (200, r#"{"status":"live"}"#),
            (404, "not found: try /metrics, /health or /live\n"),
            (200, ""),
        ];
        assert_eq!((answer.status, answer.text()), expected[n % 4], "{n}");
    }
    assert!(rest.is_empty());
    door.assert_serves().await;
}

#[tokio::test]
async fn http_1_0_gets_no_chunks_and_its_end_is_the_connections() {
    let door = Door::open().await;
    for more in ["", "connection: close\r\n", "connection: keep-alive\r\n"] {
        let answer = door.ask(format!("GET /metrics?name[]=x HTTP/1.0\r\n{more}\r\n")).await;
        assert_eq!((answer.status, answer.text()), (200, PAGE));
        assert!(answer.head.starts_with("http/1.0 200"), "{}", answer.head);
        assert_eq!(answer.header("transfer-encoding"), None);
    }
    door.assert_serves().await;
}

#[tokio::test]
async fn http_1_0_may_keep_its_connection_where_the_length_is_known() {
    let door = Door::open().await;
    let live = "GET /live HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    let sent = door.hear([live, live, "GET /live HTTP/1.0\r\n\r\n"].concat()).await;
    let mut rest = &sent[..];
    for kept in [true, true, false] {
        let (answer, after) = Answer::read(rest, true);
        rest = after;
        assert_eq!(answer.text(), r#"{"status":"live"}"#);
        assert_eq!(answer.header("connection") == Some("keep-alive"), kept);
    }
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_head_alone_is_followed_by_nothing() {
    let door = Door::open_with(&large(), |exporter| exporter).await;
    for path in ["/metrics", "/", "/live", "/health", "/nowhere"] {
        let of =
            |method| format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let sent = door.hear(of("HEAD")).await;
        let (head, rest) = Answer::read(&sent, false);
        assert!(rest.is_empty(), "{path}: {}", String::from_utf8_lossy(rest));
        let whole = door.ask(of("GET")).await;
        assert_eq!(head.status, whole.status);
        assert_eq!(head.header("content-type"), whole.header("content-type"));
        // Either the length that a `GET` would say, or none.
        let length = head.header("content-length");
        assert!(length.is_none() || length == whole.header("content-length"), "{}", head.head);
    }
    door.assert_serves().await;
    assert_eq!(door.aborted(), 0.0);
}

#[tokio::test]
async fn nothing_that_is_accepted_is_not_acceptable() {
    let door = Door::open().await;
    let giant = "application/x;q=0.1,".repeat(2_000);
    for accept in
        ["image/png", "*/*;q=0", "text/plain;q=0", ";;;,,,", "\u{ff}", "text/plain;q=nan", &giant]
    {
        let answer = door.ask(ask(&format!("accept: {accept}\r\n"))).await;
        assert_eq!((answer.status, answer.text()), (200, PAGE), "{accept}");
        assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    }
    for encoding in ["br", "*;q=0", "identity;q=0", "gzip;q=0", ";q=1", "\u{ff}", &giant] {
        let answer = door.ask(ask(&format!("accept-encoding: {encoding}\r\n"))).await;
        assert_eq!((answer.status, answer.text()), (200, PAGE), "{encoding}");
        assert_eq!(answer.header("content-encoding"), None);
    }
    door.assert_serves().await;
}

#[tokio::test]
async fn names_that_nobody_has_show_nothing() {
    let door = Door::open().await;
    let nothing = (200, String::new());
    for odd in
        ["", "%00", "x%00", "%ff%fe", "%", "%zz", "x%0A", "%22}", "..%2F", "%F0%9F%98%80", "+", "X"]
    {
        assert_eq!(asked(&door, &format!("name[]={odd}")).await, nothing, "{odd}");
    }
    assert_eq!(asked(&door, "name[]=%zz&name[]=x&name[]=%00").await, (200, PAGE.to_owned()));
    assert_eq!(asked(&door, &format!("name[]={}", "x".repeat(60_000))).await, nothing);
    let many = "name[]=y&".repeat(7_000);
    assert_eq!(asked(&door, &many).await, nothing);
    assert_eq!(asked(&door, &format!("{many}name[]=x")).await, (200, PAGE.to_owned()));
    assert_eq!(asked(&door, &"&=&".repeat(10_000)).await.0, 200);
    assert_eq!(asked(&door, &many.repeat(2)).await.0, 414);
    door.assert_serves().await;
}

#[tokio::test]
async fn a_request_may_bring_a_body_that_nobody_reads() {
    let door = Door::open().await;
    let big = "x".repeat(2 << 20);
    for (headers, body) in [
        (format!("content-length: {}\r\n", big.len()), big.as_str()),
        ("content-length: 5\r\n".to_owned(), "hello"),
        ("content-length: 1000000\r\n".to_owned(), "and then nothing"),
        ("transfer-encoding: chunked\r\n".to_owned(), "5\r\nhello\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n".to_owned(), "5\r\nhello\r\n"),
        ("transfer-encoding: chunked\r\n".to_owned(), "no chunk"),
        ("transfer-encoding: chunked\r\n".to_owned(), "ffffffffffffffffff\r\n"),
        ("expect: 100-continue\r\ncontent-length: 5\r\n".to_owned(), ""),
        ("expect: 100-continue\r\ncontent-length: 5\r\n".to_owned(), "hello"),
        ("expect: something else\r\n".to_owned(), ""),
    ] {
        let answer = door.ask(ask(&headers) + body).await;
        assert_eq!((answer.status, answer.text()), (200, PAGE), "{headers}");
    }
    door.assert_serves().await;
}

#[tokio::test]
async fn a_body_is_not_the_next_request() {
    let door = Door::open().await;
    let smuggled = "GET /live HTTP/1.1\r\nhost: x\r\n\r\n";
    let head = format!("GET /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: {}", smuggled.len());
    let sent = door.hear(format!("{head}\r\n\r\n{smuggled}{}", ask(""))).await;
    let (first, rest) = Answer::read(&sent, true);
    let (second, rest) = Answer::read(rest, true);
    assert_eq!((first.status, second.text(), rest), (404, PAGE, &b""[..]));
}

#[tokio::test]
async fn a_page_is_whole_though_a_body_is_still_to_come() {
    let door = Door::open_with(&large(), |exporter| exporter).await;
    let head = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\n";
    let answer = door.ask(head).await;
    assert!(answer.body.len() > LARGE && answer.text().ends_with('\n'));
    door.assert_serves().await;
    assert_eq!(door.aborted(), 0.0);
}

#[tokio::test]
async fn other_paths_are_not_found_and_other_methods_not_allowed() {
    let door = Door::open().await;
    for path in ["/metricsx", "/metrics/", "//metrics", "/Metrics", "/metric%73", "/../metrics"] {
        assert_eq!(door.get(path, "").await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "BREW"] {
        for path in ["/metrics", "/live", "/health", "/"] {
            let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
            let answer = door.ask(format!("{head}content-length: 0\r\n\r\n")).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("get, head")));
        }
    }
    let whole = "GET http://else.where/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(door.ask(whole).await.status, 200, "a proxy's form");
    for target in ["CONNECT x:1", "OPTIONS *"] {
        let head = format!("{target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let status = door.ask(head).await.status;
        assert!([404, 405].contains(&status), "{target}: {status}");
    }
    door.assert_serves().await;
}
