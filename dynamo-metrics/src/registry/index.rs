//! The index: every family of a registry, sorted by name, with the rules that keep names apart.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::any::{AnyFamily, Head, Health};
use super::error::RegisterError;
use super::family::FamilyCore;
use crate::metric::{Metric, MetricKind, split_suffix};
use crate::unit::Unit;

/// Families sorted by the name that OpenMetrics gives them.
pub(crate) type Families = Vec<Arc<dyn AnyFamily>>;

/// What is asked of a family.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) unit: Option<Unit>,
    pub(super) cap: u64,
    /// Labels of everything in the registry.
    pub(super) root: &'a [(&'a str, &'a str)],
}

/// A sorted list that is replaced whole: readers hold one and wait for nobody, and writers try
/// again if another one was faster. Registering copies a pointer for each family, of which there
/// are hundreds; their series, of which there are many more, are not in here.
#[derive(Debug, Default)]
pub(super) struct Index(ArcSwap<Families>);

impl Index {
    pub(super) fn load(&self) -> Arc<Families> {
        self.0.load_full()
    }

    /// The family of this name, made if it is new.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and [`RegisterError::Clash`].
    pub(super) fn family<M: Metric>(
        &self,
        wanted: &Wanted<'_>,
    ) -> Result<Arc<FamilyCore<M>>, RegisterError> {
        let mut made: Option<Arc<FamilyCore<M>>> = None;
        loop {
            let families = self.load();
            let place = match find(&families, M::TYPE.kind().base(wanted.name)) {
                Ok(at) => return agree(&families[at], wanted),
                Err(place) => place,
            };
            if let Some(other) = clash(&families, wanted.name, M::TYPE.kind()) {
                return Err(mixed_up(wanted, other.head()));
            }
            let family = made.get_or_insert_with(|| {
                Arc::new(FamilyCore::new(Head {
                    name: wanted.name.into(),
                    help: wanted.help.into(),
                    unit: wanted.unit,
                    metric_type: M::TYPE,
                    cap: wanted.cap,
                    health: Health::new(wanted.name, wanted.root),
                }))
            });
            let mut longer = Families::with_capacity(families.len() + 1);
            longer.extend_from_slice(&families[..place]);
            longer.push(Arc::clone(family) as Arc<dyn AnyFamily>);
            longer.extend_from_slice(&families[place..]);
            if self.replace(&families, longer) {
                return Ok(Arc::clone(family));
            }
        }
    }

    /// Removes a family that nobody uses.
    pub(super) fn remove<M: Metric>(&self, family: &FamilyCore<M>) {
        loop {
            let families = self.load();
            let name = M::TYPE.kind().base(&family.head.name);
            let Ok(at) = find(&families, name) else { return };
            // Another one may have its name already.
            if !std::ptr::addr_eq(Arc::as_ptr(&families[at]), family) {
                return;
            }
            let mut shorter = families.to_vec();
            shorter.remove(at);
            if self.replace(&families, shorter) {
                return;
            }
        }
    }

    /// Whether the list was replaced; another writer may have been faster.
    fn replace(&self, families: &Arc<Families>, by: Families) -> bool {
        Arc::ptr_eq(&self.0.compare_and_swap(families, Arc::new(by)), families)
    }
}

/// Where the family of this name in OpenMetrics is, or would be.
pub(super) fn find(families: &Families, name: &str) -> Result<usize, usize> {
    families.binary_search_by(|family| {
        let head = family.head();
        head.metric_type.kind().base(&head.name).cmp(name)
    })
}

fn agree<M: Metric>(
    family: &Arc<dyn AnyFamily>,
    wanted: &Wanted<'_>,
) -> Result<Arc<FamilyCore<M>>, RegisterError> {
    let head = family.head();
    if *head.name != *wanted.name {
        return Err(mixed_up(wanted, head));
    }
    let conflict = || RegisterError::Conflict {
        name: wanted.name.to_owned(),
        registered: head.metric_type.kind(),
    };
    if (head.metric_type, head.unit) != (M::TYPE, wanted.unit) {
        return Err(conflict());
    }
    if *head.help != *wanted.help {
        if head.health.help_conflicts.get() == 0 {
            tracing::warn!(
                family = &*head.name,
                kept = &*head.help,
                ignored = wanted.help,
                "a metric was registered again with another help text"
            );
        }
        head.health.help_conflicts.inc();
    }
    Arc::clone(family).as_any().downcast().map_err(|_| conflict())
}

/// Why `wanted` cannot stand beside `other`.
fn mixed_up(wanted: &Wanted<'_>, other: &Head) -> RegisterError {
    let name = wanted.name.to_owned();
    if *name == *other.name {
        return RegisterError::Conflict { name, registered: other.metric_type.kind() };
    }
    RegisterError::Clash { name, other: other.name.to_string() }
}

/// A family whose samples would be mixed up with those of `name`, under the rules of OpenMetrics.
pub(super) fn clash<'a>(
    families: &'a Families,
    name: &str,
    kind: MetricKind,
) -> Option<&'a Arc<dyn AnyFamily>> {
    let name = kind.base(name);
    let under = kind.suffixes().iter().find_map(|suffix| {
        // A name that is one of our samples' names.
        let at = find(families, &format!("{name}{suffix}")).ok()?;
        Some(&families[at])
    });
    let over = || {
        // A family one of whose samples has our name.
        let (stem, suffix) = split_suffix(name)?;
        let other = &families[find(families, stem).ok()?];
        other.head().metric_type.kind().suffixes().contains(&suffix).then_some(other)
    };
    under.or_else(over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{self, MetricType};

    fn add(index: &Index, name: &str, metric_type: MetricType) -> Result<(), RegisterError> {
        let wanted = Wanted { name, help: "", unit: None, cap: 1, root: &[] };
        match metric_type {
            MetricType::Counter => index.family::<metric::Counter>(&wanted).map(drop),
            MetricType::Gauge => index.family::<metric::Gauge>(&wanted).map(drop),
            MetricType::FloatGauge => index.family::<metric::FloatGauge>(&wanted).map(drop),
            MetricType::Histogram => index.family::<metric::Histogram>(&wanted).map(drop),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn families_stay_sorted_and_single() {
        let index = Index::default();
        for name in ["c_total", "a_total", "b_total", "a_total"] {
            add(&index, name, MetricType::Counter).unwrap();
        }
        let names: Vec<_> = index.load().iter().map(|f| f.head().name.to_string()).collect();
        assert_eq!(names, ["a_total", "b_total", "c_total"]);
    }

    #[test]
    fn names_that_openmetrics_would_mix_up_are_refused() {
        use MetricType::{Counter, Gauge, Histogram};
        for (first, second) in [
            (("x_total", Counter), ("x", Gauge)),
            (("x", Histogram), ("x_count", Gauge)),
            (("x_sum", Gauge), ("x", Histogram)),
            (("x_created", Gauge), ("x_total", Counter)),
            (("x", Counter), ("x_total", Counter)),
        ] {
            let index = Index::default();
            add(&index, first.0, first.1).unwrap();
            assert_eq!(
                add(&index, second.0, second.1),
                Err(RegisterError::Clash { name: second.0.into(), other: first.0.into() })
            );
        }
    }

    #[test]
    fn a_name_keeps_its_type() {
        let index = Index::default();
        add(&index, "x", MetricType::Gauge).unwrap();
        add(&index, "y_total", MetricType::Counter).unwrap();
        assert_eq!(
            add(&index, "y_total", MetricType::Gauge),
            Err(RegisterError::Conflict {
                name: "y_total".into(),
                registered: MetricKind::Counter
            })
        );
        for other in [MetricType::Histogram, MetricType::FloatGauge] {
            assert_eq!(
                add(&index, "x", other),
                Err(RegisterError::Conflict { name: "x".into(), registered: MetricKind::Gauge })
            );
        }
    }

    #[test]
    fn threads_that_register_at_once_lose_nothing() {
        let index = Index::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..100 {
                        add(&index, &format!("m{i}"), MetricType::Gauge).unwrap();
                    }
                });
            }
        });
        assert_eq!(index.load().len(), 100);
    }
}
