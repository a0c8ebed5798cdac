//! What every protocol over HTTP does: read, check, generate, and say it in its own words.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use dynamo_metrics::llm::{RequestMetrics, RequestType};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::Value;

use crate::dialect::{Answer, Dialect, Event, Framing};
use crate::engine::{Chunk, Engine, EngineFailure, Generation, count_tokens};
use crate::fault::Fault;
use crate::fields::Fields;

/// What there is to serve.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) model: Arc<str>,
}

/// Makes a whole answer of a fault, in a protocol's own shape.
pub(crate) type Refuse = fn(&Fault) -> Response;

/// The same, over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    app: App,
    refuse: Refuse,
}

/// A route, and the endpoint as which its requests are measured.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) endpoint: &'static str,
    /// Its requests are a model's.
    pub(crate) generates: bool,
    serve: MethodRouter<Api>,
}

impl Route {
    /// A model answers here, in the words of what `speak` makes for each request.
    pub(crate) fn generate<D: Dialect>(
        path: &'static str,
        endpoint: &'static str,
        speak: fn() -> D,
    ) -> Self {
        let serve = async move |State(api): State<Api>,
                                Extension(metrics): Extension<RequestMetrics>,
                                body: Result<Bytes, BytesRejection>| {
            let answer = api.app.answer(speak(), &metrics, body).await;
            answer.unwrap_or_else(|fault| (api.refuse)(&fault))
        };
        Self { path, endpoint, generates: true, serve: post(serve) }
    }

    /// What the model is, to whoever asks.
    pub(crate) fn fact(
        path: &'static str,
        endpoint: &'static str,
        fact: fn(model: &str) -> Value,
    ) -> Self {
        let serve = get(async move |State(api): State<Api>| Json(fact(&api.app.model)));
        Self { path, endpoint, generates: false, serve }
    }

    /// The same to whoever gets its name right, as the last part of the path.
    pub(crate) fn card(
        path: &'static str,
        endpoint: &'static str,
        card: fn(model: &str) -> Value,
    ) -> Self {
        let serve = async move |State(api): State<Api>, Path(model): Path<String>| {
            api.tell(api.app.check_model(&model), card)
        };
        Self { path, endpoint, generates: false, serve: get(serve) }
    }

    /// The same to whoever gets its name right, in the request's own words.
    pub(crate) fn show(
        path: &'static str,
        endpoint: &'static str,
        model: fn(&Fields) -> Result<&str, Fault>,
        card: fn(model: &str) -> Value,
    ) -> Self {
        let serve = async move |State(api): State<Api>, body: Result<Bytes, BytesRejection>| {
            let read = Fields::read(body);
            api.tell(read.and_then(|fields| api.app.check_model(model(&fields)?)), card)
        };
        Self { path, endpoint, generates: false, serve: post(serve) }
    }
}

/// Serves these routes; what goes elsewhere is refused.
pub(crate) fn router(routes: Vec<Route>, app: App, refuse: Refuse) -> Router {
    routes
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route.path, route.serve))
        .fallback(async move || refuse(&Fault::NoRoute))
        .method_not_allowed_fallback(async move || refuse(&Fault::NoMethod))
        .with_state(Api { app, refuse })
}

impl Api {
    fn tell(&self, asked: Result<(), Fault>, card: fn(model: &str) -> Value) -> Response {
        match asked {
            Ok(()) => Json(card(&self.app.model)).into_response(),
            Err(fault) => (self.refuse)(&fault),
        }
    }
}

impl App {
    async fn answer<D: Dialect>(
        &self,
        mut dialect: D,
        metrics: &RequestMetrics,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Response, Fault> {
        let fields = Fields::read(body)?;
        let streamed = dialect.wants_stream(&fields);
        metrics.request_type(if streamed { RequestType::Stream } else { RequestType::Unary });
        let model = dialect.model(&fields)?.unwrap_or(&self.model);
        // A name that is not served makes no series: it counts as `unknown_model`.
        metrics.model(model);
        self.check_model(model)?;
        let asked = dialect.check(&fields)?;
        let prompt_tokens = count_tokens(&asked.prompt);
        metrics.input_tokens(prompt_tokens.into());
        let mut answer = Answer::new(&self.model, prompt_tokens);
        let generation = Generation { prompt: asked.prompt, max_tokens: asked.max_tokens };
        let chunks =
            self.engine.generate(generation).await.map_err(|EngineFailure| Fault::Engine)?;
        if streamed {
            return Ok(respond(D::FRAMING, events(dialect, metrics.clone(), answer, chunks)));
        }
        let finish = answer.fill(chunks).await.map_err(|EngineFailure| Fault::Engine)?;
        metrics.output_tokens(answer.tokens.into());
        Ok(Json(dialect.whole(&answer, finish)).into_response())
    }

    /// Whether this is the model that is served.
    pub(crate) fn check_model(&self, model: &str) -> Result<(), Fault> {
        if *model == *self.model { Ok(()) } else { Err(Fault::NoModel(model.to_owned())) }
    }
}

/// All that a stream says. One that fails says so, and no more.
fn events(
    mut dialect: impl Dialect,
    metrics: RequestMetrics,
    mut answer: Answer,
    chunks: impl Stream<Item = Result<Chunk, EngineFailure>> + Send,
) -> impl Stream<Item = Event> + Send {
    let begin = dialect.begin(&answer);
    let rest = chunks.map(move |chunk| match chunk {
        Err(EngineFailure) => dialect.fail(&answer, &Fault::Engine),
        Ok(chunk) => {
            answer.add(&chunk);
            // A chunk may hold more than one, which does not show in every protocol's stream.
            metrics.output_tokens(answer.tokens.into());
            let mut events = dialect.more(&answer, &chunk);
            if let Some(finish) = chunk.finish {
                events.extend(dialect.end(&answer, finish));
            }
            events
        }
    });
    stream::iter(begin).chain(rest.flat_map(stream::iter))
}

fn respond(framing: Framing, events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let keep_alive = match framing {
        Framing::Sse => KeepAlive::new(),
        Framing::SseWithPings => {
            let ping = sse::Event::default().event("ping").data(r#"{"type":"ping"}"#);
            KeepAlive::new().event(ping)
        }
        Framing::Ndjson => {
            let lines = events.map(|event| Ok::<_, Infallible>(event.data + "\n"));
            let head = [(CONTENT_TYPE, "application/x-ndjson")];
            return (head, Body::from_stream(lines)).into_response();
        }
    };
    let events = events.map(|Event { name, data }| {
        let event = sse::Event::default();
        let event = if name.is_empty() { event } else { event.event(name) };
        Ok::<_, Infallible>(event.data(data))
    });
    Sse::new(events).keep_alive(keep_alive).into_response()
}
