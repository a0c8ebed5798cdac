//! Methods as label values: a closed set, whatever clients send.

use http::Method;

/// The label of a method that is none of the set.
const OTHER: &str = "_OTHER";

/// The methods of HTTP, and PATCH.
const STANDARD: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Methods that may be values of the label `method`; all others are `_OTHER`.
///
/// # Examples
/// ```
/// use dynamo_metrics::registry::Registry;
/// use dynamo_metrics_tower::{MethodLabels, MetricsLayer};
///
/// let layer = MetricsLayer::builder(&Registry::new().component("api"))
///     .route("/cache", "cache")
///     .method_labels(MethodLabels::standard().also("PURGE"))
///     .build()?;
/// # Ok::<(), dynamo_metrics_tower::BuildError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodLabels(Vec<&'static str>);

impl MethodLabels {
    /// The nine methods that HTTP's standards define.
    #[must_use]
    pub fn standard() -> Self {
        Self(STANDARD.to_vec())
    }

    /// Adds a method, by the letters that a request has to have for it.
    #[must_use]
    pub fn also(mut self, method: &'static str) -> Self {
        if !method.is_empty() && !self.0.contains(&method) {
            self.0.push(method);
        }
        self
    }

    /// How many label values there can be.
    pub(crate) fn len(&self) -> usize {
        self.0.len() + 1
    }

    /// Where `method` stands in the set; what is not in it stands behind it.
    pub(crate) fn index(&self, method: &Method) -> usize {
        let method = method.as_str();
        self.0.iter().position(|known| *known == method).unwrap_or(self.0.len())
    }

    pub(crate) fn label(&self, index: usize) -> &'static str {
        self.0.get(index).copied().unwrap_or(OTHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_set_is_other() {
        let methods = MethodLabels::standard().also("PURGE").also("GET");
        let label = |name: &str| {
            methods.label(methods.index(&Method::from_bytes(name.as_bytes()).unwrap()))
        };
        assert_eq!(methods.len(), 11);
        for (name, value) in [
            ("GET", "GET"),
            ("PATCH", "PATCH"),
            ("PURGE", "PURGE"),
            ("get", "_OTHER"),
            ("PROPFIND", "_OTHER"),
            (&"X".repeat(300), "_OTHER"),
        ] {
            assert_eq!(label(name), value);
        }
    }
}
