//! Which of another process's families are told, and under what names.

use super::Family;
use crate::metric::MetricKind;
use crate::name::check_label;

/// Which families are told, and under what names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) prefix: Option<String>,
    /// Starts of names; all names, if there are none.
    pub(crate) only: Vec<String>,
    /// Starts of names that are left out even so.
    pub(crate) without: Vec<String>,
}

impl Filter {
    /// Leaves out what is not wanted, and renames the rest.
    pub(crate) fn apply(&self, families: &mut Vec<Family>) {
        let starts = |name: &str, all: &[String]| all.iter().any(|start| name.starts_with(start));
        families.retain(|family| {
            let wanted = self.only.is_empty() || starts(&family.name, &self.only);
            wanted && !starts(&family.name, &self.without)
        });
        if let Some(prefix) = &self.prefix {
            for family in families {
                let old = family.name.clone();
                family.name.insert_str(0, prefix);
                if family.kind == MetricKind::StateSet {
                    rename_states(family, &old);
                }
            }
        }
    }
}

/// Names the label of a state set, which was `old`, as its family.
fn rename_states(family: &mut Family, old: &str) {
    let Family { name, kind, series, .. } = family;
    let mut labels = series.iter().flat_map(|series| &series.labels);
    if check_label(name).is_err() || labels.any(|(label, _)| label == name) {
        // No label can be named so. As gauges, which they are in the older format, they lose nothing.
        *kind = MetricKind::Gauge;
        return;
    }
    for series in series {
        if let Some((label, _)) = series.labels.iter_mut().find(|(label, _)| label == old) {
            label.clone_from(name);
            series.labels.sort_unstable();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Limits, parse};
    use super::*;

    #[test]
    fn names_are_chosen_by_their_starts_and_told_with_the_prefix() {
        let page = b"vllm:a 1\nvllm:b 2\npython_gc 3\n";
        let mut families = parse(page, Format::Text, &Limits::default()).families;
        let filter = Filter {
            prefix: Some("engine_".into()),
            only: vec!["vllm:".into(), "process_".into()],
            without: vec!["vllm:b".into()],
        };
        filter.apply(&mut families);
        let names: Vec<_> = families.iter().map(|family| &*family.name).collect();
        assert_eq!(names, ["engine_vllm:a"]);
    }
    #[test]
    fn a_state_set_and_its_label_keep_one_name() {
        let page = b"# TYPE phase stateset\n\
                     phase{model=\"m\",phase=\"up\"} 1\nphase{model=\"m\",phase=\"down\"} 0\n\
                     # TYPE mode stateset\nmode{mode=\"a\",x_mode=\"b\"} 1\n# EOF\n";
        let prefixed = |prefix: &str| {
            let mut families = parse(page, Format::OpenMetrics, &Limits::default()).families;
            let filter = Filter { prefix: Some(prefix.into()), ..Filter::default() };
            filter.apply(&mut families);
            let first = |family: &Family| {
                let labels = family.series[0].labels.iter();
                let labels: Vec<_> =
                    labels.map(|(name, value)| format!("{name}={value}")).collect();
                format!("{} {} {}", family.kind, family.name, labels.join(","))
            };
            families.iter().map(first).collect::<Vec<_>>()
        };
        assert_eq!(
            prefixed("a_"),
            ["stateset a_phase a_phase=up,model=m", "stateset a_mode a_mode=a,x_mode=b"]
        );
        assert_eq!(
            prefixed("x_"),
            ["stateset x_phase model=m,x_phase=up", "gauge x_mode mode=a,x_mode=b"]
        );
        assert_eq!(
            prefixed("x:_"),
            ["gauge x:_phase model=m,phase=up", "gauge x:_mode mode=a,x_mode=b"]
        );
    }
}
