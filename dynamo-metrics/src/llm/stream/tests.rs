//! Streams of every protocol, as their servers write them, cut everywhere.

mod transcripts;

use proptest::prelude::*;

use self::transcripts::{ALL, Transcript, Wire};
use super::{
    CountTokens, EventReader, Events, Grpc, JsonAnswer, KServe, Ndjson, Protocol, Seen, Sse,
    SseEvent, StreamReader,
};

fn reader(wire: Wire) -> Box<dyn StreamReader> {
    match wire {
        Wire::Sse => Box::new(Sse::new(Events::default())),
        Wire::Ndjson => Box::new(Ndjson::new(Events::default())),
        Wire::KServe => Box::new(Grpc::new(KServe::default())),
        Wire::Json => Box::new(JsonAnswer::default()),
    }
}

fn read<'a>(wire: Wire, frames: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let (mut reader, mut seen) = (reader(wire), Seen::default());
    for frame in frames {
        reader.read(frame, &mut seen);
    }
    reader.end(&mut seen);
    seen
}

/// The pieces of `bytes` between these places.
fn cut(bytes: &[u8], mut places: Vec<usize>) -> Vec<&[u8]> {
    for place in &mut places {
        *place = (*place).min(bytes.len());
    }
    places.push(bytes.len());
    places.sort_unstable();
    let mut from = 0;
    places.iter().map(|&to| &bytes[std::mem::replace(&mut from, to)..to]).collect()
}

/// What was seen, in short.
fn said(seen: &Seen) -> String {
    let word = |value: String| value.to_lowercase();
    let protocol = seen.protocol.map(|it| word(format!("{it:?}"))).unwrap_or_default();
    let mut said = vec![format!("{protocol}={}", seen.tokens)];
    if seen.reasoning_tokens > 0 {
        said.push(format!("reasoning={}", seen.reasoning_tokens));
    }
    if let Some(usage) = seen.usage {
        said.push(format!("usage={}/{}", usage.input_tokens, usage.output_tokens));
        let parts = [("cached", usage.cached_tokens), ("thought", usage.reasoning_tokens)];
        said.extend(parts.iter().filter_map(|(name, it)| it.map(|it| format!("{name}={it}"))));
    }
    for (is, name) in [
        (seen.exact, "exact"),
        (seen.complete, "complete"),
        (seen.needs_marker && !seen.complete, "unfinished"),
        (seen.failed, "failed"),
    ] {
        said.extend(is.then(|| name.to_owned()));
    }
    said.extend(seen.finish.map(|reason| word(format!("{reason:?}"))));
    said.extend(seen.uninspected.map(|why| word(format!("uninspected={why:?}"))));
    said.join(" ")
}

#[test]
fn every_stream_says_what_it_should() {
    for Transcript { name, wire, bytes, says } in ALL.iter() {
        assert_eq!(said(&read(*wire, [&bytes[..]])), *says, "{name}");
    }
}

#[test]
fn every_stream_says_the_same_wherever_it_is_cut() {
    for Transcript { name, wire, bytes, .. } in ALL.iter() {
        let whole = read(*wire, [&bytes[..]]);
        assert_eq!(read(*wire, bytes.chunks(1)), whole, "{name}, byte by byte");
        for place in 0..bytes.len() {
            assert_eq!(read(*wire, cut(bytes, vec![place])), whole, "{name}, cut at {place}");
        }
    }
}

#[test]
fn a_stream_with_other_ends_of_lines_says_the_same() {
    for Transcript { name, bytes, says, .. } in ALL.iter().filter(|it| it.wire == Wire::Sse) {
        let text = String::from_utf8_lossy(bytes);
        let unix = text.replace("\r\n", "\n");
        for end in ["\r\n", "\r", "\n"] {
            let text = unix.replace('\n', end);
            assert_eq!(said(&read(Wire::Sse, [text.as_bytes()])), *says, "{name} {end:?}");
            assert_eq!(said(&read(Wire::Sse, text.as_bytes().chunks(1))), *says, "{name} {end:?}");
        }
    }
}

#[test]
fn what_is_seen_of_a_stream_only_grows() {
    for Transcript { name, wire, bytes, .. } in ALL.iter() {
        let (mut reader, mut seen) = (reader(*wire), Seen::default());
        for byte in bytes.chunks(1) {
            let before = seen;
            reader.read(byte, &mut seen);
            assert!(seen.tokens >= before.tokens && seen.events >= before.events, "{name}");
            assert!(seen.reasoning_tokens <= seen.tokens, "{name}");
            assert!(seen.reasoning_tokens >= before.reasoning_tokens, "{name}");
        }
    }
}

/// Reads each event the long way.
struct Slow(Events);

impl EventReader for Slow {
    fn event(&mut self, event: SseEvent<'_>, seen: &mut Seen) {
        self.0.forget();
        self.0.event(event, seen);
    }

    fn end(&mut self, seen: &mut Seen) {
        self.0.end(seen);
    }
}

/// Events that are nearly alike, of which some are broken.
fn events() -> impl Strategy<Value = Vec<String>> {
    let text = "[a\\\\\"}]{0,3}|\\\\\"|\\\\u00e9| word|é";
    let number = "[0-9]{1,3}|-1|-?[0-9]\\.[0-9]|1e2|1\\.2\\.3|-|null|\"7\"";
    let plain = |text: String, number: String, end: &str| {
        format!(
            r#"{{"id":"x","choices":[{{"index":0,"delta":{{"content":"{text}"}}{end}}}],"obfuscation":"{number}"}}"#
        )
    };
    let event = prop_oneof![
        (text, "[0-9]{0,2}").prop_map(move |(text, number)| plain(text, number, "")),
        text.prop_map(move |text| plain(text, String::new(), r#","finish_reason":"stop""#)),
        (text, number).prop_map(|(text, number)| format!(
            r#"{{"choices":[{{"delta":{{"reasoning":"{text}","content":""}}}}],"usage":{{"completion_tokens":{number}}}}}"#
        )),
        (text, number).prop_map(|(text, number)| format!(
            r#"{{"type":"response.output_text.delta","sequence_number":{number},"delta":"{text}"}}"#
        )),
        (text, text, number).prop_map(|(text, other, number)| format!(
            r#"{{"choices":[{{"index":{number},"delta":{{"tool_calls":[{{"function":{{"name":"{other}","arguments":"{text}"}}}}]}}}}]}}"#
        )),
        (text, number).prop_map(|(text, number)| format!(
            r#"{{"index":1,"token":{{"id":{number},"text":"{text}","logprob":{number}}},"generated_text":null}}"#
        )),
        Just("[DONE]".to_owned()),
    ];
    prop::collection::vec(event, 0..20)
}

proptest! {
    #[test]
    fn frames_cut_at_random_say_the_same(
        which in 0..ALL.len(),
        places in prop::collection::vec(0_usize..4_000, 0..20),
    ) {
        let Transcript { wire, bytes, .. } = &ALL[which];
        prop_assert_eq!(read(*wire, cut(bytes, places)), read(*wire, [&bytes[..]]));
    }

    #[test]
    fn bytes_that_are_changed_say_the_same_wherever_they_are_cut(
        which in 0..ALL.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        places in prop::collection::vec(0_usize..4_000, 0..6),
    ) {
        let Transcript { wire, bytes, .. } = &ALL[which];
        let mut bytes = [&bytes[..], b"\n"].concat();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let whole = read(*wire, [&bytes[..]]);
        prop_assert_eq!(read(*wire, cut(&bytes, places)), whole);
        prop_assert_eq!(read(*wire, bytes.chunks(1)), whole);
    }

    #[test]
    fn made_up_bytes_say_the_same_wherever_they_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        places in prop::collection::vec(0_usize..300, 0..6),
    ) {
        for wire in [Wire::Sse, Wire::Ndjson, Wire::KServe, Wire::Json] {
            prop_assert_eq!(read(wire, cut(&bytes, places.clone())), read(wire, [&bytes[..]]));
        }
    }

    #[test]
    fn the_short_way_and_the_long_way_come_to_one_result(
        events in events(),
        protocol in prop::sample::select(vec![
            None,
            Some(Protocol::OpenAi),
            Some(Protocol::Responses),
            Some(Protocol::Tgi),
        ]),
    ) {
        let new = || protocol.map_or_else(Events::default, Events::speaking);
        let (mut short, mut long) = (new(), Slow(new()));
        let (mut one, mut other) = (Seen::default(), Seen::default());
        for data in &events {
            let event = SseEvent { name: b"", data: data.as_bytes() };
            short.event(event, &mut one);
            long.event(event, &mut other);
            prop_assert_eq!(one, other, "after {}", data);
        }
    }
}

#[test]
fn alike_events_go_the_short_way() {
    let chunk = |text: &str, number: u32| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}],"sequence_number":{number}}}"#
        )
    };
    let (mut reader, mut seen) = (Events::default(), Seen::default());
    for (number, text) in [(7, "a"), (80, "\\\""), (900, " longer than a word")] {
        let (data, tokens) = (chunk(text, number), seen.tokens);
        let event = SseEvent { name: b"", data: data.as_bytes() };
        assert_eq!(reader.knows(event), tokens > 0, "{text}");
        reader.event(event, &mut seen);
        assert_eq!(seen.tokens, tokens + 1);
    }
    for other in [chunk("", 1), chunk("a", 1) + " ", chunk("a\"", 1), chunk("a", 1) + "x"] {
        assert!(!reader.knows(SseEvent { name: b"", data: other.as_bytes() }), "{other}");
    }
    assert!(!reader.knows(SseEvent { name: b"x", data: chunk("a", 1).as_bytes() }));
}

#[test]
fn the_usage_of_a_last_event_that_is_too_long_is_found() {
    let long = "word ".repeat(20_000);
    for (name, kind) in
        [("event: response.completed\n", ""), ("", r#","type":"response.completed""#)]
    {
        let text = format!(
            "data: {{\"type\":\"response.created\"}}\n\n{name}data: {{\"response\":{{\"object\":\
             \"response\",\"output\":[{{\"text\":\"{long}\",\"usage\":{{\"output_tokens\":99}}}}],\
             \"usage\":{{\"input_tokens\":9,\"output_tokens\":4}}}}{kind}}}\n\n"
        );
        let whole = read(Wire::Sse, [text.as_bytes()]);
        assert_eq!(said(&whole), "responses=0 usage=9/4 complete uninspected=oversized");
        assert_eq!(read(Wire::Sse, text.as_bytes().chunks(999)), whole);
        for place in [40, 80, 65_000, 65_600, 65_700, text.len() - 2, text.len() - 40] {
            assert_eq!(read(Wire::Sse, cut(text.as_bytes(), vec![place])), whole, "{place}");
        }
    }
}

#[test]
fn tokens_of_a_method_of_ones_own_are_counted_wherever_its_messages_are_cut() {
    let bytes = b"\0\0\0\0\x02ab\0\0\0\0\0\x01\0\0\0\x01x\0\0\0\0\x03abc";
    let see = |frames: Vec<&[u8]>| {
        let count = CountTokens::new(|message: &[u8]| message.len() as u64);
        let (mut reader, mut seen) = (Grpc::new(count), Seen::default());
        for frame in frames {
            reader.read(frame, &mut seen);
        }
        seen
    };
    let whole = see(vec![bytes]);
    assert_eq!((whole.events, whole.tokens, whole.exact), (4, 5, true));
    for place in 0..bytes.len() {
        assert_eq!(see(cut(bytes, vec![place])), whole, "{place}");
    }
}
