//! Triton's `generate_stream`: an event for each piece of text, and no word at the end.

use super::json::Json;
use super::said::{Content, Event};

/// Reads one event. The first and the last may be empty.
pub(super) fn read<'a>(event: &mut Event<'a>, json: &mut Json<'a>) -> Option<()> {
    json.fields(|name, json| match name {
        b"text_output" => event.content(Content::Answer, json),
        b"model_name" => {
            event.model = json.text()?;
            Some(())
        }
        b"finish_reason" => event.finish(json).map(drop),
        _ => event.common(name, json),
    })
}
