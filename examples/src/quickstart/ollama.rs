//! Ollama's chat and generate: a record for each piece of text, and a last one with the counts.

use std::time::{Instant, SystemTime};

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::Route;
use crate::dialect::{Answer, Asked, Dialect, Event, Framing};
use crate::engine::{Chunk, Finish};
use crate::fault::Fault;
use crate::fields::{Fields, add_text};
use crate::load::Wish;

/// Where a chat is asked for.
pub(crate) const CHAT: &str = "/api/chat";

/// The tag that a model has where none is said.
const LATEST: &str = ":latest";

/// Either kind of answer.
#[derive(Debug, Clone, Copy)]
enum Records {
    Chat,
    Generate,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::generate(CHAT, "ollama_chat", || Records::Chat),
        Route::generate("/api/generate", "ollama_generate", || Records::Generate),
        Route::fact("/api/tags", "tags", |model| json!({"models": [card(model)]})),
        Route::show("/api/show", "show", model, show),
        Route::fact("/api/version", "version", |_| json!({"version": env!("CARGO_PKG_VERSION")})),
    ]
}

/// A request for the stream of a chat.
pub(crate) fn ask(wish: &Wish) -> Value {
    json!({
        "model": wish.model,
        "messages": [{"role": "user", "content": wish.prompt}],
        "options": {"num_predict": wish.max_tokens},
    })
}

fn show(_: &str) -> Value {
    json!({
        "modelfile": "",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": details(),
        "model_info": {},
        "capabilities": ["completion"],
    })
}

fn card(model: &str) -> Value {
    let name = format!("{model}{LATEST}");
    json!({
        "name": name,
        "model": name,
        "modified_at": "1970-01-01T00:00:00Z",
        "size": 0,
        "digest": "",
        "details": details(),
    })
}

fn details() -> Value {
    json!({"format": "", "family": "quickstart", "parameter_size": "0", "quantization_level": ""})
}

/// The model that is asked for.
fn model(fields: &Fields) -> Result<&str, Fault> {
    fields.text("model")?.map(bare).ok_or(Fault::invalid("model", "is required"))
}

/// A model's name without the tag that goes without saying.
pub(crate) fn bare(model: &str) -> &str {
    model.strip_suffix(LATEST).unwrap_or(model)
}

/// A fault as a whole answer.
pub(crate) fn refuse(fault: &Fault) -> Response {
    (fault.status(), Json(error(fault))).into_response()
}

fn error(fault: &Fault) -> Value {
    let message = match fault {
        Fault::NoModel(model) => format!("model '{model}' not found"),
        other => other.to_string(),
    };
    json!({"error": message})
}

impl Records {
    fn record(self, answer: &Answer, text: &str) -> Value {
        let now = OffsetDateTime::from(SystemTime::now()).format(&Rfc3339);
        let mut record = json!({
            "model": *answer.model,
            "created_at": now.unwrap_or_default(),
            "done": false,
        });
        match self {
            Self::Chat => record["message"] = json!({"role": "assistant", "content": text}),
            Self::Generate => record["response"] = text.into(),
        }
        record
    }

    /// The last record, with the counts.
    fn last(self, answer: &Answer, text: &str, finish: Finish) -> Value {
        let now = Instant::now();
        let first = answer.first.unwrap_or(now);
        let nanoseconds =
            |from: Instant, to: Instant| u64::try_from((to - from).as_nanos()).unwrap_or(u64::MAX);
        let mut record = self.record(answer, text);
        record["done"] = true.into();
        record["done_reason"] = match finish {
            Finish::Stop => "stop".into(),
            Finish::Length => "length".into(),
        };
        record["total_duration"] = nanoseconds(answer.start, now).into();
        // Nothing has to be loaded.
        record["load_duration"] = 0.into();
        record["prompt_eval_count"] = answer.prompt_tokens.into();
        record["prompt_eval_duration"] = nanoseconds(answer.start, first).into();
        record["eval_count"] = answer.tokens.into();
        record["eval_duration"] = nanoseconds(first, now).into();
        record
    }
}

impl Dialect for Records {
    const FRAMING: Framing = Framing::Ndjson;

    /// It streams unless it is told not to.
    fn wants_stream(&self, fields: &Fields) -> bool {
        fields.get("stream") != Some(&Value::Bool(false))
    }

    fn model<'a>(&self, fields: &'a Fields) -> Result<Option<&'a str>, Fault> {
        model(fields).map(Some)
    }

    fn check(&mut self, fields: &Fields) -> Result<Asked, Fault> {
        fields.flag("stream")?;
        fields.object("options")?;
        fields.check_number(
            "options.temperature",
            &(0.0..=f64::MAX),
            "must be a number that is not negative",
        )?;
        let prompt = match self {
            Self::Chat => fields.conversation("messages")?,
            Self::Generate => {
                let mut prompt = String::new();
                for field in ["system", "prompt"] {
                    if let Some(text) = fields.text(field)? {
                        add_text(&mut prompt, &text.into());
                    }
                }
                prompt
            }
        };
        // -1 is without an end, and -2 until the context is full.
        let max_tokens = match fields.get("options.num_predict").and_then(Value::as_i64) {
            Some(..0) => None,
            _ => fields.tokens("options.num_predict")?,
        };
        Ok(Asked { prompt, max_tokens })
    }

    fn begin(&mut self, _: &Answer) -> Vec<Event> {
        Vec::new()
    }

    fn more(&mut self, answer: &Answer, chunk: &Chunk) -> Vec<Event> {
        vec![self.record(answer, &chunk.text()).into()]
    }

    fn end(&mut self, answer: &Answer, finish: Finish) -> Vec<Event> {
        vec![self.last(answer, "", finish).into()]
    }

    fn fail(&mut self, _: &Answer, fault: &Fault) -> Vec<Event> {
        vec![error(fault).into()]
    }

    fn whole(&self, answer: &Answer, finish: Finish) -> Value {
        self.last(answer, &answer.text, finish)
    }
}
