//! gRPC as tonic speaks it, over real sockets: methods, messages and statuses of both ends.

mod grpc_echo;

use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::script::{Script, Step, poll_once};
use dynamo_metrics_tower::MetricsLayer;
use futures_util::StreamExt as _;
use http::Response;
use tonic::Code;

use crate::grpc_echo::measured::{Grpc, answer, grpc, with_echo};
use crate::grpc_echo::{Client, METHODS, ones, serve};

#[test]
fn declared_methods_have_all_statuses_at_zero() {
    let grpc = Grpc::new();
    let page = Page::read(&encode::text(&grpc.registry));
    let of = |sample: &&dynamo_metrics_tests::page::Sample| {
        sample.name == "dynamo_component_grpc_status_total" && sample.value == 0.0
    };
    assert_eq!(page.samples().iter().filter(of).count(), METHODS.len() * 18);
}

#[test]
fn a_status_is_one_of_a_closed_set_and_trailers_know_it_best() {
    let grpc = Grpc::new();
    // Trailers only.
    drop(grpc.answer(grpc_head("9").body(Script::new([])).unwrap()));
    assert_eq!(grpc.status("Say", "FAILED_PRECONDITION"), 1.0);
    // The head spoke too early.
    let mut body = grpc
        .answer(grpc_head("0").body(Script::new([Step::trailer("grpc-status", "13")])).unwrap());
    while poll_once(&mut body).is_some() {}
    assert_eq!((grpc.status("Say", "INTERNAL"), grpc.status("Say", "OK")), (1.0, 0.0));
    for status in ["99", "-1", "abc", ""] {
        drop(grpc.answer(grpc_head(status).body(Script::new([])).unwrap()));
    }
    assert_eq!(grpc.status("Say", "_OTHER"), 4.0);
}

fn grpc_head(status: &str) -> http::response::Builder {
    grpc().header("grpc-status", status)
}

#[test]
fn a_body_that_is_dropped_before_its_trailers_has_no_status() {
    let grpc = Grpc::new();
    let head = Response::builder().header("content-type", "application/grpc+proto");
    let script = Script::new([Step::data("\0\0\0\0\0"), Step::trailer("grpc-status", "0")]);
    let mut body = grpc.answer(head.body(script).unwrap());
    poll_once(&mut body);
    drop(body);
    assert_eq!((grpc.status("Say", "OK"), grpc.outcome("Say", "cancelled")), (0.0, 1.0));
    assert_eq!(grpc.messages("Say"), (1.0, 0.0));
}

#[test]
fn whoever_leaves_after_the_last_response_has_all_that_was_asked_for() {
    const METHOD: &str = "/inference.GRPCInferenceService/ModelStreamInfer";
    // In field 1 an error; in field 2 a response whose parameter says that it is the last.
    let error = "\0\0\0\0\x05\x0a\x03bad";
    let last = "\0\0\0\0\x1f\x12\x1d\x22\x1b\x0a\x15triton_final_response\x12\x02\x08\x01";
    for (messages, outcome) in [
        (&[last][..], "success"),
        (&[error, last], "server_error"),
        (&["\0\0\0\0\x02\x12\0"], "cancelled"),
    ] {
        let registry = Registry::new();
        let layer = MetricsLayer::builder(&registry.component("api"))
            .grpc_service("inference.GRPCInferenceService", ["ModelStreamInfer"])
            .build()
            .unwrap();
        let steps = messages.iter().map(|message| Step::data(message));
        let script = Script::new(steps.chain([Step::trailer("grpc-status", "0")]));
        let mut body = answer(&layer, METHOD, grpc().body(script).unwrap());
        for _ in messages {
            poll_once(&mut body);
        }
        drop(body);
        let page = Page::read(&encode::text(&registry));
        let ended = page.sum("dynamo_component_request_outcomes_total", &[("outcome", outcome)]);
        assert_eq!(ended, Some(1.0), "{outcome}");
        // The status was on its way.
        let told = page.sum("dynamo_component_grpc_status_total", &[]);
        assert_eq!(told, Some(0.0));
    }
}

#[tokio::test]
async fn calls_of_every_kind_count_their_messages_and_statuses_at_both_ends() {
    let (server, client) = (Grpc::new(), Grpc::new());
    let upstream = MetricsLayer::client(&client.registry.namespace("test").component("gateway"));
    let address = serve(server.layer.clone()).await;
    let mut calls = Client::connect(address, &with_echo(upstream)).await;
    assert_eq!(calls.unary("Say", b"hi").await.unwrap(), b"hi");
    assert_eq!(calls.unary("Say", b"fail").await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(calls.server_streaming("Repeat", b"1000").await.unwrap().count().await, 1_000);
    assert_eq!(calls.client_streaming("Collect", ones(300)).await.unwrap(), b"300");
    assert_eq!(calls.streaming("Chat", ones(7)).await.unwrap().count().await, 7);
    for method in ["Repeat", "Collect", "Chat"] {
        server.ended(method, 1.0).await;
        assert_eq!(server.status(method, "OK"), 1.0, "{method}");
        assert_eq!(server.outcome(method, "success"), 1.0, "{method}");
    }
    server.ended("Say", 2.0).await;
    assert_eq!((server.status("Say", "OK"), server.status("Say", "FAILED_PRECONDITION")), (1., 1.));
    assert_eq!(server.messages("Say"), (1.0, 2.0));
    assert_eq!(server.messages("Repeat"), (1_000.0, 1.0));
    assert_eq!(server.messages("Collect"), (1.0, 300.0));
    assert_eq!(server.messages("Chat"), (7.0, 7.0));
    let page = Page::read(&encode::text(&client.registry));
    for (method, sent, received) in
        [("Say", 2.0, 1.0), ("Repeat", 1.0, 1_000.0), ("Collect", 300.0, 1.0), ("Chat", 7.0, 7.0)]
    {
        let endpoint = format!("test_v1_Echo_{method}");
        let of = |direction| {
            let labels = [("dynamo_endpoint", &*endpoint), ("direction", direction)];
            page.sum("dynamo_upstream_grpc_messages_total", &labels)
        };
        assert_eq!((of("sent"), of("received")), (Some(sent), Some(received)), "{method}");
        let labels = [("dynamo_endpoint", &*endpoint), ("code", "OK")];
        assert_eq!(page.sum("dynamo_upstream_grpc_status_total", &labels), Some(1.0), "{method}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_has_cancelled_it() {
    let server = Grpc::new();
    let address = serve(server.layer.clone()).await;
    let unmeasured = MetricsLayer::client(&Registry::new()).build().unwrap();
    let mut calls = Client::connect(address, &unmeasured).await;
    // More than the connection takes without being read.
    let mut stream = calls.server_streaming("Repeat", b"1000000000").await.unwrap();
    assert!(stream.next().await.is_some());
    drop(stream);
    server.ended("Repeat", 1.0).await;
    assert_eq!(server.outcome("Repeat", "cancelled"), 1.0);
    assert_eq!(server.status("Repeat", "OK"), 0.0);
}

#[tokio::test]
async fn methods_that_nobody_knows_are_one_endpoint() {
    let server = Grpc::new();
    let address = serve(server.layer.clone()).await;
    let unmeasured = MetricsLayer::client(&Registry::new()).build().unwrap();
    let mut calls = Client::connect(address, &unmeasured).await;
    for i in 0..50 {
        let error = calls.unary(&format!("Scan{i}"), b"").await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented);
    }
    server.ended("_OTHER", 50.0).await;
    assert!(!encode::text(&server.registry).contains("Scan"));
}
