//! What goes wrong at one side of the proxy shows at the other, and is counted at both.

mod proxied;
mod served;

use dynamo_metrics_tests::openai;
use dynamo_metrics_tests::peer::{self, Peer, Step};
use dynamo_metrics_tests::program::{Proxy, free_port};
use http::Method;
use tokio::net::{TcpSocket, TcpStream};

use crate::proxied::{EVENTS, PATIENCE, Upstream, ask, assert_ends, chunk, rest, send};
use crate::served::h2;

fn first_event() -> String {
    EVENTS.to_owned() + &chunk(&openai::content("Hi"))
}

/// Asks the proxy, and asserts that it answers itself, by this status and code.
async fn assert_answered(proxy: &Proxy, status: &str, code: &str) {
    let answer = ask(proxy).await.read_until("}}").await.unwrap().to_vec();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["code"], code);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_takes_its_request_with_it() {
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&[]);
    // In mid-stream over HTTP/1.1, before the head, and in mid-stream over HTTP/2.
    let mut client = ask(&proxy).await;
    let (mut end, _) = upstream.next().await;
    end.send(first_event().as_bytes()).await.unwrap();
    client.read_until("Hi").await.unwrap();
    drop(client);
    end.read_to_end().await.unwrap();

    let client = ask(&proxy).await;
    let (end, _) = upstream.next().await;
    drop(client);
    end.read_to_end().await.unwrap();

    let client = h2::Client::open(proxy.server).await;
    let sent = client.send(Method::POST, "/v1/chat/completions").await;
    let (mut end, _) = upstream.next().await;
    end.send(first_event().as_bytes()).await.unwrap();
    sent.first_frame().await.reset();
    end.read_to_end().await.unwrap();
    let page = assert_ends(&proxy, &[("cancelled", 3.0)], &[("cancelled", 3.0)]);
    assert_eq!(page.sum("dynamo_upstream_output_tokens_total", &[]), Some(2.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_breaks_off_breaks_its_clients_body() {
    for (steps, way) in [
        (vec![Step::Send(first_event().into_bytes()), Step::Reset], "reset"),
        (vec![Step::Send(first_event().into_bytes())], "closed within a body of chunks"),
        (vec![Step::Send([peer::head("content-length: 9"), b"some".to_vec()].concat())], "short"),
    ] {
        let peer = Peer::start(steps).await;
        let proxy = Proxy::start(&["--upstream", &format!("http://{}", peer.address)]);
        let answer = rest(ask(&proxy).await).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{way}: {answer}");
        let whole = answer.ends_with("\r\n0\r\n\r\n") || answer.contains("something");
        assert!(!whole, "{way}: {answer}");
        let over_http2 = h2::Client::open(proxy.server).await;
        let broken = over_http2.fetch(Method::GET, "/v1/chat/completions").await;
        assert!(broken.is_err(), "{way}: {broken:?}");
        assert_ends(&proxy, &[("server_error", 2.0)], &[("server_error", 2.0)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_cannot_be_reached_is_502() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    // No resolver takes such a name, so that none is asked.
    let nowhere = format!("http://{}.invalid", "x".repeat(64));
    for upstream in [nobody, nowhere] {
        let proxy = Proxy::start(&["--upstream", &upstream]);
        assert_answered(&proxy, "502 Bad Gateway", "upstream_unreachable").await;
        let page = assert_ends(&proxy, &[("server_error", 1.0)], &[("server_error", 1.0)]);
        // The proxy's own words are not the upstream's.
        assert_eq!(page.sum("dynamo_upstream_response_bytes_total", &[]), Some(0.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_breaks_off_before_its_head_or_talks_nonsense_is_502() {
    for (steps, code) in [
        (vec![Step::Reset], "upstream_broken"),
        (vec![], "upstream_broken"),
        (vec![Step::Send(b"HTTP/1.1 200".to_vec())], "upstream_broken"),
        (vec![Step::Send(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())], "upstream_garbled"),
        (vec![Step::Send(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_vec())], "upstream_garbled"),
    ] {
        let peer = Peer::start(steps).await;
        let proxy = Proxy::start(&["--upstream", &format!("http://{}", peer.address)]);
        assert_answered(&proxy, "502 Bad Gateway", code).await;
        assert_ends(&proxy, &[("server_error", 1.0)], &[("server_error", 1.0)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_whose_head_is_late_is_504_and_dropped() {
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&["--timeout-head", "0.2"]);
    let (end, ()) = tokio::join!(
        async { upstream.next().await.0 },
        assert_answered(&proxy, "504 Gateway Timeout", "upstream_timeout"),
    );
    end.read_to_end().await.unwrap();
    assert_ends(&proxy, &[("timeout", 1.0)], &[("timeout", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_takes_no_connection_is_504() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts, so that there is soon no room for one more.
    let connecting: Vec<_> = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
    let options = ["--upstream", &format!("http://{address}"), "--connect-timeout", "0.2"];
    let proxy = Proxy::start(&options);
    assert_answered(&proxy, "504 Gateway Timeout", "upstream_connect_timeout").await;
    assert_ends(&proxy, &[("timeout", 1.0)], &[("timeout", 1.0)]);
    connecting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_falls_silent_is_broken_off_if_so_chosen() {
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&["--idle-timeout", "0.2"]);
    let client = ask(&proxy).await;
    let (mut end, _) = upstream.next().await;
    end.send(first_event().as_bytes()).await.unwrap();
    let answer = rest(client).await;
    assert!(answer.contains("Hi") && !answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    end.read_to_end().await.unwrap();
    assert_ends(&proxy, &[("server_error", 1.0)], &[("timeout", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_read_is_the_clients_fault() {
    let upstream = Upstream::listen().await;
    let proxy = upstream.behind_proxy(&[]);
    let head = "POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut client = send(&proxy, format!("{head}2\r\n{{}}\r\n")).await;
    let (mut end, _) = upstream.next().await;
    end.read_until("{}").await.unwrap();
    client.send(b"no length\r\n").await.unwrap();
    client.read_until("bad_body").await.unwrap();
    assert!(!end.read_to_end().await.unwrap().ends_with(b"0\r\n\r\n"));
    assert_ends(&proxy, &[("client_error", 1.0)], &[("client_error", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_of_an_upstream_are_its_own() {
    let answer = b"HTTP/1.1 503 Busy\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\nlate".to_vec();
    let peer = Peer::start([Step::Send(answer)]).await;
    let proxy = Proxy::start(&["--upstream", &format!("http://{}", peer.address)]);
    let answer = ask(&proxy).await.read_until("late").await.unwrap().to_vec();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 3"), "{answer}");
    assert_ends(&proxy, &[("rejected", 1.0)], &[("rejected", 1.0)]);
    tokio::time::timeout(PATIENCE, peer.asked(1)).await.unwrap();
}
