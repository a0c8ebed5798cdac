//! How answers end under a real server: every ending has one outcome, and none is left in flight.

mod served;

use dynamo_metrics_tests::h1;
use http::Method;

use crate::served::{Served, h2};

/// The outcome of a request over HTTP/1.1 whose client reads whatever comes.
async fn over_http1(method: &str, path: &str) -> &'static str {
    let served = Served::start().await;
    h1::Client::exchange(served.address, method, path).await.unwrap();
    served.end_of_one().await
}

/// The outcome of a request over HTTP/2 whose client reads whatever comes.
async fn over_http2(method: Method, path: &str) -> &'static str {
    let served = Served::start().await;
    // Of an answer that breaks off the client sees an error, and the layer is to see more.
    let _ = h2::Client::open(served.address).await.fetch(method, path).await;
    served.end_of_one().await
}

/// The outcome of a request whose client closes the connection after `mark` has come.
async fn cut_after(path: &str, mark: &str) -> &'static str {
    let served = Served::start().await;
    let mut client = h1::Client::open(served.address).await.unwrap();
    client.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
    client.read_until(mark).await.unwrap();
    drop(client);
    served.end_of_one().await
}

/// The outcome of a request whose client resets the stream after the first frame.
async fn reset_after_first_frame(path: &str) -> &'static str {
    let served = Served::start().await;
    let client = h2::Client::open(served.address).await;
    let reading = client.send(Method::GET, path).await.first_frame().await;
    served.start_of_one().await;
    reading.reset();
    served.end_of_one().await
}

#[tokio::test]
async fn http1_a_fixed_body_is_a_success() {
    assert_eq!(over_http1("GET", "/plain").await, "success");
}

#[tokio::test]
async fn http1_the_head_of_a_fixed_body_is_a_success() {
    assert_eq!(over_http1("HEAD", "/plain").await, "success");
}

#[tokio::test]
async fn http1_an_empty_body_is_a_success() {
    assert_eq!(over_http1("GET", "/empty").await, "success");
}

#[tokio::test]
async fn http1_a_204_with_a_body_that_is_never_sent_is_a_success() {
    assert_eq!(over_http1("GET", "/204").await, "success");
}

#[tokio::test]
async fn http1_a_304_with_a_body_that_is_never_sent_is_a_success() {
    assert_eq!(over_http1("GET", "/304").await, "success");
}

#[tokio::test]
async fn http1_a_chunked_stream_is_a_success() {
    assert_eq!(over_http1("GET", "/chunked").await, "success");
}

#[tokio::test]
async fn http1_the_head_of_a_chunked_stream_is_a_success() {
    assert_eq!(over_http1("HEAD", "/chunked").await, "success");
}

#[tokio::test]
async fn http1_a_stream_of_declared_length_is_a_success() {
    assert_eq!(over_http1("GET", "/declared").await, "success");
}

#[tokio::test]
async fn http1_trailers_are_a_success() {
    assert_eq!(over_http1("GET", "/trailers").await, "success");
}

#[tokio::test]
async fn http1_events_up_to_done_are_a_success() {
    assert_eq!(over_http1("GET", "/sse").await, "success");
}

#[tokio::test]
async fn http1_a_path_that_nobody_serves_is_a_client_error() {
    assert_eq!(over_http1("GET", "/nowhere").await, "client_error");
}

#[tokio::test]
async fn http1_an_error_in_the_body_is_a_server_error() {
    assert_eq!(over_http1("GET", "/error").await, "server_error");
}

#[tokio::test]
async fn http1_a_panic_in_the_body_is_a_panic() {
    assert_eq!(over_http1("GET", "/panic").await, "panic");
}

#[tokio::test]
async fn http1_a_panic_in_the_handler_is_a_panic() {
    assert_eq!(over_http1("GET", "/panic-early").await, "panic");
}

#[tokio::test]
async fn http1_a_chunked_stream_that_the_client_cuts_is_cancelled() {
    assert_eq!(cut_after("/chunked-open", "hello").await, "cancelled");
}

#[tokio::test]
async fn http1_a_stream_of_declared_length_that_the_client_cuts_is_cancelled() {
    assert_eq!(cut_after("/declared-open", "hello").await, "cancelled");
}

#[tokio::test]
async fn http1_a_client_that_closes_at_done_is_a_success() {
    assert_eq!(cut_after("/sse-open", "[DONE]").await, "success");
}

#[tokio::test]
async fn http1_a_client_that_closes_before_the_head_cancels() {
    let served = Served::start().await;
    let mut client = h1::Client::open(served.address).await.unwrap();
    client.send(b"GET /never HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    served.start_of_one().await;
    drop(client);
    assert_eq!(served.end_of_one().await, "cancelled");
}

#[tokio::test]
async fn http1_requests_that_share_a_connection_end_one_by_one() {
    let served = Served::start().await;
    let mut client = h1::Client::open(served.address).await.unwrap();
    for (path, mark) in
        [("/declared", "helloworld"), ("/chunked", "0\r\n\r\n"), ("/plain", "hello")]
    {
        client.clear();
        client.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
        client.read_until(mark).await.unwrap();
    }
    let counts = served.when(|counts| counts.ended == 3.0).await;
    assert_eq!(counts.outcomes, [("success", 3.0)]);
    assert!(counts.is_settled());
}

#[tokio::test]
async fn http2_a_fixed_body_is_a_success() {
    assert_eq!(over_http2(Method::GET, "/plain").await, "success");
}

#[tokio::test]
async fn http2_the_head_of_a_fixed_body_is_a_success() {
    assert_eq!(over_http2(Method::HEAD, "/plain").await, "success");
}

#[tokio::test]
async fn http2_the_head_of_a_stream_is_a_success() {
    assert_eq!(over_http2(Method::HEAD, "/chunked").await, "success");
}

#[tokio::test]
async fn http2_a_304_with_a_body_is_a_success() {
    assert_eq!(over_http2(Method::GET, "/304").await, "success");
}

#[tokio::test]
async fn http2_a_stream_is_a_success() {
    assert_eq!(over_http2(Method::GET, "/chunked").await, "success");
}

#[tokio::test]
async fn http2_a_stream_of_declared_length_is_a_success() {
    assert_eq!(over_http2(Method::GET, "/declared").await, "success");
}

#[tokio::test]
async fn http2_trailers_are_a_success() {
    assert_eq!(over_http2(Method::GET, "/trailers").await, "success");
}

#[tokio::test]
async fn http2_an_error_in_the_body_is_a_server_error() {
    assert_eq!(over_http2(Method::GET, "/error").await, "server_error");
}

#[tokio::test]
async fn http2_a_panic_in_the_body_is_a_panic() {
    assert_eq!(over_http2(Method::GET, "/panic").await, "panic");
}

#[tokio::test]
async fn http2_a_stream_that_the_client_resets_is_cancelled() {
    assert_eq!(reset_after_first_frame("/chunked-open").await, "cancelled");
}

#[tokio::test]
async fn http2_a_stream_of_declared_length_that_the_client_resets_is_cancelled() {
    assert_eq!(reset_after_first_frame("/declared-open").await, "cancelled");
}

#[tokio::test]
async fn http2_a_client_that_resets_before_the_head_cancels() {
    let served = Served::start().await;
    let client = h2::Client::open(served.address).await;
    let sent = client.send(Method::GET, "/never").await;
    served.start_of_one().await;
    sent.reset();
    assert_eq!(served.end_of_one().await, "cancelled");
}

#[tokio::test]
async fn http2_a_panic_in_one_stream_leaves_its_neighbour_whole() {
    let served = Served::start().await;
    let client = h2::Client::open(served.address).await;
    let neighbour = client.send(Method::GET, "/gated").await.first_frame().await;
    assert!(client.fetch(Method::GET, "/panic").await.is_err());
    let counts = served.when(|counts| counts.ended == 1.0).await;
    assert_eq!((counts.outcomes.as_slice(), counts.in_flight), (&[("panic", 1.0)][..], 1.0));
    served.gate.send_replace(true);
    assert!(neighbour.rest().await.unwrap().ends_with(b"[DONE]\n\n"));
    let counts = served.when(|counts| counts.ended == 2.0).await;
    assert_eq!(counts.outcomes, [("success", 1.0), ("panic", 1.0)]);
    assert!(counts.is_settled());
}
