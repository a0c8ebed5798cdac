//! The format that a scraper wants, by its `Accept` headers.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::encode::Format;

/// The format with the highest weight among those that we have; the text format if there is none,
/// as scrapers expect. Among equals the first one wins.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let mut best: Option<(f32, Format)> = None;
    for value in headers.get_all(ACCEPT) {
        // What is no text cannot name a format.
        let Ok(value) = value.to_str() else { continue };
        for entry in split(value, ',') {
            let Some((weight, format)) = read(entry) else {
                continue;
            };
            if weight > 0.0 && best.is_none_or(|(best, _)| weight > best) {
                best = Some((weight, format));
            }
        }
    }
    best.map_or(Format::Text, |(_, format)| format)
}

/// One entry, if it names a format that we have.
fn read(entry: &str) -> Option<(f32, Format)> {
    let mut parts = split(entry, ';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let (mut weight, mut version) = (1.0, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => {
                let given: f32 = value.parse().ok()?;
                weight = Some(given).filter(|weight| (0.0..=1.0).contains(weight))?;
            }
            "version" => version = Some(value.to_owned()),
            // `charset`, `escaping` and the rest change nothing: our names need no escaping.
            _ => {}
        }
    }
    let format = match (media.as_str(), version.as_deref()) {
        ("application/openmetrics-text", None | Some("1.0.0")) | ("application/*", _) => {
            Format::OpenMetrics
        }
        ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => Format::Text,
        _ => return None,
    };
    Some((weight, format))
}

/// Splits at `separator`, but not within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
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
        for (accept, format) in [
            (prometheus_2_42, Format::OpenMetrics),
            (prometheus_3_0, Format::OpenMetrics),
            (victoria_metrics, Format::Text),
            (telegraf, Format::Text),
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
            ("application/openmetrics-text;version=9.9.9", Text),
            ("Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.9", OpenMetrics),
            ("application/openmetrics-text;q=2", Text),
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
