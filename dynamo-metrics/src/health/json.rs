//! The little JSON that health speaks: its answer, and a list of names.

use std::fmt::Write as _;
use std::time::Duration;

use super::Report;
use crate::label::LabelValue as _;

/// The answer of Dynamo's system server, to the byte.
pub(super) fn report(report: &Report, uptime: Duration) -> String {
    let mut out = String::with_capacity(96 + 32 * report.endpoints.len());
    out.push_str("{\"status\":\"");
    out.push_str(report.status.as_label());
    let (secs, nanos) = (uptime.as_secs(), uptime.subsec_nanos());
    // Writing to a string does not fail, here and below.
    let _ = write!(out, "\",\"uptime\":{{\"secs\":{secs},\"nanos\":{nanos}}},\"endpoints\":{{");
    for (i, (name, status)) in report.endpoints.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(&mut out, name);
        out.push_str(":\"");
        out.push_str(status.as_label());
        out.push('"');
    }
    out.push_str("}}");
    out
}

/// Appends `text` in quotes, escaped as `serde_json` does it.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Reads a list of strings; `None` if it is anything else.
pub(super) fn strings(text: &str) -> Option<Vec<String>> {
    let mut rest = space(text).strip_prefix('[')?;
    let mut found = Vec::new();
    rest = space(rest);
    if let Some(after) = rest.strip_prefix(']') {
        return space(after).is_empty().then_some(found);
    }
    loop {
        let (string, after) = string(space(rest))?;
        found.push(string);
        rest = space(after);
        if let Some(after) = rest.strip_prefix(']') {
            return space(after).is_empty().then_some(found);
        }
        rest = rest.strip_prefix(',')?;
    }
}

fn space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// A string, and what comes after it.
fn string(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut out = String::new();
    loop {
        match chars.next()? {
            '"' => return Some((out, chars.as_str())),
            '\\' => out.push(escape(&mut chars)?),
            c if c < ' ' => return None,
            c => out.push(c),
        }
    }
}

/// The character that stands after a backslash.
fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        c @ ('"' | '\\' | '/') => c,
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => {
            let first = unit(chars)?;
            let units = if (0xd800..0xdc00).contains(&first) {
                (chars.next()? == '\\' && chars.next()? == 'u').then_some(())?;
                vec![first, unit(chars)?]
            } else {
                vec![first]
            };
            char::decode_utf16(units).next()?.ok()?
        }
        _ => return None,
    })
}

fn unit(chars: &mut std::str::Chars<'_>) -> Option<u16> {
    let digits = (0..4).map(|_| chars.next()?.to_digit(16));
    let value = digits.into_iter().try_fold(0, |value, digit| Some(value * 16 + digit?))?;
    u16::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_read_as_a_real_reader_reads_them() {
        for text in [
            r"[]",
            r#"["a"]"#,
            " [ \"a\" ,\n\"b\" ] ",
            r#"["a\"\\\/\n\u00e9\ud83d\ude00"]"#,
            r#"["a",]"#,
            r#"["a""b"]"#,
            r#"["a"] x"#,
            r#"["a"#,
            r#"["\ud83d"]"#,
            r#"["\ud83dabc"]"#,
            r#"["\u12"]"#,
            r#"["\u+123"]"#,
            "[\"a\nb\"]",
            r#"["\x"]"#,
            "[1]",
            "generate",
            "",
            "[",
            "{}",
        ] {
            let real: Option<Vec<String>> = serde_json::from_str(text).ok();
            assert_eq!(strings(text), real, "{text}");
        }
    }

    #[test]
    fn strings_are_escaped_as_a_real_writer_escapes_them() {
        for c in (0..0x300).filter_map(char::from_u32).chain(['\u{2028}', '😀']) {
            let text = format!("a{c}b");
            let mut own = String::new();
            push_string(&mut own, &text);
            assert_eq!(own, serde_json::to_string(&text).unwrap());
        }
    }
}
