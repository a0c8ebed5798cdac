//! What one event says, in the words of no protocol.

use super::json::Json;
use super::usage::Told;
use super::{FinishReason, Protocol};

/// What one event says. That it holds content is all that it says of its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the event")]
pub(super) struct Said {
    pub(super) content: Content,
    /// A token came that holds no text, and is one all the same.
    pub(super) silent: bool,
    /// Choices that came, and those that finished: a bit each, as far as there are bits.
    pub(super) came: u64,
    pub(super) finished: u64,
    pub(super) finish: Option<FinishReason>,
    pub(super) told: Told,
    /// Its protocol ends with a marker, and this is a part of an answer.
    pub(super) needs_marker: bool,
    /// It is that marker.
    pub(super) ends: bool,
    pub(super) failed: bool,
}

/// What an event brings that is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    #[default]
    Nothing,
    Reasoning,
    Answer,
}

/// One event, with what is taken from its text.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    pub(super) said: Said,
    /// The model's name as it is written; empty if it names none.
    pub(super) model: &'a [u8],
}

impl Said {
    /// Whether it says nothing but that a choice has content.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        let Self { finished, finish, told, silent, ends, failed, .. } = self;
        let other = *silent || *ends || *failed;
        self.content != Content::Nothing
            && !other
            && *finished == 0
            && finish.is_none()
            && told.is_empty()
    }
}

impl<'a> Event<'a> {
    /// Reads the object of an event that is called `name` and speaks `protocol`.
    pub(super) fn read(
        &mut self,
        protocol: Protocol,
        name: &[u8],
        json: &mut Json<'a>,
    ) -> Option<()> {
        match protocol {
            Protocol::Responses => super::responses::read(self, name, json),
            Protocol::Anthropic => super::anthropic::read(self, name, json),
            Protocol::Ollama => super::ollama::read(self, json),
            Protocol::Tgi => super::tgi::read(self, json),
            Protocol::Triton => super::triton::read(self, json),
            Protocol::OpenAi | Protocol::KServe => super::openai::read(self, json),
        }
    }

    /// Reads content, which is new if it holds any text.
    #[inline]
    pub(super) fn content(&mut self, content: Content, json: &mut Json<'a>) -> Option<()> {
        if json.content()? {
            self.said.content = self.said.content.max(content);
        }
        Some(())
    }

    /// Reads a field that most protocols have: `model` and `error`. Steps over others.
    #[inline]
    pub(super) fn common(&mut self, name: &[u8], json: &mut Json<'a>) -> Option<()> {
        match name {
            b"model" => self.model = json.text()?,
            b"error" => self.said.failed |= json.glance()?.said,
            // Some servers say these anew in each event.
            b"created_at" | b"obfuscation" | b"sequence_number" => json.varying()?,
            _ => json.skip()?,
        }
        Some(())
    }

    /// Reads why the answer, or a choice of it, ended; whether it did.
    pub(super) fn finish(&mut self, json: &mut Json<'a>) -> Option<bool> {
        let reason = FinishReason::of(json.text()?);
        self.said.finish = reason.or(self.said.finish);
        Some(reason.is_some())
    }
}

/// The protocol that the first events speak, by what stands in them.
pub(super) fn recognize(name: &[u8], data: &[u8]) -> Option<Protocol> {
    let (mut found, mut done) = (None, false);
    let mut kind = name;
    Json::read(data, |json| {
        json.fields(|name, json| {
            match name {
                b"choices" if json.starts(b'[') => found = Some(Protocol::OpenAi),
                b"token" if json.starts(b'{') => _ = found.get_or_insert(Protocol::Tgi),
                b"text_output" => _ = found.get_or_insert(Protocol::Triton),
                b"done" => done = json.starts(b't') || json.starts(b'f'),
                b"type" if json.starts(b'"') => {
                    kind = json.text()?;
                    return Some(());
                }
                _ => {}
            }
            json.skip()
        })
    })?;
    if found.is_some() {
        found
    } else if done {
        Some(Protocol::Ollama)
    } else if kind.starts_with(b"response.") {
        Some(Protocol::Responses)
    } else if kind.starts_with(b"message_") || kind.starts_with(b"content_block_") {
        Some(Protocol::Anthropic)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_apart_by_their_first_events() {
        for (name, data, protocol) in [
            ("", r#"{"id":"1","choices":[],"prompt_filter_results":[]}"#, Some(Protocol::OpenAi)),
            ("response.created", r#"{"response":{}}"#, Some(Protocol::Responses)),
            ("", r#"{"sequence_number":0,"type":"response.created"}"#, Some(Protocol::Responses)),
            ("message_start", r#"{"type":"message_start"}"#, Some(Protocol::Anthropic)),
            (
                "",
                r#"{"index":0,"delta":{},"type":"content_block_delta"}"#,
                Some(Protocol::Anthropic),
            ),
            ("", r#"{"model":"m","response":"a","done":false}"#, Some(Protocol::Ollama)),
            ("", r#"{"index":1,"token":{"id":1,"text":"a"}}"#, Some(Protocol::Tgi)),
            ("", r#"{"model_name":"m","text_output":""}"#, Some(Protocol::Triton)),
            ("ping", r#"{"type":"ping"}"#, None),
            ("", r#"{"error":{"message":"x"}}"#, None),
            ("sglext_ids", r#"{"ids":[1,2]}"#, None),
            ("", "{", None),
            ("", "7", None),
        ] {
            assert_eq!(recognize(name.as_bytes(), data.as_bytes()), protocol, "{data}");
        }
    }
}
