//! gRPC calls that do not go well, over real sockets: errors in the midst of a stream, clients that
//! leave in either direction, and statuses that are no failure.

mod grpc_echo;
mod served;

use std::future::{pending, ready};
use std::time::Duration;

use bytes::Bytes;
use dynamo_metrics::clock::Manual;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::counts::Counts;
use dynamo_metrics_tests::script::{Broken, Script, Step, poll_once};
use dynamo_metrics_tower::{GrpcCode, MetricsLayer, MetricsLayerBuilder};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::mpsc;
use tonic::Code;
use tonic::service::Routes;
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

use crate::grpc_echo::measured::{Grpc, grpc};
use crate::grpc_echo::{Client, Echo, ones, serve};

/// A measured server, and a measured client of it.
async fn both_ends() -> (Grpc, Grpc, Client) {
    let (server, client) = (Grpc::new(), Grpc::client());
    let address = serve(server.layer.clone()).await;
    let calls = Client::connect(address, &client.layer).await;
    (server, client, calls)
}

/// Messages that are sent as the test sends them.
fn told() -> (mpsc::UnboundedSender<Vec<u8>>, impl stream::Stream<Item = Vec<u8>> + Send) {
    let (say, mut hear) = mpsc::unbounded_channel();
    (say, stream::poll_fn(move |cx| hear.poll_recv(cx)))
}

/// Calls of a method that were told any status.
fn statuses(end: &Grpc, method: &str) -> f64 {
    end.sum("grpc_status_total", method, &[]).unwrap()
}

#[tokio::test]
async fn unary_calls_are_started_told_a_status_and_timed_once_each() {
    let (server, client, mut calls) = both_ends().await;
    calls.unary("Say", b"hi").await.unwrap();
    calls.unary("Say", b"fail").await.unwrap_err();
    server.ended("Say", 2.0).await;
    client.ended("Say", 2.0).await;
    for end in [&server, &client] {
        let sum = |name| end.sum(name, "Say", &[]);
        assert_eq!(sum("requests_started_total"), Some(2.0));
        assert_eq!(sum("request_duration_seconds_count"), Some(2.0));
        assert_eq!((end.status("Say", "OK"), end.status("Say", "FAILED_PRECONDITION")), (1.0, 1.0));
        assert_eq!((statuses(end, "Say"), sum("errors_total")), (2.0, Some(1.0)));
    }
}

#[tokio::test]
async fn a_stream_that_fails_has_its_messages_and_then_its_status() {
    let (server, client, mut calls) = both_ends().await;
    calls.server_streaming("Repeat", b"2").await.unwrap().count().await;
    let mut answers = calls.server_streaming("Repeat", b"3 fail").await.unwrap();
    for _ in 0..3 {
        answers.next().await.unwrap().unwrap();
    }
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::FailedPrecondition);
    drop(answers);
    for end in [&server, &client] {
        end.ended("Repeat", 2.0).await;
        assert_eq!(end.status("Repeat", "OK"), 1.0);
        assert_eq!(end.status("Repeat", "FAILED_PRECONDITION"), 1.0);
        assert_eq!(end.outcome("Repeat", "client_error"), 1.0);
        assert_eq!(end.sum("request_duration_seconds_count", "Repeat", &[]), Some(2.0));
    }
    assert_eq!((server.messages("Repeat"), client.messages("Repeat")), ((5.0, 2.0), (2.0, 5.0)));
}

#[tokio::test]
async fn a_chat_that_its_client_resets_is_cancelled() {
    let server = Grpc::new();
    let client = served::h2::Client::open(serve(server.layer.clone()).await).await;
    let head = Request::post("http://test/test.v1.Echo/Chat").header("te", "trailers");
    let mut chat = client.begin(head.header("content-type", "application/grpc")).await;
    chat.say(b"\0\0\0\0\x02hi");
    let chat = chat.first_frame().await;
    assert_eq!(server.sum("inflight_requests", "Chat", &[]), Some(1.0));
    chat.reset();
    server.ended("Chat", 1.0).await;
    assert_eq!(server.outcome("Chat", "cancelled"), 1.0);
    assert_eq!(server.sum("cancellation_total", "Chat", &[]), Some(1.0));
    assert_eq!(server.messages("Chat"), (1.0, 1.0));
    // tonic may still say that it was cancelled, and nothing else.
    assert_eq!(statuses(&server, "Chat"), server.status("Chat", "CANCELLED"));
}

#[tokio::test]
async fn a_client_that_hears_no_more_of_a_chat_has_cancelled_it_on_its_side() {
    let (server, client, mut calls) = both_ends().await;
    let (say, messages) = told();
    for _ in 0..3 {
        say.send(b"hi".to_vec()).unwrap();
    }
    let mut answers = calls.streaming("Chat", messages).await.unwrap();
    for _ in 0..3 {
        assert_eq!(answers.next().await.unwrap().unwrap(), b"hi");
    }
    drop(answers);
    client.ended("Chat", 1.0).await;
    assert_eq!((client.outcome("Chat", "cancelled"), statuses(&client, "Chat")), (1.0, 0.0));
    assert_eq!(client.messages("Chat"), (3.0, 3.0));
    // The server is told nothing as long as there is more to say; what it is told then is a race.
    drop(say);
    server.ended("Chat", 1.0).await;
    assert_eq!(server.messages("Chat"), (3.0, 3.0));
}

#[tokio::test]
async fn a_client_that_says_no_more_has_not_left() {
    let (server, client, mut calls) = both_ends().await;
    let (say, messages) = told();
    say.send(b"hi".to_vec()).unwrap();
    let mut answers = calls.streaming("Chat", messages).await.unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap(), b"hi");
    drop(say);
    assert!(answers.next().await.is_none());
    for end in [&server, &client] {
        end.ended("Chat", 1.0).await;
        assert_eq!((end.outcome("Chat", "success"), end.status("Chat", "OK")), (1.0, 1.0));
    }
}

#[tokio::test]
async fn a_client_that_leaves_an_upload_has_cancelled_it_at_both_ends() {
    let (server, client, mut calls) = both_ends().await;
    let (say, messages) = told();
    for _ in 0..5 {
        say.send(b"part".to_vec()).unwrap();
    }
    let upload = tokio::spawn(async move {
        let _ = calls.client_streaming("Collect", messages).await;
    });
    let wait = async {
        while server.messages("Collect").1 < 5.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    for end in [&server, &client] {
        end.ended("Collect", 1.0).await;
        assert_eq!((end.outcome("Collect", "cancelled"), statuses(end, "Collect")), (1.0, 0.0));
    }
    assert_eq!((server.messages("Collect"), client.messages("Collect")), ((0.0, 5.0), (5.0, 0.0)));
}

#[tokio::test]
async fn a_connection_that_breaks_cancels_all_of_its_calls() {
    let server = Grpc::new();
    let address = serve(server.layer.clone()).await;
    // The connection is of a runtime that ends.
    let connection = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let unmeasured = MetricsLayer::client(&Registry::new()).build().unwrap();
            let mut calls = Client::connect(address, &unmeasured).await;
            for _ in 0..3 {
                let (say, messages) = told();
                say.send(b"hi".to_vec()).unwrap();
                let mut answers = calls.streaming("Chat", messages).await.unwrap();
                answers.next().await.unwrap().unwrap();
                std::mem::forget((say, answers));
            }
        });
    });
    connection.await.unwrap();
    server.ended("Chat", 3.0).await;
    assert_eq!((server.outcome("Chat", "cancelled"), server.status("Chat", "OK")), (3.0, 0.0));
}

#[test]
fn a_call_that_is_dropped_past_its_deadline_took_too_long() {
    let never = || service_fn(|_: Request<_>| pending::<Result<Response<Script>, Broken>>());
    for (deadline, outcome) in [("1S", "timeout"), ("2S", "cancelled"), ("soon", "cancelled")] {
        let (server, time) = (Grpc::new(), Manual::new());
        time.run(|| {
            let request = Request::post("/test.v1.Echo/Say").header("grpc-timeout", deadline);
            let request = request.body(Full::<Bytes>::default()).unwrap();
            let call = server.layer.layer(never()).call(request);
            time.advance(Duration::from_millis(1_500));
            drop(call);
        });
        assert_eq!(server.outcome("Say", outcome), 1.0, "{deadline}");
    }
    // One that is answered late is answered.
    let (server, time) = (Grpc::new(), Manual::new());
    time.run(|| {
        let request = Request::post("/test.v1.Echo/Say").header("grpc-timeout", "1S");
        let mut echo = server.layer.layer(service_fn(|_: Request<_>| {
            let script = Script::new([Step::trailer("grpc-status", "0")]);
            ready(Ok::<_, Broken>(grpc().body(script).unwrap()))
        }));
        let call = echo.call(request.body(Full::<Bytes>::default()).unwrap());
        time.advance(Duration::from_secs(2));
        let mut body = call.now_or_never().unwrap().unwrap().into_body();
        while poll_once(&mut body).is_some() {}
    });
    assert_eq!((server.outcome("Say", "success"), server.status("Say", "OK")), (1.0, 1.0));
}

#[tokio::test]
async fn a_call_that_tonic_ends_at_its_deadline_took_too_long() {
    let server = Grpc::new();
    let client = served::h2::Client::open(serve(server.layer.clone()).await).await;
    let head = Request::post("http://test/test.v1.Echo/Collect").header("te", "trailers");
    let head = head.header("content-type", "application/grpc").header("grpc-timeout", "20m");
    let mut upload = client.begin(head).await;
    upload.say(b"\0\0\0\0\x02hi");
    // tonic drops it, and answers in its place.
    server.ended("Collect", 1.0).await;
    assert_eq!(server.outcome("Collect", "timeout"), 1.0);
    assert_eq!((server.messages("Collect"), statuses(&server, "Collect")), ((0.0, 1.0), 0.0));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failure_without_a_status() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let client = Grpc::client();
    let mut calls = Client::lazy(nobody, Duration::from_secs(10), &client.layer);
    let error = calls.unary("Say", b"hi").await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    client.ended("Say", 1.0).await;
    assert_eq!((client.outcome("Say", "server_error"), statuses(&client, "Say")), (1.0, 0.0));
}

#[tokio::test]
async fn messages_count_however_many_are_in_a_frame() {
    let server = Grpc::new();
    let request = Request::post("/test.v1.Echo/Repeat").header("content-type", "application/grpc");
    let request = request.body(Full::new(Bytes::from_static(b"\0\0\0\0\x041000"))).unwrap();
    let mut body = server.layer.layer(Echo).oneshot(request).await.unwrap().into_body();
    let mut frames = 0;
    while let Some(frame) = body.frame().await {
        frames += usize::from(frame.unwrap().is_data());
    }
    // Else tonic packs them no more, and this test says less than it seems to.
    assert!((1..100).contains(&frames), "{frames}");
    assert_eq!(server.messages("Repeat"), (1_000.0, 1.0));
    assert_eq!(server.status("Repeat", "OK"), 1.0);
}

#[tokio::test]
async fn a_service_within_an_axum_router_has_its_methods_as_endpoints() {
    let server = Grpc::with(MetricsLayerBuilder::matched_routes);
    let router = Routes::new(Echo).into_axum_router().layer(server.layer.clone());
    let address = served::serve(router).await;
    let unmeasured = MetricsLayer::client(&Registry::new()).build().unwrap();
    let mut calls = Client::connect(address, &unmeasured).await;
    assert_eq!(calls.streaming("Chat", ones(4)).await.unwrap().count().await, 4);
    for scan in 0..50 {
        let error = calls.unary(&format!("Scan{scan}"), b"").await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented);
    }
    server.ended("Chat", 1.0).await;
    assert_eq!((server.messages("Chat"), server.status("Chat", "OK")), ((4.0, 4.0), 1.0));
    let text = encode::text(&server.registry);
    assert!(!text.contains("Scan"), "{text}");
    assert_eq!(Counts::of_all(&text).started, 51.0);
}

/// Ends a call by these trailers.
fn end_with(server: &Grpc, pairs: &[(&'static str, &str)]) {
    let trailers: HeaderMap =
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let script = Script::new([Step::data("\0\0\0\0\0"), Step::Trailers(trailers)]);
    let mut body = server.answer(grpc().body(script).unwrap());
    while poll_once(&mut body).is_some() {}
}

#[test]
fn statuses_that_are_declared_a_success_are_one_in_trailers_and_in_the_head() {
    let server = Grpc::with(|builder| {
        builder.grpc_successes([GrpcCode::InvalidArgument, GrpcCode::NotFound])
    });
    for status in ["0", "3", "5", "6", "13", "", "-1", "99", "03"] {
        end_with(&server, &[("grpc-status", status)]);
    }
    // An answer of a head alone.
    drop(
        server
            .answer(grpc().header("grpc-status", "5").body(Script::new([]).telling_end()).unwrap()),
    );
    assert_eq!(server.outcome("Say", "success"), 4.0);
    assert_eq!(server.outcome("Say", "client_error"), 1.0);
    assert_eq!(server.outcome("Say", "server_error"), 5.0);
    assert_eq!(server.sum("errors_total", "Say", &[]), Some(6.0));
    // What it was stays visible.
    let shown = ["OK", "INVALID_ARGUMENT", "NOT_FOUND", "_OTHER"].map(|c| server.status("Say", c));
    assert_eq!(shown, [1.0, 1.0, 2.0, 4.0]);
}

#[test]
fn what_a_status_says_in_words_becomes_no_label() {
    let server = Grpc::new();
    let before = encode::text(&server.registry).lines().count();
    for number in 0..100 {
        let message = format!("made%20up%20{number}");
        end_with(&server, &[("grpc-status", "13"), ("grpc-message", &message), ("made-up", "1")]);
        end_with(&server, &[("grpc-status", &message)]);
    }
    let text = encode::text(&server.registry);
    assert_eq!((text.contains("made"), text.lines().count()), (false, before));
    assert_eq!((server.status("Say", "INTERNAL"), server.status("Say", "_OTHER")), (100.0, 100.0));
}
