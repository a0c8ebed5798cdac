//! What the sets expose, to the letter: names, kinds, labels and bounds are public API.

use std::sync::Arc;

use dynamo_metrics::clock::Manual;
use dynamo_metrics::encode;
use dynamo_metrics::llm::{EndpointMetrics, FrontendMetrics, register_uptime};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::golden::check;
use dynamo_metrics_tower::MetricsLayer;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};

/// A page with one stream and an unknown model in it, at times that do not move by themselves.
fn page() -> Registry {
    let registry = Registry::builder().worker_id(0x1f).build();
    let component = registry.namespace("prod-a").component("api");
    let frontend = FrontendMetrics::register(&registry).unwrap();
    frontend.serve("llama");
    register_uptime(&component).unwrap();
    EndpointMetrics::register(&component.endpoint("idle")).unwrap();
    let layer = MetricsLayer::builder(&component)
        .frontend_route("/v1/chat/completions", "chat_completions", &frontend)
        .build()
        .unwrap();
    let service = layer.layer(service_fn(|request: Request<_>| async move {
        let told: &dynamo_metrics_tower::RequestMetrics = request.extensions().get().unwrap();
        told.model("llama");
        told.input_tokens(120);
        let answer = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n\
                      data: [DONE]\n\n";
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, std::convert::Infallible>(response.body(Full::new(answer.as_bytes())).unwrap())
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let body = Full::new(&b"{}"[..]);
        let request = Request::post("/v1/chat/completions").body(body).unwrap();
        let response = service.oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    });
    // Told of, and then not served at all: in flight no longer.
    frontend.request(&Arc::from("completions")).model("nobody-serves-this");
    registry
}

#[test]
fn the_text_page_is_the_golden_one() {
    Manual::new().run(|| check("sets.txt", &encode::text(&page())));
}

#[test]
fn the_openmetrics_page_is_the_golden_one() {
    Manual::new().run(|| check("sets.openmetrics", &encode::openmetrics(&page())));
}
