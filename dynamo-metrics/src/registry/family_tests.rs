//! Families and their groups: caps, removal, what is one series and what are two.

use std::sync::Arc;
use std::time::Duration;

use super::any::{Head, Health};
use super::family::FamilyCore;
use super::group::{Choices, Group};
use crate::clock::{self, Manual};
use crate::label::Template;
use crate::metric::{Counter, MetricType, Plan};

type Family = FamilyCore<Counter>;

fn family(cap: u64) -> Family {
    let health = Health::new("x_total", &[]);
    let (name, help, unit) = ("x_total".into(), "".into(), None);
    let metric_type = MetricType::Counter;
    FamilyCore::new(Head { name, help, unit, metric_type, cap, health })
}

fn template(fixed: &[(&str, &str)], names: &[&str]) -> Arc<Template> {
    Arc::new(Template::new(fixed, names))
}

fn choices(open: bool) -> Choices {
    Choices { plan: Plan::default(), open, time_to_live: None }
}

fn group(names: &[&str]) -> Group<Counter> {
    Group::new(template(&[], names), choices(true), Box::new([]))
}

fn inc(group: &Group<Counter>, family: &Family, value: &str) {
    assert!(group.with(family, &[value], Counter::inc).is_ok());
}

fn get(group: &Group<Counter>, family: &Family, value: &str) -> u64 {
    family.find(&group.template, &[value], Counter::get).unwrap_or_default()
}

#[test]
fn past_the_cap_values_become_overflow_and_nothing_is_lost() {
    let (family, group) = (family(3), group(&["model"]));
    for i in 0..10 {
        inc(&group, &family, &format!("m{i}"));
        inc(&group, &family, "m0");
    }
    assert_eq!(family.len(), 4);
    assert_eq!(family.head.health.overflow.get(), 7);
    let total: u64 = ["m0", "m1", "m2", "_overflow"].map(|v| get(&group, &family, v)).iter().sum();
    assert_eq!((total, get(&group, &family, "_overflow")), (20, 7));
}

#[test]
fn what_is_removed_leaves_its_place_under_the_cap() {
    let (family, group) = (family(2), group(&["model"]));
    for value in ["a", "b", "c"] {
        inc(&group, &family, value);
    }
    assert!(family.remove(&group, &["a"]));
    assert!(!family.remove(&group, &["a"]) && !family.remove(&group, &["x"]));
    inc(&group, &family, "c");
    inc(&group, &family, "d");
    assert_eq!(get(&group, &family, "c"), 1);
    assert_eq!(get(&group, &family, "_overflow"), 2);
    // The overflow's own series took none, and gives none back.
    assert!(family.remove(&group, &["_overflow"]));
    inc(&group, &family, "e");
    assert_eq!((family.len(), get(&group, &family, "_overflow")), (3, 1));
}

#[test]
fn a_series_that_is_made_again_starts_at_zero() {
    let (family, group) = (family(2), group(&["model"]));
    inc(&group, &family, "a");
    let old = family.find(&group.template, &["a"], Counter::clone).ok().unwrap();
    assert!(family.remove(&group, &["a"]));
    old.inc();
    inc(&group, &family, "a");
    assert_eq!((old.get(), get(&group, &family, "a")), (2, 1));
}

#[test]
fn two_groups_that_name_one_series_share_it() {
    let (family, group) = (family(10), group(&["model"]));
    let fixed = Group::new(template(&[("model", "m")], &[]), choices(false), Box::new([]));
    inc(&group, &family, "m");
    fixed.with(&family, &[], |counter| assert_eq!(counter.get(), 1)).unwrap();
    assert_eq!(family.len(), 1);
    // It is the first one's.
    assert!(!family.remove(&fixed, &[]) && family.remove(&group, &["m"]));
}

#[test]
fn an_empty_value_finds_the_series_without_that_label() {
    let (family, plain, more) = (family(3), group(&["a"]), group(&["b", "a"]));
    inc(&plain, &family, "x");
    for _ in 0..10 {
        more.with(&family, &["", "x"], Counter::inc).unwrap();
    }
    assert_eq!((family.len(), family.head.health.overflow.get()), (1, 0));
    assert_eq!((get(&plain, &family, "x"), family.open()), (11, 1));
}

#[test]
fn values_that_read_alike_are_one_series() {
    let (family, group) = (family(10), group(&["model"]));
    inc(&group, &family, "a\0b");
    inc(&group, &family, "a\u{FFFD}b");
    inc(&group, &family, "a\0b");
    assert_eq!((family.len(), get(&group, &family, "a\u{FFFD}b")), (1, 3));
    for end in ["x", "y", "é"] {
        inc(&group, &family, &format!("{}{end}", "é".repeat(2_048)));
    }
    assert_eq!((family.len(), get(&group, &family, &"é".repeat(2_048))), (2, 3));
}

#[test]
fn threads_that_make_one_series_at_once_make_one_and_take_one_place() {
    for _ in 0..200 {
        let (family, group) = (family(2), group(&["model"]));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| inc(&group, &family, "m"));
            }
        });
        inc(&group, &family, "n");
        assert_eq!((family.len(), family.head.health.overflow.get()), (2, 0));
        assert_eq!(get(&group, &family, "m"), 3);
    }
}

#[test]
fn what_nobody_records_to_or_holds_goes_after_its_time() {
    let time = Manual::new();
    time.run(|| {
        let family = family(10);
        let life = Some(Duration::from_secs(60));
        let choices = Choices { time_to_live: life, ..choices(true) };
        let group = || Group::new(template(&[], &["model"]), choices.clone(), Box::new([]));
        let (group, _) = family.group("key", group).unwrap();
        for value in ["a", "b", "c"] {
            inc(&group, &family, value);
        }
        let held = family.find(&group.template, &["c"], Counter::clone).ok().unwrap();
        let mut left = Vec::new();
        for second in 0..=120_u64 {
            if second <= 30 {
                inc(&group, &family, "b");
            }
            family.expire(clock::now());
            left.push(family.len());
            time.advance(Duration::from_secs(1));
        }
        // One at 60 s, the other at 60 s after its last record; the third one is held.
        assert_eq!((left[59], left[60], left[89], left[90], left[120]), (3, 2, 2, 1, 1));
        drop(held);
        family.expire(clock::now());
        assert_eq!((family.len(), family.open()), (0, 0));
        assert!(family.lock().idle.is_empty());
    });
}
