//! The formats that are read, and how an answer tells which one it is in.

/// A format that metrics come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The Prometheus text format.
    Text,
    /// OpenMetrics 1.0 as text.
    OpenMetrics,
    /// `io.prometheus.client.MetricFamily` messages, each after its length.
    #[cfg(feature = "protobuf")]
    Protobuf,
}

impl Format {
    /// The format of an answer with this `Content-Type`, if it is one of these.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::foreign::Format;
    ///
    /// let text = Format::of_content_type("text/plain; version=0.0.4; charset=utf-8");
    /// assert_eq!(text, Some(Format::Text));
    /// let openmetrics = Format::of_content_type("Application/OpenMetrics-Text;version=\"1.0.0\"");
    /// assert_eq!(openmetrics, Some(Format::OpenMetrics));
    /// assert_eq!(Format::of_content_type("text/html"), None);
    /// ```
    #[must_use]
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next()?;
        let parameter = |wanted: &str| {
            let mut all = parts.clone().filter_map(|part| part.split_once('='));
            let (_, value) = all.find(|(name, _)| name.trim_end().eq_ignore_ascii_case(wanted))?;
            Some(value.trim().trim_matches('"'))
        };
        if media_type.eq_ignore_ascii_case("text/plain") {
            // 1.0.0 adds quoted names, which are told one by one.
            return Some(Self::Text);
        }
        if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            // From 2.0 on, lines mean something else.
            let old = |version: &str| version.starts_with("0.") || version.starts_with("1.");
            return parameter("version").is_none_or(old).then_some(Self::OpenMetrics);
        }
        #[cfg(feature = "protobuf")]
        if media_type.eq_ignore_ascii_case("application/vnd.google.protobuf") {
            let ours = parameter("proto")
                .is_none_or(|it| it == "io.prometheus.client.MetricFamily")
                && parameter("encoding").is_none_or(|it| it.eq_ignore_ascii_case("delimited"));
            return ours.then_some(Self::Protobuf);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_name_formats() {
        for (content_type, format) in [
            ("text/plain", Some(Format::Text)),
            ("TEXT/PLAIN;charset=utf-8", Some(Format::Text)),
            ("text/plain; version=1.0.0; escaping=allow-utf-8", Some(Format::Text)),
            ("application/openmetrics-text", Some(Format::OpenMetrics)),
            ("application/openmetrics-text; version=0.0.1", Some(Format::OpenMetrics)),
            ("application/openmetrics-text; version=2.0.0", None),
            ("text/plainer", None),
            ("application/json", None),
            ("", None),
            (";;=", None),
        ] {
            assert_eq!(Format::of_content_type(content_type), format, "{content_type}");
        }
    }

    #[cfg(feature = "protobuf")]
    #[test]
    fn protobuf_must_be_delimited_families() {
        let of =
            |rest: &str| Format::of_content_type(&format!("application/vnd.google.protobuf{rest}"));
        let family = "; proto=io.prometheus.client.MetricFamily";
        assert_eq!(of(&format!("{family}; encoding=delimited")), Some(Format::Protobuf));
        assert_eq!(of(""), Some(Format::Protobuf));
        assert_eq!(of(&format!("{family}; encoding=compact-text")), None);
        assert_eq!(of("; proto=some.other.Message; encoding=delimited"), None);
    }
}
