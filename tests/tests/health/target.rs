//! A service that behaves as it is told.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use dynamo_metrics::health::{Probe, is_canary};
use dynamo_metrics::registry::{Registry, Scope};
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use tokio::time::Instant;

/// How the service behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    Well,
    Fails,
    Hangs,
    HangsInBody,
    Panics,
    PanicsInBody,
    ErrorInBody,
    EndlessBytes,
    EndlessNothing,
    Missing,
}

/// A service that behaves as it is told, and remembers when canaries came.
#[derive(Clone)]
pub struct Target {
    mode: Arc<Mutex<Mode>>,
    pub canaries: Arc<Mutex<Vec<Instant>>>,
}

/// A body without an end, or with a bad one.
struct OddBody(Mode);

impl http_body::Body for OddBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.0 {
            Mode::HangsInBody => Poll::Pending,
            Mode::PanicsInBody => panic!("in the body"),
            Mode::EndlessBytes => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"abc"))))),
            Mode::EndlessNothing => Poll::Ready(Some(Ok(Frame::data(Bytes::new())))),
            _ => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
        }
    }
}

impl Target {
    pub fn new() -> Self {
        Self { mode: Arc::new(Mutex::new(Mode::Well)), canaries: Arc::default() }
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    pub fn probes(&self) -> usize {
        self.canaries.lock().unwrap().len()
    }

    async fn answer(self, headers: HeaderMap) -> Response {
        if is_canary(&headers) {
            self.canaries.lock().unwrap().push(Instant::now());
        }
        let mode = *self.mode.lock().unwrap();
        let status = match mode {
            Mode::Hangs => std::future::pending().await,
            Mode::Panics => panic!("in the handler"),
            Mode::Fails => StatusCode::SERVICE_UNAVAILABLE,
            Mode::Missing => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        };
        let body = match mode {
            Mode::Well | Mode::Fails | Mode::Missing => Body::from("pong"),
            odd => Body::new(OddBody(odd)),
        };
        Response::builder().status(status).body(body).unwrap()
    }

    pub fn router(&self) -> Router {
        let target = self.clone();
        let answer = move |headers: HeaderMap| target.clone().answer(headers);
        Router::new().route("/chat", post(answer))
    }

    pub fn probe(&self) -> Probe {
        probe(self.router())
    }
}

pub fn ask() -> Request<Body> {
    Request::post("/chat").body(Body::from("ping")).unwrap()
}

pub fn probe(router: Router) -> Probe {
    Probe::new(router, ask)
}

pub fn chat(registry: &Registry) -> Scope {
    registry.namespace("prod").component("frontend").endpoint("chat")
}
