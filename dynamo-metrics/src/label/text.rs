//! Label text: rendered once, when a series is made, and copied ever after.

use std::borrow::Cow;
use std::sync::Arc;

use super::copy::write_part;
use super::template::Template;

/// Most bytes of a value that varies; of what is longer, that much is shown. Written out it may be
/// twice as long, and that is still the number of a character.
const LONGEST: usize = 4096;

/// The labels of one series: what its group has in common, and the values that are its own.
#[derive(Debug)]
pub(crate) struct Labels {
    template: Arc<Template>,
    /// The values in the order of names, as both text formats write them. Before them stand their
    /// lengths, each as the character of that number, which is one byte for most.
    values: Box<str>,
    hash: u32,
    /// A value is not as it was given.
    escaped: bool,
}

impl Labels {
    /// The labels of `template` with these values, of which there are as many as it leaves open.
    pub(crate) fn new(template: &Arc<Template>, values: &[&str]) -> Self {
        let (mut text, mut lengths) = (String::new(), String::new());
        for value in template.sorted(values) {
            let start = text.len();
            push_escaped(&mut text, value);
            lengths.extend(u32::try_from(text.len() - start).ok().and_then(char::from_u32));
        }
        Self {
            hash: shorten(template.hash(values)),
            escaped: text.contains('\\'),
            values: (lengths + &text).into(),
            template: Arc::clone(template),
        }
    }

    /// No labels.
    pub(crate) fn none() -> Self {
        Self::new(&Arc::new(Template::empty()), &[])
    }

    /// The hash of the set, without what is empty.
    pub(crate) fn hash(&self) -> u32 {
        self.hash
    }

    pub(crate) fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// Whether these are the labels of `template` with `values`, without what is empty.
    #[inline]
    pub(crate) fn is(&self, template: &Arc<Template>, values: &[&str]) -> bool {
        if Arc::ptr_eq(&self.template, template) {
            return self.has(values);
        }
        let mut given = template.sorted(values);
        same(
            self.iter(),
            template.names().iter().map(|name| {
                let value = name.value.as_deref().or_else(|| given.next()).unwrap_or_default();
                (&*name.text, Cow::Borrowed(value))
            }),
        )
    }

    /// Whether both are the same set, without what is empty.
    pub(crate) fn equal(&self, other: &Self) -> bool {
        same(self.iter(), other.iter())
    }

    /// Appends the text: `a="x",b="y"`, sorted by name.
    #[inline]
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        let (before, tail) = self.template.text();
        let lengths = || self.values.chars().take(before.len());
        let mut at = lengths().map(char::len_utf8).sum();
        for (piece, length) in before.iter().zip(lengths()) {
            piece.write_to(out);
            write_part(out, self.values.as_bytes(), at, length as usize);
            at += length as usize;
        }
        tail.write_to(out);
    }

    /// Names and values, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let mut varying = self.split();
        self.template.names().iter().map(move |name| {
            let value = match &name.value {
                Some(value) => Cow::Borrowed(&**value),
                None => unescape(varying.next().unwrap_or_default()),
            };
            (&*name.text, value)
        })
    }

    /// Whether there are no labels at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.template.names().is_empty()
    }

    /// The values as they are written.
    #[inline]
    fn split(&self) -> impl Iterator<Item = &str> {
        let mut lengths = self.values.chars();
        let mut rest = self.values.chars();
        (0..self.template.varying()).for_each(|_| {
            rest.next();
        });
        let mut rest = rest.as_str();
        (0..self.template.varying()).map_while(move |_| {
            let (value, after) = rest.split_at_checked(lengths.next()? as usize)?;
            rest = after;
            Some(value)
        })
    }

    #[inline]
    fn has(&self, values: &[&str]) -> bool {
        self.split().zip(self.template.sorted(values)).all(|(own, value)| {
            // Without escapes in the text, a value in it stands as it is.
            if self.escaped { is_escaped(own, value) } else { own == value }
        })
    }
}

/// Whether both are the same labels, without what is empty; both are sorted by name.
fn same<'a>(
    one: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
    other: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
) -> bool {
    let told = |(_, value): &(&str, Cow<'_, str>)| !value.is_empty();
    one.filter(told).eq(other.filter(told))
}

/// Values as labels may have them, if these are not so already: none longer than 4096 bytes, and
/// without NUL, which is legal, but the end of the input for parsers that are written in C.
pub(crate) fn presentable(values: &[&str]) -> Option<Vec<String>> {
    let odd = |value: &str| value.len() > LONGEST || value.contains('\0');
    values.iter().any(|value| odd(value)).then(|| {
        let mend = |value: &&str| {
            let mended = value.replace('\0', "\u{FFFD}");
            let end = (0..=LONGEST).rev().find(|&end| mended.is_char_boundary(end));
            mended.get(..end.unwrap_or_default()).unwrap_or(&mended).to_owned()
        };
        values.iter().map(mend).collect()
    })
}

/// Half of a hash: enough to tell most labels apart.
pub(crate) fn shorten(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Appends `name="value"`, as both text formats write it.
pub(crate) fn write_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut text = String::with_capacity(name.len() + value.len() + 3);
    push_pair(&mut text, name, value);
    out.extend_from_slice(text.as_bytes());
}

/// Appends `name="value"`.
pub(super) fn push_pair(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    push_escaped(out, value);
    out.push('"');
}

fn push_escaped(out: &mut String, value: &str) {
    for c in value.chars() {
        match escape(c) {
            Some(escaped) => out.push_str(escaped),
            None => out.push(c),
        }
    }
}

/// How a character of a value is written, if not as it is.
fn escape(c: char) -> Option<&'static str> {
    Some(match c {
        '\\' => "\\\\",
        '"' => "\\\"",
        '\n' => "\\n",
        _ => return None,
    })
}

/// Whether `text` is how `value` is written.
fn is_escaped(text: &str, value: &str) -> bool {
    let rest = value.chars().try_fold(text, |rest, c| match escape(c) {
        Some(escaped) => rest.strip_prefix(escaped),
        None => rest.strip_prefix(c),
    });
    rest == Some("")
}

/// The value that is written so.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(other) => value.push(other),
                None => value.push('\\'),
            },
            c => value.push(c),
        }
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template() -> Arc<Template> {
        Arc::new(Template::new(&[("m", "x\"y"), ("z", "")], &["b", "n", "a"]))
    }

    fn text(labels: &Labels) -> String {
        let mut text = Vec::new();
        labels.write_to(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn labels_are_rendered_in_the_order_of_names() {
        let labels = Labels::new(&template(), &["1", "2", "a\"b\\c\nd"]);
        assert_eq!(text(&labels), r#"a="a\"b\\c\nd",b="1",m="x\"y",n="2",z="""#);
        assert_eq!(text(&Labels::none()), "");
        let pairs: Vec<_> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(pairs, ["a=a\"b\\c\nd", "b=1", "m=x\"y", "n=2", "z="]);
    }

    #[test]
    fn an_empty_value_is_shown_but_tells_nothing_apart() {
        let with = Arc::new(Template::new(&[("error_type", "")], &["model"]));
        let without = Arc::new(Template::new(&[("model", "m")], &[]));
        let (with, without) = (Labels::new(&with, &["m"]), Labels::new(&without, &[]));
        assert_eq!(text(&with), r#"error_type="",model="m""#);
        assert!(with.equal(&without) && with.hash() == without.hash());
    }

    proptest! {
        #[test]
        fn labels_are_those_of_their_values_and_of_no_others(
            ours in prop::array::uniform3("[ab\\\\\"\n,=é]{0,4}"),
            theirs in prop::array::uniform3("[ab\\\\\"\n,=é]{0,4}"),
        ) {
            let plain = Arc::new(Template::new(&[], &["x", "y", "z"]));
            for template in [template(), plain] {
                let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
                let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
                let labels = Labels::new(&template, &ours);
                prop_assert!(labels.is(&template, &ours));
                let other = Labels::new(&template, &theirs);
                let same = text(&other) == text(&labels);
                prop_assert_eq!(labels.is(&template, &theirs), same);
                prop_assert_eq!(labels.equal(&other), same);
                prop_assert!(!same || other.hash() == labels.hash());
            }
        }

        #[test]
        fn it_does_not_matter_which_labels_vary(values in prop::array::uniform3("[ab\"]{0,2}")) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let (x, y, z) = (values[0], values[1], values[2]);
            let all = Labels::new(&Arc::new(Template::new(&[], &["x", "y", "z"])), &values);
            let some = Arc::new(Template::new(&[("y", y)], &["z", "x"]));
            let none = Arc::new(Template::new(&[("z", z), ("x", x), ("y", y)], &[]));
            for (template, given) in [(&some, vec![z, x]), (&none, vec![])] {
                let labels = Labels::new(template, &given);
                prop_assert!(all.is(template, &given) && all.equal(&labels));
                prop_assert_eq!(all.hash(), labels.hash());
            }
        }
    }
}
