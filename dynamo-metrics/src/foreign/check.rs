//! The rules that no page may break, whatever its format.

use super::fault::{Flaw, Reason};
use super::{Exemplar, Histogram, Limits, Native, Summary, number};
use crate::metric::MetricKind;

/// Most characters that an exemplar's labels may have.
const LONGEST_EXEMPLAR: usize = 128;

/// Names and values.
pub(super) type Labels = Vec<(String, String)>;

/// Checks a metric's name by the old grammar: what is not ASCII cannot be told on.
pub(super) fn metric_name(name: &str, limits: &Limits) -> Result<(), Flaw> {
    if name.len() > limits.text {
        return Err(Flaw::new(Reason::Limit, "the name is too long"));
    }
    if name.starts_with(['"', '{']) {
        return Err(Flaw::new(Reason::Name, "quoted names are not read"));
    }
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    if is_name(name, valid) { Ok(()) } else { Err(Flaw::new(Reason::Name, "invalid metric name")) }
}

/// Checks one label.
pub(super) fn label(name: &str, value: &str, limits: &Limits) -> Result<(), Flaw> {
    if name.len() > limits.text || value.len() > limits.text {
        return Err(Flaw::new(Reason::Limit, "the label is too long"));
    }
    if !is_name(name, |byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Flaw::new(Reason::Label, "invalid label name"));
    }
    if name.starts_with("__") {
        return Err(Flaw::new(Reason::Label, "reserved label name"));
    }
    Ok(())
}

/// Sorts labels, checks that each is there once, and takes out what is empty.
pub(super) fn label_set(labels: &mut Labels) -> Result<(), Flaw> {
    labels.sort_unstable();
    let twice = labels.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b));
    if twice {
        return Err(Flaw::new(Reason::Label, "a label is there twice"));
    }
    labels.retain(|(_, value)| !value.is_empty());
    // A series may be kept for long, and a line may have had many that said nothing.
    labels.shrink_to_fit();
    Ok(())
}

/// Checks an exemplar whose labels are checked one by one.
pub(super) fn exemplar(exemplar: &mut Exemplar) -> Result<(), Flaw> {
    let flaw = |what| Err(Flaw::new(Reason::Exemplar, what));
    if label_set(&mut exemplar.labels).is_err() {
        return flaw("a label of the exemplar is there twice");
    }
    let all = exemplar.labels.iter().flat_map(|(name, value)| [name, value]);
    if all.map(|text| text.chars().count()).sum::<usize>() > LONGEST_EXEMPLAR {
        return flaw("the exemplar's labels are too long");
    }
    if exemplar.value.is_nan() {
        return flaw("the exemplar has no value");
    }
    Ok(())
}

/// Checks a value that is a number, of a series with these labels.
pub(super) fn number(
    kind: MetricKind,
    family: &str,
    labels: &Labels,
    value: f64,
) -> Result<(), Flaw> {
    let what = match kind {
        MetricKind::Counter if value.is_nan() || value < 0.0 => "a counter cannot have this value",
        MetricKind::Info if value.to_bits() != 1_f64.to_bits() => {
            "an info metric has another value than 1"
        }
        MetricKind::StateSet if !labels.iter().any(|(name, _)| name == family) => {
            return Err(Flaw::new(Reason::Label, "a state has no label named as its family"));
        }
        MetricKind::StateSet if value != 0.0 && value.to_bits() != 1_f64.to_bits() => {
            "a state is neither 0 nor 1"
        }
        _ => return Ok(()),
    };
    Err(Flaw::new(Reason::Value, what))
}

/// Makes a histogram of buckets in any order, if they make sense together. `count` is that of the
/// last bucket if it is not told otherwise; that bucket must be among them.
pub(super) fn histogram(
    mut buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
    native: Option<Native>,
) -> Result<Histogram, Flaw> {
    let flaw = |what| Err(Flaw::new(Reason::Histogram, what));
    buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let Some(&(f64::INFINITY, last)) = buckets.last() else {
        return flaw("the histogram has no bucket +Inf");
    };
    let count = count.unwrap_or(last);
    if !buckets.iter().all(|(_, below)| number::is_count(*below)) || !number::is_count(count) {
        return flaw("a count of the histogram is none");
    }
    if !buckets.is_sorted_by(|(_, a), (_, b)| a <= b) {
        return flaw("the histogram's buckets are not cumulative");
    }
    if last.total_cmp(&count).is_ne() {
        return flaw("the histogram's bucket +Inf has not all samples");
    }
    Ok(Histogram { buckets, sum, count, native })
}

/// Makes a summary of quantiles in any order, if they make sense.
pub(super) fn summary(
    mut quantiles: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
) -> Result<Summary, Flaw> {
    let flaw = |what| Err(Flaw::new(Reason::Summary, what));
    if !quantiles.iter().all(|(quantile, _)| (0.0..=1.0).contains(quantile)) {
        return flaw("a quantile is not between 0 and 1");
    }
    if !count.is_none_or(number::is_count) {
        return flaw("the summary's count is none");
    }
    quantiles.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    Ok(Summary { quantiles, sum, count })
}

/// Takes out what has the bound of one before, and says whether there was any.
pub(super) fn remove_repeated(bounds: &mut Vec<(f64, f64)>) -> bool {
    let before = bounds.len();
    // Zero has two spellings, and both are one number.
    for (bound, _) in bounds.iter_mut() {
        *bound += 0.0;
    }
    bounds.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    bounds.dedup_by(|(a, _), (b, _)| a.total_cmp(b).is_eq());
    bounds.len() < before
}

fn is_name(name: &str, valid: impl Fn(u8) -> bool) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|byte| !byte.is_ascii_digit()) && name.bytes().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: f64 = f64::INFINITY;

    #[test]
    fn names_are_those_of_the_old_grammar() {
        let limits = Limits::default().text(10);
        for good in ["a", "_", ":a", "A9_:", "le"] {
            assert_eq!(metric_name(good, &limits), Ok(()), "{good}");
        }
        for (bad, reason) in [
            ("", Reason::Name),
            ("9a", Reason::Name),
            ("a.b", Reason::Name),
            ("é", Reason::Name),
            ("\"a\"", Reason::Name),
            ("a23456789ab", Reason::Limit),
        ] {
            assert_eq!(metric_name(bad, &limits).map_err(|flaw| flaw.reason), Err(reason), "{bad}");
        }
        assert_eq!(label("a_9", "é\n\0", &limits), Ok(()));
        for (name, reason) in [
            ("__a", Reason::Label),
            ("a:b", Reason::Label),
            ("", Reason::Label),
            ("é", Reason::Label),
        ] {
            assert_eq!(label(name, "", &limits).map_err(|flaw| flaw.reason), Err(reason), "{name}");
        }
        assert!(label("a", "01234567890", &limits).is_err());
    }

    #[test]
    fn histograms_have_all_their_parts() {
        let made = histogram(vec![(END, 3.0), (1.0, 2.0)], None, Some(3.0), None).unwrap();
        assert_eq!(made.buckets, [(1.0, 2.0), (END, 3.0)]);
        assert_eq!(histogram(made.buckets.clone(), None, None, None), Ok(made));
        for (buckets, count) in [
            (vec![], None),
            (vec![], Some(0.0)),
            (vec![(1.0, 1.0)], Some(1.0)),
            (vec![(1.0, 3.0), (END, 2.0)], None),
            (vec![(1.0, 1.0), (END, 2.0)], Some(3.0)),
            (vec![(1.0, f64::NAN), (END, 2.0)], None),
            (vec![(1.0, -1.0), (END, 2.0)], None),
            (vec![(END, END)], None),
            (vec![(END, 2.0)], Some(f64::NAN)),
        ] {
            let flaw = histogram(buckets.clone(), None, count, None).unwrap_err();
            assert_eq!(flaw.reason, Reason::Histogram, "{buckets:?} {count:?}");
        }
    }

    #[test]
    fn bounds_are_compared_as_numbers() {
        let mut bounds = vec![(1.0, 5.0), (-0.0, 1.0), (0.0, 2.0), (1.0, 6.0)];
        assert!(remove_repeated(&mut bounds));
        assert_eq!(bounds, [(0.0, 1.0), (1.0, 5.0)]);
        assert!(!remove_repeated(&mut bounds));
    }
}
