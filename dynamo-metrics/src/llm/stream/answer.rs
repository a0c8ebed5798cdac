//! Answers in one piece: their usage, found as they pass.

use super::find::Find;
use super::{Seen, StreamReader, Uninspected};

/// Longest body that is read, in bytes, if nothing else is asked for.
const LONGEST: u64 = 1024 * 1024;

/// Reads answers that are one JSON text, of every protocol that [`Events`](super::Events) knows:
/// their usage, model and finish reason, and whether they are an error. They have no token times, so
/// no tokens are counted.
///
/// # Cost
/// It goes over the bytes once, some forty microseconds for a MiB of numbers or text, and holds none
/// of them. What comes after the first MiB passes by unread.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::stream::{JsonAnswer, Seen, StreamReader, Usage};
///
/// let (mut reader, mut seen) = (JsonAnswer::default(), Seen::default());
/// reader.read(b"{\"model\":\"m\",\"usage\":{\"prompt_tokens\":9,\"comple", &mut seen);
/// reader.read(b"tion_tokens\":4}}", &mut seen);
/// assert_eq!(seen.usage, Some(Usage::new(9, 4)));
/// ```
#[derive(Debug)]
pub struct JsonAnswer {
    longest: u64,
    read: u64,
    find: Find,
}

impl Default for JsonAnswer {
    fn default() -> Self {
        Self { longest: LONGEST, read: 0, find: Find::in_answer() }
    }
}

impl JsonAnswer {
    /// What comes after so many bytes passes by unread (default: 1 MiB).
    #[must_use]
    pub fn longest(mut self, bytes: u64) -> Self {
        self.longest = bytes;
        self
    }
}

impl StreamReader for JsonAnswer {
    fn read(&mut self, frame: &[u8], seen: &mut Seen) {
        let room = usize::try_from(self.longest - self.read).unwrap_or(usize::MAX);
        let part = frame.get(..room).unwrap_or(frame);
        self.read += part.len() as u64;
        self.find.read(part, seen);
        seen.usage = self.find.told().usage();
        if self.find.is_broken() {
            seen.miss(Uninspected::Malformed);
        } else if part.len() < frame.len() {
            seen.miss(Uninspected::Oversized);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FinishReason, Protocol, Usage};
    use super::*;

    fn see(text: &str) -> Seen {
        let see = |pieces: &[&[u8]]| {
            let (mut reader, mut seen) = (JsonAnswer::default(), Seen::default());
            for piece in pieces {
                reader.read(piece, &mut seen);
            }
            reader.end(&mut seen);
            seen
        };
        let whole = see(&[text.as_bytes()]);
        assert_eq!(see(&text.as_bytes().chunks(1).collect::<Vec<_>>()), whole);
        for cut in 0..text.len() {
            let (start, rest) = text.as_bytes().split_at(cut);
            assert_eq!(see(&[start, rest]), whole, "{cut}");
        }
        whole
    }

    #[test]
    fn usage_is_found_in_the_answers_of_every_protocol() {
        use FinishReason::{Length, Stop, ToolCalls};
        use Protocol::{Anthropic, Ollama, OpenAi, Responses, Tgi};
        for (text, usage, finish, protocol) in [
            (
                r#"{"id":"1","model":"m","choices":[{"index":0,"message":{"role":"assistant",
                "content":"\"usage\":{\"completion_tokens\":99}"},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":9,"completion_tokens":4,
                "prompt_tokens_details":{"cached_tokens":8},
                "completion_tokens_details":{"reasoning_tokens":2}}}"#,
                Usage::new(9, 4).cached_tokens(8).reasoning_tokens(2),
                Stop,
                OpenAi,
            ),
            (
                r#"{"id":"r","object":"response","status":"incomplete","error":null,
                "incomplete_details":{"reason":"max_output_tokens"},"model":"m","output":[{"usage":
                {"output_tokens":99}}],"usage":{"input_tokens":9,"output_tokens":4}}"#,
                Usage::new(9, 4),
                Length,
                Responses,
            ),
            (
                r#"{"type":"message","model":"m","content":[{"type":"text","text":"a"}],
                "stop_reason":"tool_use","usage":{"input_tokens":1,"cache_read_input_tokens":8,
                "output_tokens":4}}"#,
                Usage::new(9, 4).cached_tokens(8),
                ToolCalls,
                Anthropic,
            ),
            (
                r#"{"model":"m","response":"a","done":true,"done_reason":"stop",
                "context":[1,2,[3]],"prompt_eval_count":9,"eval_count":4}"#,
                Usage::new(9, 4),
                Stop,
                Ollama,
            ),
            (
                r#"[{"model":"m","generated_text":"a","details":{"finish_reason":"length",
                "generated_tokens":4,"input_length":9,"tokens":[{"id":1}]}}]"#,
                Usage::new(9, 4),
                Length,
                Tgi,
            ),
        ] {
            let seen = see(text);
            assert_eq!(seen.usage, Some(usage), "{text}");
            assert_eq!((seen.finish, seen.protocol), (Some(finish), Some(protocol)), "{text}");
            assert_eq!((seen.model.as_str(), seen.tokens, seen.failed), ("m", 0, false), "{text}");
            assert_eq!(seen.uninspected, None);
        }
    }

    #[test]
    fn errors_under_a_good_status_are_seen() {
        assert!(see(r#"{"error":{"code":502,"message":"no such model"}}"#).failed);
        assert!(see(r#"{"error":"out of memory"}"#).failed);
        assert!(see(r#"{"object":"response","status":"failed"}"#).failed);
        for fine in [r#"{"error":null}"#, r#"{"error":""}"#, r#"{"a":{"error":"x"}}"#] {
            assert!(!see(fine).failed, "{fine}");
        }
    }

    #[test]
    fn other_answers_say_nothing() {
        assert_eq!(see(r#"{"status":"ready","usage":7,"items":[{"usage":{}}]}"#), Seen::default());
        assert_eq!(see("data: {}").uninspected, Some(Uninspected::Malformed));
    }

    #[test]
    fn what_comes_late_is_not_read() {
        let (mut reader, mut seen) = (JsonAnswer::default().longest(20), Seen::default());
        reader.read(br#"{"text":"           "#, &mut seen);
        assert_eq!(seen.uninspected, None);
        reader.read(br#"","usage":{"output_tokens":4}}"#, &mut seen);
        assert_eq!((seen.usage, seen.uninspected), (None, Some(Uninspected::Oversized)));
    }
}
