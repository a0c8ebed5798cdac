//! Text Generation Inference's own endpoints: an event for each token.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api::Route;
use crate::dialect::{Answer, Asked, Dialect, Event};
use crate::engine::{Chunk, Finish, Token};
use crate::fault::Fault;
use crate::fields::Fields;
use crate::load::Wish;

/// Where a stream is asked for.
pub(crate) const GENERATE_STREAM: &str = "/generate_stream";

#[derive(Debug)]
struct Generate {
    way: Way,
    /// The answer in one piece has details as well.
    details: bool,
}

/// How the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    Stream,
    /// As the request says: what Hugging Face's clients ask for.
    Either,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::generate("/generate", "tgi_generate", || Generate::of(Way::Whole)),
        Route::generate(GENERATE_STREAM, "tgi_generate_stream", || Generate::of(Way::Stream)),
        Route::generate("/", "tgi_root", || Generate::of(Way::Either)),
        Route::fact("/info", "info", |model| {
            json!({
                "model_id": model,
                "model_sha": null,
                "model_pipeline_tag": "text-generation",
                "router": "quickstart",
                "version": env!("CARGO_PKG_VERSION"),
            })
        }),
        Route::fact("/health", "health", |_| Value::Null),
    ]
}

/// A request for a stream. This protocol leaves the model to the server.
pub(crate) fn ask(wish: &Wish) -> Value {
    json!({"inputs": wish.prompt, "parameters": {"max_new_tokens": wish.max_tokens}})
}

/// A fault as a whole answer.
pub(crate) fn refuse(fault: &Fault) -> Response {
    let status = match fault {
        Fault::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::Engine => StatusCode::FAILED_DEPENDENCY,
        other => other.status(),
    };
    (status, Json(error(fault))).into_response()
}

fn error(fault: &Fault) -> Value {
    match fault {
        Fault::Engine => json!({
            "error": format!("Request failed during generation: {fault}"),
            "error_type": "generation",
        }),
        other => json!({
            "error": format!("Input validation error: {other}"),
            "error_type": "validation",
        }),
    }
}

impl Generate {
    fn of(way: Way) -> Self {
        Self { way, details: false }
    }
}

impl Dialect for Generate {
    fn wants_stream(&self, fields: &Fields) -> bool {
        match self.way {
            Way::Whole => false,
            Way::Stream => true,
            Way::Either => fields.get("stream") == Some(&Value::Bool(true)),
        }
    }

    fn model<'a>(&self, _: &'a Fields) -> Result<Option<&'a str>, Fault> {
        Ok(None)
    }

    fn check(&mut self, fields: &Fields) -> Result<Asked, Fault> {
        fields.object("parameters")?;
        self.details = fields.flag("parameters.details")?.unwrap_or(false);
        fields.check_number(
            "parameters.temperature",
            &(f64::MIN_POSITIVE..=f64::MAX),
            "must be strictly positive",
        )?;
        let prompt = fields.text("inputs")?.filter(|inputs| !inputs.is_empty());
        let prompt = prompt.ok_or(Fault::invalid("inputs", "cannot be empty"))?.to_owned();
        Ok(Asked { prompt, max_tokens: fields.tokens("parameters.max_new_tokens")? })
    }

    fn begin(&mut self, _: &Answer) -> Vec<Event> {
        Vec::new()
    }

    fn more(&mut self, answer: &Answer, chunk: &Chunk) -> Vec<Event> {
        let tokens = chunk.tokens();
        let before = answer.tokens - chunk.count();
        let event = |(index, token): (u32, Token)| {
            // The generator is always sure.
            let said =
                json!({"id": token.id, "text": token.text, "logprob": 0.0, "special": false});
            let ended = chunk.finish.filter(|_| index == answer.tokens);
            json!({
                "index": index,
                "token": said,
                "generated_text": ended.map(|_| &answer.text),
                "details": ended.map(|finish| details(answer, finish)),
            })
            .into()
        };
        (before + 1..).zip(tokens).map(event).collect()
    }

    /// The last token told all.
    fn end(&mut self, _: &Answer, _: Finish) -> Vec<Event> {
        Vec::new()
    }

    fn fail(&mut self, _: &Answer, fault: &Fault) -> Vec<Event> {
        vec![error(fault).into()]
    }

    fn whole(&self, answer: &Answer, finish: Finish) -> Value {
        let mut whole = json!({"generated_text": answer.text});
        if self.details {
            whole["details"] = details(answer, finish);
            whole["details"]["prefill"] = json!([]);
            whole["details"]["tokens"] = json!([]);
        }
        if self.way == Way::Either { json!([whole]) } else { whole }
    }
}

fn details(answer: &Answer, finish: Finish) -> Value {
    json!({
        "finish_reason": match finish {
            Finish::Stop => "eos_token",
            Finish::Length => "length",
        },
        "generated_tokens": answer.tokens,
        "input_length": answer.prompt_tokens,
        "seed": null,
    })
}
