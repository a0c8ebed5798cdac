//! OpenAI's chat completions and completions, as their servers really stream them.

use super::json::Json;
use super::said::{Content, Event};

/// Reads one chunk.
///
/// It has content if one of its choices brings something new: text, a refusal, reasoning
/// (`reasoning_content` or `reasoning`), sound, or a part of a tool call. A role, an empty delta,
/// usage and a finish reason are no content.
pub(super) fn read<'a>(event: &mut Event<'a>, json: &mut Json<'a>) -> Option<()> {
    json.fields(|name, json| match name {
        b"choices" if json.starts(b'[') => {
            event.said.needs_marker = true;
            json.elements(|json| read_choice(event, json))
        }
        b"usage" => event.said.told.read(json),
        // Groq puts it here.
        b"x_groq" => json.fields(|name, json| match name {
            b"usage" => event.said.told.read(json),
            _ => event.common(name, json),
        }),
        // Older servers say so in a chunk that is nothing but an error.
        b"object" => {
            event.said.failed |= json.text()? == b"error";
            Some(())
        }
        _ => event.common(name, json),
    })
}

fn read_choice<'a>(event: &mut Event<'a>, json: &mut Json<'a>) -> Option<()> {
    let (mut index, mut finished) = (0, false);
    json.fields(|name, json| {
        match name {
            b"index" => index = json.glance()?.number.unwrap_or(0),
            b"delta" => json.fields(|name, json| match name {
                b"content" | b"refusal" | b"tool_calls" | b"function_call" => {
                    event.content(Content::Answer, json)
                }
                b"reasoning_content" | b"reasoning" => event.content(Content::Reasoning, json),
                b"audio" => json.fields(|name, json| match name {
                    b"data" | b"transcript" => event.content(Content::Answer, json),
                    _ => json.skip(),
                }),
                _ => json.skip(),
            })?,
            b"text" => event.content(Content::Answer, json)?,
            b"finish_reason" => finished = event.finish(json)?,
            _ => json.skip()?,
        }
        Some(())
    })?;
    let bit = 1 << index.min(63);
    event.said.came |= bit;
    event.said.finished |= if finished { bit } else { 0 };
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::{EventReader, Events, FinishReason, Seen, SseEvent, Uninspected, Usage};

    fn chunk(choice: &str) -> String {
        format!(r#"{{"object":"chat.completion.chunk","choices":[{choice}],"usage":null}}"#)
    }

    fn see(events: &[&str]) -> Seen {
        let (mut reader, mut seen) = (Events::default(), Seen::default());
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
        for junk in ["", "7", "null", "[1]", r#""data: [DONE]""#, r#"{"choices":7}"#] {
            assert_eq!(see(&[junk]), Seen::default(), "{junk}");
        }
        assert_eq!(see(&["{"]).uninspected, Some(Uninspected::Malformed));
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
        assert_eq!(seen.usage, Some(Usage::new(9, 4)));
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
        Events::default().event(event, &mut seen);
        assert!(seen.failed);
    }

    #[test]
    fn text_that_is_not_quite_text_is_read_all_the_same() {
        let lone = chunk(r#"{"index":0,"delta":{"content":"\ud83d"}}"#);
        assert_eq!(see(&[&lone]).tokens, 1);
        let escaped = r#"{"index":0,"delta":{"content":"\\ud83d\udE00"}}"#;
        assert_eq!(see(&[&chunk(escaped)]).tokens, 1);
        let (mut reader, mut seen) = (Events::default(), Seen::default());
        let data = b"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xFF\xFE\"}}]}";
        reader.event(SseEvent { name: b"", data }, &mut seen);
        assert_eq!(seen.tokens, 1);
    }

    #[test]
    fn reasoning_is_told_from_the_answer() {
        let delta = |delta: &str| chunk(&format!(r#"{{"index":0,"delta":{delta}}}"#));
        let both = delta(r#"{"reasoning":"Hm","content":"a"}"#);
        let seen =
            see(&[&delta(r#"{"reasoning_content":"Hm"}"#), &both, &delta(r#"{"content":"b"}"#)]);
        assert_eq!((seen.tokens, seen.reasoning_tokens, seen.answer_tokens()), (3, 1, 2));
    }

    #[test]
    fn usage_stands_where_servers_put_it() {
        let usage = r#"{"prompt_tokens":9,"completion_tokens":4,
            "completion_tokens_details":{"reasoning_tokens":2}}"#;
        let expected = Some(Usage::new(9, 4).reasoning_tokens(2));
        for last in [
            format!(r#"{{"choices":[],"usage":{usage}}}"#),
            format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"stop"}}],"usage":{usage}}}"#),
            format!(r#"{{"choices":[],"x_groq":{{"id":"r","usage":{usage}}}}}"#),
        ] {
            assert_eq!(see(&[&last]).usage, expected, "{last}");
        }
    }

    #[test]
    fn sound_is_content() {
        let sound = |data: &str| {
            let audio = format!(r#"{{"id":"a","data":"{data}","expires_at":1}}"#);
            chunk(&format!(r#"{{"index":0,"delta":{{"audio":{audio}}}}}"#))
        };
        assert_eq!(see(&[&sound("UklG"), &sound("")]).tokens, 1);
    }

    #[test]
    fn the_last_reason_counts_and_the_first_model() {
        let end = |model: &str, reason: &str| {
            format!(
                r#"{{"model":"{model}","choices":[{{"delta":{{}},"finish_reason":"{reason}"}}]}}"#
            )
        };
        let seen = see(&[&end("", ""), &end("a", "stop"), &end("b", "length")]);
        assert_eq!((seen.model.as_str(), seen.finish), ("a", Some(FinishReason::Length)));
    }

    #[test]
    fn escapes_in_names_hide_nothing() {
        let escaped = r#"{"\u0063hoices":[{"index":0,"d\u0065lta":{"content":"a"}}]}"#;
        assert_eq!(see(&[escaped]).tokens, 1);
    }
}
