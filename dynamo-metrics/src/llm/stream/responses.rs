//! OpenAI's responses: named events, of which the last holds the whole answer again.

use super::FinishReason;
use super::json::Json;
use super::said::{Content, Event};

/// Reads one event. What is new comes in events whose type ends with `.delta`, and with the name of
/// a tool that is called; those that end with `.done` say it all again. Usage comes with the last
/// one: `response.completed`, `.incomplete`, `.failed` or `.cancelled`.
pub(super) fn read<'a>(event: &mut Event<'a>, name: &[u8], json: &mut Json<'a>) -> Option<()> {
    // The fields may stand in any order, so that they mean something only when all were read.
    let (mut kind, mut delta, mut called) = (None, false, false);
    json.fields(|name, json| {
        match name {
            b"type" => kind = Some(json.text()?),
            b"delta" => delta = json.content()?,
            b"item" => called = read_item(json)?,
            b"response" => read_response(event, json)?,
            _ => event.common(name, json)?,
        }
        Some(())
    })?;
    let kind = kind.unwrap_or(name);
    let said = &mut event.said;
    said.needs_marker = kind.starts_with(b"response.");
    match kind {
        _ if is_end(kind) => {
            said.ends = true;
            said.failed |= kind == b"response.failed";
            let reason = FinishReason::of(&kind[b"response.".len()..]);
            // Incomplete responses say why.
            said.finish = said.finish.or(reason);
        }
        b"response.output_item.added" if called => said.content = Content::Answer,
        b"error" => said.failed = true,
        _ if delta && kind.ends_with(b".delta") => {
            let reasoning = kind.starts_with(b"response.reasoning");
            said.content = if reasoning { Content::Reasoning } else { Content::Answer };
        }
        _ => {}
    }
    Some(())
}

/// Whether the events of this name end a stream.
pub(super) fn is_end(name: &[u8]) -> bool {
    matches!(
        name,
        b"response.completed" | b"response.incomplete" | b"response.failed" | b"response.cancelled"
    )
}

/// Whether an item names a tool that is called.
fn read_item(json: &mut Json<'_>) -> Option<bool> {
    let (mut call, mut named) = (false, false);
    json.fields(|name, json| {
        match name {
            b"type" => call = json.text()?.ends_with(b"_call"),
            b"name" => named = json.glance()?.filled,
            _ => json.skip()?,
        }
        Some(())
    })?;
    Some(call && named)
}

fn read_response<'a>(event: &mut Event<'a>, json: &mut Json<'a>) -> Option<()> {
    json.fields(|name, json| match name {
        b"usage" => event.said.told.read(json),
        b"incomplete_details" => json.fields(|name, json| match name {
            b"reason" => event.finish(json).map(drop),
            _ => json.skip(),
        }),
        _ => event.common(name, json),
    })
}
