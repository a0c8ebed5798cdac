//! A stream of one's own behind a channel: its generator stamps tokens where it makes them, and a
//! reader of one's own finds them in the body.
//!
//! `cargo run --bin style-stream`

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::get;
use dynamo_metrics::encode;
use dynamo_metrics::llm::stream::{Seen, StreamReader};
use dynamo_metrics::llm::{EndpointOptions, StreamMeter};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_examples::say;
use dynamo_metrics_tower::MetricsLayer;
use futures_util::stream;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

/// A token on each line, and `.` on the last.
struct Lines;

impl StreamReader for Lines {
    fn read(&mut self, frame: &[u8], seen: &mut Seen) {
        let lines = frame.split(|&byte| byte == b'\n').count() as u64 - 1;
        seen.events += lines;
        seen.complete |= frame.ends_with(b".\n");
        seen.tokens += lines - u64::from(frame.ends_with(b".\n"));
    }
}

/// A generator in a task of its own: it goes on while its client is slow.
async fn words() -> Response {
    let meter = StreamMeter::current();
    let (send, mut receive) = mpsc::channel::<&str>(64);
    tokio::spawn(async move {
        for word in ["made\n", "where\n", "it\n", "is\n", "made\n"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
            meter.tokens(1);
            if send.send(word).await.is_err() {
                return;
            }
        }
        meter.complete();
        let _ = send.send(".\n").await;
    });
    let lines = stream::poll_fn(move |cx| receive.poll_recv(cx));
    let frames = futures_util::StreamExt::map(lines, |line| {
        Ok::<_, Infallible>(Bytes::from_static(line.as_bytes()))
    });
    Response::new(Body::from_stream(frames))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let registry = Registry::new();
    let layer = MetricsLayer::builder(&registry.namespace("example").component("api"))
        .route("/words", "words")
        .endpoint_options("words", EndpointOptions::new().reader(|_| Some(Box::new(Lines))))
        .build()?;
    let app: Router = Router::new().route("/words", get(words)).layer(layer);
    let request = Request::get("/words").body(Body::empty())?;
    let mut body = app.oneshot(request).await?.into_body();
    while let Some(frame) = body.frame().await {
        // A slow client: the stall is its own, and the generator's times are not touched by it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Ok(data) = frame?.into_data() {
            say(&String::from_utf8_lossy(&data));
        }
    }
    say(&encode::text(&registry));
    Ok(())
}
