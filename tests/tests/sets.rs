//! The seed systems' sets, each with all that it can have on one page: every name, kind, label and
//! bucket bound as the tables in `golden/sets` have them, which were written from Dynamo's own. Those
//! of a frontend are in `sets_frontend.rs`.

use std::time::Duration;

use dynamo_metrics::encode;
use dynamo_metrics::llm::{
    Admission, Batch, BatchMeter, Circuit, EndpointMetrics, EngineMetrics, ErrorType, Evaluation,
    KubeError, KvOffload, KvOnboard, KvTier, KvbmMetrics, LoadDecision, Names, OperatorMetrics,
    Override, PlannerMetrics, PlannerStage, PluginMetrics, Reconciled, RequestPlaneMetrics,
    RouterMetrics, RouterOverhead, RouterStep, ServingPhase, ThroughputDecision, WorkPoolMetrics,
    WorkerType,
};
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics_tests::exposed::exposed;
use dynamo_metrics_tests::golden::check;
use dynamo_metrics_tests::page::Page;

const MS: Duration = Duration::from_millis(1);

fn compare(name: &str, registry: &Registry) {
    check(&format!("sets/{name}.txt"), &exposed(&encode::text(registry)));
}

#[test]
fn a_work_handlers_set_is_dynamos_and_more() {
    let registry = Registry::builder().worker_id(0x1f).build();
    let scope = registry.namespace("prod").component("backend").endpoint("generate");
    let labels = [("model", "llama"), ("model_name", "llama")];
    let handler = EndpointMetrics::register_with(&scope, &labels).unwrap();
    handler.error(ErrorType::PublishFinal);
    let page = encode::text(&registry);
    let exposed = exposed(&page);
    let path = dynamo_metrics_tests::tools::workspace().join("tests/golden/sets/work_handler.txt");
    for line in std::fs::read_to_string(path).unwrap().lines() {
        assert!(exposed.lines().any(|own| own == line), "{line} is not in {exposed}");
    }
    for word in [
        "deserialization",
        "invalid_message",
        "response_stream",
        "generate",
        "serialization",
        "publish_response",
        "publish_final",
    ] {
        assert!(page.contains(&format!("error_type=\"{word}\"")), "{word}");
    }
}

#[test]
fn a_workers_pool_is_dynamos() {
    let registry = Registry::new();
    let pool = WorkPoolMetrics::register(&registry).unwrap();
    pool.received_after(MS);
    pool.responded_after(MS);
    pool.capacity(1_024, 64);
    pool.queued(3);
    pool.full();
    pool.permitted(MS);
    pool.engine(5, 2);
    pool.turned_away();
    let task = pool.task();
    compare("work_pool", &registry);
    drop(task);
    let page = Page::read(&encode::text(&registry));
    assert_eq!(page.sum("dynamo_work_handler_pool_active_tasks", &[]), Some(0.0));
    assert_eq!(page.sum("dynamo_request_queue", &[]), Some(2.0));
}

fn component(registry: &Registry) -> Scope {
    registry.namespace("prod").component("backend")
}

#[test]
fn a_routers_sets_are_dynamos() {
    let registry = Registry::new();
    let overhead = RouterOverhead::register(&registry, 7).unwrap();
    for step in [
        RouterStep::BlockHashing,
        RouterStep::SeqHashing,
        RouterStep::IndexerFindMatches,
        RouterStep::Scheduling,
        RouterStep::Total,
        RouterStep::SharedCacheQuery,
    ] {
        overhead.took(step, MS);
    }
    overhead.shared_cache_failed();
    compare("router_overhead", &registry);

    let registry = Registry::builder().worker_id(0x1f).build();
    let router = RouterMetrics::register(&component(&registry), 7).unwrap();
    let llama = router.serve("llama");
    let worker = router.worker(12, None, WorkerType::Decode);
    router.started();
    router.dispatched();
    router.first_token(MS);
    router.finished(7, Some(MS));
    router.predicted_hits(3, 4);
    router.shared_hits(2, 4, 1);
    router.kv_transferred(MS);
    router.overlap_lost(WorkerType::Prefill, 2.5);
    router.index_query_failed();
    router.index_write_failed();
    llama.input_tokens(ServingPhase::Prefill, 512);
    llama.cached_prefix(ServingPhase::Prefill, 256, 128);
    llama.reused(ServingPhase::Prefill, 128);
    llama.mismatched_event_sources(WorkerType::Decode, ["prod", "backend", "generate"], 1);
    compare("router", &registry);
    drop((llama, worker));
    let text = encode::text(&registry);
    assert!(!text.contains("llama") && !text.contains("router_worker_id"), "{text}");

    let registry = Registry::new();
    let plane = RequestPlaneMetrics::register(&registry).unwrap();
    let mut call = plane.enter();
    call.sending();
    call.sent();
    call.answered();
    call.answered();
    compare("request_plane", &registry);
    drop(call);
    let page = Page::read(&encode::text(&registry));
    assert_eq!(page.sum("dynamo_request_plane_inflight_requests", &[]), Some(0.0));
    assert_eq!(page.sum("dynamo_request_plane_roundtrip_ttft_seconds_count", &[]), Some(1.0));
}

#[test]
fn the_block_managers_set_is_dynamos() {
    let registry = Registry::new();
    let kvbm = KvbmMetrics::register(&registry).unwrap();
    for way in [
        KvOffload::DeviceToHost,
        KvOffload::HostToDisk,
        KvOffload::DeviceToDisk,
        KvOffload::DeviceToObject,
    ] {
        kvbm.offloaded(way, 1);
    }
    for way in [KvOnboard::HostToDevice, KvOnboard::DiskToDevice, KvOnboard::ObjectToDevice] {
        kvbm.onboarded(way, 1);
    }
    kvbm.matched_tokens(16);
    assert!(!encode::text(&registry).contains("hit_rate"), "nothing was looked up");
    for tier in [KvTier::Host, KvTier::Disk, KvTier::Object] {
        kvbm.looked_up(tier, 1, 4);
    }
    kvbm.object_read_failed();
    kvbm.object_write_failed();
    compare("kvbm", &registry);
    let page = Page::read(&encode::text(&registry));
    assert_eq!(page.sum("kvbm_disk_cache_hit_rate", &[]), Some(0.25));
    assert_eq!(page.sum("kvbm_offload_blocks_d2o", &[]), Some(1.0));
}

#[test]
fn a_planners_sets_are_dynamos() {
    let registry = Registry::new();
    let planner = PlannerMetrics::register(&registry, None).unwrap();
    let gauges = &planner.gauges;
    for gauge in [
        &gauges.num_prefill_replicas,
        &gauges.num_decode_replicas,
        &gauges.observed_ttft_ms,
        &gauges.observed_itl_ms,
        &gauges.observed_requests_per_second,
        &gauges.observed_request_duration_seconds,
        &gauges.observed_input_sequence_tokens,
        &gauges.observed_output_sequence_tokens,
        &gauges.predicted_requests_per_second,
        &gauges.predicted_input_sequence_tokens,
        &gauges.predicted_output_sequence_tokens,
        &gauges.predicted_num_prefill_replicas,
        &gauges.predicted_num_decode_replicas,
        &gauges.gpu_hours,
        &gauges.sla_target_ttft_ms,
        &gauges.sla_target_itl_ms,
        &gauges.estimated_ttft_ms,
        &gauges.estimated_itl_ms,
        &gauges.engine_prefill_capacity_requests_per_second,
        &gauges.engine_decode_capacity_requests_per_second,
        &gauges.power_budget_total_watts,
        &gauges.power_projected_watts,
        &gauges.power_budget_utilization,
    ] {
        gauge.set(1.0);
    }
    gauges.load_scaling_decision.set(&LoadDecision::ScaleUp);
    gauges.throughput_scaling_decision.set(&ThroughputDecision::Scale);
    let engine = planner.engine(12, 0);
    engine.queued_prefill_tokens(1);
    engine.queued_decode_kv_tokens(2);
    engine.inflight_decode_kv_tokens(3);
    compare("planner", &registry);
    drop(engine);
    assert!(!encode::text(&registry).contains("worker_id"));

    let registry = Registry::new();
    let plugins = PluginMetrics::register(&registry).unwrap();
    let plugin = plugins.plugin("budget");
    plugin.evaluated(PlannerStage::Propose, Evaluation::Set, Some(MS));
    plugin.evaluated(PlannerStage::Propose, Evaluation::HeldOver, None);
    plugin.circuit(Circuit::HalfOpen);
    plugin.cache_age(MS);
    plugin.overrides(PlannerStage::Propose, Some(Override::AtLeast));
    plugin.short_circuited();
    plugin.skipped();
    plugin.unsatisfied("traffic.rate");
    plugin.lag(MS);
    plugins.clamped(PlannerStage::Reconcile, "decode", "budget");
    plugins.clamped(PlannerStage::Constrain, "decode", "budget");
    plugins.ticked(MS);
    plugins.timed_out();
    compare("planner_plugins", &registry);
    let page = Page::read(&encode::text(&registry));
    let active =
        |word| page.sum("dynamo_planner_plugin_override_active", &[("override_type", word)]);
    assert_eq!((active("AT_LEAST"), active("SET")), (Some(1.0), Some(0.0)));
    drop(plugin);
    assert!(!encode::text(&registry).contains("plugin_id"));
}

#[test]
fn an_operators_set_is_dynamos() {
    let registry = Registry::new();
    let operator = OperatorMetrics::register(&registry).unwrap();
    let kind = "DynamoGraphDeployment";
    operator.reconciled(kind, "prod", Reconciled::Success, MS);
    operator.reconciled(kind, "prod", Reconciled::Requeue, MS);
    operator.reconciled(kind, "prod", Reconciled::Error(KubeError::Conflict), MS);
    operator.admitted(kind, "CREATE", Admission::Allowed, MS);
    operator.admitted(kind, "UPDATE", Admission::Denied(KubeError::Validation), MS);
    operator.inventory(kind, [("prod", "ready", 2), ("test", "failed", 1)]);
    operator.inventory("Other", [("prod", "ready", 5)]);
    operator.managed_pods([("worker", "prod", 8), ("worker", "test", 1)]);
    compare("operator", &registry);
    operator.inventory(kind, [("prod", "ready", 3)]);
    operator.managed_pods([("worker", "prod", 9)]);
    let page = Page::read(&encode::text(&registry));
    let resources = |labels: &[_]| page.sum("dynamo_operator_resources_total", labels);
    assert_eq!(resources(&[("namespace", "test")]), None, "what is not listed any more is gone");
    assert_eq!(resources(&[("resource_type", kind)]), Some(3.0));
    assert_eq!(resources(&[("resource_type", "Other")]), Some(5.0));
    assert_eq!(page.sum("dynamo_operator_managed_pods_total", &[]), Some(9.0));
    assert_eq!(page.sum("dynamo_operator_reconcile_total", &[("result", "requeue")]), Some(1.0));
}

#[test]
fn an_engines_set_is_dynamos_and_vllms() {
    for (name, names) in [("engine", Names::Dynamo), ("engine_vllm", Names::Vllm)] {
        let registry = Registry::new();
        let scope = registry.component("backend");
        let builder = EngineMetrics::builder(&scope).model("llama").dp_rank(0);
        let engine = builder.names(names).register().unwrap();
        assert_eq!(exposed(&encode::text(&registry)), "", "nothing is known yet");
        engine.kv_blocks(1, 4);
        engine.cache_looked_up(3, 4);
        engine.model_loaded(MS);
        engine.drained(MS);
        engine.cleaned_up(MS);
        engine.shut_down("drain", "sigterm", MS);
        engine.embedding_looked_up(true);
        engine.embeddings_evicted(1);
        engine.embedding_cache(1, 512, 1_024);
        engine.image_cache(3);
        let page = encode::text(&registry);
        if names == Names::Dynamo {
            compare(name, &registry);
            let usage = Page::read(&page).sum("dynamo_component_gpu_cache_usage_percent", &[]);
            assert_eq!(usage, Some(0.25));
        } else {
            // The scope's label comes with it.
            let own = exposed(&page).replace("dynamo_component,", "");
            check(&format!("sets/{name}.txt"), &own);
        }
    }
}

#[test]
fn continuous_batching_is_what_transformers_had_and_vllms() {
    for (name, names) in [("batching", Names::Dynamo), ("batching_vllm", Names::Vllm)] {
        let registry = Registry::new();
        let builder = BatchMeter::builder(&registry).max_batch_tokens(1_000).model("llama");
        let meter = builder.names(names).register().unwrap();
        let decode = Batch { decode_tokens: 50, active_requests: 50, ..Batch::default() };
        meter.batch(&decode);
        assert!(
            !encode::text(&registry).contains("decode_prefill_ratio"),
            "there was no prompt yet"
        );
        meter.batch(&Batch {
            prefill_tokens: 200,
            waiting_requests: 4,
            kv_cache_bytes: 1_024,
            kv_cache_free_bytes: 3_072,
            ..decode
        });
        meter.first_token(60 * MS);
        meter.finished(600 * MS);
        compare(name, &registry);
        let page = Page::read(&encode::text(&registry));
        let sum = |name: &str| page.sum(name, &[]).unwrap_or_default();
        if names == Names::Dynamo {
            assert_eq!(sum("decode_prefill_ratio"), 0.25);
            assert_eq!(sum("batch_fill_percentage_sum"), 30.0);
            assert_eq!(sum("ttft_milliseconds_sum"), 60.0);
            assert_eq!(sum("decode_tokens_processed"), 100.0);
            assert_eq!(sum("waiting_requests_count"), 4.0);
        } else {
            assert_eq!(sum("vllm:kv_cache_usage_perc"), 0.25);
            assert_eq!(sum("vllm:iteration_tokens_total_sum"), 300.0);
            assert_eq!(sum("vllm:num_requests_waiting"), 4.0);
        }
    }
}
