//! Text Generation Inference's `/generate_stream`: an event for each token.

use super::json::Json;
use super::said::{Content, Event};

/// Reads one event, which is one token, special ones among them. The last one has the whole text
/// again, and details of what was generated.
pub(super) fn read<'a>(event: &mut Event<'a>, json: &mut Json<'a>) -> Option<()> {
    json.fields(|name, json| match name {
        b"token" if json.starts(b'{') => {
            event.said.needs_marker = true;
            event.said.silent = true;
            json.fields(|name, json| match name {
                b"text" => event.content(Content::Answer, json),
                b"id" | b"logprob" => json.varying(),
                _ => json.skip(),
            })
        }
        b"generated_text" => {
            event.said.ends = json.starts(b'"');
            json.skip()
        }
        b"details" => json.fields(|name, json| match name {
            b"finish_reason" => event.finish(json).map(drop),
            b"generated_tokens" | b"input_length" => event.said.told.number(name, json),
            _ => json.skip(),
        }),
        b"index" => json.varying(),
        _ => event.common(name, json),
    })
}
