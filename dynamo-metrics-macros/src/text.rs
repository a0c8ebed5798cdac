//! Names: their case, and the known one that is nearest to a misspelt one.

/// How variants read as label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Snake,
    Kebab,
    Pascal,
    ScreamingSnake,
}

impl Case {
    /// Each, as it is called.
    const NAMED: [(&'static str, Self); 4] = [
        ("snake_case", Self::Snake),
        ("kebab-case", Self::Kebab),
        ("PascalCase", Self::Pascal),
        ("SCREAMING_SNAKE_CASE", Self::ScreamingSnake),
    ];

    /// The case that is called so, or what is said where there is none.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = Self::NAMED.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, case)| case).ok_or_else(|| {
            let known = Self::NAMED.map(|(known, _)| format!("{known:?}")).join(", ");
            format!("unknown case {name:?}, expected one of {known}")
        })
    }

    /// `CamelCase` in this case.
    pub(crate) fn of(self, name: &str) -> String {
        match self {
            Self::Snake => snake_case(name),
            Self::Kebab => snake_case(name).replace('_', "-"),
            Self::Pascal => name.to_owned(),
            Self::ScreamingSnake => snake_case(name).to_uppercase(),
        }
    }
}

/// `CamelCase` as `snake_case`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let chars: Vec<char> = name.chars().collect();
    for (i, &c) in chars.iter().enumerate() {
        let before_lower = chars.get(i + 1).is_some_and(|next| next.is_lowercase());
        let after_lower = i > 0 && !chars[i - 1].is_uppercase() && chars[i - 1] != '_';
        if c.is_uppercase() && i > 0 && (after_lower || (before_lower && chars[i - 1] != '_')) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// The one of `known` that `name` is most likely meant to be.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&candidate| (distance(name, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= 1 + candidate.len() / 3)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// What is said of an argument that is none of `known`.
pub(crate) fn unknown(name: &str, known: &[&str]) -> String {
    if let Some(meant) = nearest(name, known) {
        return format!("unknown argument `{name}`, did you mean `{meant}`?");
    }
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let expected = if known.len() > 1 { "expected one of" } else { "expected" };
    format!("unknown argument `{name}`, {expected} {}", known.join(", "))
}

/// Edits that lead from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_read_in_snake_case() {
        for (camel, snake) in [
            ("Success", "success"),
            ("ClientError", "client_error"),
            ("HTTPError", "http_error"),
            ("Http2", "http2"),
            ("A", "a"),
            ("Already_Snake", "already_snake"),
        ] {
            assert_eq!(snake_case(camel), snake);
        }
    }

    #[test]
    fn variants_read_as_they_are_told_to() {
        let cases = ["snake_case", "kebab-case", "PascalCase", "SCREAMING_SNAKE_CASE"];
        let read = cases.map(|case| Case::named(case).unwrap().of("ClientError"));
        assert_eq!(read, ["client_error", "client-error", "ClientError", "CLIENT_ERROR"]);
        assert!(Case::named("camelCase").unwrap_err().ends_with("\"SCREAMING_SNAKE_CASE\""));
    }

    #[test]
    fn an_argument_that_is_none_is_told_what_it_may_be() {
        assert_eq!(
            unknown("renam", &["rename"]),
            "unknown argument `renam`, did you mean `rename`?"
        );
        assert_eq!(unknown("x", &["rename"]), "unknown argument `x`, expected `rename`");
        let two = "unknown argument `x`, expected one of `name`, `help`";
        assert_eq!(unknown("x", &["name", "help"]), two);
    }

    #[test]
    fn misspelt_names_find_the_one_that_was_meant() {
        let known = ["name", "scope", "labels", "stream"];
        assert_eq!(nearest("lable", &known), Some("labels"));
        assert_eq!(nearest("nmae", &known), Some("name"));
        assert_eq!(nearest("frobnicate", &known), None);
    }
}
