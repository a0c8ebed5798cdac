//! What a JSON text in pieces says of an answer: its usage, its model, and how it ended.

use super::responses::is_end;
use super::scan::{Ask, Scan, Value};
use super::usage::{Told, is_details};
use super::{FinishReason, ModelName, Protocol, Seen};

/// Looks for what an answer in one piece says, or an event that holds one.
#[derive(Debug)]
pub(super) struct Find {
    scan: Scan<Place>,
    found: Found,
}

#[derive(Debug, Default)]
struct Found {
    /// The answer may lie in a `response` of the text, which is an event.
    event: bool,
    told: Told,
    protocol: Option<Protocol>,
    /// It is an event that ends a stream.
    ends: bool,
}

/// The objects of an answer that say something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Answer,
    Usage,
    /// What a number of the usage is made of.
    UsageDetails,
    Choices,
    /// TGI's account of a text.
    Details,
    IncompleteDetails,
    Error,
}

/// Adds what is found to what was seen.
struct Adding<'a> {
    found: &'a mut Found,
    seen: &'a mut Seen,
}

impl Find {
    pub(super) fn in_answer() -> Self {
        Self { scan: Scan::new(), found: Found::default() }
    }

    pub(super) fn in_event() -> Self {
        Self { scan: Scan::new(), found: Found { event: true, ..Found::default() } }
    }

    /// Takes more of the text.
    pub(super) fn read(&mut self, text: &[u8], seen: &mut Seen) {
        self.scan.read(text, &mut Adding { found: &mut self.found, seen });
    }

    /// The usage that was told so far.
    pub(super) fn told(&self) -> &Told {
        &self.found.told
    }

    /// Whether the event says that it is the last one.
    pub(super) fn ends(&self) -> bool {
        self.found.ends
    }

    /// Whether this is no JSON.
    pub(super) fn is_broken(&self) -> bool {
        self.scan.is_broken()
    }
}

impl Adding<'_> {
    fn count(&mut self, name: &[u8], value: &[u8]) {
        let number = str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        self.found.told.tell(name, number);
    }

    fn finish(&mut self, word: &[u8]) {
        self.seen.finish = FinishReason::of(word).or(self.seen.finish);
    }

    fn protocol(&mut self, protocol: Protocol) {
        let protocol = *self.found.protocol.get_or_insert(protocol);
        self.seen.protocol.get_or_insert(protocol);
    }

    /// A text that stands in the answer itself.
    fn text(&mut self, name: &[u8], text: &[u8]) {
        match (name, text) {
            (b"model" | b"model_name", _) if self.seen.model.is_empty() => {
                self.seen.model = ModelName::of_json(text);
            }
            (b"type", b"message") if !self.found.event => self.protocol(Protocol::Anthropic),
            (b"type", kind) if self.found.event => self.found.ends |= is_end(kind),
            (b"object", b"response") => self.protocol(Protocol::Responses),
            (b"text_output", _) => self.protocol(Protocol::Triton),
            (b"generated_text", _) => self.protocol(Protocol::Tgi),
            (b"stop_reason" | b"done_reason", _) => self.finish(text),
            (b"status", b"completed" | b"failed" | b"cancelled")
                if self.found.protocol == Some(Protocol::Responses) =>
            {
                self.finish(text);
                self.seen.failed |= text == b"failed";
            }
            (b"error", _) => self.seen.failed |= !text.is_empty(),
            _ => {}
        }
    }
}

impl Ask for Adding<'_> {
    type Place = Place;

    fn enter(&mut self, place: Place, name: &[u8]) -> Option<Place> {
        Some(match (place, name) {
            // An answer may be a list of answers, and choices are a list of choices.
            (Place::Answer, b"") => Place::Answer,
            (Place::Answer, b"response") if self.found.event => Place::Answer,
            (Place::Choices, b"") => Place::Choices,
            (Place::Answer, b"choices") => {
                self.protocol(Protocol::OpenAi);
                Place::Choices
            }
            (Place::Answer, b"usage") => Place::Usage,
            (Place::Usage, name) if is_details(name) => Place::UsageDetails,
            (Place::Answer, b"details") => Place::Details,
            (Place::Answer, b"incomplete_details") => Place::IncompleteDetails,
            (Place::Answer, b"error") => Place::Error,
            _ => return None,
        })
    }

    fn value(&mut self, place: Place, name: &[u8], value: Value<'_>) {
        match (place, name, value) {
            (Place::Usage | Place::UsageDetails, _, Value::Other(number))
            | (Place::Details, b"generated_tokens" | b"input_length", Value::Other(number))
            | (Place::Answer, b"prompt_eval_count" | b"eval_count", Value::Other(number)) => {
                self.count(name, number);
            }
            (Place::Answer, b"done", Value::Other(_)) => self.protocol(Protocol::Ollama),
            (Place::Answer, _, Value::Text(text)) => self.text(name, text),
            (Place::Choices | Place::Details, b"finish_reason", Value::Text(word))
            | (Place::IncompleteDetails, b"reason", Value::Text(word)) => self.finish(word),
            (Place::Error, b"message", Value::Text(text)) => self.seen.failed |= !text.is_empty(),
            _ => {}
        }
    }
}
