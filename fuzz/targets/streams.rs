#![no_main]
//! Reads the bytes as a stream, whole and in pieces, and checks that both come to one result.
//!
//! The first byte says what kind of stream it is, and the second how long the pieces are.

use dynamo_metrics::llm::stream::{
    Events, Grpc, JsonAnswer, KServe, Ndjson, Protocol, Seen, Sse, StreamReader,
};

const PROTOCOLS: [Protocol; 6] = [
    Protocol::OpenAi,
    Protocol::Responses,
    Protocol::Anthropic,
    Protocol::Ollama,
    Protocol::Tgi,
    Protocol::Triton,
];

/// Longest line or message, which made-up bytes should be able to pass.
const LONGEST: usize = 200;

fn reader(kind: u8) -> Box<dyn StreamReader> {
    match kind % 10 {
        0 => Box::new(Ndjson::new(Events::default()).longest(LONGEST)),
        1 => Box::new(Grpc::new(KServe::default()).longest(LONGEST)),
        2 => Box::new(JsonAnswer::default().longest(4 * LONGEST as u64)),
        3 => Box::new(Sse::new(Events::default()).longest(LONGEST)),
        kind => {
            let protocol = PROTOCOLS[usize::from(kind - 4)];
            Box::new(Sse::new(Events::speaking(protocol)).longest(LONGEST))
        }
    }
}

fn read<'a>(kind: u8, frames: impl Iterator<Item = &'a [u8]>) -> Seen {
    let (mut reader, mut seen) = (reader(kind), Seen::default());
    for frame in frames {
        let before = seen;
        reader.read(frame, &mut seen);
        assert!(seen.tokens >= before.tokens && seen.events >= before.events);
        assert!(seen.reasoning_tokens <= seen.tokens);
        assert!(seen.model.as_str().len() <= 64);
    }
    reader.end(&mut seen);
    seen
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [kind, length, stream @ ..] = bytes else { return };
    let whole = read(*kind, [stream].into_iter());
    let length = usize::from(*length).max(1);
    assert_eq!(read(*kind, stream.chunks(length)), whole);
    let (start, rest) = stream.split_at(length.min(stream.len()));
    assert_eq!(read(*kind, [start, rest].into_iter()), whole);
});
