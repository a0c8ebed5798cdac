//! The events of model servers, whichever protocol they speak.

use super::find::Find;
use super::json::Json;
use super::said::{Content, Event, Said, recognize};
use super::template::Template;
use super::usage::Told;
use super::{EventReader, ModelName, Protocol, Seen, SseEvent, Uninspected, anthropic, responses};

/// Reads the events of every protocol that it knows: OpenAI's chat completions, completions and
/// responses, Anthropic's messages, Ollama's records, TGI's and Triton's own streams. Which one it
/// is, the first events show.
///
/// An event has content if it brings something new of the answer or of the reasoning: text, a
/// refusal, a tool's name or a part of its arguments. Roles, empty deltas, usage, pings, and events
/// that say again what was said are no content. Tokens are counted by what an event's usage adds to
/// the usage before, where servers report that with each, else one for each event with content.
///
/// # Cost
/// An event that is like the one before but for its text is compared with it, and read no further.
/// That keeps a kilobyte for a stream, and allocates for its first events.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::stream::{Events, Protocol, Seen, Sse, StreamReader};
///
/// let mut reader = Sse::new(Events::default());
/// let mut seen = Seen::default();
/// reader.read(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n", &mut seen);
/// reader.read(b"data: [DONE]\n\n", &mut seen);
/// assert_eq!((seen.protocol, seen.tokens), (Some(Protocol::OpenAi), 1));
/// assert!(seen.complete);
/// ```
#[derive(Debug, Default)]
pub struct Events {
    protocol: Option<Protocol>,
    /// Choices that came, and those that finished: a bit each, as far as there are bits.
    came: u64,
    finished: u64,
    /// The marker that ends the stream came.
    done: bool,
    told: Told,
    /// Output tokens that the usage reported so far.
    reported: u64,
    /// An event with content came without usage, so that usage is not told for each.
    untold: bool,
    /// Tokens without any text that came since the last with one.
    silent: u64,
    /// An event passed by unread, which may have been the one that ends the stream.
    lost: bool,
    /// What there is in the event that passes by.
    long: Option<Box<Find>>,
    template: Template,
}

impl Events {
    /// Reads the events of `protocol`, whatever the first ones look like (default: as they look).
    #[must_use]
    pub fn speaking(protocol: Protocol) -> Self {
        Self { protocol: Some(protocol), ..Self::default() }
    }

    /// The next event is read the long way.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.template.forget();
    }

    /// Whether the event would be read the short way.
    #[cfg(test)]
    pub(super) fn knows(&mut self, event: SseEvent<'_>) -> bool {
        self.template.is_like(event.name, event.data)
    }

    /// Reads an event the long way.
    #[inline(never)]
    fn read(&mut self, event: SseEvent<'_>, seen: &mut Seen) {
        if event.data.is_empty() {
            return;
        }
        self.protocol = self.protocol.or_else(|| recognize(event.name, event.data));
        seen.protocol = self.protocol;
        // Of events of no known protocol, errors are understood.
        let protocol = self.protocol.unwrap_or(Protocol::OpenAi);
        let mut read = Event::default();
        let parsed = Json::read_with_holes(event.data, |json| {
            if json.starts(b'{') { read.read(protocol, event.name, json) } else { json.skip() }
        });
        let Some(((), holes)) = parsed else {
            // The stream is passed on all the same.
            return seen.miss(Uninspected::Malformed);
        };
        if seen.model.is_empty() {
            seen.model = ModelName::of_json(read.model);
        }
        self.template.keep(event.name, event.data, &read.said, &holes);
        self.take(&read.said, seen);
    }

    /// Adds what an event says to what was seen.
    fn take(&mut self, said: &Said, seen: &mut Seen) {
        seen.failed |= said.failed;
        seen.needs_marker |= said.needs_marker;
        seen.finish = said.finish.or(seen.finish);
        self.silent += u64::from(said.silent);
        seen.exact |= said.silent;
        if said.content != Content::Nothing {
            let tokens = self.tokens(said);
            seen.tokens += tokens;
            if said.content == Content::Reasoning {
                seen.reasoning_tokens += tokens;
            }
        }
        self.came |= said.came;
        self.finished |= said.finished;
        self.done |= said.ends;
        // A client that leaves when every choice has finished has all that it asked for.
        seen.complete = self.done || (self.came != 0 && self.came == self.finished);
        if !said.told.is_empty() {
            self.told.add(&said.told);
            self.reported = self.reported.max(said.told.output.unwrap_or(0).into());
            seen.usage = self.told.usage();
        }
    }

    /// The same for an event that is plain: it says nothing else than these.
    #[inline]
    fn take_plain(&mut self, content: Content, came: u64, needs_marker: bool, seen: &mut Seen) {
        self.untold = true;
        self.came |= came;
        seen.tokens += 1;
        seen.reasoning_tokens += u64::from(content == Content::Reasoning);
        seen.needs_marker |= needs_marker;
        seen.complete = self.done || (self.came != 0 && self.came == self.finished);
    }

    /// The tokens of an event with content. Usage tells them if it comes with every event; if it
    /// comes with the last one alone, it tells of all the others as well.
    fn tokens(&mut self, said: &Said) -> u64 {
        if said.silent {
            return std::mem::take(&mut self.silent);
        }
        self.untold |= said.told.output.is_none();
        match said.told.output {
            Some(output) if !self.untold => u64::from(output).saturating_sub(self.reported).max(1),
            _ => 1,
        }
    }
}

impl EventReader for Events {
    #[inline]
    fn event(&mut self, event: SseEvent<'_>, seen: &mut Seen) {
        if self.template.is_like(event.name, event.data) {
            let said = self.template.said();
            if said.is_plain() {
                return self.take_plain(said.content, said.came, said.needs_marker, seen);
            }
            let said = *said;
            return self.take(&said, seen);
        }
        if event.name == b"error" {
            seen.failed = true;
        } else if event.data.trim_ascii() == b"[DONE]" {
            self.done = true;
            seen.complete = true;
        } else {
            self.read(event, seen);
        }
    }

    fn part(&mut self, part: &[u8], seen: &mut Seen) {
        self.long.get_or_insert_with(|| Box::new(Find::in_event())).read(part, seen);
    }

    fn oversized(&mut self, name: &[u8], seen: &mut Seen) {
        self.lost = true;
        seen.failed |= name == b"error";
        let found = self.long.take();
        if let Some(found) = &found {
            self.told.add(found.told());
            seen.usage = self.told.usage();
        }
        // What ends a response holds all of it again, so it is the longest event of all.
        let ends = responses::is_end(name) || found.is_some_and(|found| found.ends());
        if ends || anthropic::is_end(name) {
            self.done = true;
            seen.complete = true;
            seen.failed |= name == b"response.failed";
        }
    }

    fn end(&mut self, seen: &mut Seen) {
        if self.protocol.is_none() && seen.events > 0 && !self.done && !seen.failed {
            seen.miss(Uninspected::Unrecognized);
        }
        seen.needs_marker &= !self.lost;
        // The last ones may have had no text, and so no time either.
        seen.exact &= self.silent == 0;
    }
}
