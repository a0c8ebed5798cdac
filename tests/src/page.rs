//! A page of metrics in the text format, read back.

use std::collections::BTreeMap;

/// The samples of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page(Vec<Sample>);

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name, with its suffix.
    pub name: String,
    /// The labels, unescaped.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// If a line is none of the format's.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(samples.map(Sample::read).collect())
    }

    /// All samples, in the order of the page.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.0
    }

    /// The sum of the samples of this name that carry at least these labels; `None` without any.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.0.iter().filter(|sample| sample.is(name, labels)).peekable();
        found.peek()?;
        Some(found.map(|sample| sample.value).sum())
    }
}

impl Sample {
    fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name
            && labels.iter().all(|(k, v)| self.labels.get(*k).is_some_and(|has| has == v))
    }

    #[expect(clippy::panic, reason = "a page that cannot be read fails the test")]
    fn read(line: &str) -> Self {
        let read = || {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            Some(Self {
                name: name.to_owned(),
                labels: read_labels(labels.strip_suffix('}')?)?,
                value: value.replace("Inf", "inf").parse().ok()?,
            })
        };
        read().unwrap_or_else(|| panic!("no line of the text format: {line}"))
    }
}

fn read_labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, c) => value.push(c),
            }
        };
        labels.insert(name.to_owned(), value);
        text = rest[end + 1..].strip_prefix(',').unwrap_or(&rest[end + 1..]);
    }
    Some(labels)
}
