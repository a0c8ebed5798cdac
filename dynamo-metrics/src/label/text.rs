//! Label text: rendered once, when a series is made, and copied ever after.

/// The labels of one series, sorted by name and rendered as `a="x",b="y"`.
///
/// Values are escaped as both text formats ask (`\\`, `\"`, `\n`), so that a scrape copies them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Labels {
    text: Box<str>,
    /// The text without labels whose value is empty; `None` if it is the same. An empty value
    /// equals an absent label, so this is what tells one series from another.
    identity: Option<Box<str>>,
    /// A value in it is not as it was given.
    escaped: bool,
}

impl Labels {
    /// Renders `pairs`, which need not be sorted.
    pub(crate) fn render(pairs: &mut [(&str, &str)]) -> Self {
        pairs.sort_unstable();
        let text = join(pairs);
        let identity = pairs.iter().any(|(_, value)| value.is_empty()).then(|| {
            let told: Vec<_> = pairs.iter().copied().filter(|(_, v)| !v.is_empty()).collect();
            join(&told)
        });
        let escaped = text.contains(['\\', '\u{FFFD}']);
        Self { text, identity, escaped }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a value in the text may differ from what it was given as.
    pub(crate) fn has_escapes(&self) -> bool {
        self.escaped
    }

    pub(crate) fn identity(&self) -> &str {
        self.identity.as_deref().unwrap_or(&self.text)
    }
}

/// How a character of a value is written, if not as it is.
pub(super) fn escape(c: char) -> Option<&'static str> {
    Some(match c {
        '\\' => "\\\\",
        '"' => "\\\"",
        '\n' => "\\n",
        // Legal, but the end of the input for parsers that are written in C.
        '\0' => "\u{FFFD}",
        _ => return None,
    })
}

fn join(pairs: &[(&str, &str)]) -> Box<str> {
    let mut text = String::with_capacity(pairs.iter().map(|(n, v)| n.len() + v.len() + 4).sum());
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for c in value.chars() {
            match escape(c) {
                Some(escaped) => text.push_str(escaped),
                None => text.push(c),
            }
        }
        text.push('"');
    }
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_escaped() {
        let labels = Labels::render(&mut [("model", "a\"b\\c\nd"), ("endpoint", "chat")]);
        assert_eq!(labels.as_str(), r#"endpoint="chat",model="a\"b\\c\nd""#);
        assert_eq!(labels.identity(), labels.as_str());
    }

    #[test]
    fn an_empty_value_is_shown_but_tells_nothing_apart() {
        let with = Labels::render(&mut [("error_type", ""), ("model", "m")]);
        let without = Labels::render(&mut [("model", "m")]);
        assert_eq!(with.as_str(), r#"error_type="",model="m""#);
        assert_eq!(with.identity(), without.identity());
    }
}
