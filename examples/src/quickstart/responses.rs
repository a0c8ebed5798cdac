//! OpenAI's responses: named events with numbers, of which the last holds the whole answer again.

use serde_json::{Value, json};

use crate::dialect::{Answer, Asked, Dialect, Event};
use crate::engine::{Chunk, Finish};
use crate::fault::Fault;
use crate::fields::{Fields, add_text};

/// The one message of a response.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    sequence: u64,
    max_tokens: Option<u32>,
}

/// Where a response stands.
#[derive(Debug, Clone, Copy)]
enum Status<'a> {
    InProgress,
    Ended(Finish),
    Failed(&'a Fault),
}

impl Responses {
    fn event(&mut self, name: &'static str, mut json: Value) -> Event {
        json["type"] = name.into();
        json["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        Event::named(name, &json)
    }

    /// An event about the message's text.
    fn text_event(&mut self, name: &'static str, answer: &Answer, mut json: Value) -> Event {
        json["item_id"] = message_id(answer).into();
        json["output_index"] = 0.into();
        json["content_index"] = 0.into();
        self.event(name, json)
    }

    /// The response as it stands.
    fn response(&self, answer: &Answer, status: Status<'_>) -> Value {
        let word = match status {
            Status::InProgress => "in_progress",
            Status::Ended(Finish::Stop) => "completed",
            Status::Ended(Finish::Length) => "incomplete",
            Status::Failed(_) => "failed",
        };
        let error = match status {
            Status::Failed(fault) => {
                json!({"code": "server_error", "message": fault.to_string()})
            }
            _ => Value::Null,
        };
        let incomplete = match status {
            Status::Ended(Finish::Length) => json!({"reason": "max_output_tokens"}),
            _ => Value::Null,
        };
        let (output, usage) = match status {
            Status::Ended(finish) => (json!([message(answer, Some(finish))]), usage(answer)),
            _ => (json!([]), Value::Null),
        };
        json!({
            "id": format!("resp_{}", answer.id),
            "object": "response",
            "created_at": answer.created(),
            "status": word,
            "error": error,
            "incomplete_details": incomplete,
            "instructions": null,
            "max_output_tokens": self.max_tokens,
            "metadata": {},
            "model": *answer.model,
            "output": output,
            "parallel_tool_calls": true,
            "temperature": null,
            "tool_choice": "auto",
            "tools": [],
            "top_p": null,
            "usage": usage,
        })
    }
}

impl Dialect for Responses {
    fn check(&mut self, fields: &Fields) -> Result<Asked, Fault> {
        fields.flag("stream")?;
        fields.check_number("temperature", &(0.0..=2.0), "must be a number from 0 to 2")?;
        let mut prompt = String::new();
        if let Some(instructions) = fields.text("instructions")? {
            add_text(&mut prompt, &instructions.into());
        }
        match fields.get("input") {
            Some(text @ Value::String(_)) => _ = add_text(&mut prompt, text),
            Some(Value::Array(_)) => prompt.push_str(&fields.conversation("input")?),
            _ => return Err(Fault::invalid("input", "must be a string or a list of messages")),
        }
        self.max_tokens = fields.tokens("max_output_tokens")?;
        Ok(Asked { prompt, max_tokens: self.max_tokens })
    }

    fn begin(&mut self, answer: &Answer) -> Vec<Event> {
        let response = json!({"response": self.response(answer, Status::InProgress)});
        let item = json!({"output_index": 0, "item": message(answer, None)});
        vec![
            self.event("response.created", response.clone()),
            self.event("response.in_progress", response),
            self.event("response.output_item.added", item),
            self.text_event("response.content_part.added", answer, json!({"part": part("")})),
        ]
    }

    fn more(&mut self, answer: &Answer, chunk: &Chunk) -> Vec<Event> {
        let delta = json!({"delta": chunk.text(), "logprobs": []});
        vec![self.text_event("response.output_text.delta", answer, delta)]
    }

    fn end(&mut self, answer: &Answer, finish: Finish) -> Vec<Event> {
        let last = match finish {
            Finish::Stop => "response.completed",
            Finish::Length => "response.incomplete",
        };
        let item = json!({"output_index": 0, "item": message(answer, Some(finish))});
        let response = json!({"response": self.response(answer, Status::Ended(finish))});
        vec![
            self.text_event(
                "response.output_text.done",
                answer,
                json!({"text": answer.text, "logprobs": []}),
            ),
            self.text_event(
                "response.content_part.done",
                answer,
                json!({"part": part(&answer.text)}),
            ),
            self.event("response.output_item.done", item),
            self.event(last, response),
        ]
    }

    fn fail(&mut self, answer: &Answer, fault: &Fault) -> Vec<Event> {
        let response = json!({"response": self.response(answer, Status::Failed(fault))});
        vec![self.event("response.failed", response)]
    }

    fn whole(&self, answer: &Answer, finish: Finish) -> Value {
        self.response(answer, Status::Ended(finish))
    }
}

fn message_id(answer: &Answer) -> String {
    format!("msg_{}", answer.id)
}

/// The message, which has its text once it is ended.
fn message(answer: &Answer, finish: Option<Finish>) -> Value {
    let (status, content) = match finish {
        None => ("in_progress", json!([])),
        Some(Finish::Stop) => ("completed", json!([part(&answer.text)])),
        Some(Finish::Length) => ("incomplete", json!([part(&answer.text)])),
    };
    json!({
        "id": message_id(answer),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    })
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn usage(answer: &Answer) -> Value {
    json!({
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answer.tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.prompt_tokens.saturating_add(answer.tokens),
    })
}
