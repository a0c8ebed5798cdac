//! Anthropic's messages: blocks of content, each with deltas, between a start and a stop.

use super::json::Json;
use super::said::{Content, Event};

/// Reads one event. Text, thinking and the input of a tool come in deltas, a tool's name with its
/// block; signatures are no content. The usage of `message_start` tells the input (its output is a
/// place holder), and that of `message_delta` the output so far. `message_stop` ends the stream.
pub(super) fn read<'a>(event: &mut Event<'a>, name: &[u8], json: &mut Json<'a>) -> Option<()> {
    let (mut kind, mut input) = (None, None);
    json.fields(|name, json| match name {
        b"type" => {
            kind = Some(json.text()?);
            Some(())
        }
        b"delta" => read_delta(event, json),
        b"content_block" => read_block(event, json),
        b"usage" => event.said.told.read(json),
        b"message" if json.starts(b'{') => json.fields(|name, json| match name {
            b"usage" => {
                input = Some(());
                event.said.told.read(json)
            }
            _ => event.common(name, json),
        }),
        _ => event.common(name, json),
    })?;
    let kind = kind.unwrap_or(name);
    let said = &mut event.said;
    said.needs_marker = kind.starts_with(b"message_") || kind.starts_with(b"content_block_");
    said.ends = is_end(kind);
    said.failed |= kind == b"error";
    if input.is_some() {
        said.told.output = None;
    }
    Some(())
}

/// Whether the events of this name end a stream.
pub(super) fn is_end(name: &[u8]) -> bool {
    name == b"message_stop"
}

fn read_delta<'a>(event: &mut Event<'a>, json: &mut Json<'a>) -> Option<()> {
    json.fields(|name, json| match name {
        b"text" | b"partial_json" => event.content(Content::Answer, json),
        b"thinking" => event.content(Content::Reasoning, json),
        b"stop_reason" => event.finish(json).map(drop),
        _ => json.skip(),
    })
}

/// A block begins; mostly it is empty, but a tool has its name.
fn read_block<'a>(event: &mut Event<'a>, json: &mut Json<'a>) -> Option<()> {
    let (mut call, mut named) = (false, false);
    json.fields(|name, json| {
        match name {
            b"type" => call = json.text()?.ends_with(b"tool_use"),
            b"name" => named = json.glance()?.filled,
            b"text" => event.content(Content::Answer, json)?,
            b"thinking" => event.content(Content::Reasoning, json)?,
            _ => json.skip()?,
        }
        Some(())
    })?;
    if call && named {
        event.said.content = Content::Answer;
    }
    Some(())
}
