//! Templates: how the label text of a group's series is made, and recognised without being made.

use super::Labels;
use super::text::escape;

/// The label text of series that share some labels, and differ in the values of the others.
#[derive(Debug)]
pub(crate) struct Template {
    /// Text up to a value, and which of the values it is.
    pieces: Box<[(Box<str>, usize)]>,
    /// Text after the last value.
    tail: Box<str>,
    fixed: Box<[(Box<str>, Box<str>)]>,
    names: Box<[Box<str>]>,
}

impl Template {
    /// Labels of these names and values, and labels of these names, all of them different.
    pub(crate) fn new(fixed: Box<[(Box<str>, Box<str>)]>, names: Box<[Box<str>]>) -> Self {
        let mut order: Vec<(&str, Result<&str, usize>)> = fixed
            .iter()
            .map(|(name, value)| (&**name, Ok(&**value)))
            .chain(names.iter().enumerate().map(|(i, name)| (&**name, Err(i))))
            .collect();
        order.sort_unstable_by_key(|(name, _)| *name);
        let (mut pieces, mut text) = (Vec::new(), String::new());
        for (i, (name, value)) in order.into_iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            match value {
                Ok(value) => text.push_str(Labels::render(&mut [(name, value)]).as_str()),
                Err(which) => {
                    text.push_str(name);
                    text.push_str("=\"");
                    pieces.push((std::mem::take(&mut text).into(), which));
                    text.push('"');
                }
            }
        }
        Self { pieces: pieces.into(), tail: text.into(), fixed, names }
    }

    /// The labels of a series with these values; there are as many as names.
    pub(crate) fn render(&self, values: &[&str]) -> Labels {
        let fixed = self.fixed.iter().map(|(name, value)| (&**name, &**value));
        let given = self.names.iter().map(|name| &**name).zip(values.iter().copied());
        Labels::render(&mut fixed.chain(given).collect::<Vec<_>>())
    }

    /// Whether `labels`, which were rendered from this template, are those of `values`.
    pub(crate) fn is(&self, labels: &Labels, values: &[&str]) -> bool {
        let mut rest = labels.as_str();
        for (before, which) in &self.pieces {
            let value = values.get(*which).copied().unwrap_or_default();
            let after = rest.strip_prefix(&**before).and_then(|rest| {
                // Without escapes in the text, a value in it stands as it is; one that holds a
                // quote would take more quotes than the text has, and so does not fit.
                if labels.has_escapes() {
                    strip_escaped(rest, value)
                } else {
                    rest.strip_prefix(value)
                }
            });
            match after {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest == &*self.tail
    }
}

/// `text` after `value` as it is escaped there.
fn strip_escaped<'a>(mut text: &'a str, value: &str) -> Option<&'a str> {
    for c in value.chars() {
        text = match escape(c) {
            Some(escaped) => text.strip_prefix(escaped),
            None => text.strip_prefix(c),
        }?;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template() -> Template {
        let fixed = [("m".into(), "x\"y".into()), ("z".into(), "".into())];
        Template::new(Box::new(fixed), Box::new(["b".into(), "n".into(), "a".into()]))
    }

    #[test]
    fn labels_are_rendered_in_the_order_of_names() {
        let labels = template().render(&["1", "2", "3"]);
        assert_eq!(labels.as_str(), r#"a="3",b="1",m="x\"y",n="2",z="""#);
        let none = Template::new(Box::new([]), Box::new([]));
        assert_eq!(none.render(&[]).as_str(), "");
        assert!(none.is(&none.render(&[]), &[]));
    }

    proptest! {
        #[test]
        fn labels_are_those_of_their_values_and_of_no_others(
            ours in prop::array::uniform3("[ab\\\\\"\n,=\0é]{0,4}"),
            theirs in prop::array::uniform3("[ab\\\\\"\n,=\0é]{0,4}"),
        ) {
            let plain = Template::new(Box::new([]), Box::new(["x".into(), "y".into(), "z".into()]));
            for template in [template(), plain] {
                let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
                let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
                let labels = template.render(&ours);
                prop_assert!(template.is(&labels, &ours));
                let same = template.render(&theirs).as_str() == labels.as_str();
                prop_assert_eq!(template.is(&labels, &theirs), same);
            }
        }
    }
}
