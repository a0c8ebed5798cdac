//! OpenAI's chat completions and completions, as their servers really stream them.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{EventReader, Seen, SseEvent, Usage};

/// Reads chat completions and completions: chunks with choices, then `[DONE]`.
///
/// A chunk has content if one of its choices brings something new: text, a refusal, reasoning
/// (`reasoning_content` or `reasoning`), or a part of a tool call. A role, an empty delta, usage and
/// a finish reason are no content. Its tokens are counted by what its usage adds to the usage
/// before, where servers report that for each chunk, else as one.
#[derive(Debug, Default)]
pub struct OpenAi {
    /// Choices that came, and those that finished: a bit each, as far as there are bits.
    choices: Choices,
    /// Output tokens that the usage reported so far.
    reported: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk {
    choices: Option<All<Choices>>,
    usage: Option<ReportedUsage>,
    error: Option<IgnoredAny>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Choices {
    content: bool,
    came: u64,
    finished: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    index: u32,
    delta: Option<Delta>,
    text: Filled,
    finish_reason: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Filled,
    refusal: Filled,
    reasoning_content: Filled,
    reasoning: Filled,
    tool_calls: Option<All<Filled>>,
    function_call: Filled,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReportedUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// Whether a value says anything: text that is not empty, or a structure that holds such text
/// under one of the names that content goes by.
#[derive(Debug, Clone, Copy, Default)]
struct Filled(bool);

/// The elements of a list, taken together; nothing is kept of each.
#[derive(Debug, Default)]
struct All<T>(T);

/// Takes one more element of a list.
trait Gather: Default {
    type Element: for<'de> Deserialize<'de>;

    fn gather(&mut self, element: Self::Element);
}

impl EventReader for OpenAi {
    fn event(&mut self, event: SseEvent<'_>, seen: &mut Seen) {
        if event.data == b"[DONE]" {
            seen.complete = true;
            return;
        }
        if event.name == b"error" {
            seen.failed = true;
            return;
        }
        // What is no JSON, or no object, is no chunk; the stream is passed on all the same.
        let Some(chunk) = parse(event.data) else {
            return;
        };
        seen.failed |= chunk.error.is_some();
        let usage = chunk.usage.as_ref().and_then(ReportedUsage::read);
        if let Some(All(choices)) = chunk.choices {
            seen.needs_marker = true;
            self.choices.came |= choices.came;
            self.choices.finished |= choices.finished;
            seen.complete |= self.choices.came != 0 && self.choices.came == self.choices.finished;
            if choices.content {
                let before = self.reported.unwrap_or(0);
                let added = usage.map(|usage| usage.output_tokens.saturating_sub(before));
                seen.tokens += added.unwrap_or(1).max(1);
            }
        }
        if let Some(usage) = usage {
            self.reported = Some(usage.output_tokens);
            seen.usage = Some(usage);
        }
    }
}

fn parse(data: &[u8]) -> Option<Chunk> {
    serde_json::from_slice(data).ok().or_else(|| serde_json::from_str(&mend(data)).ok())
}

/// Replaces what JSON in the wild has and a strict reader rejects: bytes that are no UTF-8, and
/// halves of surrogate pairs. Only whether text is empty matters here, not which it is.
fn mend(data: &[u8]) -> Cow<'_, str> {
    let mut text = String::from_utf8_lossy(data);
    let mut from = 0;
    while let Some(at) = text[from..].find("\\u").map(|at| from + at) {
        let half = text.get(at + 2..at + 4).is_some_and(|hex| {
            matches!(hex.as_bytes(), [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F'])
        });
        // An escaped backslash is no start of an escape.
        let escaped = text[..at].bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1;
        from = at + 2;
        if half && !escaped && text.is_char_boundary(at + 6) {
            text.to_mut().replace_range(at..at + 6, "\\ufffd");
        }
    }
    text
}

impl ReportedUsage {
    fn read(&self) -> Option<Usage> {
        let output_tokens = self.completion_tokens?;
        Some(Usage { input_tokens: self.prompt_tokens.unwrap_or(0), output_tokens })
    }
}

impl Gather for Choices {
    type Element = Choice;

    fn gather(&mut self, choice: Choice) {
        let bit = 1 << choice.index.min(63);
        self.came |= bit;
        self.finished |= if choice.finish_reason.is_some() { bit } else { 0 };
        self.content |= choice.text.0 || choice.delta.is_some_and(|delta| delta.has_content());
    }
}

impl Delta {
    fn has_content(&self) -> bool {
        self.content.0
            || self.refusal.0
            || self.reasoning_content.0
            || self.reasoning.0
            || self.function_call.0
            || self.tool_calls.as_ref().is_some_and(|All(Filled(filled))| *filled)
    }
}

impl Gather for Filled {
    type Element = Filled;

    fn gather(&mut self, element: Filled) {
        self.0 |= element.0;
    }
}

impl<'de, T: Gather> Deserialize<'de> for All<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(T);

        impl<'de, T: Gather> Visitor<'de> for ListVisitor<T> {
            type Value = All<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<All<T>, A::Error> {
                while let Some(element) = list.next_element()? {
                    self.0.gather(element);
                }
                Ok(All(self.0))
            }
        }

        deserializer.deserialize_seq(ListVisitor(T::default()))
    }
}

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FilledVisitor;

        impl<'de> Visitor<'de> for FilledVisitor {
            type Value = Filled;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Filled, E> {
                Ok(Filled(!text.is_empty()))
            }

            fn visit_unit<E>(self) -> Result<Filled, E> {
                Ok(Filled(false))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Filled, E> {
                Ok(Filled(false))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Filled, E> {
                Ok(Filled(false))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Filled, E> {
                Ok(Filled(false))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Filled, E> {
                Ok(Filled(false))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Filled, A::Error> {
                let mut any = Filled(false);
                while let Some(element) = list.next_element::<Filled>()? {
                    any.gather(element);
                }
                Ok(any)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Filled, A::Error> {
                let mut any = Filled(false);
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    // Parts of content, and of tool calls; a `type` or an `id` is no content.
                    match &*key {
                        "text" | "refusal" | "function" | "name" | "arguments" => {
                            any.gather(map.next_value()?);
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(any)
            }
        }

        deserializer.deserialize_any(FilledVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Sse, StreamReader};
    use super::*;

    fn chunk(choice: &str) -> String {
        format!(r#"{{"object":"chat.completion.chunk","choices":[{choice}],"usage":null}}"#)
    }

    fn see(events: &[&str]) -> Seen {
        let (mut reader, mut seen) = (OpenAi::default(), Seen::default());
        for data in events {
            reader.event(SseEvent { name: b"", data: data.as_bytes() }, &mut seen);
        }
        seen
    }

    #[test]
    fn content_is_what_brings_something_new() {
        for delta in [
            r#"{"content":"Hi"}"#,
            r#"{"role":"assistant","content":"Hi"}"#,
            r#"{"content":[{"type":"text","text":"Hi"}]}"#,
            r#"{"refusal":"No"}"#,
            r#"{"reasoning_content":"Hm"}"#,
            r#"{"reasoning":"Hm"}"#,
            r#"{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"arguments":"{\"a"}}]}"#,
            r#"{"function_call":{"name":"f"}}"#,
        ] {
            let seen = see(&[&chunk(&format!(r#"{{"index":0,"delta":{delta}}}"#))]);
            assert_eq!(seen.tokens, 1, "{delta}");
        }
        assert_eq!(see(&[r#"{"choices":[{"index":0,"text":" x"}]}"#]).tokens, 1);
    }

    #[test]
    fn roles_usage_and_ends_are_no_content() {
        for choice in [
            r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#,
            r#"{"index":0,"delta":{"role":"assistant","content":null}}"#,
            r#"{"index":0,"delta":{},"finish_reason":"stop"}"#,
            r#"{"index":0,"delta":{"content":[{"type":"text","text":""}]}}"#,
            r#"{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function"}]}}"#,
            r#"{"index":0,"delta":null,"text":""}"#,
            "",
        ] {
            assert_eq!(see(&[&chunk(choice)]).tokens, 0, "{choice}");
        }
        for junk in ["", "7", "null", "[1]", "{", r#""data: [DONE]""#, r#"{"choices":7}"#] {
            assert_eq!(see(&[junk]), Seen::default(), "{junk}");
        }
    }

    #[test]
    fn a_stream_is_complete_at_its_marker_or_when_every_choice_finished() {
        let first =
            chunk(r#"{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}"#);
        let stop = |index: u32| {
            chunk(&format!(r#"{{"index":{index},"delta":{{}},"finish_reason":"stop"}}"#))
        };
        assert!(!see(&[&first]).complete);
        assert!(see(&[&first]).needs_marker);
        assert!(!see(&[&first, &stop(0)]).complete);
        assert!(see(&[&first, &stop(0), &stop(1)]).complete);
        assert!(see(&[&first, "[DONE]"]).complete);
        let quoted = chunk(r#"{"index":0,"delta":{"content":"data: [DONE]"}}"#);
        assert!(!see(&[&quoted]).complete);
    }

    #[test]
    fn usage_is_kept_and_counts_the_tokens_of_a_chunk() {
        let counted = |content: &str, total: u64| {
            format!(
                r#"{{"choices":[{{"index":0,"delta":{{"content":"{content}"}}}}],"usage":{{"prompt_tokens":9,"completion_tokens":{total}}}}}"#
            )
        };
        let seen = see(&[&counted("", 0), &counted("abc", 3), &counted("d", 4)]);
        assert_eq!(seen.tokens, 4);
        assert_eq!(seen.usage, Some(Usage { input_tokens: 9, output_tokens: 4 }));
        let last = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":40}}"#;
        let seen = see(&[&chunk(r#"{"delta":{"content":"x"}}"#), last]);
        assert_eq!(seen.tokens, 1);
        assert_eq!(seen.usage.map(|usage| usage.output_tokens), Some(40));
    }

    #[test]
    fn errors_inside_a_stream_are_seen() {
        assert!(see(&[r#"{"error":{"message":"out of memory","code":500}}"#]).failed);
        assert!(!see(&[r#"{"choices":[],"error":null}"#]).failed);
        let mut seen = Seen::default();
        let event = SseEvent { name: b"error", data: b"" };
        OpenAi::default().event(event, &mut seen);
        assert!(seen.failed);
    }

    #[test]
    fn text_that_is_not_quite_text_is_read_all_the_same() {
        let lone = chunk(r#"{"index":0,"delta":{"content":"\ud83d"}}"#);
        assert_eq!(see(&[&lone]).tokens, 1);
        let escaped = r#"{"index":0,"delta":{"content":"\\ud83d\udE00"}}"#;
        assert_eq!(see(&[&chunk(escaped)]).tokens, 1);
        let (mut reader, mut seen) = (OpenAi::default(), Seen::default());
        let data = b"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xFF\xFE\"}}]}";
        reader.event(SseEvent { name: b"", data }, &mut seen);
        assert_eq!(seen.tokens, 1);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_makes_it_panic(data in prop::collection::vec(any::<u8>(), 0..64)) {
            let (mut sse, mut seen) = (Sse::new(OpenAi::default()), Seen::default());
            sse.read(&data, &mut seen);
            sse.read(b"\ndata: {\"choices\":[{\"delta\":{\"content\":\"", &mut seen);
            sse.read(&data, &mut seen);
            sse.read(b"\\u\\ud8\"}}]}\n\n", &mut seen);
            sse.end(&mut seen);
        }
    }
}
