//! A document of YAML as a tree, so that each key can be asked for and what is left can be named.

use saphyr_parser::{Event, Parser, ScalarStyle};
use zeroize::Zeroizing;

use super::web_config::WebConfigError;

/// Deepest tree: a list in a section in the document, and some to spare.
const DEEPEST: usize = 8;

/// A value, and the line where it starts.
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

pub(super) enum Value {
    Null,
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Map(Map),
}

/// A section: what is taken out of it is known, and [`end`](Self::end) refuses the rest.
pub(super) struct Map {
    /// What its keys are called in errors.
    path: String,
    pub(super) entries: Vec<(String, Node)>,
}

/// What is not closed yet, and the key that waits for its value.
struct Open {
    node: Node,
    key: Option<String>,
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Node, WebConfigError> {
    let mut stack: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        // What the parser says may quote the file, and with it secrets.
        let (event, span) = event.map_err(|error| WebConfigError::Yaml {
            line: error.marker().line(),
            column: error.marker().col() + 1,
        })?;
        let line = span.start.line();
        let unfit = || WebConfigError::Yaml { line, column: span.start.col() + 1 };
        let done = match event {
            Event::Scalar(text, style, ..) => {
                let null = matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null && style == ScalarStyle::Plain {
                    Value::Null
                } else {
                    Value::Text(Zeroizing::new(text.into_owned()))
                };
                Node { line, value }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                let value = match event {
                    Event::SequenceStart(..) => Value::List(Vec::new()),
                    _ => Value::Map(Map { path: path(&stack), entries: Vec::new() }),
                };
                if stack.len() == DEEPEST {
                    return Err(unfit());
                }
                stack.push(Open { node: Node { line, value }, key: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => stack.pop().ok_or_else(unfit)?.node,
            Event::Alias(..) => return Err(WebConfigError::Alias { line }),
            _ => continue,
        };
        match stack.last_mut() {
            None if root.is_some() => return Err(unfit()),
            None => root = Some(done),
            Some(open) => open.take(done)?,
        }
    }
    root.ok_or(WebConfigError::Empty)
}

/// Where a section is that starts now.
fn path(stack: &[Open]) -> String {
    let keys = stack.iter().filter_map(|open| open.key.as_deref());
    keys.flat_map(|key| [key, "."]).collect()
}

/// A key as errors show it: a file may have a secret where a key should be.
fn shown(path: &str, key: &str) -> String {
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if plain && key.len() <= 40 { format!("{path}{key}") } else { format!("{path}(..)") }
}

impl Open {
    fn take(&mut self, done: Node) -> Result<(), WebConfigError> {
        let line = done.line;
        match (&mut self.node.value, self.key.take(), done.value) {
            (Value::List(list), _, value) => list.push(Node { line, value }),
            (Value::Map(map), Some(key), value) => map.entries.push((key, Node { line, value })),
            (Value::Map(map), None, Value::Text(key)) => {
                if map.entries.iter().any(|(taken, _)| *taken == *key) {
                    let key = shown(&map.path, &key);
                    return Err(WebConfigError::RepeatedKey { key, line });
                }
                self.key = Some(key.to_string());
            }
            (Value::Map(map), None, Value::Null) => {
                return Err(WebConfigError::UnknownKey { key: shown(&map.path, "null"), line });
            }
            _ => return Err(WebConfigError::Yaml { line, column: 1 }),
        }
        Ok(())
    }
}

impl Map {
    /// What `key` has, null being nothing.
    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.entries.iter().position(|(taken, _)| taken == key)?;
        let (_, node) = self.entries.swap_remove(at);
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// The section at `key`; one that is not there is empty.
    pub(super) fn section(&mut self, key: &str) -> Result<Self, WebConfigError> {
        match self.take(key) {
            None => Ok(Self { path: format!("{key}."), entries: Vec::new() }),
            Some(Node { value: Value::Map(map), .. }) => Ok(map),
            Some(Node { line, .. }) => Err(self.wrong(key, "a section", line)),
        }
    }

    /// What `key` has, read by `read`, which otherwise would have `expected` something else.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, WebConfigError> {
        let Some(Node { line, value }) = self.take(key) else { return Ok(None) };
        let value = match &value {
            Value::Text(text) => read(text),
            _ => None,
        };
        value.map(Some).ok_or_else(|| self.wrong(key, expected, line))
    }

    #[cfg(feature = "tls")]
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, WebConfigError> {
        self.read(key, "text", |text| Some(text.to_owned()))
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, WebConfigError> {
        // As Go's reader has it, which goes by YAML 1.1.
        self.read(key, "true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => None,
        })
    }

    #[cfg(feature = "tls")]
    pub(super) fn list(&mut self, key: &str) -> Result<Option<Vec<String>>, WebConfigError> {
        let Some(Node { line, value }) = self.take(key) else { return Ok(None) };
        let Value::List(list) = value else {
            return Err(self.wrong(key, "a list", line));
        };
        let text = |node: Node| match node.value {
            Value::Text(text) => Ok(text.to_string()),
            _ => Err(self.wrong(key, "a list of texts", node.line)),
        };
        list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn wrong(&self, key: &str, expected: &'static str, line: usize) -> WebConfigError {
        WebConfigError::Value { key: shown(&self.path, key), expected, line }
    }

    /// Nothing may be left that nobody asked for.
    pub(super) fn end(self) -> Result<(), WebConfigError> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, node)) => {
                Err(WebConfigError::UnknownKey { key: shown(&self.path, key), line: node.line })
            }
        }
    }
}
