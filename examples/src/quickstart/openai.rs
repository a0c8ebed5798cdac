//! OpenAI's chat completions and completions, and the shape of its errors.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api::Route;
use crate::dialect::{Answer, Asked, Dialect, Event};
use crate::engine::{Chunk, Finish};
use crate::fault::Fault;
use crate::fields::Fields;
use crate::load::Wish;
use crate::responses::Responses;

/// Where a chat is asked for.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// Either kind of completions.
#[derive(Debug)]
struct Completions {
    kind: Kind,
    /// The last chunk tells the usage, and all others say `"usage": null`.
    include_usage: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chat,
    Text,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::generate(CHAT, "chat_completions", || Completions::of(Kind::Chat)),
        Route::generate("/v1/completions", "completions", || Completions::of(Kind::Text)),
        Route::generate("/v1/responses", "responses", Responses::default),
        Route::fact(
            "/v1/models",
            "models",
            |model| json!({"object": "list", "data": [card(model)]}),
        ),
        Route::card("/v1/models/{model}", "model", card),
    ]
}

/// A request for the stream of a chat.
pub(crate) fn ask(wish: &Wish) -> Value {
    json!({
        "model": wish.model,
        "messages": [{"role": "user", "content": wish.prompt}],
        "max_tokens": wish.max_tokens,
        "stream": true,
    })
}

fn card(model: &str) -> Value {
    json!({"id": model, "object": "model", "created": 0, "owned_by": "quickstart"})
}

/// A fault as a whole answer.
pub(crate) fn refuse(fault: &Fault) -> Response {
    (fault.status(), Json(error(fault))).into_response()
}

fn error(fault: &Fault) -> Value {
    let (param, code) = match fault {
        Fault::Invalid { field, .. } => (Some(*field), None),
        Fault::NoModel(_) => (Some("model"), Some("model_not_found")),
        _ => (None, None),
    };
    let server = fault.status() == StatusCode::INTERNAL_SERVER_ERROR;
    json!({"error": {
        "message": fault.to_string(),
        "type": if server { "server_error" } else { "invalid_request_error" },
        "param": param,
        "code": code,
    }})
}

/// Why an answer ended, in OpenAI's word.
fn word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

impl Completions {
    fn of(kind: Kind) -> Self {
        Self { kind, include_usage: false }
    }

    /// A chunk with one choice.
    fn chunk(&self, answer: &Answer, said: &Value, finish: Option<Finish>) -> Event {
        let name = match self.kind {
            Kind::Chat => "delta",
            Kind::Text => "text",
        };
        let finish = finish.map(word);
        let choice = json!({"index": 0, name: said, "logprobs": null, "finish_reason": finish});
        let usage = self.include_usage.then_some(Value::Null);
        self.wrap(answer, self.kind.chunk_object(), &json!([choice]), usage).into()
    }

    fn wrap(&self, answer: &Answer, object: &str, choices: &Value, usage: Option<Value>) -> Value {
        let word = match self.kind {
            Kind::Chat => "chatcmpl",
            Kind::Text => "cmpl",
        };
        let mut wrapped = json!({
            "id": format!("{word}-{}", answer.id),
            "object": object,
            "created": answer.created(),
            "model": *answer.model,
            "choices": choices,
        });
        if let Some(usage) = usage {
            wrapped["usage"] = usage;
        }
        wrapped
    }
}

impl Kind {
    fn chunk_object(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion.chunk",
            Self::Text => "text_completion",
        }
    }

    /// What a piece of text is in a chunk.
    fn piece(self, text: &str) -> Value {
        match (self, text) {
            (Self::Chat, "") => json!({}),
            (Self::Chat, text) => json!({"content": text}),
            (Self::Text, text) => json!(text),
        }
    }
}

impl Dialect for Completions {
    fn check(&mut self, fields: &Fields) -> Result<Asked, Fault> {
        let stream = fields.flag("stream")?.unwrap_or(false);
        if fields.object("stream_options")? && !stream {
            return Err(Fault::invalid("stream_options", "needs stream to be true"));
        }
        self.include_usage = fields.flag("stream_options.include_usage")?.unwrap_or(false);
        fields.check_number("n", &(1.0..=1.0), "must be 1: this server gives one choice")?;
        fields.check_number("temperature", &(0.0..=2.0), "must be a number from 0 to 2")?;
        let prompt = match self.kind {
            Kind::Chat => fields.conversation("messages")?,
            Kind::Text => text_prompt(fields.get("prompt"))?,
        };
        let max_tokens = match fields.tokens("max_completion_tokens")? {
            Some(tokens) => Some(tokens),
            None => fields.tokens("max_tokens")?,
        };
        Ok(Asked { prompt, max_tokens })
    }

    fn begin(&mut self, answer: &Answer) -> Vec<Event> {
        match self.kind {
            Kind::Chat => {
                vec![self.chunk(answer, &json!({"role": "assistant", "content": ""}), None)]
            }
            Kind::Text => Vec::new(),
        }
    }

    fn more(&mut self, answer: &Answer, chunk: &Chunk) -> Vec<Event> {
        vec![self.chunk(answer, &self.kind.piece(&chunk.text()), None)]
    }

    fn end(&mut self, answer: &Answer, finish: Finish) -> Vec<Event> {
        let mut events = vec![self.chunk(answer, &self.kind.piece(""), Some(finish))];
        if self.include_usage {
            let object = self.kind.chunk_object();
            events.push(self.wrap(answer, object, &json!([]), Some(usage(answer))).into());
        }
        events.push(Event { name: "", data: "[DONE]".to_owned() });
        events
    }

    fn fail(&mut self, _: &Answer, fault: &Fault) -> Vec<Event> {
        vec![error(fault).into()]
    }

    fn whole(&self, answer: &Answer, finish: Finish) -> Value {
        let (object, name, said) = match self.kind {
            Kind::Chat => (
                "chat.completion",
                "message",
                json!({"role": "assistant", "content": answer.text, "refusal": null}),
            ),
            Kind::Text => ("text_completion", "text", json!(answer.text)),
        };
        let finish = word(finish);
        let choice = json!({"index": 0, name: said, "logprobs": null, "finish_reason": finish});
        self.wrap(answer, object, &json!([choice]), Some(usage(answer)))
    }
}

fn text_prompt(prompt: Option<&Value>) -> Result<String, Fault> {
    let text = match prompt {
        Some(Value::Array(texts)) if texts.len() == 1 => texts[0].as_str(),
        prompt => prompt.and_then(Value::as_str),
    };
    text.map(str::to_owned).ok_or(Fault::invalid("prompt", "must be a string"))
}

fn usage(answer: &Answer) -> Value {
    json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": answer.prompt_tokens.saturating_add(answer.tokens),
    })
}
