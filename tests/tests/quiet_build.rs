//! Building binds no port, opens no file and starts no thread, within a runtime or without one.
//!
//! One test alone, since it looks at its whole process.

#![cfg(target_os = "linux")]

use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::llm::{ConnectionMetrics, FrontendMetrics};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tower::{AcceptLayer, MethodLabels, MetricsLayer};

/// How many threads and open files this process has.
fn held() -> [usize; 2] {
    ["/proc/self/task", "/proc/self/fd"].map(|place| std::fs::read_dir(place).unwrap().count())
}

#[test]
fn building_binds_no_port_and_starts_no_thread() {
    let before = held();
    let registry = Registry::builder().worker_id(1).build();
    let scope = registry.namespace("test").component("api");
    let frontend = FrontendMetrics::register(&registry).unwrap();
    let layer = MetricsLayer::builder(&scope)
        .frontend_route("/v1/chat/completions", "chat", &frontend)
        .grpc_service("known.Service", ["Say"])
        .method_labels(MethodLabels::standard())
        .matched_routes()
        .build()
        .unwrap();
    let accept = AcceptLayer::new(&scope).unwrap();
    let client = MetricsLayer::client(&scope).upstream("10.0.0.1:80", "worker").build().unwrap();
    let sockets = ConnectionMetrics::register(&scope.endpoint("ws")).unwrap();
    let exporter = Exporter::new(&registry);
    assert_eq!(held(), before);
    drop((layer, accept, client, sockets, exporter, frontend));
    assert_eq!(held(), before);
}
