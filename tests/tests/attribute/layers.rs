//! The attribute within the layer: a request is counted once for each endpoint.

use std::convert::Infallible;

use axum::body::Body;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics_tower::MetricsLayer;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{ended, in_flight, run, sum};

/// A token, as an `OpenAI` server streams it.
const EVENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";

#[instrumented_endpoint(scope = scope)]
async fn generate(scope: &Scope, ok: bool) -> Result<&'static str, ()> {
    tokio::task::yield_now().await;
    ok.then_some("hi").ok_or(())
}

#[instrumented_endpoint(name = "generate", scope = scope)]
async fn events(scope: &Scope) -> BoxStream<'static, Result<&'static str, Infallible>> {
    stream::iter([EVENT, EVENT, EVENT, "data: [DONE]\n\n"].map(Ok)).boxed()
}

#[instrumented_endpoint(name = "generate", scope = scope)]
async fn respond(scope: &Scope) -> Response<Body> {
    let body = Body::from_stream(events(scope).await);
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

/// Sends one request through the layer of endpoint `endpoint`, and reads all of the answer.
async fn send<F>(scope: &Scope, endpoint: &str, handler: impl Fn(Scope) -> F) -> String
where
    F: Future<Output = Response<Body>>,
{
    let layer = MetricsLayer::builder(scope).route("/", endpoint).build().unwrap();
    let service = layer.layer(service_fn(|_| {
        let answer = handler(scope.clone());
        async { Ok::<_, Infallible>(answer.await) }
    }));
    let request = Request::get("/").body(Body::empty()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_run_within_the_layer_of_its_endpoint_is_counted_once() {
    let registry = Registry::new();
    let api = registry.component("api");
    let answer = send(&api, "generate", async |scope| {
        Response::new(Body::from(generate(&scope, true).await.unwrap()))
    });
    assert_eq!(answer.await, "hi");
    assert_eq!(ended(&registry, "generate"), "success=1");
}

#[tokio::test]
async fn the_layer_has_the_last_word_on_how_a_request_ended() {
    let registry = Registry::new();
    let api = registry.component("api");
    let answer = send(&api, "generate", async |scope| {
        assert!(generate(&scope, false).await.is_err());
        Response::new(Body::from("from elsewhere"))
    });
    assert_eq!(answer.await, "from elsewhere");
    assert_eq!(ended(&registry, "generate"), "success=1");
}

#[tokio::test]
async fn a_run_within_the_layer_of_another_endpoint_is_counted_in_both() {
    let registry = Registry::new();
    let api = registry.component("api");
    let answer = send(&api, "chat", async |scope| {
        assert!(generate(&scope, false).await.is_err());
        Response::new(Body::from(generate(&scope, true).await.unwrap()))
    });
    assert_eq!(answer.await, "hi");
    assert_eq!(ended(&registry, "chat"), "success=1");
    assert_eq!(ended(&registry, "generate"), "server_error=1 success=1");
}

#[tokio::test]
async fn a_run_of_another_component_is_counted_in_both() {
    let registry = Registry::new();
    let (api, backend) = (registry.component("api"), registry.component("backend"));
    let answer = send(&api, "generate", async |_| {
        Response::new(Body::from(generate(&backend, true).await.unwrap()))
    });
    assert_eq!(answer.await, "hi");
    // One line of the page for each component.
    assert_eq!(ended(&registry, "generate"), "success=1 success=1");
}

#[tokio::test]
async fn tokens_within_the_layer_are_counted_once() {
    for handler in [true, false] {
        let registry = Registry::new();
        let api = registry.component("api");
        let answer = send(&api, "generate", async |scope| {
            if handler {
                return respond(&scope).await;
            }
            let body = Body::from_stream(events(&scope).await);
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        });
        assert_eq!(answer.await.matches("data: {").count(), 3);
        assert_eq!(ended(&registry, "generate"), "success=1");
        for (metric, count) in [
            ("output_tokens_total", 3.0),
            ("time_to_first_token_seconds_count", 1.0),
            ("inter_token_latency_seconds_count", 2.0),
        ] {
            assert_eq!(sum(&registry, "generate", metric), Some(count), "{metric}");
        }
        let bytes = sum(&registry, "generate", "response_bytes_total").unwrap();
        assert_eq!(bytes, (3 * EVENT.len() + "data: [DONE]\n\n".len()) as f64);
    }
}

#[tokio::test]
async fn a_run_while_the_body_is_read_is_counted_once() {
    let registry = Registry::new();
    let api = registry.component("api");
    let answer = send(&api, "generate", async |scope| {
        let late = stream::once(async move { generate(&scope, true).await });
        Response::new(Body::from_stream(late.map_err(|()| std::io::Error::other("failed"))))
    });
    assert_eq!(answer.await, "hi");
    assert_eq!(ended(&registry, "generate"), "success=1");
}

#[tokio::test]
async fn a_run_beside_the_layer_is_counted() {
    let registry = Registry::new();
    let api = registry.component("api");
    let request = send(&api, "generate", async |scope| {
        Response::new(Body::from(generate(&scope, true).await.unwrap()))
    });
    let (answer, direct) = tokio::join!(request, generate(&api, false));
    assert_eq!((answer.as_str(), direct), ("hi", Err(())));
    assert_eq!(ended(&registry, "generate"), "server_error=1 success=1");
}

#[test]
fn a_stream_of_a_run_within_the_layer_does_not_outlast_it() {
    let registry = Registry::new();
    let api = registry.component("api");
    let layer = MetricsLayer::builder(&api).route("/", "generate").build().unwrap();
    let service =
        layer.layer(service_fn(async |_: Request<_>| Ok::<_, Infallible>(respond(&api).await)));
    let request = Request::get("/").body(Body::empty()).unwrap();
    let response = run(service.oneshot(request)).unwrap();
    assert_eq!(in_flight(&registry, "generate"), Some(1.0));
    drop(response);
    assert_eq!(ended(&registry, "generate"), "cancelled=1");
}

#[tokio::test]
async fn two_spellings_of_one_scope_are_one_endpoint() {
    let registry = Registry::new();
    let (nested, joined) = (registry.namespace("a").namespace("b"), registry.namespace("a_b"));
    let answer = send(&nested, "generate", async |_| {
        Response::new(Body::from(generate(&joined, true).await.unwrap()))
    });
    assert_eq!(answer.await, "hi");
    assert_eq!(sum(&registry, "generate", "requests_total"), Some(1.0));
}

#[instrumented_endpoint(name = "generate", scope = scope, labels(tier = "paid"))]
async fn labelled(scope: &Scope) -> &'static str {
    "hi"
}

#[tokio::test]
async fn the_layers_count_is_the_one_whatever_labels_the_attribute_has() {
    let registry = Registry::new();
    let api = registry.component("api");
    let answer =
        send(&api, "generate", async |scope| Response::new(Body::from(labelled(&scope).await)));
    assert_eq!(answer.await, "hi");
    assert_eq!(sum(&registry, "generate", "requests_total"), Some(1.0));
}

#[instrumented_endpoint(name = "generate", scope = scope)]
fn plain(scope: &Scope) -> Result<&'static str, http::StatusCode> {
    if scope.is_endpoint() { Ok("hi") } else { Err(http::StatusCode::NOT_FOUND) }
}

#[instrumented_endpoint(name = "generate", scope = scope)]
fn later(scope: &Scope) -> impl Future<Output = &'static str> + use<> {
    drop(scope.clone());
    std::future::ready("hi")
}

#[instrumented_endpoint(name = "generate", scope = scope, err(label = |()| false))]
async fn opaque(scope: &Scope) -> Result<impl axum::response::IntoResponse + use<>, ()> {
    Ok(respond(scope).await)
}

#[tokio::test]
async fn functions_of_every_form_within_the_layer_are_counted_once() {
    let registry = Registry::new();
    let api = registry.component("api");
    let answer = send(&api, "generate", async |scope| {
        assert!(plain(&scope).is_err());
        assert_eq!(later(&scope).await, "hi");
        axum::response::IntoResponse::into_response(opaque(&scope).await.unwrap())
    });
    assert_eq!(answer.await.matches("data: {").count(), 3);
    assert_eq!(ended(&registry, "generate"), "success=1");
    assert_eq!(sum(&registry, "generate", "output_tokens_total"), Some(3.0));
    // Beside the layer, each is a run.
    assert!(plain(&api).is_err());
    assert_eq!(later(&api).await, "hi");
    assert_eq!(ended(&registry, "generate"), "client_error=1 success=2");
}
