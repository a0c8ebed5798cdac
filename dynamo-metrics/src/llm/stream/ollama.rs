//! Ollama's chat and generate: a record for each piece of text, and a last one with the counts.

use super::json::Json;
use super::said::{Content, Event};

/// Reads one record. The one that is `done` ends the stream and tells what was counted.
pub(super) fn read<'a>(event: &mut Event<'a>, json: &mut Json<'a>) -> Option<()> {
    json.fields(|name, json| match name {
        b"message" if json.starts(b'{') => json.fields(|name, json| match name {
            b"content" | b"tool_calls" => event.content(Content::Answer, json),
            b"thinking" => event.content(Content::Reasoning, json),
            _ => json.skip(),
        }),
        b"response" => event.content(Content::Answer, json),
        b"thinking" => event.content(Content::Reasoning, json),
        b"done" => {
            event.said.needs_marker = true;
            event.said.ends = json.glance()?.said;
            Some(())
        }
        b"done_reason" => event.finish(json).map(drop),
        b"prompt_eval_count" | b"eval_count" => event.said.told.number(name, json),
        _ => event.common(name, json),
    })
}
