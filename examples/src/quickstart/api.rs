//! The routes: chat completions, completions, models.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use dynamo_metrics::llm::{RequestMetrics, RequestType};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};

use crate::engine::{Chunk, Engine, EngineFailure, Generation, count_tokens};
use crate::openai::{ApiError, Checked, Envelope, Kind, Request, Usage};

#[derive(Debug, Clone)]
struct App {
    engine: Arc<Engine>,
    model: Arc<str>,
}

pub(crate) fn router(engine: Arc<Engine>, model: &str) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(text))
        .route("/v1/models", get(models))
        .route("/v1/models/{model}", get(model_card))
        .fallback(|| async { ApiError::no_route() })
        .method_not_allowed_fallback(|| async { ApiError::no_method() })
        .with_state(App { engine, model: model.into() })
}

async fn chat(
    State(app): State<App>,
    Extension(metrics): Extension<RequestMetrics>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    app.complete(Kind::Chat, &metrics, body).await
}

async fn text(
    State(app): State<App>,
    Extension(metrics): Extension<RequestMetrics>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    app.complete(Kind::Text, &metrics, body).await
}

async fn models(State(app): State<App>) -> Json<Value> {
    Json(json!({"object": "list", "data": [app.card()]}))
}

async fn model_card(
    State(app): State<App>,
    Path(model): Path<String>,
) -> Result<Json<Value>, ApiError> {
    if *model == *app.model { Ok(Json(app.card())) } else { Err(ApiError::no_model(&model)) }
}

impl App {
    async fn complete(
        &self,
        kind: Kind,
        metrics: &RequestMetrics,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Response, ApiError> {
        let body = body.map_err(|why| ApiError::unreadable(why.status(), &why.body_text()))?;
        if body.trim_ascii_start().first().is_some_and(|&byte| byte != b'{') {
            let status = StatusCode::BAD_REQUEST;
            return Err(ApiError::unreadable(status, "expected a JSON object"));
        }
        let request: Request = serde_json::from_slice(&body)
            .map_err(|why| ApiError::unreadable(StatusCode::BAD_REQUEST, &why.to_string()))?;
        let streamed = request.wants_stream();
        metrics.request_type(if streamed { RequestType::Stream } else { RequestType::Unary });
        let Some(Value::String(model)) = &request.model else {
            return Err(ApiError::invalid("model", "must be a string"));
        };
        // A name that is not served makes no series: it counts as `unknown_model`.
        metrics.model(model);
        if **model != *self.model {
            return Err(ApiError::no_model(model));
        }
        let checked = request.check(kind)?;
        self.generate(kind, metrics, checked).await
    }

    async fn generate(
        &self,
        kind: Kind,
        metrics: &RequestMetrics,
        checked: Checked,
    ) -> Result<Response, ApiError> {
        let prompt_tokens = count_tokens(&checked.prompt);
        metrics.input_tokens(prompt_tokens.into());
        let envelope = Envelope {
            kind,
            id: format!(
                "{}-{:016x}",
                if kind == Kind::Chat { "chatcmpl" } else { "cmpl" },
                fastrand::u64(..)
            ),
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            model: self.model.to_string(),
            include_usage: checked.include_usage,
        };
        let generation = Generation { prompt: checked.prompt, max_tokens: checked.max_tokens };
        let chunks =
            self.engine.generate(generation).await.map_err(|EngineFailure| ApiError::engine())?;
        if checked.stream {
            let events = events(envelope, metrics.clone(), prompt_tokens, chunks);
            return Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response());
        }
        let (mut text, mut tokens, mut finish) = (String::new(), 0, "stop");
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|EngineFailure| ApiError::engine())?;
            text.push_str(&chunk.text);
            tokens += chunk.tokens;
            finish = chunk.finish.unwrap_or(finish);
        }
        metrics.output_tokens(tokens.into());
        Ok(Json(envelope.whole(&text, finish, Usage::new(prompt_tokens, tokens))).into_response())
    }

    fn card(&self) -> Value {
        json!({"id": &*self.model, "object": "model", "created": 0, "owned_by": "quickstart"})
    }
}

/// The stream of an answer: role, content, finish reason, usage, `[DONE]`; or an error, and no
/// more.
fn events(
    envelope: Envelope,
    metrics: RequestMetrics,
    prompt_tokens: u32,
    chunks: impl Stream<Item = Result<Chunk, EngineFailure>> + Send,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let role = (envelope.kind == Kind::Chat).then(|| event(&envelope.chunk("", true, None)));
    let mut tokens = 0;
    let answer = chunks.map(move |chunk| match chunk {
        Err(EngineFailure) => vec![event(&ApiError::engine().json())],
        Ok(chunk) => {
            tokens += chunk.tokens;
            // A chunk may hold more than one, which does not show in the stream.
            metrics.output_tokens(tokens.into());
            let mut events = vec![event(&envelope.chunk(&chunk.text, false, None))];
            if let Some(finish) = chunk.finish {
                events.push(event(&envelope.chunk("", false, Some(finish))));
                if envelope.include_usage {
                    let usage = Usage::new(prompt_tokens, tokens);
                    events.push(event(&envelope.usage_chunk(usage)));
                }
                events.push(Event::default().data("[DONE]"));
            }
            events
        }
    });
    stream::iter(role).chain(answer.flat_map(stream::iter)).map(Ok)
}

fn event(json: &Value) -> Event {
    Event::default().data(json.to_string())
}
