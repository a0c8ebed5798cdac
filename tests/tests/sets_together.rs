//! All sets in one registry: none takes another's name, and strict parsers read the page.

use std::sync::Arc;
use std::time::Duration;

use dynamo_metrics::encode;
use dynamo_metrics::llm::{
    AdmissionMetrics, Batch, BatchMeter, EndpointMetrics, EngineMetrics, Evaluation,
    EventLoopMetrics, FrontendMetrics, KvTier, KvbmMetrics, LoraMetrics, Names, OperatorMetrics,
    PlannerMetrics, PlannerStage, PluginMetrics, Reconciled, RequestPlaneMetrics, RouterMetrics,
    RouterOverhead, RouterStep, ServingPhase, Stage, WorkPoolMetrics, WorkerType,
};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::prometheus::Folder;
use dynamo_metrics_tests::tools::python;

const MS: Duration = Duration::from_millis(1);

/// What strict parsers say of the registry.
fn parse(registry: &Registry) {
    let folder = Folder::new("sets-together");
    let text = folder.write("page.txt", &encode::text(registry));
    let open = folder.write("page.openmetrics", &encode::openmetrics(registry));
    let said = python("parse_pages.py").arg(text).arg(open).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn all_sets_stand_in_one_registry_and_strict_parsers_read_its_page() {
    let registry = Registry::builder().worker_id(0x1f).build();
    let scope = registry.namespace("prod").component("backend");
    let names = [Names::Dynamo, Names::GenAi, Names::Vllm];

    let frontend = FrontendMetrics::builder(&registry).names(names).register().unwrap();
    let model = frontend.serve("meta/llama \"3\"");
    model.ready(true);
    let worker = frontend.worker(1, None, WorkerType::Decode);
    worker.active_decode_blocks(1);
    let request = frontend.request(&Arc::from("chat_completions"));
    request.model("meta/llama \"3\"");
    let stage = request.stage(Stage::Dispatch, None);
    request.detokenized(MS, 3);
    let queue = AdmissionMetrics::register(&registry).unwrap();
    let queue = queue.queue("llama", WorkerType::Prefill, "batch");
    let lora = LoraMetrics::register(&registry).unwrap();
    lora.churn("generate", 1.0, 0.0, 0.0);
    EventLoopMetrics::register(&registry).unwrap().woke_after(20 * MS);

    let router = RouterMetrics::register(&scope, 7).unwrap();
    let (llama, there) = (router.serve("llama"), router.worker(1, None, WorkerType::Decode));
    llama.input_tokens(ServingPhase::Decode, 12);
    RouterOverhead::register(&registry, 7).unwrap().took(RouterStep::Total, MS);
    let plane = RequestPlaneMetrics::register(&registry).unwrap();
    let call = plane.enter();

    WorkPoolMetrics::register(&registry).unwrap().queued(1);
    let handler = EndpointMetrics::register(&scope.endpoint("generate")).unwrap();
    let engine = EngineMetrics::builder(&scope).model("llama").names(names).register().unwrap();
    engine.kv_blocks(1, 2);
    engine.cache_looked_up(1, 2);
    let meter = BatchMeter::builder(&scope).model("llama").names(names).register().unwrap();
    meter.batch(&Batch { prefill_tokens: 7, kv_cache_free_bytes: 1, ..Batch::default() });
    KvbmMetrics::register(&registry).unwrap().looked_up(KvTier::Disk, 1, 3);

    let planner = PlannerMetrics::register(&registry, Some("llama")).unwrap();
    planner.gauges.gpu_hours.set(1.5);
    let slot = planner.engine(1, 0);
    let plugin = PluginMetrics::register(&registry).unwrap().plugin("budget");
    plugin.evaluated(PlannerStage::Predict, Evaluation::Accept, Some(MS));
    let operator = OperatorMetrics::register(&registry).unwrap();
    operator.reconciled("Graph", "prod", Reconciled::Success, MS);
    operator.inventory("Graph", [("prod", "ready", 1)]);

    let listed = registry.catalogue();
    let names: Vec<&str> = listed.iter().map(|listed| listed.info().name).collect();
    for name in [
        "FrontendMetrics",
        "FrontendMetrics, as gen_ai",
        "FrontendMetrics, as vllm",
        "RouterMetrics",
        "EngineMetrics",
        "EngineMetrics, as vllm",
        "BatchMeter",
        "BatchMeter, as vllm",
        "PlannerMetrics",
        "PlannedEngine",
        "OperatorMetrics",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }

    parse(&registry);
    drop((stage, queue, there, call, handler, slot, plugin, worker));
    parse(&registry);
}
