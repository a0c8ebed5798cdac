//! Which request is which endpoint's, and that nothing which a client sends makes an endpoint.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use dynamo_metrics::encode;
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics_tests::counts::Counts;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::{MethodLabels, MetricsLayer, MetricsLayerBuilder};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _, service_fn};

/// A measured router, on a registry of its own.
struct App {
    registry: Registry,
    router: Router,
}

impl App {
    fn new(
        router: Router,
        choose: impl FnOnce(MetricsLayerBuilder) -> MetricsLayerBuilder,
    ) -> Self {
        let (registry, scope) = scope();
        let layer = choose(MetricsLayer::builder(&scope)).build().unwrap();
        Self { registry, router: router.layer(layer) }
    }

    /// With endpoints as the router knows them.
    fn matched(router: Router) -> Self {
        Self::new(router, MetricsLayerBuilder::matched_routes)
    }

    async fn send(&self, request: Request<Body>) -> StatusCode {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        response.into_body().collect().await.unwrap();
        status
    }

    async fn get(&self, path: &str) -> StatusCode {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Requests that ended, by endpoint.
    fn ended(&self, endpoint: &str) -> f64 {
        let counts = Counts::of_endpoint(&encode::text(&self.registry), endpoint);
        if !counts.started.is_nan() {
            assert!(counts.is_settled(), "{counts:?}");
        }
        counts.ended
    }

    fn series(&self) -> usize {
        Page::read(&encode::text(&self.registry)).samples().len()
    }
}

fn scope() -> (Registry, Scope) {
    let registry = Registry::new();
    let scope = registry.namespace("test").component("api");
    (registry, scope)
}

fn leaf(path: &str) -> Router {
    Router::new().route(path, get(|| async { "leaf" }))
}

#[tokio::test]
async fn a_route_in_nested_routers_has_its_whole_template() {
    let app = App::matched(Router::new().nest("/{a}", Router::new().nest("/{b}", leaf("/{c}"))));
    assert_eq!(app.get("/foo/bar/baz").await, 200);
    assert_eq!(app.get("/other/words/here").await, 200);
    assert_eq!(app.ended("by_a_by_b_by_c"), 2.0);
    assert_eq!(app.ended("unmatched"), 0.0);
}

#[tokio::test]
async fn a_layer_within_a_nested_service_has_the_whole_template_too() {
    let (registry, scope) = scope();
    let layer = MetricsLayer::builder(&scope).matched_routes().build().unwrap();
    let router = Router::new().nest_service("/outer", leaf("/inner/{id}").layer(layer));
    let app = App { registry, router };
    for id in 0..3 {
        assert_eq!(app.get(&format!("/outer/inner/{id}")).await, 200);
    }
    assert_eq!(app.ended("outer_inner_by_id"), 3.0);
}

#[tokio::test]
async fn what_a_router_leaves_to_a_service_or_its_fallback_is_unmatched() {
    let service = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::from("service")))
    });
    let router = leaf("/known").nest_service("/nested", service).fallback(|| async { "fallback" });
    let app = App::matched(router);
    for path in ["/nested/a", "/nested/b", "/made/up"] {
        assert_eq!(app.get(path).await, 200);
    }
    assert_eq!(app.ended("unmatched"), 3.0);
    assert!(!encode::text(&app.registry).contains("nested"));
}

#[tokio::test]
async fn a_known_path_with_a_method_that_it_has_not_is_still_that_route() {
    let app = App::matched(Router::new().route("/only/{post}", post(|| async {})));
    assert_eq!(app.get("/only/this").await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(app.ended("only_by_post"), 1.0);
}

#[tokio::test]
async fn a_matched_route_has_the_name_that_it_was_given() {
    let router = leaf("/v1/models/{model}").merge(leaf("/internal/{what}"));
    let app = App::new(router, |builder| {
        let builder = builder.matched_routes().exclude("/internal/{what}");
        builder.route("/v1/models/{model}", "model_card")
    });
    assert_eq!(app.get("/v1/models/llama").await, 200);
    assert_eq!(app.get("/internal/state").await, 200);
    assert_eq!(app.ended("model_card"), 1.0);
    assert_eq!(app.ended("unmatched"), 0.0);
    assert!(!encode::text(&app.registry).contains("internal"));
}

#[tokio::test]
async fn a_parameter_within_a_segment_is_named_with_what_stands_before_it() {
    // axum knows no parameter with something behind it.
    let inner = Router::new().nest("/bar{two}", leaf("/{three}"));
    let app = App::matched(Router::new().nest("/foo{one}", inner));
    assert_eq!(app.get("/foo1/bar2/3").await, 200);
    assert_eq!(app.get("/fooA/barB/C").await, 200);
    assert_eq!(app.ended("by_fooone_by_bartwo_by_three"), 2.0);
}

#[tokio::test]
async fn values_that_are_worth_a_label_are_routes_of_their_own() {
    let app = App::new(leaf("/resource/foo/{id}"), |builder| {
        let builder = builder.route("/resource/foo/{expensive}", "resource_foo");
        builder.route("/resource/{cheap}/{expensive}", "resource")
    });
    for id in 0..100 {
        assert_eq!(app.get(&format!("/resource/foo/{id}")).await, 200);
        assert_eq!(app.get(&format!("/resource/made-up-{id}/{id}")).await, 404);
    }
    assert_eq!((app.ended("resource_foo"), app.ended("resource")), (100.0, 100.0));
}

#[tokio::test]
async fn a_layer_around_a_finished_router_knows_no_route_and_serves_all_the_same() {
    let (registry, scope) = scope();
    let builder = MetricsLayer::builder(&scope).matched_routes().route("/given/{id}", "given");
    let service = builder.build().unwrap().layer(leaf("/leaf/{id}").merge(leaf("/given/{id}")));
    for (path, status) in [("/leaf/1", 200), ("/given/1", 200), ("/no", 404)] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = service.clone().oneshot(request.map(Body::new)).await.unwrap();
        assert_eq!(response.status(), status);
        response.into_body().collect().await.unwrap();
    }
    let text = encode::text(&registry);
    let ended = |endpoint| Counts::of_endpoint(&text, endpoint).ended;
    // What is given to the layer itself it finds without a router's help.
    assert_eq!((ended("given"), ended("unmatched")), (1.0, 2.0));
    assert!(!text.contains("leaf"));
}

#[tokio::test]
async fn templates_do_without_a_router_that_knows_them() {
    let (registry, scope) = scope();
    let layer = MetricsLayer::builder(&scope)
        .route("/v1/models", "models")
        .route("/v1/models/{model}", "card")
        .route("/files/{*rest}", "files")
        .build()
        .unwrap();
    let service = layer.layer(service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    for path in ["/v1/models", "/v1/models/llama", "/v1/models/a/b", "/files/a/b", "/", "*"] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        service.clone().oneshot(request).await.unwrap();
    }
    let text = encode::text(&registry);
    let ended = |endpoint| Counts::of_endpoint(&text, endpoint).ended;
    assert_eq!((ended("models"), ended("card"), ended("files")), (1.0, 1.0, 1.0));
    assert_eq!(ended("unmatched"), 3.0);
}

#[tokio::test]
async fn methods_are_labels_from_a_closed_set() {
    let app = App::new(leaf("/leaf"), |builder| {
        builder.matched_routes().method_labels(MethodLabels::standard().also("PURGE"))
    });
    for method in ["GET", "get", "PURGE", "PROPFIND", &"X".repeat(300)] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::builder().method(method).uri("/leaf");
        app.send(request.body(Body::empty()).unwrap()).await;
    }
    let page = Page::read(&encode::text(&app.registry));
    let ended = |method| {
        let labels = [("dynamo_endpoint", "leaf"), ("method", method)];
        page.sum("dynamo_component_requests_total", &labels)
    };
    assert_eq!((ended("GET"), ended("PURGE"), ended("_OTHER")), (Some(1.0), Some(1.0), Some(3.0)));
    assert_eq!(ended("POST"), None);
}

#[tokio::test]
async fn nothing_that_a_client_sends_adds_a_series() {
    const HEADERS: [&str; 4] = ["host", "x-forwarded-host", "user-agent", "content-type"];
    let app = App::new(leaf("/known/{id}").route("/v1", get(|| async {})), |builder| {
        let builder = builder.matched_routes().method_labels(MethodLabels::standard());
        let builder = builder.grpc_service("known.Service", ["Say", "Stream"]);
        builder.route("/v1", "v1").route("/files/{*rest}", "files")
    });
    let request = |i: usize, seed: &mut u32| {
        // A generator of its own: a failure is the same each time.
        let mut random = || {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *seed >> 8
        };
        let path = match i % 8 {
            0 => "/v1".to_owned(),
            1 => format!("/known/{:x}?q={}", random(), random()),
            2 => format!("/{:x}.Scan{}/Call{:x}", random(), random(), random()),
            3 => format!("/files/{:x}/{:x}", random(), random()),
            4 => format!("/known/{{id}}/{:x}", random()).replace(['{', '}'], "%7B"),
            5 => format!("/known.Service/{}", ["Say", "Stream", "Scan"][i % 3]),
            6 => format!("/known.Service/Say{:x}", random()),
            _ => format!("/{:x}", random()),
        };
        let method = match i % 5 {
            0 => "GET".to_owned(),
            1 => "POST".to_owned(),
            _ => format!("M{:X}", random()),
        };
        let mut request = Request::builder().method(method.as_str()).uri(path);
        for name in HEADERS {
            request = request.header(name, format!("application/grpc{:x}.example", random()));
        }
        if i.is_multiple_of(3) {
            let headers = request.headers_mut().unwrap();
            headers.insert("content-type", HeaderValue::from_static("application/grpc+proto"));
        }
        request.body(Body::empty()).unwrap()
    };
    let mut seed = 7;
    for i in 0..240 {
        app.send(request(i, &mut seed)).await;
    }
    let series = app.series();
    for i in 0..10_000 {
        app.send(request(i, &mut seed)).await;
    }
    assert_eq!(app.series(), series);
    let counts = Counts::of_all(&encode::text(&app.registry));
    assert!(counts.is_settled() && counts.ended == 10_240.0, "{counts:?}");
    // Else some of what is thrown is all the same to the layer.
    for endpoint in
        ["v1", "files", "known_by_id", "known_Service_Say", "known_Service_Stream", "_OTHER"]
    {
        assert!(app.ended(endpoint) > 100.0, "{endpoint}");
    }
}
