//! What a layer's series are called: shared by layers of one scope, apart for others, and as many as
//! the code says, whatever comes in.

use std::convert::Infallible;
use std::future::ready;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use dynamo_metrics::encode;
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::llm::FrontendMetrics;
use dynamo_metrics::metric::Gauge;
use dynamo_metrics::name::LabelNameError;
use dynamo_metrics::registry::{RegisterError, Registry, Scope};
use dynamo_metrics_tests::counts::{Counts, OUTCOMES};
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::script::{Broken, Script, Step};
use dynamo_metrics_tower::{
    AcceptLayer, BuildError, MethodLabels, MetricsLayer, RejectReason, RequestMetrics,
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

type Whole = Full<Bytes>;

fn sum(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    Page::read(&encode::text(registry)).sum(name, labels)
}

/// Serves one request of `method` to `path`.
fn serve(layer: &MetricsLayer, method: &Method, path: &str) {
    let mut service = layer.layer(service_fn(|_: Request<_>| {
        ready(Ok::<_, Infallible>(Response::new(Whole::default())))
    }));
    let request = Request::builder().method(method).uri(path).body(Whole::default()).unwrap();
    drop(service.call(request).now_or_never().unwrap().unwrap());
}

fn build(scope: &Scope) -> MetricsLayer {
    let builder = MetricsLayer::builder(scope).route("/v1", "v1");
    builder.method_labels(MethodLabels::standard()).build().unwrap()
}

#[test]
fn what_is_declared_is_at_zero_before_anybody_asks_for_it() {
    let registry = Registry::new();
    let scope = registry.component("api");
    let (_layer, _accept) = (build(&scope), AcceptLayer::new(&scope).unwrap());
    let page = Page::read(&encode::text(&registry));
    for outcome in OUTCOMES {
        let labels = [("dynamo_endpoint", "v1"), ("outcome", outcome)];
        let ended = page.sum("dynamo_component_request_outcomes_total", &labels);
        assert_eq!(ended, Some(0.0), "{outcome}");
    }
    for name in ["errors_total", "requests_started_total", "request_duration_seconds_count"] {
        let labels = [("dynamo_endpoint", "v1")];
        let name = format!("dynamo_component_{name}");
        assert_eq!(page.sum(&name, &labels), Some(0.0), "{name}");
    }
    let rejected = page.samples().iter().filter(|s| s.name == "dynamo_component_rejected_total");
    assert_eq!(rejected.count(), RejectReason::ALL.len());
}

#[test]
fn layers_of_one_scope_count_together() {
    let registry = Registry::new();
    let series = || Page::read(&encode::text(&registry)).samples().len();
    serve(&build(&registry.component("api")), &Method::GET, "/v1");
    let before = series();
    serve(&build(&registry.component("api")), &Method::GET, "/v1");
    let labels = [("dynamo_endpoint", "v1"), ("method", "GET")];
    assert_eq!(sum(&registry, "dynamo_component_requests_total", &labels), Some(2.0));
    assert_eq!(series(), before);
}

#[test]
fn layers_that_are_built_at_once_count_together() {
    let registry = Registry::new();
    std::thread::scope(|threads| {
        for _ in 0..16 {
            threads.spawn(|| serve(&build(&registry.component("api")), &Method::POST, "/v1"));
        }
    });
    let counts = Counts::of_endpoint(&encode::text(&registry), "v1");
    assert_eq!((counts.is_settled(), counts.ended), (true, 16.0));
}

#[test]
fn layers_of_other_registries_and_other_prefixes_stay_apart() {
    let (one, other) = (Registry::new(), Registry::new());
    let mine = build(&one.component("api").with_prefix("mine"));
    let (yours, theirs) = (build(&one.component("api")), build(&other.component("api")));
    for (layer, requests) in [(&mine, 1), (&yours, 2), (&theirs, 3)] {
        (0..requests).for_each(|_| serve(layer, &Method::GET, "/v1"));
    }
    assert_eq!(sum(&one, "mine_requests_total", &[]), Some(1.0));
    assert_eq!(sum(&one, "dynamo_component_requests_total", &[]), Some(2.0));
    assert_eq!(sum(&other, "dynamo_component_requests_total", &[]), Some(3.0));
    assert_eq!(sum(&other, "mine_requests_total", &[]), None);
}

#[test]
fn a_name_that_is_taken_refuses_the_layer_and_says_whose_it_is() {
    let registry = Registry::new();
    let _taken: Gauge = registry.gauge("dynamo_component_requests_total", "").register().unwrap();
    let scope = registry.component("api");
    let refused = MetricsLayer::builder(&scope).route("/v1", "v1").build().unwrap_err();
    let BuildError::Register { endpoint, source } = &refused else { panic!("{refused}") };
    assert_eq!(endpoint, "v1");
    assert!(matches!(source, RegisterError::Conflict { .. }), "{source}");
    let _taken: Gauge = registry.gauge("dynamo_component_rejected_total", "").register().unwrap();
    assert!(matches!(AcceptLayer::new(&scope), Err(RegisterError::Conflict { .. })));
}

#[test]
fn labels_that_cannot_be_are_refused_where_they_are_registered() {
    let registry = Registry::new();
    for name in ["a", "_a", "a1", "A_b"] {
        assert!(registry.counter("x_total", "").label(name, "v").register().is_ok(), "{name}");
    }
    let reserved = ["le", "quantile", "worker_id", "dynamo_endpoint", "__name__", "__a"];
    for (names, why) in [
        (&["", "1a", "a-b", "a b", "ü", "a:b"][..], LabelNameError::Grammar as fn(String) -> _),
        (&reserved[..], LabelNameError::Reserved),
    ] {
        for name in names {
            let refused = RegisterError::Label(why((*name).to_owned()));
            let label = registry.counter("x_total", "").label(name, "v").register();
            assert_eq!(label.err(), Some(refused.clone()), "{name}");
            let family = registry.counter("x_total", "").dynamic_family([*name]);
            assert_eq!(family.err(), Some(refused), "{name}");
        }
    }
}

#[test]
fn threads_that_use_new_labels_at_once_lose_no_request() {
    let registry = Registry::new();
    let layer = build(&registry.component("api"));
    let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
    std::thread::scope(|threads| {
        for thread in 0..32 {
            let (layer, methods) = (&layer, &methods);
            threads.spawn(move || {
                for request in 0..200 {
                    let path = ["/v1", "/made-up"][request / 4 % 2];
                    serve(layer, &methods[(thread + request) % 4], path);
                }
            });
        }
    });
    let text = encode::text(&registry);
    let page = Page::read(&text);
    for endpoint in ["v1", "unmatched"] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let labels = [("dynamo_endpoint", endpoint), ("method", method)];
            let ended = page.sum("dynamo_component_requests_total", &labels);
            assert_eq!(ended, Some(800.0), "{endpoint} {method}");
        }
    }
    let counts = Counts::of_all(&text);
    assert_eq!((counts.is_settled(), counts.ended), (true, 6_400.0));
}

/// A router with its own page of metrics, asked twice; the second page.
async fn second_page(registry: &Registry, layer: MetricsLayer) -> String {
    let app = Router::new()
        .route("/v1", get(|| async {}))
        .route_service("/metrics", Exporter::new(registry))
        .layer(layer);
    let mut page = Bytes::new();
    for path in ["/v1", "/metrics", "/metrics"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        page = answer.into_body().collect().await.unwrap().to_bytes();
    }
    String::from_utf8(page.to_vec()).unwrap()
}

#[tokio::test]
async fn a_page_behind_the_layer_is_an_endpoint_and_in_flight_on_itself() {
    let registry = Registry::new();
    let layer = MetricsLayer::builder(&registry.component("api")).matched_routes().build();
    let page = second_page(&registry, layer.unwrap()).await;
    let counts = Counts::of_endpoint(&page, "metrics");
    assert_eq!((counts.started, counts.ended, counts.in_flight), (2.0, 1.0, 1.0));
    assert_eq!(Counts::of_endpoint(&page, "v1").ended, 1.0);
}

#[tokio::test]
async fn a_page_that_is_excluded_is_nowhere_not_even_in_flight() {
    let registry = Registry::new();
    let builder = MetricsLayer::builder(&registry.component("api")).matched_routes();
    let page = second_page(&registry, builder.exclude("/metrics").build().unwrap()).await;
    assert!(!page.contains("dynamo_endpoint=\"metrics\""));
    let counts = Counts::of_all(&page);
    assert_eq!((counts.started, counts.ended, counts.in_flight), (1.0, 1.0, 0.0));
}

/// An answer in which everything is made up that may be.
fn made_up(number: u32) -> Response<Script> {
    let text = format!("made-up-{number}");
    let types = ["text/event-stream", "application/grpc", "application/x-ndjson", &text];
    let chunk = format!(
        r#"{{"id":"{text}","object":"{text}","model":"{text}","choices":[{{"index":{number},
        "delta":{{"role":"{text}","content":"{text}"}},"finish_reason":"{text}"}}],"{text}":1}}"#
    )
    .replace('\n', "");
    let event = format!("event: {text}\nid: {text}\ndata: {chunk}\n\n");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", text.parse().unwrap());
    trailers.insert("grpc-message", text.parse().unwrap());
    trailers.insert(text.parse::<HeaderName>().unwrap(), text.parse().unwrap());
    let steps = [Step::data(&event), Step::data(&chunk), Step::Trailers(trailers)];
    let response = Response::builder()
        .status(u16::try_from(200 + number % 800).unwrap())
        .header("content-type", types[number as usize % types.len()])
        .header("content-encoding", ["identity", &text][usize::from(number.is_multiple_of(5))])
        .header("server", &text)
        .header("grpc-encoding", &text)
        .header(&text, &text);
    response.body(Script::new(steps)).unwrap()
}

#[test]
fn nothing_that_an_upstream_answers_or_a_handler_is_asked_for_adds_a_series() {
    let registry = Registry::new();
    let frontend = FrontendMetrics::register(&registry).unwrap();
    frontend.serve("llama");
    let server = MetricsLayer::builder(&registry.component("api"))
        .frontend_route("/v1", "v1", &frontend)
        .method_labels(MethodLabels::standard())
        .build()
        .unwrap();
    let client = MetricsLayer::client(&registry.component("api"))
        .grpc_service("known.Service", ["Say"])
        .upstream("worker:80", "worker")
        .build()
        .unwrap();
    let ask = |number: u32| {
        let upstream =
            client.layer(service_fn(move |_: Request<_>| ready(Ok::<_, Broken>(made_up(number)))));
        let service = server.layer(service_fn(move |request: Request<_>| {
            let told: &RequestMetrics = request.extensions().get().unwrap();
            told.model(["llama", &format!("made-up-{number}")][number as usize % 2]);
            let uri = match number % 3 {
                0 => "http://worker:80/v1".to_owned(),
                1 => "/known.Service/Say".to_owned(),
                _ => format!("http://made-up-{number}:80/made-up-{number}"),
            };
            upstream.clone().oneshot(Request::get(uri).body(Whole::default()).unwrap())
        }));
        let request = Request::post("/v1").body(Whole::default()).unwrap();
        let answer = service.oneshot(request).now_or_never().unwrap().unwrap();
        answer.into_body().collect().now_or_never().unwrap().unwrap();
    };
    let series = || Page::read(&encode::text(&registry)).samples().len();
    (0..2_400).for_each(ask);
    let before = series();
    (2_400..10_000).for_each(ask);
    assert_eq!(series(), before);
    assert!(!encode::text(&registry).contains("made-up"));
    assert_eq!(sum(&registry, "dynamo_component_requests_total", &[]), Some(10_000.0));
    assert_eq!(sum(&registry, "dynamo_upstream_requests_total", &[]), Some(10_000.0));
}
