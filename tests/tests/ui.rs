//! What the macros accept, and what they say where they do not.
//!
//! | folder of `ui` | holds |
//! |---|---|
//! | `pass` | programs that compile, and run |
//! | `fail` | mistakes with the macros, each marked `//~`, and what the compiler says of it |
//! | `body` | mistakes in measured functions, each beside its twin, `_plain`, that is not measured |

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Ends the line of a mistake.
const MARK: &str = "//~";

/// The lines of a measured function in place of which its twin has a comment.
const OURS: [&str; 2] = ["#[instrumented_endpoint", "use dynamo_metrics::instrumented_endpoint;"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ui").join(name)
}

/// The files of a folder that end so, without what they end with.
fn files(folder_name: &str, extension: &str) -> BTreeSet<String> {
    let names = fs::read_dir(folder(folder_name)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(extension).map(str::to_owned)).collect()
}

fn read(folder_name: &str, file: &str) -> String {
    fs::read_to_string(folder(folder_name).join(file)).unwrap()
}

/// The headline of each error that is told.
fn errors(told: &str) -> Vec<&str> {
    told.lines().filter(|line| line.starts_with("error")).collect()
}

/// Headline, line and column of each error that is told.
fn headlines(told: &str) -> Vec<(String, &str)> {
    // The body of a measured function is a block or a closure within it, and `?` is told so.
    let plain = |headline: &str| {
        headline.replace("an async block", "an async function").replace("a closure", "a function")
    };
    errors(told).into_iter().map(plain).zip(told.split("\nerror").map(place)).collect()
}

/// Line and column of the first place that is told.
fn place(told: &str) -> &str {
    let arrow = told.lines().find(|line| line.trim_start().starts_with("-->")).unwrap();
    arrow.split_once(".rs:").unwrap().1
}

#[test]
fn programs_compile_or_say_why_not() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    cases.compile_fail("ui/fail/*.rs");
    cases.compile_fail("ui/body/*.rs");
}

#[test]
fn a_mistake_is_one_error() {
    let told = files("fail", ".stderr");
    assert_eq!(told, files("fail", ".rs"), "each has its errors beside it");
    let many = |name: &&String| errors(&read("fail", &format!("{name}.stderr"))).len() != 1;
    assert_eq!(told.iter().filter(many).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn an_error_points_at_the_line_of_the_mistake() {
    let elsewhere = |name: &String| {
        let source = read("fail", &format!("{name}.rs"));
        let marked = source.lines().position(|line| line.ends_with(MARK)).unwrap() + 1;
        let told = read("fail", &format!("{name}.stderr"));
        !place(&told).starts_with(&format!("{marked}:"))
    };
    let names = files("fail", ".stderr");
    assert_eq!(names.iter().filter(|name| elsewhere(name)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn an_error_in_a_body_is_what_it_is_without_the_attribute() {
    let names = files("body", "_plain.rs");
    assert_eq!(names.len() * 2, files("body", ".rs").len(), "each has a twin");
    let differs = |name: &&String| {
        let [measured, plain] =
            [*name, &format!("{name}_plain")].map(|file| read("body", &format!("{file}.stderr")));
        headlines(&measured) != headlines(&plain)
    };
    assert_eq!(names.iter().filter(differs).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn twins_differ_by_the_attribute_alone() {
    for name in files("body", "_plain.rs") {
        let [measured, plain] =
            [&name, &format!("{name}_plain")].map(|file| read("body", &format!("{file}.rs")));
        assert_eq!(measured.lines().count(), plain.lines().count(), "{name}");
        let other: Vec<_> =
            measured.lines().zip(plain.lines()).filter(|(ours, theirs)| ours != theirs).collect();
        assert_eq!(other.len(), OURS.len(), "{name}: {other:?}");
        for (ours, theirs) in other {
            assert!(OURS.iter().any(|start| ours.starts_with(start)), "{name}: {ours}");
            assert!(theirs.starts_with("//"), "{name}: {theirs}");
        }
    }
}
