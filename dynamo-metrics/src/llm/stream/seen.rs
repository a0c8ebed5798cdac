//! What a reader has seen of a body: tokens, usage, the end, and what it could not look at.

use std::fmt;

use crate::label::LabelValue;

/// Longest name of a model that is kept, in bytes.
const LONGEST_MODEL: usize = 64;

/// What was seen of one body so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the body")]
pub struct Seen {
    /// Tokens in events with content: as many as the stream says, else one for each event.
    pub tokens: u64,
    /// Those of them that came in events with reasoning and nothing of the answer. When `tokens`
    /// grows by more than this does, a token of the answer came.
    pub reasoning_tokens: u64,
    /// `tokens` is what was generated: the protocol sends tokens one by one, or tells their number.
    pub exact: bool,
    /// Events, records or messages that came whole, with or without content. Comments are none.
    pub events: u64,
    /// The last usage that the body gave: where it comes in parts, all of them together.
    pub usage: Option<Usage>,
    /// Why the answer ended; of several choices, the last reason given.
    pub finish: Option<FinishReason>,
    /// The model that the body names first.
    pub model: ModelName,
    /// The protocol that it turned out to speak.
    pub protocol: Option<Protocol>,
    /// It speaks a protocol that ends with a marker: ending without it is incomplete.
    pub needs_marker: bool,
    /// The marker that ends it was seen: a client may leave now, and has all that it asked for.
    pub complete: bool,
    /// It said that it failed.
    pub failed: bool,
    /// Why something of it was passed on without a look at it; the first reason. All other fields
    /// tell of the rest.
    pub uninspected: Option<Uninspected>,
}

/// Token counts, as a server reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the prompt, those from a cache included; 0 if it was not told.
    pub input_tokens: u64,
    /// Tokens generated, reasoning included.
    pub output_tokens: u64,
    /// Tokens of the prompt that were found in a cache, if that was told.
    pub cached_tokens: Option<u64>,
    /// Tokens generated as reasoning, if that was told.
    pub reasoning_tokens: Option<u64>,
}

/// Why an answer ended, whatever the protocol calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model came to its end, or to a stop sequence.
    Stop,
    /// It reached the most tokens that it may generate.
    Length,
    /// It calls a tool.
    ToolCalls,
    /// A filter ended it, or the model refused.
    ContentFilter,
    /// It failed.
    Error,
    /// It was aborted.
    Cancelled,
    /// A reason that none of these is.
    Other,
}

/// Why a body, or a part of one, was passed on without a look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum Uninspected {
    /// It is compressed, or encoded otherwise.
    Encoded,
    /// An event, a record, a message or a body is longer than is read.
    Oversized,
    /// It is not what its content type says.
    Malformed,
    /// Events of no protocol that the reader knows.
    Unrecognized,
    /// A frame did not show all of its bytes.
    Hidden,
    /// The reader panicked.
    Panicked,
}

/// A protocol by which model servers answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum Protocol {
    /// OpenAI's chat completions and completions.
    #[label(rename = "openai")]
    OpenAi,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Anthropic,
    /// Ollama's chat and generate.
    Ollama,
    /// Text Generation Inference's own endpoints.
    Tgi,
    /// Triton's generate extension.
    Triton,
    /// `ModelStreamInfer` of KServe's open inference protocol.
    #[label(rename = "kserve")]
    KServe,
}

/// Where a number of output tokens comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum TokenSource {
    /// The server's own account.
    Usage,
    /// Tokens were counted as they passed.
    Counted,
    /// Events with content were counted, which may hold more tokens than one, or less.
    Estimated,
}

/// A model's name: at most 64 bytes, kept in place. Empty if none was told, or a longer one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ModelName {
    bytes: [u8; LONGEST_MODEL],
    length: u8,
}

impl Seen {
    /// Output tokens, and how far that number is to be trusted: the last usage if there was any,
    /// else what was counted.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::llm::stream::{Seen, TokenSource, Usage};
    ///
    /// let mut seen = Seen::default();
    /// seen.tokens = 3;
    /// assert_eq!(seen.output_tokens(), (3, TokenSource::Estimated));
    /// seen.usage = Some(Usage::new(12, 5));
    /// assert_eq!(seen.output_tokens(), (5, TokenSource::Usage));
    /// ```
    #[must_use]
    pub const fn output_tokens(&self) -> (u64, TokenSource) {
        match self.usage {
            Some(usage) => (usage.output_tokens, TokenSource::Usage),
            None if self.exact => (self.tokens, TokenSource::Counted),
            None => (self.tokens, TokenSource::Estimated),
        }
    }

    /// Tokens in events with content that is not reasoning alone.
    #[must_use]
    pub const fn answer_tokens(&self) -> u64 {
        self.tokens.saturating_sub(self.reasoning_tokens)
    }

    /// Something was passed by; the first reason stays.
    pub(crate) fn miss(&mut self, why: Uninspected) {
        self.uninspected.get_or_insert(why);
    }
}

impl Usage {
    /// So many tokens of the prompt, and so many generated.
    #[must_use]
    pub const fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self { input_tokens, output_tokens, cached_tokens: None, reasoning_tokens: None }
    }

    /// So many tokens of the prompt came from a cache (default: not told).
    #[must_use]
    pub const fn cached_tokens(mut self, tokens: u64) -> Self {
        self.cached_tokens = Some(tokens);
        self
    }

    /// So many of the tokens generated are reasoning (default: not told).
    #[must_use]
    pub const fn reasoning_tokens(mut self, tokens: u64) -> Self {
        self.reasoning_tokens = Some(tokens);
        self
    }
}

impl FinishReason {
    /// The reason that a protocol calls `word`; none if it says nothing.
    pub(super) fn of(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"" | b"null" => return None,
            b"stop" | b"end_turn" | b"stop_sequence" | b"eos_token" | b"eos" | b"completed" => {
                Self::Stop
            }
            b"length"
            | b"max_tokens"
            | b"max_output_tokens"
            | b"model_length"
            | b"model_context_window_exceeded" => Self::Length,
            b"tool_calls" | b"tool_use" | b"function_call" => Self::ToolCalls,
            b"content_filter" | b"refusal" => Self::ContentFilter,
            b"error" | b"failed" | b"insufficient_system_resource" => Self::Error,
            b"abort" | b"cancelled" | b"cancel" => Self::Cancelled,
            _ => Self::Other,
        })
    }
}

impl ModelName {
    /// `name`; empty if that is longer than 64 bytes.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::llm::stream::ModelName;
    ///
    /// assert_eq!(ModelName::new("llama").as_str(), "llama");
    /// assert_eq!(ModelName::new(&"x".repeat(65)), ModelName::default());
    /// ```
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::of_bytes(name.as_bytes())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.bytes.get(..self.length.into()).unwrap_or_default()).unwrap_or_default()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The name that stands in a JSON text as `written`. One with escapes other than those that
    /// stand for themselves is none that a model goes by.
    pub(super) fn of_json(written: &[u8]) -> Self {
        let (mut name, mut length) = ([0; LONGEST_MODEL], 0);
        let mut bytes = written.iter();
        while let Some(&byte) = bytes.next() {
            let byte = match (byte, byte == b'\\') {
                (_, true) => match bytes.next() {
                    Some(&escaped @ (b'/' | b'"' | b'\\')) => escaped,
                    _ => return Self::default(),
                },
                (byte, false) => byte,
            };
            let Some(place) = name.get_mut(length) else { return Self::default() };
            *place = byte;
            length += 1;
        }
        Self::of_bytes(&name[..length])
    }

    /// The name that these bytes are, if they are text and not too many.
    pub(super) fn of_bytes(name: &[u8]) -> Self {
        let mut bytes = [0; LONGEST_MODEL];
        match bytes.get_mut(..name.len()) {
            Some(place) if str::from_utf8(name).is_ok() => place.copy_from_slice(name),
            _ => return Self::default(),
        }
        Self { bytes, length: u8::try_from(name.len()).unwrap_or_default() }
    }
}

impl Default for ModelName {
    fn default() -> Self {
        Self { bytes: [0; LONGEST_MODEL], length: 0 }
    }
}

impl fmt::Debug for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_as_they_are_written() {
        assert_eq!(ModelName::of_json(br"org\/model").as_str(), "org/model");
        assert_eq!(ModelName::of_json("modèle".as_bytes()).as_str(), "modèle");
        let longest = "x".repeat(64);
        assert_eq!(ModelName::of_json(longest.as_bytes()).as_str(), longest);
        for none in [&b"\xFF"[..], br"a\u0041", br"a\", &[b'x'; 65], b""] {
            assert!(ModelName::of_json(none).is_empty());
        }
    }

    #[test]
    fn reasons_have_one_word_each() {
        assert_eq!(FinishReason::of(b"end_turn"), Some(FinishReason::Stop));
        assert_eq!(FinishReason::of(b"tool_use"), Some(FinishReason::ToolCalls));
        assert_eq!(FinishReason::of(b"pause_turn"), Some(FinishReason::Other));
        assert_eq!(FinishReason::of(b""), None);
        assert_eq!(Protocol::OpenAi.as_label(), "openai");
    }

    #[test]
    fn the_first_reason_stays() {
        let mut seen = Seen::default();
        seen.miss(Uninspected::Oversized);
        seen.miss(Uninspected::Malformed);
        assert_eq!(seen.uninspected, Some(Uninspected::Oversized));
    }
}
