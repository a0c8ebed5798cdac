//! The layer around an axum router: routes are endpoints, and a stream of events is measured to its
//! end, token by token.
//!
//! `cargo run --bin style-layer`

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use dynamo_metrics::encode;
use dynamo_metrics::llm::{EndpointOptions, Slo};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_examples::say;
use dynamo_metrics_tower::MetricsLayer;
use futures_util::{Stream, StreamExt as _, stream};
use http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// An answer in OpenAI's events, a word every ten milliseconds.
async fn chat() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let words = stream::iter(["A", " stream", " of", " words"]).then(|word| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{word}"}}}}]}}"#)
    });
    let events = words.chain(stream::iter(["[DONE]".to_owned()]));
    Sse::new(events.map(|event| Ok(Event::default().data(event))))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let registry = Registry::new();
    let slo = Slo::new()
        .time_to_first_token(Duration::from_millis(500))
        .inter_token_latency(Duration::from_millis(100));
    let layer = MetricsLayer::builder(&registry.namespace("example").component("api"))
        .route("/chat", "chat")
        .route("/models/{model}", "model")
        .endpoint_options("chat", EndpointOptions::new().slo(slo))
        .build()?;
    let app = Router::new()
        .route("/chat", get(chat))
        .route("/models/{model}", get(|| async { "a model" }))
        .layer(layer);
    // In the place of a server and its clients.
    for path in ["/chat", "/models/llama", "/nowhere"] {
        let request = Request::get(path).body(axum::body::Body::empty())?;
        let body = app.clone().oneshot(request).await?.into_body().collect().await?.to_bytes();
        say(&format!("{path}: {} bytes\n", body.len()));
    }
    say(&encode::text(&registry));
    Ok(())
}
