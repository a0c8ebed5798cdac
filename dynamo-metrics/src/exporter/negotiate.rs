//! The format that a scraper wants, by its `Accept` headers.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::encode::Format;

/// The format with the highest weight among those that we have; the text format if none is wanted,
/// as scrapers expect. Among equals the first one named wins.
///
/// What an entry says of a format outweighs what a wildcard says of it, a refusal (`q=0`) included.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let entries: Vec<Entry> = headers
        .get_all(ACCEPT)
        .iter()
        // What is no text cannot name a format.
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| split(value, ','))
        .filter_map(read)
        .collect();
    let wanted = |format: Format| {
        let fitting = entries.iter().enumerate().filter(|(_, entry)| entry.means(format));
        // The last of the most special ones is the last maximum, so they are walked backwards.
        let (place, entry) = fitting.rev().max_by_key(|(_, entry)| entry.special)?;
        (entry.weight > 0.0).then_some((entry.weight, place))
    };
    let ranked = ALL.into_iter().filter_map(|format| Some((wanted(format)?, format)));
    // The heaviest; among equals the one named first, and what a wildcard leaves open is text.
    let best = ranked.reduce(|best, other| {
        let ((weight, place), (other_weight, other_place)) = (best.0, other.0);
        let better = other_weight > weight || (other_weight >= weight && other_place < place);
        if better { other } else { best }
    });
    best.map_or(Format::Text, |(_, format)| format)
}

/// What we have, the one that all understand first.
const ALL: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

/// One entry of an `Accept` header.
#[derive(Debug)]
struct Entry {
    formats: &'static [Format],
    /// 2 for a format, 1 for `type/*`, 0 for `*/*`.
    special: u8,
    weight: f32,
}

impl Entry {
    fn means(&self, format: Format) -> bool {
        self.formats.contains(&format)
    }
}

/// Reads one entry, if it names a format that we have.
fn read(entry: &str) -> Option<Entry> {
    let mut parts = split(entry, ';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let (mut weight, mut version, mut proto, mut encoding) = (1.0, None, None, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => weight = quality(value)?,
            "version" => version = Some(value.to_owned()),
            "proto" => proto = Some(value.to_owned()),
            "encoding" => encoding = Some(value.to_owned()),
            // `charset`, `escaping` and the rest change nothing: our names need no escaping.
            _ => {}
        }
    }
    let (formats, special): (&[Format], u8) = match (media.as_str(), version.as_deref()) {
        ("application/openmetrics-text", None | Some("1.0.0")) => (&[Format::OpenMetrics], 2),
        ("text/plain", None | Some("0.0.4")) => (&[Format::Text], 2),
        ("application/vnd.google.protobuf", _)
            if proto.as_deref() == Some("io.prometheus.client.MetricFamily")
                && encoding.as_deref() == Some("delimited") =>
        {
            (&[Format::Protobuf], 2)
        }
        // Who wants protobuf says so by name.
        ("application/*", _) => (&[Format::OpenMetrics], 1),
        ("text/*", _) => (&[Format::Text], 1),
        ("*/*", _) => (&[Format::Text, Format::OpenMetrics], 0),
        _ => return None,
    };
    Some(Entry { formats, special, weight })
}

/// The weight that parameters give an entry; `None` if it is none.
pub(super) fn weight<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<f32> {
    let mut weight = 1.0;
    for parameter in parameters {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim().eq_ignore_ascii_case("q") {
            weight = quality(value.trim())?;
        }
    }
    Some(weight)
}

/// A weight between 0 and 1.
fn quality(value: &str) -> Option<f32> {
    value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))
}

/// Splits at `separator`, but not within quotes.
pub(super) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(accept: &[&str]) -> Format {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        format(&headers)
    }

    #[test]
    fn scrapers_get_what_they_ask_for() {
        let prometheus_2_42 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3_0 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3,*/*;escaping=allow-utf-8;q=0.2";
        let victoria_metrics = "text/plain;version=0.0.4;q=1,*/*;q=0.1";
        let telegraf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3";
        let prometheus_2_42_native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (prometheus_2_42, Format::OpenMetrics),
            (prometheus_3_0, Format::OpenMetrics),
            (victoria_metrics, Format::Text),
            (telegraf, Format::Protobuf),
            (prometheus_2_42_native, Format::Protobuf),
            ("*/*", Format::Text),
            ("text/html", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(wanted(&[accept]), format, "{accept}");
        }
        assert_eq!(wanted(&[]), Format::Text);
    }

    #[test]
    fn weights_are_numbers() {
        use Format::{OpenMetrics, Text};
        for (accept, format) in [
            ("text/plain;q=0.6, application/openmetrics-text;q=0.625", OpenMetrics),
            ("text/plain;q=0.6, application/openmetrics-text;q=0.6", Text),
            ("application/openmetrics-text;q=0, */*;q=0.1", Text),
            ("text/plain;q=0, */*", OpenMetrics),
            ("text/plain;q=0", Text),
            ("*/*;q=0.9, application/openmetrics-text;q=0.1", Text),
            ("text/*;q=0.2, application/*;q=0.3", OpenMetrics),
            ("application/openmetrics-text;version=9.9.9", Text),
            ("Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.9", OpenMetrics),
            ("application/openmetrics-text;q=2", Text),
            ("application/vnd.google.protobuf;proto=other;encoding=delimited,text/*;q=0.1", Text),
            ("application/vnd.google.protobuf", Text),
            ("text/plain;x=\",application/openmetrics-text\"", Text),
        ] {
            assert_eq!(wanted(&[accept]), format, "{accept}");
        }
        assert_eq!(wanted(&["text/plain;q=0.1", "application/openmetrics-text"]), OpenMetrics);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(accept in "[ -~]{0,80}") {
            wanted(&[&accept]);
        }
    }
}
