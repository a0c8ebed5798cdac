//! The frontend's sets, under the names of Dynamo and of others: every name, kind, label and bucket
//! bound as the tables in `golden/sets` have them, and the values that requests leave.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dynamo_metrics::encode;
use dynamo_metrics::llm::{
    AdmissionMetrics, AdmissionReject, EventLoopMetrics, FailureClass, FailureReason,
    FrontendMetrics, LoraMetrics, MigrationOutcome, MigrationType, Names, QueueLimit,
    RequestMetrics, RequestType, ServingPhase, Stage, WorkerType,
};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::exposed::exposed;
use dynamo_metrics_tests::golden::check;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::MetricsLayer;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer as _, ServiceExt as _, service_fn};

const MS: Duration = Duration::from_millis(1);

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A stream of two frames, with its usage.
const STREAM: [&str; 2] = [
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n",
    "\
data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" you\"},\"finish_reason\":\"length\"}]}\n\n\
data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":2,\"total_tokens\":14,\
\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\n\
data: [DONE]\n\n",
];

fn compare(name: &str, registry: &Registry) {
    check(&format!("sets/{name}.txt"), &exposed(&encode::text(registry)));
}

fn frontend(registry: &Registry, names: impl IntoIterator<Item = Names>) -> FrontendMetrics {
    FrontendMetrics::builder(registry).names(names).environment(&|_| None).register().unwrap()
}

/// Serves a request by `answer`, as a frontend's endpoint does.
fn serve(frontend: &FrontendMetrics, endpoint: &str, answer: impl Fn(&RequestMetrics) -> Answer) {
    // What the layer measures by itself is another set's, in another registry.
    let apart = Registry::new();
    let layer = MetricsLayer::builder(&apart.component("api"))
        .frontend_route("/", endpoint, frontend)
        .build()
        .unwrap();
    let service = layer.layer(service_fn(|request: Request<_>| {
        let told: &RequestMetrics = request.extensions().get().unwrap();
        std::future::ready(Ok::<_, Infallible>(answer(told)))
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let request = Request::post("/").body(Full::new(&b"{}"[..])).unwrap();
        service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    });
}

fn stream() -> Answer {
    let frames = STREAM.map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes()))));
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))).unwrap()
}

fn answer(status: u16) -> Answer {
    Response::builder().status(status).body(Full::from("text").boxed()).unwrap()
}

/// Requests with all that there is to tell of one.
fn requests(registry: &Registry, frontend: &FrontendMetrics) {
    let llama = frontend.serve("llama");
    llama.total_kv_blocks(1);
    llama.max_num_seqs(2);
    llama.max_num_batched_tokens(3);
    llama.context_length(4);
    llama.kv_cache_block_size(5);
    llama.migration_limit(6);
    llama.ready(true);
    llama.migrated(MigrationType::NewRequest, MigrationOutcome::Success, MS);
    llama.too_long_to_migrate();
    let workers = [WorkerType::Prefill, WorkerType::Decode];
    let workers = workers.map(|kind| frontend.worker(1, None, kind));
    serve(frontend, "chat_completions", |request| {
        request.request_type(RequestType::Stream);
        request.model("llama");
        request.input_tokens(12);
        for worker in &workers {
            request.worker(worker);
        }
        drop(request.stage(Stage::Preprocess, Some(ServingPhase::Prefill)));
        request.templated(MS);
        request.tokenized(MS);
        request.detokenized(MS, 2);
        request.tokenizer_cache(4, 8);
        request.images(1);
        request.videos(0);
        request.audio(2);
        request.image_tokens(256);
        stream()
    });
    serve(frontend, "embeddings", |request| {
        request.model("llama");
        answer(200)
    });
    serve(frontend, "completions", |request| {
        request.model("llama");
        answer(529)
    });
    serve(frontend, "completions", |request| {
        request.model("made-up");
        request.failure(FailureClass::BackendProtocol, FailureReason::BackendUnknown);
        answer(499)
    });
    for worker in &workers {
        worker.active_decode_blocks(1);
        worker.active_prefill_tokens(2);
    }
    // While the workers are there, whose series go with them.
    compare("frontend", registry);
}

#[test]
fn the_frontends_set_is_dynamos() {
    let registry = Registry::new();
    requests(&registry, &frontend(&registry, Names::Dynamo));
    let page = Page::read(&encode::text(&registry));
    let count = |name: &str, labels: &[(&str, &str)]| {
        page.sum(&format!("dynamo_frontend_{name}"), labels).unwrap_or_default()
    };
    let llama = ("model", "llama");
    for (name, labels, value) in [
        ("requests_started_total", &[llama, ("request_type", "stream")][..], 1.0),
        ("requests_started_total", &[], 4.0),
        ("requests_total", &[llama], 3.0),
        ("requests_total", &[("error_type", "overload"), llama], 1.0),
        ("active_requests", &[], 0.0),
        ("queued_requests", &[], 0.0),
        ("disconnected_clients", &[], 1.0),
        ("model_cancellation_total", &[("model", "unknown_model")], 1.0),
        ("model_rejection_total", &[llama, ("endpoint", "completions")], 1.0),
        ("failures_total", &[("class", "WorkerOverloaded")], 1.0),
        ("failures_total", &[("class", "BackendProtocol"), ("reason", "backend.unknown")], 1.0),
        ("input_sequence_tokens_sum", &[llama], 12.0),
        ("cached_tokens_sum", &[llama], 8.0),
        ("output_sequence_tokens_sum", &[llama], 2.0),
        ("output_tokens_total", &[llama], 2.0),
        ("time_to_first_token_seconds_count", &[llama], 1.0),
        ("embedding_latency_seconds_count", &[llama], 1.0),
        ("images_per_request_sum", &[llama], 1.0),
        ("videos_per_request_count", &[llama], 1.0),
        ("image_tokens_per_request_sum", &[llama], 256.0),
        ("detokenize_total_us", &[], 1_000.0),
        ("tokenizer_cache_uncached_tokens_total", &[llama], 8.0),
    ] {
        assert_eq!(count(name, labels), value, "{name} {labels:?}");
    }
    assert!(!encode::text(&registry).contains("made-up"));
}

#[test]
fn a_frontends_worker_takes_its_gauges_with_it() {
    let registry = Registry::builder().worker_id(7).build();
    let frontend = frontend(&registry, Names::Dynamo);
    let worker = frontend.worker(12, Some(3), WorkerType::Decode);
    let request = frontend.request(&Arc::from("chat_completions"));
    request.worker(&worker);
    worker.active_decode_blocks(5);
    drop(worker);
    let text = encode::text(&registry);
    let line = "dynamo_frontend_worker_active_decode_blocks{dp_rank=\"3\",worker_id=\"12\",\
                worker_type=\"decode\"} 5\n";
    assert!(text.contains(line), "its request still holds it: {text}");
    drop(request);
    assert!(!encode::text(&registry).contains("worker_id=\"12\""));
}

#[test]
fn a_frontend_has_the_names_of_others_with_their_labels_and_bounds() {
    for (name, names) in [("frontend_vllm", Names::Vllm), ("frontend_gen_ai", Names::GenAi)] {
        let registry = Registry::new();
        let frontend = frontend(&registry, names);
        frontend.serve("llama");
        for served in [stream, || answer(500)] {
            serve(&frontend, "chat_completions", |request| {
                request.model("llama");
                served()
            });
        }
        compare(name, &registry);
        let page = Page::read(&encode::text(&registry));
        let sum = |name: &str, labels: &[(&str, &str)]| page.sum(name, labels).unwrap_or_default();
        if names == Names::Vllm {
            let of = ("model_name", "llama");
            assert_eq!(sum("vllm:e2e_request_latency_seconds_count", &[of]), 2.0);
            assert_eq!(sum("vllm:prompt_tokens_total", &[of]), 12.0);
            assert_eq!(sum("vllm:prompt_tokens_cached_total", &[of]), 8.0);
            assert_eq!(sum("vllm:generation_tokens_total", &[of]), 2.0);
            assert_eq!(sum("vllm:inter_token_latency_seconds_count", &[of]), 1.0);
            let reason = |word| sum("vllm:request_success_total", &[of, ("finished_reason", word)]);
            assert_eq!((reason("length"), reason("error")), (1.0, 1.0));
        } else {
            let of = ("gen_ai_operation_name", "chat");
            let name = "gen_ai_server_request_duration_seconds_count";
            assert_eq!(sum(name, &[of, ("error_type", "internal")]), 1.0);
            assert_eq!(sum(name, &[of, ("error_type", "")]), 1.0);
            let used = |kind| sum("gen_ai_client_token_usage_sum", &[("gen_ai_token_type", kind)]);
            assert_eq!((used("input"), used("output")), (12.0, 2.0));
        }
    }
}

#[test]
fn several_names_at_once_are_all_there() {
    let registry = Registry::new();
    let names = [Names::Dynamo, Names::Vllm, Names::GenAi];
    let frontend = frontend(&registry, names);
    frontend.serve("llama");
    serve(&frontend, "chat_completions", |request| {
        request.model("llama");
        stream()
    });
    let page = Page::read(&encode::text(&registry));
    for name in [
        "dynamo_frontend_time_to_first_token_seconds_count",
        "vllm:time_to_first_token_seconds_count",
        "gen_ai_server_time_to_first_token_seconds_count",
    ] {
        assert_eq!(page.sum(name, &[]), Some(1.0), "{name}");
    }
}

#[test]
fn the_other_sets_of_a_frontend_are_dynamos() {
    let registry = Registry::new();
    let admission = AdmissionMetrics::register(&registry).unwrap();
    let queue = admission.queue("llama", WorkerType::Prefill, "batch");
    queue.received();
    queue.pending(1, 2, 3);
    queue.rejected(AdmissionReject::DueTimePassed);
    queue.full(QueueLimit::RequestLimit);
    compare("admission", &registry);
    drop(queue);
    assert_eq!(exposed(&encode::text(&registry)), "");

    let registry = Registry::new();
    let lora = LoraMetrics::register(&registry).unwrap();
    let adapter = lora.adapter("generate", "law");
    adapter.replicas(1.0);
    adapter.active(true);
    adapter.arrivals(2.0);
    adapter.estimated_load(0.5);
    adapter.active_requests(1.0);
    lora.churn("generate", 1.0, 2.0, 3.0);
    compare("lora", &registry);

    let registry = Registry::new();
    let event_loop = EventLoopMetrics::register(&registry).unwrap();
    event_loop.woke_after(EventLoopMetrics::PERIOD + 5 * MS);
    event_loop.woke_after(EventLoopMetrics::PERIOD + 6 * MS);
    compare("event_loop", &registry);
    let page = Page::read(&encode::text(&registry));
    assert_eq!(page.sum("dynamo_frontend_event_loop_stall_total", &[]), Some(1.0));
}
