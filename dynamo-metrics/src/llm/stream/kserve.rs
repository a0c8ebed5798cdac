//! KServe's `ModelStreamInfer`: tensors, of which one is the text.

use super::protobuf::{Value, fields};
use super::{FinishReason, MessageReader, ModelName, Protocol, Seen, Uninspected};

/// Outputs of a response that are looked at.
const MOST_OUTPUTS: usize = 16;

/// Reads `ModelStreamInferResponse`s of KServe's open inference protocol, as Triton streams them.
///
/// A response has content if its tensor `text_output` holds text; where none is called so, any
/// tensor of type `BYTES` does. An `error_message` is a failure, whatever `grpc-status` says. The
/// parameter `triton_final_response` marks the last response; servers send it where they are
/// asked to, so that its absence says nothing.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::stream::{Grpc, KServe, Seen, StreamReader};
///
/// let mut seen = Seen::default();
/// // A message of five bytes: field 1, the error, with three bytes of text.
/// Grpc::new(KServe::default()).read(b"\0\0\0\0\x05\x0a\x03bad", &mut seen);
/// assert!(seen.failed);
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct KServe {}

/// What an output tensor is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Output {
    /// Numbers.
    #[default]
    Other,
    /// The text, by its name.
    Text,
    /// Bytes, which are the text if nothing has its name.
    Bytes,
    /// Why the answer ended.
    Finish,
}

/// What one response says.
#[derive(Debug, Default)]
struct Response {
    outputs: [Output; MOST_OUTPUTS],
    /// Outputs that came, and tensors in raw form.
    count: usize,
    raw: usize,
    text: bool,
    bytes: bool,
    finish: Option<FinishReason>,
    last: bool,
    model: ModelName,
}

impl MessageReader for KServe {
    fn message(&mut self, message: &[u8], seen: &mut Seen) {
        seen.protocol = Some(Protocol::KServe);
        let read = fields(message, |number, value| {
            match (number, value) {
                (1, Value::Bytes(error)) => seen.failed |= !error.is_empty(),
                (2, Value::Bytes(response)) => Response::read(response)?.tell(seen),
                _ => {}
            }
            Some(())
        });
        if read.is_none() {
            seen.miss(Uninspected::Malformed);
        }
    }
}

impl Response {
    fn read(response: &[u8]) -> Option<Self> {
        let mut read = Self::default();
        fields(response, |number, value| {
            match (number, value) {
                (1, Value::Bytes(name)) => read.model = ModelName::of_bytes(name),
                (4, Value::Bytes(parameter)) => read.last |= is_last(parameter)?,
                (5, Value::Bytes(output)) => read.output(output)?,
                _ => {}
            }
            Some(())
        })?;
        // Raw tensors stand in the order of the outputs, but could stand before them.
        fields(response, |number, value| {
            if let (6, Value::Bytes(raw)) = (number, value) {
                let output = read.outputs.get(read.raw).copied().unwrap_or_default();
                read.raw += 1;
                strings(raw, |text| read.string(output, text));
            }
            Some(())
        })?;
        Some(read)
    }

    /// Takes an output, with what it holds if that is not in raw form.
    fn output(&mut self, output: &[u8]) -> Option<()> {
        let mut kind = Output::Other;
        let mut contents = &[][..];
        fields(output, |number, value| {
            match (number, value) {
                (1, Value::Bytes(b"text_output")) => kind = Output::Text,
                (1, Value::Bytes(b"finish_reason")) => kind = Output::Finish,
                (2, Value::Bytes(b"BYTES")) if kind == Output::Other => kind = Output::Bytes,
                (5, Value::Bytes(bytes)) => contents = bytes,
                _ => {}
            }
            Some(())
        })?;
        if let Some(place) = self.outputs.get_mut(self.count) {
            *place = kind;
            self.count += 1;
        }
        fields(contents, |number, value| {
            if let (8, Value::Bytes(text)) = (number, value) {
                self.string(kind, text);
            }
            Some(())
        })
    }

    fn string(&mut self, output: Output, text: &[u8]) {
        match output {
            Output::Text => self.text |= !text.is_empty(),
            Output::Bytes => self.bytes |= !text.is_empty(),
            Output::Finish => self.finish = FinishReason::of(text).or(self.finish),
            Output::Other => {}
        }
    }

    fn tell(&self, seen: &mut Seen) {
        let named = self.outputs.contains(&Output::Text);
        if if named { self.text } else { self.bytes } {
            seen.tokens += 1;
        }
        seen.finish = self.finish.or(seen.finish);
        // One stream may answer several requests, each with a last response of its own.
        seen.complete = self.last;
        if seen.model.is_empty() {
            seen.model = self.model;
        }
    }
}

/// Whether a parameter says that this is the last response.
fn is_last(parameter: &[u8]) -> Option<bool> {
    let (mut named, mut yes) = (false, false);
    fields(parameter, |number, value| {
        match (number, value) {
            (1, Value::Bytes(name)) => named = name == b"triton_final_response",
            (2, Value::Bytes(value)) => fields(value, |number, value| {
                yes |= number == 1 && matches!(value, Value::Varint(1..));
                Some(())
            })?,
            _ => {}
        }
        Some(())
    })?;
    Some(named && yes)
}

/// The strings of a raw tensor: each behind its length, in four bytes.
fn strings(mut raw: &[u8], mut each: impl FnMut(&[u8])) {
    while let Some((length, rest)) = raw.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((text, rest)) = rest.split_at_checked(length) else { return };
        each(text);
        raw = rest;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    /// A response with these outputs, each with its name and what it holds.
    pub(in super::super) fn response(outputs: &[(&str, &str)], last: bool) -> Vec<u8> {
        let mut response = field(1, b"llama");
        let yes = [field(1, b"triton_final_response"), field(2, &[8, last.into()])].concat();
        response.extend(field(4, &yes));
        for (name, _) in outputs {
            let output = [field(1, name.as_bytes()), field(2, b"BYTES"), field(3, &[1])];
            response.extend(field(5, &output.concat()));
        }
        for (_, text) in outputs {
            let length = u32::try_from(text.len()).unwrap().to_le_bytes();
            response.extend(field(6, &[&length, text.as_bytes()].concat()));
        }
        field(2, &response)
    }

    pub(in super::super) fn error(text: &str) -> Vec<u8> {
        field(1, text.as_bytes())
    }

    fn see(messages: &[Vec<u8>]) -> Seen {
        let mut seen = Seen::default();
        for message in messages {
            KServe::default().message(message, &mut seen);
        }
        seen
    }

    #[test]
    fn the_tensor_with_the_text_is_found() {
        let text = |text| response(&[("finish_reason", "null"), ("text_output", text)], false);
        let seen = see(&[text("a"), text(""), text("b")]);
        assert_eq!((seen.tokens, seen.finish, seen.complete), (2, None, false));
        assert_eq!(seen.model.as_str(), "llama");
        assert_eq!(see(&[response(&[("OUT", "a")], false)]).tokens, 1);
        let stop = response(&[("text_output", ""), ("finish_reason", "stop")], true);
        let seen = see(&[stop]);
        assert_eq!((seen.tokens, seen.finish), (0, Some(FinishReason::Stop)));
        assert!(seen.complete);
    }

    #[test]
    fn errors_come_under_a_good_status() {
        let seen = see(&[response(&[("text_output", "a")], false), error("out of memory")]);
        assert!(seen.failed);
    }

    #[test]
    fn text_may_stand_in_the_output_itself() {
        let contents = field(8, b"word");
        let output = [field(1, b"text_output"), field(5, &contents)].concat();
        assert_eq!(see(&[field(2, &field(5, &output))]).tokens, 1);
    }

    #[test]
    fn what_is_none_of_it_is_malformed() {
        let seen = see(&[b"\x12\x7F".to_vec()]);
        assert_eq!(seen.uninspected, Some(Uninspected::Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let wrapped = field(2, &bytes);
            let _ = see(&[bytes, wrapped]);
        }
    }
}
