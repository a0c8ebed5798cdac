//! Series that are removed while other threads look them up, record to them and show them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dynamo_metrics::encode;
use dynamo_metrics::label::{LabelSet, LabelValue};
use dynamo_metrics::metric::{Counter, Histogram};
use dynamo_metrics::registry::{DynamicFamily, RegisterError, Registry};
use dynamo_metrics_tests::page::Page;

#[derive(LabelValue)]
enum Tier {
    Free,
    Paid,
}

/// Labels of which all sets are known.
#[derive(LabelSet)]
struct Plan {
    tier: Tier,
}

const FREE: Plan = Plan { tier: Tier::Free };
const PAID: Plan = Plan { tier: Tier::Paid };

fn page(registry: &Registry) -> Page {
    let text = encode::text(registry);
    let mut seen = HashSet::new();
    for line in text.lines() {
        let id = line.rsplit_once(' ').map_or(line, |(id, _)| id);
        let id = if line.starts_with('#') { line } else { id };
        assert!(seen.insert(id), "twice on one page: {line}");
    }
    Page::read(&text)
}

/// Each key's series are only ever written in its own steps: another's show.
const KEYS: [(&str, u32); 4] = [("two", 2), ("three", 3), ("five", 5), ("seven", 7)];

fn check_steps(page: &Page) {
    for sample in page.samples() {
        let Some((_, step)) =
            KEYS.iter().find(|key| sample.labels.get("key").is_some_and(|k| k == key.0))
        else {
            continue;
        };
        let step = f64::from(*step);
        let le = sample.labels.get("le").map(|le| le.replace("Inf", "inf").parse().unwrap());
        if sample.name == "steps_total" || sample.name == "sizes_sum" {
            assert_eq!(sample.value % step, 0.0, "{sample:?}");
        } else if le.is_some_and(|le: f64| le < step) {
            assert_eq!(sample.value, 0.0, "{sample:?}");
        }
    }
}

/// Ends the loops of other threads, however this one ends.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn series_may_go_while_others_look_them_up_record_and_scrape() {
    let registry = Registry::new();
    let steps = registry.counter("steps_total", "").dynamic_family(["key"]).unwrap();
    let sizes = registry.histogram("sizes", "").buckets([2.0, 3.0, 5.0, 7.0]);
    let sizes: DynamicFamily<Histogram, 1> = sizes.dynamic_family(["key"]).unwrap();
    let dense = registry.counter("dense_total", "").family::<Plan>().unwrap();
    let done = AtomicBool::new(false);
    let while_others_run = |mut step: Box<dyn FnMut() + '_>| {
        while !done.load(Ordering::Relaxed) {
            step();
        }
    };
    thread::scope(|threads| {
        let recorders: Vec<_> = (0..4)
            .map(|turn| {
                let (registry, steps, sizes, dense) = (&registry, &steps, &sizes, &dense);
                threads.spawn(move || {
                    for n in 0..20_000 {
                        let (key, step) = KEYS[(n + turn) % 4];
                        steps.with_ref([key], |steps| steps.inc_by(step.into()));
                        sizes.with([key]).observe(step.into());
                        dense.with_ref(if n % 2 == 0 { &FREE } else { &PAID }, Counter::inc);
                        let scope = registry.component(key);
                        match scope.counter("jobs_total", "").register() {
                            Ok(jobs) => jobs.inc(),
                            Err(error) => assert_eq!(error, RegisterError::ScopeRemoved),
                        }
                    }
                })
            })
            .collect();
        threads.spawn(|| {
            let mut n = 0;
            while_others_run(Box::new(|| {
                let key = KEYS[n % 4].0;
                steps.remove([key]);
                sizes.remove([key]);
                dense.remove(&FREE);
                dense.remove(&PAID);
                registry.component(key).remove();
                n += 1;
            }));
        });
        threads.spawn(|| while_others_run(Box::new(|| check_steps(&page(&registry)))));
        let _done = Done(&done);
        for recorder in recorders {
            recorder.join().unwrap();
        }
    });
    check_steps(&page(&registry));
    for (key, step) in KEYS {
        steps.remove([key]);
        sizes.remove([key]);
        registry.component(key).remove();
        steps.with([key]).inc_by(step.into());
    }
    dense.remove(&FREE);
    dense.remove(&PAID);
    dense.with(&FREE).inc();
    let page = page(&registry);
    assert_eq!(page.samples().len(), 5);
    assert_eq!(page.sum("steps_total", &[]), Some(17.0));
    assert_eq!(page.sum("dense_total", &[]), Some(1.0));
}
