//! Which of another process's families are told, and under what names.

use super::Family;

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
                family.name.insert_str(0, prefix);
            }
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
}
