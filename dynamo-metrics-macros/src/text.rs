//! Names: their case, and the known one that is nearest to a misspelt one.

/// `CamelCase` as `snake_case`.
pub(crate) fn snake_case(name: &str) -> String {
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
    fn misspelt_names_find_the_one_that_was_meant() {
        let known = ["name", "scope", "labels", "stream"];
        assert_eq!(nearest("lable", &known), Some("labels"));
        assert_eq!(nearest("nmae", &known), Some("name"));
        assert_eq!(nearest("frobnicate", &known), None);
    }
}
