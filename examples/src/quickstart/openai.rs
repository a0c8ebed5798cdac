//! OpenAI's JSON, as far as this server speaks it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The fields of a request that this server looks at; others are let be.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) model: Option<Value>,
    messages: Option<Value>,
    prompt: Option<Value>,
    stream: Option<Value>,
    stream_options: Option<Value>,
    max_tokens: Option<Value>,
    max_completion_tokens: Option<Value>,
    temperature: Option<Value>,
    n: Option<Value>,
}

/// A request that can be served.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) prompt: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) max_tokens: Option<u32>,
}

/// The two kinds of completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Text,
}

/// What every answer of one request has in common.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    /// Stream chunks say `"usage": null` if the last one will tell.
    pub(crate) include_usage: bool,
}

/// Token counts.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are OpenAI's")]
pub(crate) struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

/// An error in OpenAI's shape.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    kind: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Request {
    /// Checks everything but the model.
    pub(crate) fn check(&self, kind: Kind) -> Result<Checked, ApiError> {
        let stream = flag(self.stream.as_ref(), "stream")?;
        let include_usage = match &self.stream_options {
            None | Some(Value::Null) => false,
            Some(_) if !stream => {
                return Err(ApiError::invalid("stream_options", "needs stream to be true"));
            }
            Some(Value::Object(options)) => {
                flag(options.get("include_usage"), "stream_options.include_usage")?
            }
            Some(_) => return Err(ApiError::invalid("stream_options", "must be an object")),
        };
        if let Some(n) = present(self.n.as_ref())
            && n.as_u64() != Some(1)
        {
            return Err(ApiError::invalid("n", "must be 1: this server gives one choice"));
        }
        if let Some(temperature) = present(self.temperature.as_ref())
            && !temperature.as_f64().is_some_and(|value| (0.0..=2.0).contains(&value))
        {
            return Err(ApiError::invalid("temperature", "must be a number from 0 to 2"));
        }
        let prompt = match kind {
            Kind::Chat => chat_prompt(self.messages.as_ref())?,
            Kind::Text => text_prompt(self.prompt.as_ref())?,
        };
        let max_tokens = match tokens(self.max_completion_tokens.as_ref(), "max_completion_tokens")?
        {
            Some(tokens) => Some(tokens),
            None => tokens(self.max_tokens.as_ref(), "max_tokens")?,
        };
        Ok(Checked { prompt, stream, include_usage, max_tokens })
    }

    /// Whether the client asked for a stream, as far as can be told.
    pub(crate) fn wants_stream(&self) -> bool {
        self.stream == Some(Value::Bool(true))
    }
}

fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn flag(value: Option<&Value>, param: &'static str) -> Result<bool, ApiError> {
    match present(value) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(ApiError::invalid(param, "must be a boolean")),
    }
}

fn tokens(value: Option<&Value>, param: &'static str) -> Result<Option<u32>, ApiError> {
    let Some(value) = present(value) else {
        return Ok(None);
    };
    let tokens = value.as_u64().filter(|&tokens| tokens > 0).and_then(|n| u32::try_from(n).ok());
    tokens.map(Some).ok_or_else(|| ApiError::invalid(param, "must be a positive integer"))
}

fn chat_prompt(messages: Option<&Value>) -> Result<String, ApiError> {
    let messages = messages.and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let Some(messages) = messages else {
        return Err(ApiError::invalid("messages", "must be a list of at least one message"));
    };
    let mut prompt = String::new();
    for message in messages {
        if !message.get("role").is_some_and(Value::is_string) {
            return Err(ApiError::invalid("messages", "must each have a role"));
        }
        let parts = match message.get("content") {
            Some(Value::String(text)) => vec![text.as_str()],
            Some(Value::Array(parts)) => {
                parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()
            }
            None | Some(Value::Null) => Vec::new(),
            Some(_) => {
                return Err(ApiError::invalid("messages", "must have text or parts as content"));
            }
        };
        for part in parts {
            prompt.push_str(part);
            prompt.push('\n');
        }
    }
    Ok(prompt)
}

fn text_prompt(prompt: Option<&Value>) -> Result<String, ApiError> {
    match prompt {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(texts)) if texts.len() == 1 && texts[0].is_string() => {
            Ok(texts[0].as_str().unwrap_or_default().to_owned())
        }
        _ => Err(ApiError::invalid("prompt", "must be a string")),
    }
}

impl Envelope {
    /// A chunk of a stream; the first one of a chat has a role and no content.
    pub(crate) fn chunk(&self, text: &str, role: bool, finish: Option<&str>) -> Value {
        let choice = match self.kind {
            Kind::Chat => {
                let delta = match (role, text) {
                    (true, text) => json!({"role": "assistant", "content": text}),
                    (false, "") => json!({}),
                    (false, text) => json!({"content": text}),
                };
                json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish})
            }
            Kind::Text => {
                json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish})
            }
        };
        let usage = self.include_usage.then_some(Value::Null);
        self.wrap(self.kind.chunk_object(), &json!([choice]), usage)
    }

    /// The chunk that tells the usage.
    pub(crate) fn usage_chunk(&self, usage: Usage) -> Value {
        self.wrap(self.kind.chunk_object(), &json!([]), Some(json!(usage)))
    }

    /// The answer in one piece.
    pub(crate) fn whole(&self, text: &str, finish: &str, usage: Usage) -> Value {
        let choice = match self.kind {
            Kind::Chat => json!({
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": finish,
            }),
            Kind::Text => {
                json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish})
            }
        };
        let object = match self.kind {
            Kind::Chat => "chat.completion",
            Kind::Text => "text_completion",
        };
        self.wrap(object, &json!([choice]), Some(json!(usage)))
    }

    fn wrap(&self, object: &str, choices: &Value, usage: Option<Value>) -> Value {
        let mut wrapped = json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
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
}

impl Usage {
    pub(crate) fn new(prompt_tokens: u32, completion_tokens: u32) -> Self {
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        Self { prompt_tokens, completion_tokens, total_tokens }
    }
}

impl ApiError {
    pub(crate) fn invalid(param: &'static str, rule: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: format!("{param} {rule}"),
            kind: "invalid_request_error",
            param: Some(param),
            code: None,
        }
    }

    pub(crate) fn unreadable(status: StatusCode, why: &str) -> Self {
        Self {
            status,
            message: format!("cannot read the request: {why}"),
            kind: "invalid_request_error",
            param: None,
            code: None,
        }
    }

    pub(crate) fn no_model(model: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("the model `{model}` does not exist"),
            kind: "invalid_request_error",
            param: Some("model"),
            code: Some("model_not_found"),
        }
    }

    pub(crate) fn no_route() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: "no such route".to_owned(),
            kind: "invalid_request_error",
            param: None,
            code: None,
        }
    }

    pub(crate) fn no_method() -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            message: "this route does not take this method".to_owned(),
            kind: "invalid_request_error",
            param: None,
            code: None,
        }
    }

    pub(crate) fn engine() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: "the engine failed".to_owned(),
            kind: "server_error",
            param: None,
            code: None,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({"error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.json())).into_response()
    }
}
