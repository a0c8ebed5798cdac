//! Requests out of tensors, and text into them.

use prost::bytes::Bytes;

use super::messages::{Choice, Contents, InferRequest, InferResponse, Parameter, Tensor};
use crate::engine::Finish;
use crate::fault::Fault;

/// The parameter of a request that asks for an empty response at the end.
const EMPTY_FINAL: &str = "triton_enable_empty_final_response";

/// The parameter of a response that tells whether it is the last.
const FINAL: &str = "triton_final_response";

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Inference {
    pub(crate) model: String,
    pub(crate) id: String,
    pub(crate) prompt: String,
    pub(crate) max_tokens: Option<u32>,
    /// Whether the answer is to come in parts, if that was said.
    pub(crate) streaming: Option<bool>,
    /// The last response is to be an empty one.
    pub(crate) empty_final: bool,
}

impl Inference {
    pub(crate) fn read(request: InferRequest) -> Result<Self, Fault> {
        let prompt = request.bytes("text_input")?;
        let prompt = prompt.ok_or(Fault::invalid("text_input", "must be there"))?;
        let prompt = String::from_utf8(prompt.into())
            .map_err(|_| Fault::invalid("text_input", "must be UTF-8"))?;
        let streaming = match request.bool("streaming")? {
            Some(streaming) => Some(streaming),
            None => request.bool("stream")?,
        };
        let rule = Fault::invalid("max_tokens", "must be a positive integer");
        let max_tokens = match (request.int("max_tokens")?, request.parameter("max_tokens")) {
            (Some(tokens), _) => Some(tokens.into()),
            (None, Some(Choice::Int(tokens))) => Some(*tokens),
            (None, Some(_)) => return Err(rule),
            (None, None) => None,
        };
        let max_tokens = match max_tokens.map(u32::try_from) {
            None => None,
            Some(Ok(tokens @ 1..)) => Some(tokens),
            Some(_) => return Err(rule),
        };
        let empty_final = matches!(request.parameter(EMPTY_FINAL), Some(Choice::Bool(true)));
        Ok(Self {
            model: request.model_name,
            id: request.id,
            prompt,
            max_tokens,
            streaming,
            empty_final,
        })
    }

    /// A response with this text.
    pub(crate) fn response(&self, text: &str, finish: Option<Finish>, last: bool) -> InferResponse {
        let finish = finish.map(|finish| match finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
        });
        let outputs = [("text_output", Some(text)), ("finish_reason", finish)];
        let outputs = || outputs.iter().filter_map(|(name, text)| Some((*name, (*text)?)));
        InferResponse {
            outputs: outputs().map(|(name, _)| tensor(name, "BYTES")).collect(),
            raw_output_contents: outputs().map(|(_, text)| raw(text)).collect(),
            ..self.bare(last)
        }
    }

    /// A response without outputs.
    pub(crate) fn bare(&self, last: bool) -> InferResponse {
        let last = Parameter { choice: Some(Choice::Bool(last)) };
        InferResponse {
            model_name: self.model.clone(),
            model_version: "1".to_owned(),
            id: self.id.clone(),
            parameters: [(FINAL.to_owned(), last)].into(),
            ..InferResponse::default()
        }
    }
}

impl InferRequest {
    /// A request for an answer to `prompt`.
    pub(crate) fn new(model: &str, prompt: &str, max_tokens: u32) -> Self {
        let max_tokens = Parameter { choice: Some(Choice::Int(max_tokens.into())) };
        Self {
            model_name: model.to_owned(),
            parameters: [("max_tokens".to_owned(), max_tokens)].into(),
            inputs: vec![tensor("text_input", "BYTES")],
            raw_input_contents: vec![raw(prompt)],
            ..Self::default()
        }
    }

    fn parameter(&self, name: &str) -> Option<&Choice> {
        self.parameters.get(name)?.choice.as_ref()
    }

    fn bytes(&self, name: &'static str) -> Result<Option<Bytes>, Fault> {
        let raw = |raw: &Bytes| {
            let (length, text) = raw.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            (length == text.len()).then(|| raw.slice_ref(text))
        };
        let contents = |contents: &Contents| contents.bytes.first().cloned();
        self.one(name, "BYTES", "must be one element of type BYTES", raw, contents)
    }

    fn bool(&self, name: &'static str) -> Result<Option<bool>, Fault> {
        let raw = |raw: &Bytes| <[u8; 1]>::try_from(&raw[..]).ok().map(|[byte]| byte != 0);
        let contents = |contents: &Contents| contents.bools.first().copied();
        self.one(name, "BOOL", "must be one element of type BOOL", raw, contents)
    }

    fn int(&self, name: &'static str) -> Result<Option<i32>, Fault> {
        let raw = |raw: &Bytes| raw[..].try_into().ok().map(i32::from_le_bytes);
        let contents = |contents: &Contents| contents.ints.first().copied();
        self.one(name, "INT32", "must be one element of type INT32", raw, contents)
    }

    /// The element of an input, if there is such an input.
    fn one<T>(
        &self,
        name: &'static str,
        datatype: &str,
        rule: &'static str,
        raw: impl FnOnce(&Bytes) -> Option<T>,
        contents: impl FnOnce(&Contents) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(place) = self.inputs.iter().position(|input| input.name == name) else {
            return Ok(None);
        };
        let input = &self.inputs[place];
        let element = match (self.raw_input_contents.get(place), &input.contents) {
            (Some(bytes), _) => raw(bytes),
            (None, Some(held)) => contents(held),
            (None, None) => None,
        };
        let element = element.filter(|_| input.datatype == datatype);
        element.map(Some).ok_or(Fault::Invalid { field: name, rule })
    }
}

/// A tensor of one element.
pub(crate) fn tensor(name: &str, datatype: &str) -> Tensor {
    Tensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: vec![1],
        ..Tensor::default()
    }
}

/// Text in raw form: behind its length, in four bytes.
fn raw(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&length, text.as_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(request: InferRequest) -> String {
        Inference::read(request).unwrap_err().to_string()
    }

    #[test]
    fn inputs_are_read_in_raw_form_and_in_their_own() {
        let mut request = InferRequest::new("demo", "one two", 7);
        request.inputs.push(tensor("streaming", "BOOL"));
        request.raw_input_contents.push(Bytes::from_static(&[0]));
        let read = Inference::read(request).unwrap();
        assert_eq!((&*read.prompt, read.max_tokens), ("one two", Some(7)));
        assert_eq!((read.streaming, read.empty_final), (Some(false), false));

        let hold = |name, datatype, contents| Tensor {
            contents: Some(contents),
            ..tensor(name, datatype)
        };
        let text = Contents { bytes: vec!["three".into()], ..Contents::default() };
        let most = Contents { ints: vec![9], ..Contents::default() };
        let request = InferRequest {
            inputs: vec![hold("max_tokens", "INT32", most), hold("text_input", "BYTES", text)],
            ..InferRequest::default()
        };
        let read = Inference::read(request).unwrap();
        assert_eq!((&*read.prompt, read.max_tokens, read.streaming), ("three", Some(9), None));
    }

    #[test]
    fn inputs_that_are_not_what_they_say_are_refused() {
        let right = || InferRequest::new("demo", "hi", 7);
        assert_eq!(refused(InferRequest::default()), "text_input must be there");
        for bytes in
            [&b""[..], b"\x01\0\0", b"\x03\0\0\0hi", b"\x01\0\0\0hi", b"\xFF\xFF\xFF\xFFhi"]
        {
            let request =
                InferRequest { raw_input_contents: vec![Bytes::copy_from_slice(bytes)], ..right() };
            assert_eq!(refused(request), "text_input must be one element of type BYTES");
        }
        let request = InferRequest { inputs: vec![tensor("text_input", "FP32")], ..right() };
        assert_eq!(refused(request), "text_input must be one element of type BYTES");
        let request = InferRequest {
            raw_input_contents: vec![Bytes::from_static(b"\x01\0\0\0\xFF")],
            ..right()
        };
        assert_eq!(refused(request), "text_input must be UTF-8");
        for choice in [Choice::Int(0), Choice::Int(-1), Choice::Text("7".into())] {
            let mut request = right();
            request.parameters.insert("max_tokens".into(), Parameter { choice: Some(choice) });
            assert_eq!(refused(request), "max_tokens must be a positive integer");
        }
    }
}
