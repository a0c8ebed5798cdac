//! Chunks of a streamed chat completion, as OpenAI and the servers after it write them.

use serde_json::{Value, json};

/// The marker at the end of a stream, with the empty line that completes it.
pub const DONE: &str = "data: [DONE]\n\n";

/// The first chunk of most servers: the assistant takes the word, and says nothing yet.
#[must_use]
pub fn role() -> String {
    event(&chunk(&json!({"role": "assistant", "content": ""}), &Value::Null))
}

/// A chunk of text.
#[must_use]
pub fn content(text: &str) -> String {
    event(&chunk(&json!({"content": text}), &Value::Null))
}

/// A chunk of text, with the usage up to it, as vLLM's `continuous_usage_stats` has it.
#[must_use]
pub fn content_with_usage(text: &str, completion_tokens: u64) -> String {
    let mut chunk = chunk(&json!({"content": text}), &Value::Null);
    chunk["usage"] = json!({
        "prompt_tokens": 7,
        "completion_tokens": completion_tokens,
        "total_tokens": 7 + completion_tokens,
    });
    event(&chunk)
}

/// The last chunk of a choice: no text, and why it stops.
#[must_use]
pub fn finish() -> String {
    event(&chunk(&json!({}), &json!("stop")))
}

/// An error in the place of a chunk, under a head that said 200 long ago.
#[must_use]
pub fn error() -> String {
    event(&json!({"error": {"message": "out of memory", "type": "server_error", "code": 500}}))
}

fn chunk(delta: &Value, finish_reason: &Value) -> Value {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    })
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}
