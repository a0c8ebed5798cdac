//! Doc comments, as what they say of a metric: plain text, without links and code marks.

use syn::{Attribute, Expr, Lit, Meta};

/// A doc comment.
pub(crate) struct Docs(Vec<String>);

impl Docs {
    pub(crate) fn read(attributes: &[Attribute]) -> Self {
        let mut lines = Vec::new();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
            if let Meta::NameValue(meta) = &attribute.meta
                && let Expr::Lit(literal) = &meta.value
                && let Lit::Str(text) = &literal.lit
            {
                // `/** .. */` is many lines in one.
                lines.extend(text.value().split('\n').map(|line| line.trim().to_owned()));
            }
        }
        Self(lines)
    }

    /// Its first paragraph.
    pub(crate) fn summary(&self) -> String {
        paragraph(self.0.iter())
    }

    /// The first paragraph under the heading `Source`.
    pub(crate) fn source(&self) -> String {
        let is_source = |line: &&String| line.starts_with('#') && line.ends_with(" Source");
        paragraph(self.0.iter().skip_while(|line| !is_source(line)).skip(1))
    }
}

fn paragraph<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    let lines = lines.skip_while(|line| line.is_empty());
    let lines: Vec<&str> = lines
        .take_while(|line| !line.is_empty() && !line.starts_with('#'))
        .map(String::as_str)
        .collect();
    plain(&lines.join(" "))
}

/// Text without the marks of links and code.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['[', '`']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.starts_with('[').then(|| from.find(']')).flatten();
        rest = match end {
            // A code mark, or a bracket that closes nowhere.
            None if from.starts_with('`') => &from[1..],
            None => {
                out.push('[');
                &from[1..]
            }
            Some(end) => {
                out.push_str(&plain(&from[1..end]));
                after_target(&from[end + 1..])
            }
        };
    }
    out + rest
}

/// What comes after the target of a link, if there is one.
fn after_target(text: &str) -> &str {
    let closing = match text.chars().next() {
        Some('(') => ')',
        Some('[') => ']',
        _ => return text,
    };
    text.find(closing).map_or(text, |end| &text[end + 1..])
}

#[cfg(test)]
mod tests {
    use syn::{ItemStruct, parse_quote};

    use super::*;

    fn docs(item: &ItemStruct) -> (String, String) {
        let docs = Docs::read(&item.attrs);
        (docs.summary(), docs.source())
    }

    #[test]
    fn a_summary_is_the_first_paragraph_and_a_source_has_a_heading() {
        let item = parse_quote! {
            /// Requests that ended,
            /// by [`Outcome`] and by [what else](crate::Other).
            ///
            /// More of it.
            ///
            /// # Unit
            /// Requests.
            /// # Source
            /// Counted in `end`.
            /// # Cost
            /// None.
            struct S;
        };
        let summary = "Requests that ended, by Outcome and by what else.";
        assert_eq!(docs(&item), (summary.into(), "Counted in end.".into()));
    }

    #[test]
    fn a_comment_that_says_nothing_is_empty() {
        assert_eq!(
            docs(&parse_quote!(
                struct S;
            )),
            Default::default()
        );
        assert_eq!(
            docs(&parse_quote!(
                #[doc = include_str!("x")]
                struct S;
            )),
            Default::default()
        );
        let block = parse_quote!(
            #[doc = "\n * a\n\n # Source\n\n b [c\n"]
            struct S;
        );
        assert_eq!(docs(&block), ("* a".into(), "b [c".into()));
    }
}
