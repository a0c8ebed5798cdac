//! The frontend's choices as Dynamo's environment variables make them.

use crate::metric::Buckets;
use crate::name::metric_name;
use crate::registry::Scope;

/// The prefix, unless the environment has another.
pub(super) const PREFIX: &str = "dynamo_frontend";

/// A logarithmic scale of bounds, which the environment may change.
struct Scale {
    /// In the middle of the variables' names.
    variable: &'static str,
    histograms: &'static [&'static str],
    min: f64,
    max: f64,
    count: usize,
}

const fn scale(
    variable: &'static str,
    histograms: &'static [&'static str],
    (min, max, count): (f64, f64, usize),
) -> Scale {
    Scale { variable, histograms, min, max, count }
}

/// As the set has them by itself; a test compares.
const SCALES: [Scale; 6] = [
    scale("REQUEST_DURATION", &["request_duration_seconds"], (1.0, 512.0, 10)),
    scale("INPUT_SEQUENCE", &["input_sequence_tokens", "cached_tokens"], (50.0, 128_000.0, 12)),
    scale("OUTPUT_SEQUENCE", &["output_sequence_tokens"], (50.0, 32_000.0, 10)),
    scale("TTFT", &["time_to_first_token_seconds"], (0.001, 480.0, 18)),
    scale("ITL", &["inter_token_latency_seconds"], (0.001, 80.0, 20)),
    scale("EMBEDDING_LATENCY", &["embedding_latency_seconds"], (0.001, 10.0, 14)),
];

/// The process's environment.
pub(super) fn of_process(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// `scope` with the prefix and the bounds that the environment says, where nobody said others.
pub(super) fn apply(scope: &Scope, look_up: &dyn Fn(&str) -> Option<String>) -> Scope {
    let mut scope = match look_up("DYN_METRICS_PREFIX") {
        Some(prefix) if scope.prefix().is_none() => scope.with_prefix(&frontend_prefix(&prefix)),
        _ => scope.or_prefix(PREFIX),
    };
    for scale in &SCALES {
        if let Some(buckets) = scale.read(look_up) {
            for histogram in scale.histograms {
                scope = scope.or_buckets(histogram, buckets.clone());
            }
        }
    }
    scope
}

/// What cannot be bent into a name is Dynamo's own prefix.
fn frontend_prefix(raw: &str) -> String {
    let bent = metric_name(raw).map_or_else(|_| PREFIX.to_owned(), std::borrow::Cow::into_owned);
    if bent != raw {
        tracing::warn!(raw, bent, "DYN_METRICS_PREFIX is no prefix of a metric name");
    }
    bent
}

impl Scale {
    /// The bounds, if the environment has a say in them.
    fn read(&self, look_up: &dyn Fn(&str) -> Option<String>) -> Option<Buckets> {
        let min = self.variable("MIN", look_up);
        let max = self.variable("MAX", look_up);
        let count = self.variable("COUNT", look_up);
        if min.is_none() && max.is_none() && count.is_none() {
            return None;
        }
        let min = parsed(min).unwrap_or(self.min);
        let max = parsed(max).unwrap_or(self.max);
        let count = parsed(count).unwrap_or(self.count);
        match Buckets::log(min, max, count) {
            Ok(buckets) => Some(buckets),
            Err(error) => {
                let of = self.variable;
                tracing::warn!(of, %error, "DYN_METRICS_* are no buckets; the default is used");
                None
            }
        }
    }

    /// A variable that is set, with its name.
    fn variable(
        &self,
        end: &str,
        look_up: &dyn Fn(&str) -> Option<String>,
    ) -> Option<(String, String)> {
        let name = format!("DYN_METRICS_{}_{end}", self.variable);
        if let Some(value) = look_up(&name) {
            return Some((name, value));
        }
        let old = format!("DYN_HISTOGRAM_{name}");
        let value = look_up(&old)?;
        tracing::warn!(old, name, "a variable is read by its old name");
        Some((old, value))
    }
}

/// The number that a variable says, if it says one.
fn parsed<T: std::str::FromStr>(variable: Option<(String, String)>) -> Option<T> {
    let (name, value) = variable?;
    let number = value.parse().ok();
    if number.is_none() {
        tracing::warn!(name, value, "a variable is no number; the default is used");
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::frontend::set::FrontendSet;
    use crate::registry::{MetricSet, Registry};

    fn bounds(variables: &[(&str, &str)], variable: &str) -> Option<Vec<f64>> {
        let look_up = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let scale = SCALES.iter().find(|scale| scale.variable == variable).unwrap();
        scale.read(&look_up).map(|buckets| buckets.bounds().to_vec())
    }

    #[test]
    fn scales_are_those_of_the_set() {
        for scale in &SCALES {
            let buckets = Buckets::log(scale.min, scale.max, scale.count).unwrap();
            for name in scale.histograms {
                let metric = FrontendSet::INFO.metrics.iter().find(|it| it.name == *name).unwrap();
                let own = metric.bounds().unwrap().unwrap();
                assert_eq!(own.bounds(), buckets.bounds(), "{name}");
            }
        }
    }

    #[test]
    fn one_variable_changes_one_end_of_the_scale() {
        let changed = bounds(&[("DYN_METRICS_ITL_MAX", "2")], "ITL").unwrap();
        assert_eq!((changed[1], changed.last()), (0.0015, Some(&2.0)));
        assert_eq!(bounds(&[("DYN_METRICS_ITL_MAX", "2")], "TTFT"), None);
        let old = [("DYN_HISTOGRAM_DYN_METRICS_ITL_MAX", "2"), ("DYN_METRICS_ITL_COUNT", "13")];
        assert_eq!(bounds(&old, "ITL").unwrap()[1..3], [0.0019, 0.0035]);
    }

    #[test]
    fn what_is_no_number_is_that_default_and_what_is_no_scale_all_of_them() {
        let one = [("DYN_METRICS_ITL_MIN", "soon"), ("DYN_METRICS_ITL_MAX", "2")];
        assert_eq!(bounds(&one, "ITL").unwrap().last(), Some(&2.0));
        for bad in [("MIN", "-1"), ("MAX", "0"), ("COUNT", "0"), ("MIN", "NaN"), ("COUNT", "513")] {
            let name = format!("DYN_METRICS_ITL_{}", bad.0);
            assert_eq!(bounds(&[(&name, bad.1)], "ITL"), None, "{name}");
        }
    }

    #[test]
    fn what_code_says_goes_before_what_the_environment_says() {
        let registry = Registry::new();
        let look_up = |name: &str| {
            (name == "DYN_METRICS_PREFIX" || name == "DYN_METRICS_TTFT_MAX").then(|| "7".to_owned())
        };
        let plain = apply(&registry, &look_up);
        assert_eq!(plain.prefix(), Some("_7"));
        let own = registry.with_prefix("mine");
        let own = own.with_buckets("time_to_first_token_seconds", Buckets::new([1.0]).unwrap());
        let own = apply(&own, &look_up);
        assert_eq!(own.prefix(), Some("mine"));
        let set = FrontendSet::register(&own).unwrap();
        let seen = set.time_to_first_token_seconds.with(["m"]).snapshot();
        assert_eq!(seen.counts().len(), 2);
        for (raw, prefix) in [("", PREFIX), ("?!", PREFIX), ("my app", "my_app"), ("a", "a")] {
            assert_eq!(frontend_prefix(raw), prefix);
        }
    }
}
