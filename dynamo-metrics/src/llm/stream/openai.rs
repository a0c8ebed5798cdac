//! OpenAI's chat completions and completions, as their servers really stream them.

use super::json::Json;
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
    reported: u64,
    /// A chunk with content came without usage, so that usage is not told for each chunk.
    untold: bool,
    /// `[DONE]` came.
    done: bool,
}

/// What one chunk says.
#[derive(Debug, Default)]
struct Chunk {
    choices: Option<Choices>,
    usage: Option<Usage>,
    failed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Choices {
    content: bool,
    came: u64,
    finished: u64,
}

impl EventReader for OpenAi {
    fn event(&mut self, event: SseEvent<'_>, seen: &mut Seen) {
        if event.data == b"[DONE]" {
            self.done = true;
            seen.complete = true;
            return;
        }
        if event.name == b"error" {
            seen.failed = true;
            return;
        }
        // What is no JSON, or no object, is no chunk; the stream is passed on all the same.
        let Some(chunk) = Json::read(event.data, Chunk::read) else { return };
        seen.failed |= chunk.failed;
        let usage = chunk.usage;
        if let Some(choices) = chunk.choices {
            seen.needs_marker = true;
            self.choices.came |= choices.came;
            self.choices.finished |= choices.finished;
            let finished = self.choices.came != 0 && self.choices.came == self.choices.finished;
            seen.complete = self.done || finished;
            if choices.content {
                seen.tokens += self.tokens(usage);
            }
        }
        if let Some(usage) = usage {
            self.reported = self.reported.max(usage.output_tokens);
            seen.usage = Some(usage);
        }
    }
}

impl OpenAi {
    /// The tokens of a chunk with content. Usage tells them if it comes with every chunk; if it
    /// comes with the last one alone, it tells of all the others as well.
    fn tokens(&mut self, usage: Option<Usage>) -> u64 {
        self.untold |= usage.is_none();
        match usage {
            Some(usage) if !self.untold => usage.output_tokens.saturating_sub(self.reported).max(1),
            _ => 1,
        }
    }
}

impl Chunk {
    fn read(json: &mut Json<'_>) -> Option<Self> {
        let mut chunk = Self::default();
        json.fields(|name, json| match name {
            b"choices" if json.starts(b'[') => {
                let mut choices = Choices::default();
                json.elements(|json| choices.read(json))?;
                chunk.choices = Some(choices);
                Some(())
            }
            b"usage" => read_usage(json, &mut chunk.usage),
            b"error" => {
                chunk.failed = json.glance()?.said;
                Some(())
            }
            _ => json.skip(),
        })?;
        Some(chunk)
    }
}

impl Choices {
    /// Takes one more choice.
    fn read(&mut self, json: &mut Json<'_>) -> Option<()> {
        let (mut index, mut finished) = (0, false);
        json.fields(|name, json| match name {
            b"index" => {
                index = json.glance()?.number.unwrap_or(0);
                Some(())
            }
            b"delta" => json.fields(|name, json| match name {
                b"content" | b"refusal" | b"reasoning_content" | b"reasoning" | b"tool_calls"
                | b"function_call" => self.take(json),
                _ => json.skip(),
            }),
            b"text" => self.take(json),
            b"finish_reason" => {
                finished = json.glance()?.filled;
                Some(())
            }
            _ => json.skip(),
        })?;
        let bit = 1 << index.min(63);
        self.came |= bit;
        self.finished |= if finished { bit } else { 0 };
        Some(())
    }

    fn take(&mut self, json: &mut Json<'_>) -> Option<()> {
        self.content |= json.glance()?.filled;
        Some(())
    }
}

/// Reads usage into `usage`, if the value tells output tokens.
fn read_usage(json: &mut Json<'_>, usage: &mut Option<Usage>) -> Option<()> {
    let (mut input, mut output) = (None, None);
    json.fields(|name, json| {
        match name {
            b"prompt_tokens" => input = json.glance()?.number,
            b"completion_tokens" => output = json.glance()?.number,
            _ => json.skip()?,
        }
        Some(())
    })?;
    // More than anybody generates is nothing that was counted.
    let believed = |tokens: &u64| *tokens <= u32::MAX.into();
    let (input, output) = (input.filter(believed), output.filter(believed));
    let input_tokens = input.unwrap_or(0);
    *usage = output.map(|output_tokens| Usage { input_tokens, output_tokens });
    Some(())
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
    fn usage_that_comes_once_counts_no_token_twice() {
        let plain = chunk(r#"{"index":0,"delta":{"content":"a"}}"#);
        let last = r#"{"choices":[{"index":0,"delta":{"content":"d"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#;
        let seen = see(&[&plain, &plain, &plain, last]);
        assert_eq!((seen.tokens, seen.usage.map(|usage| usage.output_tokens)), (4, Some(4)));
    }

    #[test]
    fn a_stream_is_complete_only_while_it_is() {
        let content = |reason: &str| {
            chunk(&format!(r#"{{"index":0,"delta":{{"content":"a"}},"finish_reason":{reason}}}"#))
        };
        assert!(!see(&[&content("\"\"")]).complete);
        assert!(!see(&[&content("null")]).complete);
        let other = chunk(r#"{"index":1,"delta":{"content":"b"}}"#);
        assert!(!see(&[&content("\"stop\""), &other]).complete);
        assert!(see(&[&content("\"stop\""), &other, "[DONE]", &other]).complete);
    }

    #[test]
    fn an_odd_field_hides_nothing_else() {
        for odd in [
            r#"{"choices":[{"index":null,"delta":{"content":"a"}}]}"#,
            r#"{"choices":[{"index":"0","delta":{"content":"a","tool_calls":{"a":1}}}]}"#,
            r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"completion_tokens":-1}}"#,
            r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"completion_tokens":[]},"error":""}"#,
        ] {
            let seen = see(&[odd]);
            assert_eq!((seen.tokens, seen.failed), (1, false), "{odd}");
        }
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
