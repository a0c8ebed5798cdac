//! The fields of a JSON request, taken one by one; what is null is as good as not there.

use std::ops::RangeInclusive;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::fault::Fault;

/// A request's JSON object. Fields that nobody asks for are let be.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn read(body: Result<Bytes, BytesRejection>) -> Result<Self, Fault> {
        let body =
            body.map_err(|why| Fault::Unreadable { status: why.status(), why: why.body_text() })?;
        serde_json::from_slice(&body).map(Self).map_err(|why| Fault::Unreadable {
            status: StatusCode::BAD_REQUEST,
            why: why.to_string(),
        })
    }

    /// The value at `path`, whose dots lead into objects.
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
        let mut value = self.0.get(first);
        for name in rest.into_iter().flat_map(|rest| rest.split('.')) {
            value = value?.get(name);
        }
        value.filter(|value| !value.is_null())
    }

    pub(crate) fn flag(&self, path: &'static str) -> Result<Option<bool>, Fault> {
        let flag = |value: &Value| value.as_bool();
        self.take(path, flag, "must be a boolean")
    }

    pub(crate) fn text(&self, path: &'static str) -> Result<Option<&str>, Fault> {
        self.take(path, Value::as_str, "must be a string")
    }

    /// A positive number of tokens.
    pub(crate) fn tokens(&self, path: &'static str) -> Result<Option<u32>, Fault> {
        let tokens = |value: &Value| value.as_u64().filter(|&n| n > 0)?.try_into().ok();
        self.take(path, tokens, "must be a positive integer")
    }

    /// Checks that a number is in its range, if it is there.
    pub(crate) fn check_number(
        &self,
        path: &'static str,
        range: &RangeInclusive<f64>,
        rule: &'static str,
    ) -> Result<(), Fault> {
        let number = |value: &Value| value.as_f64().filter(|number| range.contains(number));
        self.take(path, number, rule).map(drop)
    }

    /// Whether there is an object.
    pub(crate) fn object(&self, path: &'static str) -> Result<bool, Fault> {
        Ok(self.take(path, Value::as_object, "must be an object")?.is_some())
    }

    /// All text of a conversation: a list of messages with roles, whose content is text or parts.
    pub(crate) fn conversation(&self, path: &'static str) -> Result<String, Fault> {
        let messages = self.get(path).and_then(Value::as_array);
        let messages = messages
            .filter(|messages| !messages.is_empty())
            .ok_or(Fault::invalid(path, "must be a list of at least one message"))?;
        let mut prompt = String::new();
        for message in messages {
            if !message.get("role").is_some_and(Value::is_string) {
                return Err(Fault::invalid(path, "must each have a role"));
            }
            match message.get("content") {
                None | Some(Value::Null) => {}
                Some(content) => add_text(&mut prompt, content)
                    .ok_or(Fault::invalid(path, "must have text or parts as content"))?,
            }
        }
        Ok(prompt)
    }

    fn take<'a, T>(
        &'a self,
        path: &'static str,
        take: impl FnOnce(&'a Value) -> Option<T>,
        rule: &'static str,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.get(path) else { return Ok(None) };
        take(value).map(Some).ok_or(Fault::Invalid { field: path, rule })
    }
}

/// Adds text, or the text of each part that has some; `None` if it is neither text nor parts.
pub(crate) fn add_text(prompt: &mut String, content: &Value) -> Option<()> {
    match content {
        Value::String(text) => push(prompt, text),
        Value::Array(parts) => {
            for text in parts.iter().filter_map(|part| part.get("text")?.as_str()) {
                push(prompt, text);
            }
        }
        _ => return None,
    }
    Some(())
}

fn push(prompt: &mut String, text: &str) {
    prompt.push_str(text);
    prompt.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::read(Ok(Bytes::copy_from_slice(json.as_bytes()))).unwrap()
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn paths_lead_into_objects_and_null_is_nothing() {
        let fields = fields(r#"{"a":{"b":{"c":7}},"n":null,"t":true}"#);
        assert_eq!(fields.tokens("a.b.c").unwrap(), Some(7));
        assert_eq!(fields.tokens("a.x.c").unwrap(), None);
        assert_eq!(fields.tokens("t.b").unwrap(), None);
        assert_eq!(fields.flag("n").unwrap(), None);
        assert_eq!(fields.flag("t").unwrap(), Some(true));
        assert!(fields.object("a.b").unwrap() && !fields.object("n").unwrap());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_rule() {
        let fields = fields(r#"{"a":{"n":0},"big":5000000000,"t":9.5,"m":[{"role":"user"}, 7]}"#);
        assert_eq!(refused(fields.tokens("a.n")), "a.n must be a positive integer");
        assert_eq!(refused(fields.tokens("big")), "big must be a positive integer");
        assert_eq!(refused(fields.text("a")), "a must be a string");
        assert_eq!(
            refused(fields.check_number("t", &(0.0..=2.0), "must be small")),
            "t must be small"
        );
        assert_eq!(refused(fields.conversation("m")), "m must each have a role");
        assert_eq!(
            refused(fields.conversation("none")),
            "none must be a list of at least one message"
        );
        for bad in ["[]", "7", "{", "", "\u{FEFF}{}"] {
            let read = Fields::read(Ok(Bytes::copy_from_slice(bad.as_bytes())));
            assert!(matches!(read, Err(Fault::Unreadable { .. })), "{bad}");
        }
    }

    #[test]
    fn a_conversation_is_the_text_of_all_its_parts() {
        let fields = fields(
            r#"{"messages":[{"role":"system","content":null},{"role":"user","content":"one two"},
            {"role":"user","content":[{"type":"text","text":"three"},{"type":"image"}]}]}"#,
        );
        assert_eq!(fields.conversation("messages").unwrap(), "one two\nthree\n");
    }
}
