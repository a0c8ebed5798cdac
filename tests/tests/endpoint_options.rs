//! Objectives of an endpoint: good requests and their tokens; and whose endpoint's choices count.

mod meter;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use dynamo_metrics::clock::Manual;
use dynamo_metrics::encode;
use dynamo_metrics::llm::stream::{CountTokens, Grpc, Seen, StreamReader};
use dynamo_metrics::llm::{EndpointOptions, FrontendMetrics, InterToken, Slo};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::script::{Script, Step, poll_once};
use dynamo_metrics_tower::{BuildError, MetricsLayer, RequestBody};
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use tower::{Layer as _, Service as _, service_fn};

use crate::meter::Meter;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Streams two tokens: the first after so many milliseconds, the second after as many more.
fn stream(meter: &Meter, first: u64, second: u64, end: &str) {
    let time = Manual::new();
    time.run(|| {
        let frames = [&openai::content("one"), &openai::content("two"), end].map(Step::data);
        let mut body = meter.typed("text/event-stream", Script::new(frames));
        for after in [first, second, 0, 0] {
            time.advance(ms(after));
            poll_once(&mut body);
        }
    });
}

#[test]
fn good_requests_and_their_tokens_are_counted_by_objective() {
    let slo = Slo::new()
        .time_to_first_token(ms(200))
        .inter_token_latency(ms(30))
        .time_per_output_token(ms(25))
        .duration(ms(500));
    let meter = Meter::with(EndpointOptions::new().slo(slo));
    stream(&meter, 200, 25, DONE);
    stream(&meter, 201, 25, DONE);
    stream(&meter, 100, 28, DONE);
    stream(&meter, 100, 31, DONE);
    stream(&meter, 100, 10, &openai::error());
    let counts = |slo| {
        ["true", "false"]
            .map(|met| meter.sum("slo_requests_total", &[("slo", slo), ("met", met)]).unwrap())
    };
    assert_eq!(counts("ttft"), [3.0, 1.0]);
    assert_eq!(counts("itl"), [3.0, 1.0]);
    assert_eq!(counts("tpot"), [2.0, 2.0]);
    assert_eq!(counts("e2e"), [4.0, 0.0]);
    assert_eq!(counts("all"), [1.0, 4.0]);
    assert_eq!(meter.sum("slo_good_output_tokens_total", &[]), Some(2.0));
    assert_eq!(meter.sum("slo_threshold_seconds", &[("slo", "ttft")]), Some(0.2));
}

#[test]
fn an_endpoint_without_objectives_has_none() {
    let meter = Meter::new();
    stream(&meter, 1, 1, DONE);
    assert_eq!(meter.sum("slo_requests_total", &[]), None);
}

#[test]
fn each_endpoint_has_choices_of_its_own_and_the_others_those_of_all() {
    let registry = Registry::new();
    let ask = |ms| EndpointOptions::new().slo(Slo::new().duration(Duration::from_millis(ms)));
    let _layer = MetricsLayer::builder(&registry.component("api"))
        .route("/chat", "chat")
        .route("/models", "models")
        .options(ask(100))
        .endpoint_options("chat", ask(5_000))
        .build()
        .unwrap();
    let page = Page::read(&encode::text(&registry));
    let threshold = |endpoint| {
        page.sum("dynamo_component_slo_threshold_seconds", &[("dynamo_endpoint", endpoint)])
    };
    assert_eq!(threshold("chat"), Some(5.0));
    assert_eq!(threshold("models"), Some(0.1));
    assert_eq!(threshold("unmatched"), Some(0.1));
}

#[test]
fn choices_of_an_endpoint_that_there_is_not_are_a_mistake() {
    let builder = || MetricsLayer::builder(&Registry::new().component("api")).route("/a", "a");
    let built = builder().endpoint_options("b", EndpointOptions::new()).build();
    assert_eq!(built.err(), Some(BuildError::NoEndpoint("b".into())));
    assert!(builder().endpoint_options("unmatched", EndpointOptions::new()).build().is_ok());
    // Axum's routes come later.
    let matched = builder().matched_routes().endpoint_options("b", EndpointOptions::new());
    assert!(matched.build().is_ok());
}

/// A token in each byte.
struct Bytewise;

impl StreamReader for Bytewise {
    fn read(&mut self, frame: &[u8], seen: &mut Seen) {
        seen.tokens += frame.len() as u64;
    }
}

/// The page after one answer of `body` to a request for `path`.
fn answer(layer: &MetricsLayer, path: &str, content_type: &'static str, body: Vec<u8>) {
    let mut body = Some(Full::new(Bytes::from(body)));
    let mut service = layer.layer(service_fn(|_: Request<_>| {
        let response = Response::builder().header("content-type", content_type);
        let response = response.body(body.take().unwrap()).unwrap();
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let request = Request::post(path).body(Empty::<Bytes>::new()).unwrap();
    let response = service.call(request).now_or_never().unwrap().unwrap();
    response.into_body().collect().now_or_never().unwrap().unwrap();
}

#[test]
fn a_chunk_of_many_tokens_is_as_slow_as_each_of_them() {
    let slow = Slo::new().inter_token_latency(ms(30));
    let chunk = |tokens| openai::content_with_usage("eight tokens", tokens);
    for (mode, met) in [(InterToken::PerToken, "true"), (InterToken::PerChunk, "false")] {
        let meter = Meter::with(EndpointOptions::new().slo(slow).inter_token(mode));
        let time = Manual::new();
        time.run(|| {
            let frames = [&chunk(8), &chunk(16), DONE].map(Step::data);
            let mut body = meter.typed("text/event-stream", Script::new(frames));
            for after in [100, 200, 0, 0] {
                time.advance(ms(after));
                poll_once(&mut body);
            }
        });
        let labels = [("slo", "itl"), ("met", met)];
        assert_eq!(meter.sum("slo_requests_total", &labels), Some(1.0), "{mode:?}");
    }
}

#[test]
fn of_two_layers_of_one_endpoint_the_outer_one_counts() {
    let registry = Registry::new();
    let frontend = FrontendMetrics::register(&registry).unwrap();
    let layer = MetricsLayer::builder(&registry.component("api"))
        .frontend_route("/chat", "chat", &frontend)
        .build()
        .unwrap();
    let answer = service_fn(|request: Request<_>| async move {
        let body: RequestBody<RequestBody<Full<Bytes>>> = request.into_body();
        body.collect().await.unwrap();
        let words = openai::content("one") + DONE;
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, Infallible>(response.body(Full::new(Bytes::from(words))).unwrap())
    });
    let mut service = layer.layer(layer.layer(answer));
    let request = Request::post("/chat").body(Full::new(Bytes::from_static(b"12345"))).unwrap();
    let response = service.call(request).now_or_never().unwrap().unwrap();
    response.into_body().collect().now_or_never().unwrap().unwrap();
    let page = Page::read(&encode::text(&registry));
    let sum = |name: &str| page.sum(&format!("dynamo_{name}"), &[]).unwrap();
    assert_eq!(sum("component_requests_total"), 1.0);
    assert_eq!(sum("component_request_bytes_total"), 5.0);
    assert_eq!(sum("component_output_tokens_total"), 1.0);
    assert_eq!(sum("frontend_requests_total"), 1.0);
    assert_eq!(sum("frontend_output_tokens_total"), 1.0);
}

#[test]
fn an_endpoint_is_read_as_its_choices_say_before_all_else() {
    let registry = Registry::new();
    let options = EndpointOptions::new().reader(|_| Some(Box::new(Bytewise)));
    let layer = MetricsLayer::builder(&registry.component("api"))
        .route("/bytes", "bytes")
        .route("/other", "other")
        .endpoint_options("bytes", options)
        .build()
        .unwrap();
    for path in ["/bytes", "/other"] {
        answer(&layer, path, "text/plain", b"12345".to_vec());
    }
    let page = Page::read(&encode::text(&registry));
    let tokens = |endpoint| {
        page.sum("dynamo_component_output_tokens_total", &[("dynamo_endpoint", endpoint)])
    };
    assert_eq!((tokens("bytes"), tokens("other")), (Some(5.0), None));
}

/// A gRPC message.
fn message(payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    message.extend(payload);
    message
}

#[test]
fn grpcs_messages_are_tokens_where_the_method_says_so() {
    let registry = Registry::new();
    let count = EndpointOptions::new().reader(|_| {
        Some(Box::new(Grpc::new(CountTokens::new(|message: &[u8]| message.len() as u64))))
    });
    // `ModelStreamInferResponse` with one output, called `text_output`, of one string.
    let output = [b"\x0a\x0btext_output\x12\x05BYTES\x1a\x01\x01".as_slice()].concat();
    let raw = [&2_u32.to_le_bytes()[..], b"Hi"].concat();
    let mut infer = vec![0x2A, u8::try_from(output.len()).unwrap()];
    infer.extend(output);
    infer.extend([0x32, u8::try_from(raw.len()).unwrap()]);
    infer.extend(raw);
    let mut response = vec![0x12, u8::try_from(infer.len()).unwrap()];
    response.extend(infer);
    let layer = MetricsLayer::builder(&registry.component("api"))
        .grpc_service("inference.GRPCInferenceService", ["ModelStreamInfer"])
        .grpc_service("my.Words", ["Say", "Count"])
        .endpoint_options("my_Words_Count", count)
        .build()
        .unwrap();
    let grpc = "application/grpc";
    let infer = "/inference.GRPCInferenceService/ModelStreamInfer";
    answer(&layer, infer, grpc, message(&response));
    answer(&layer, "/my.Words/Say", grpc, message(b"four"));
    answer(&layer, "/my.Words/Count", grpc, message(b"four"));
    let text = encode::text(&registry);
    let page = Page::read(&text);
    let tokens = |endpoint| {
        page.sum("dynamo_component_output_tokens_total", &[("dynamo_endpoint", endpoint)])
    };
    assert_eq!(tokens("inference_GRPCInferenceService_ModelStreamInfer"), Some(1.0), "{text}");
    assert_eq!(tokens("my_Words_Say"), None);
    assert_eq!(tokens("my_Words_Count"), Some(4.0));
}

#[test]
fn the_model_of_a_request_is_the_one_that_its_answer_names_if_it_is_served() {
    let registry = Registry::new();
    let frontend = FrontendMetrics::register(&registry).unwrap();
    frontend.serve("m");
    let layer = MetricsLayer::builder(&registry.component("api"))
        .frontend_route("/v1/chat/completions", "chat_completions", &frontend)
        .build()
        .unwrap();
    let chat = |content_type, body: String| {
        answer(&layer, "/v1/chat/completions", content_type, body.into_bytes());
    };
    let words = openai::content("one") + &openai::content("two") + DONE;
    chat("text/event-stream", words.clone());
    chat("text/event-stream", words.replace("\"m\"", "\"made-up\""));
    chat("application/json", r#"{"model":"m","usage":{"completion_tokens":3}}"#.to_owned());
    let text = encode::text(&registry);
    let page = Page::read(&text);
    let of = |name: &str, model| {
        page.sum(&format!("dynamo_frontend_{name}"), &[("model", model)]).unwrap_or_default()
    };
    assert_eq!(of("requests_total", "m"), 2.0);
    assert_eq!(of("requests_total", "unknown_model"), 1.0);
    assert_eq!(of("output_tokens_total", "m"), 5.0);
    assert_eq!(of("output_tokens_total", "unknown_model"), 2.0);
    assert_eq!(of("output_sequence_tokens_sum", "unknown_model"), 2.0);
    assert_eq!(of("time_to_first_token_seconds_count", "m"), 1.0);
    assert_eq!(of("inflight_requests", "m"), 0.0);
    assert!(!text.contains("made-up"), "{text}");
}
