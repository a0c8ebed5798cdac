//! Anthropic's messages: one block of text, between a start and a stop.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api::Route;
use crate::dialect::{Answer, Asked, Dialect, Event, Framing};
use crate::engine::{Chunk, Finish};
use crate::fault::Fault;
use crate::fields::{Fields, add_text};
use crate::load::Wish;

/// Where an answer is asked for.
pub(crate) const MESSAGES: &str = "/v1/messages";

#[derive(Debug)]
struct Messages;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::generate(MESSAGES, "anthropic_messages", || Messages),
        Route::fact(
            "/v1/models",
            "models",
            |model| json!({"data": [card(model)], "has_more": false, "first_id": model, "last_id": model}),
        ),
        Route::card("/v1/models/{model}", "model", card),
    ]
}

/// A request for a stream.
pub(crate) fn ask(wish: &Wish) -> Value {
    json!({
        "model": wish.model,
        "max_tokens": wish.max_tokens,
        "messages": [{"role": "user", "content": wish.prompt}],
        "stream": true,
    })
}

fn card(model: &str) -> Value {
    json!({
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": "1970-01-01T00:00:00Z",
    })
}

/// A fault as a whole answer.
pub(crate) fn refuse(fault: &Fault) -> Response {
    (fault.status(), Json(error(fault))).into_response()
}

fn error(fault: &Fault) -> Value {
    let kind = match (fault, fault.status()) {
        (Fault::Engine, _) => "api_error",
        (_, StatusCode::NOT_FOUND) => "not_found_error",
        (_, StatusCode::PAYLOAD_TOO_LARGE) => "request_too_large",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": fault.to_string()}})
}

/// Why an answer ended, in Anthropic's word.
fn word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
    }
}

impl Dialect for Messages {
    const FRAMING: Framing = Framing::SseWithPings;

    fn check(&mut self, fields: &Fields) -> Result<Asked, Fault> {
        fields.flag("stream")?;
        fields.check_number("temperature", &(0.0..=1.0), "must be a number from 0 to 1")?;
        let max_tokens = fields.tokens("max_tokens")?;
        let max_tokens = max_tokens.ok_or(Fault::invalid("max_tokens", "must be there"))?;
        let mut prompt = String::new();
        if let Some(system) = fields.get("system") {
            add_text(&mut prompt, system)
                .ok_or(Fault::invalid("system", "must be text or blocks of it"))?;
        }
        prompt.push_str(&fields.conversation("messages")?);
        Ok(Asked { prompt, max_tokens: Some(max_tokens) })
    }

    fn begin(&mut self, answer: &Answer) -> Vec<Event> {
        let block = json!({"type": "text", "text": ""});
        vec![
            // The number of output tokens is a place holder here.
            event("message_start", json!({"message": message(answer, &json!([]), None)})),
            event("content_block_start", json!({"index": 0, "content_block": block})),
            event("ping", json!({})),
        ]
    }

    fn more(&mut self, _: &Answer, chunk: &Chunk) -> Vec<Event> {
        let delta = json!({"type": "text_delta", "text": chunk.text()});
        vec![event("content_block_delta", json!({"index": 0, "delta": delta}))]
    }

    fn end(&mut self, answer: &Answer, finish: Finish) -> Vec<Event> {
        let delta = json!({"stop_reason": word(finish), "stop_sequence": null});
        let usage = json!({"output_tokens": answer.tokens});
        vec![
            event("content_block_stop", json!({"index": 0})),
            event("message_delta", json!({"delta": delta, "usage": usage})),
            event("message_stop", json!({})),
        ]
    }

    fn fail(&mut self, _: &Answer, fault: &Fault) -> Vec<Event> {
        vec![event("error", error(fault))]
    }

    fn whole(&self, answer: &Answer, finish: Finish) -> Value {
        message(answer, &json!([{"type": "text", "text": answer.text}]), Some(finish))
    }
}

/// An event, whose type is its name.
fn event(name: &'static str, mut json: Value) -> Event {
    json["type"] = name.into();
    Event::named(name, &json)
}

fn message(answer: &Answer, content: &Value, finish: Option<Finish>) -> Value {
    json!({
        "id": format!("msg_{}", answer.id),
        "type": "message",
        "role": "assistant",
        "model": *answer.model,
        "content": content,
        "stop_reason": finish.map(word),
        "stop_sequence": null,
        "usage": {"input_tokens": answer.prompt_tokens, "output_tokens": answer.tokens.max(1)},
    })
}
