//! Recording to the sets allocates nothing, once each series was used.

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use dynamo_metrics::llm::{
    Admission, AdmissionMetrics, AdmissionReject, Batch, BatchMeter, EndpointMetrics,
    EngineMetrics, ErrorType, Evaluation, FrontendMetrics, KubeError, KvOffload, KvTier,
    KvbmMetrics, Names, OperatorMetrics, PlannerStage, PluginMetrics, Reconciled,
    RequestPlaneMetrics, RouterMetrics, RouterOverhead, RouterStep, ServingPhase, Stage,
    WorkerType,
};
use dynamo_metrics::registry::Registry;

const MS: Duration = Duration::from_millis(1);

/// Runs `record` once to warm up, and tells how often it allocates after that.
fn allocations(mut record: impl FnMut()) -> u64 {
    record();
    measure(|| (0..100).for_each(|_| record())).count_total
}

#[test]
fn what_a_handler_tells_of_a_request_allocates_nothing() {
    let registry = Registry::new();
    let names = [Names::Dynamo, Names::GenAi, Names::Vllm];
    let frontend = FrontendMetrics::builder(&registry).names(names).register().unwrap();
    let model = frontend.serve("llama");
    let worker = frontend.worker(1, Some(0), WorkerType::Decode);
    let endpoint = Arc::from("chat_completions");
    let request = frontend.request(&endpoint);
    request.model("llama");
    let tell = || {
        model.context_length(1_024);
        model.ready(true);
        worker.active_decode_blocks(7);
        request.worker(&worker);
        request.input_tokens(7);
        request.tokenized(MS);
        request.detokenized(MS, 4);
        request.tokenizer_cache(1, 2);
        drop(request.stage(Stage::Route, Some(ServingPhase::Decode)));
    };
    assert_eq!(allocations(tell), 0);
    // One for the request itself, whoever asks for it and however many names there are.
    let begin = || {
        let request = frontend.request(&endpoint);
        request.model("llama");
        request.model("llama");
    };
    assert_eq!(allocations(begin), 100);
}

#[test]
fn the_sets_of_services_allocate_nothing() {
    let registry = Registry::new();
    let scope = registry.component("backend");
    let router = RouterMetrics::register(&scope, 7).unwrap();
    let (llama, overhead) = (router.serve("llama"), RouterOverhead::register(&scope, 7).unwrap());
    let plane = RequestPlaneMetrics::register(&scope).unwrap();
    let admission = AdmissionMetrics::register(&scope).unwrap();
    let queue = admission.queue("llama", WorkerType::Prefill, "batch");
    let dispatch = || {
        router.started();
        router.predicted_hits(3, 4);
        router.overlap_lost(WorkerType::Prefill, 1.0);
        llama.input_tokens(ServingPhase::Decode, 100);
        llama.cached_prefix(ServingPhase::Decode, 2, 1);
        overhead.took(RouterStep::Total, MS);
        let mut call = plane.enter();
        call.sending();
        call.sent();
        call.answered();
        queue.received();
        queue.pending(1, 2, 3);
        queue.rejected(AdmissionReject::PredictedMiss);
    };
    assert_eq!(allocations(dispatch), 0);

    let names = [Names::Dynamo, Names::Vllm];
    let engine = EngineMetrics::builder(&scope).names(names).register().unwrap();
    let meter = BatchMeter::builder(&scope).names(names).max_batch_tokens(64).register().unwrap();
    let (kvbm, handler) =
        (KvbmMetrics::register(&scope).unwrap(), EndpointMetrics::register(&scope).unwrap());
    let generates = || {
        engine.kv_blocks(1, 2);
        engine.cache_looked_up(1, 2);
        meter.batch(&Batch { prefill_tokens: 1, kv_cache_bytes: 1, ..Batch::default() });
        meter.first_token(MS);
        kvbm.offloaded(KvOffload::DeviceToHost, 1);
        kvbm.looked_up(KvTier::Host, 1, 2);
        handler.error(ErrorType::Serialization);
    };
    assert_eq!(allocations(generates), 0);

    let operator = OperatorMetrics::register(&scope).unwrap();
    let plugins = PluginMetrics::register(&scope).unwrap();
    let plugin = plugins.plugin("budget");
    let manages = || {
        let failed = Reconciled::Error(KubeError::Timeout);
        operator.reconciled("Graph", "prod", failed, MS);
        operator.admitted("Graph", "CREATE", Admission::Denied(KubeError::Forbidden), MS);
        plugin.evaluated(PlannerStage::Propose, Evaluation::Set, Some(MS));
        plugin.overrides(PlannerStage::Propose, None);
    };
    assert_eq!(allocations(manages), 0);
}
