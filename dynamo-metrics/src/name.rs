//! The grammar of metric and label names, and Dynamo's rules for bending a name into it.

use std::borrow::Cow;

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty.
    #[error("the name is empty")]
    Empty,
    /// The name has no character that a metric name may have, besides underscores.
    #[error("no valid character in {0:?}")]
    Unusable(String),
}

/// Why a label name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelNameError {
    /// The name does not match `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("invalid label name {0:?}")]
    Grammar(String),
    /// The name is set by the scope (`dynamo_namespace` and its like) or by the format (`le`,
    /// `quantile`, anything that starts with `__`).
    #[error("label name {0:?} is reserved")]
    Reserved(String),
    /// The name stands twice in one label set.
    #[error("label name {0:?} is given twice")]
    Repeated(String),
}

/// The label of the worker that a registry is of, and of others where a metric is of them.
pub(crate) const WORKER_ID: &str = "worker_id";

/// Labels that a scope adds by itself, in the order of the tree.
pub(crate) const AUTOMATIC_LABELS: [&str; 4] =
    ["dynamo_namespace", "dynamo_component", "dynamo_endpoint", WORKER_ID];

/// Bends `raw` into a metric name: every invalid character becomes `_`, and a name that does not
/// start with a letter or `_` gets a `_` in front.
///
/// # Errors
/// [`NameError::Empty`] and [`NameError::Unusable`], where Dynamo panics.
pub(crate) fn metric_name(raw: &str) -> Result<Cow<'_, str>, NameError> {
    if raw.is_empty() {
        return Err(NameError::Empty);
    }
    let name = bend(raw, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    if name.chars().all(|c| c == '_') {
        return Err(NameError::Unusable(raw.to_owned()));
    }
    Ok(name)
}

/// Bends `raw` into the value of an automatic label, as Dynamo does: like a metric name, without
/// colons and without a leading `__`. An empty value leaves the label out.
pub(crate) fn scope_value(raw: &str) -> String {
    if raw.is_empty() {
        return String::new();
    }
    let value = bend(raw, |c| c.is_ascii_alphanumeric() || c == '_');
    value.strip_prefix("__").unwrap_or(&value).to_owned()
}

/// The name `name` behind `prefix`, unless it has that already.
pub(crate) fn prefixed(prefix: &str, name: &str) -> String {
    let has_it = name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'));
    if prefix.is_empty() || has_it { name.to_owned() } else { format!("{prefix}_{name}") }
}

/// Checks a label name given by a user.
///
/// # Errors
/// [`LabelNameError::Grammar`] and [`LabelNameError::Reserved`].
pub(crate) fn check_label(name: &str) -> Result<(), LabelNameError> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(LabelNameError::Grammar(name.to_owned()));
    }
    if name.starts_with("__")
        || matches!(name, "le" | "quantile")
        || AUTOMATIC_LABELS.contains(&name)
    {
        return Err(LabelNameError::Reserved(name.to_owned()));
    }
    Ok(())
}

fn bend(raw: &str, valid: impl Fn(char) -> bool) -> Cow<'_, str> {
    let starts_well = raw.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts_well && raw.chars().all(&valid) {
        return Cow::Borrowed(raw);
    }
    let mut name: String = raw.chars().map(|c| if valid(c) { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    Cow::Owned(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bent_as_dynamo_bends_them() {
        for (raw, name) in [
            ("requests_total", "requests_total"),
            ("123abc", "_123abc"),
            (":lead", "_:lead"),
            ("a b-c.d", "a_b_c_d"),
            ("größe", "gr__e"),
        ] {
            assert_eq!(metric_name(raw).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_name_with_nothing_in_it_is_an_error() {
        assert_eq!(metric_name(""), Err(NameError::Empty));
        for raw in ["___", "!?", "é"] {
            assert_eq!(metric_name(raw), Err(NameError::Unusable(raw.to_owned())));
        }
    }

    #[test]
    fn scope_values_are_bent_as_dynamo_bends_them() {
        for (raw, value) in
            [("my-ns", "my_ns"), ("my.comp", "my_comp"), ("__x", "x"), ("a:b", "a_b"), ("", "")]
        {
            assert_eq!(scope_value(raw), value);
        }
    }

    #[test]
    fn label_names_are_checked_and_never_bent() {
        assert_eq!(check_label("model"), Ok(()));
        for bad in ["", "1bad", "a-b", "a:b", "é"] {
            assert_eq!(check_label(bad), Err(LabelNameError::Grammar(bad.to_owned())));
        }
        for reserved in ["le", "quantile", "__name__", "dynamo_namespace", "worker_id"] {
            assert_eq!(check_label(reserved), Err(LabelNameError::Reserved(reserved.to_owned())));
        }
    }
}
