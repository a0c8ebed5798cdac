//! The small programs: each runs to its end, and its page says what it did.

use std::process::Command;

use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::tools::workspace_program;

/// What a program says before its page, and the page.
fn run(name: &str) -> (String, Page) {
    let output = Command::new(workspace_program(name)).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let (said, page) = said.split_once("# HELP").unwrap();
    (said.to_owned(), Page::read(&format!("# HELP{page}")))
}

fn sum(page: &Page, name: &str, labels: &[(&str, &str)]) -> f64 {
    page.sum(&format!("dynamo_component_{name}"), labels).unwrap_or(f64::NAN)
}

fn outcomes(page: &Page, endpoint: &str, outcome: &str) -> f64 {
    let labels = [("dynamo_endpoint", endpoint), ("outcome", outcome)];
    sum(page, "request_outcomes_total", &labels)
}

#[test]
fn a_function_counts_its_calls_by_how_they_ended() {
    let (said, page) = run("style-function");
    assert!(said.contains("20 + 22 = 42"), "{said}");
    assert_eq!(outcomes(&page, "add", "success"), 2.0);
    assert_eq!(outcomes(&page, "add", "server_error"), 1.0);
    let help = [("help", "Adds two numbers that come as text.")];
    assert_eq!(sum(&page, "endpoint_info", &help), 1.0);
}

#[test]
fn methods_of_a_block_are_endpoints_but_for_those_that_are_left_out() {
    let (_, page) = run("style-impl");
    assert_eq!(outcomes(&page, "Store__put", "success"), 2.0);
    assert_eq!(outcomes(&page, "Store__get", "success"), 1.0);
    for error in ["never_stored", "empty"] {
        assert_eq!(sum(&page, "errors_total", &[("error_type", error)]), 1.0, "{error}");
    }
    let len = |sample: &dynamo_metrics_tests::page::Sample| {
        sample.labels.get("dynamo_endpoint").is_some_and(|endpoint| endpoint.contains("len"))
    };
    assert!(!page.samples().iter().any(len));
}

#[test]
fn a_layer_measures_the_tokens_of_a_route() {
    let (_, page) = run("style-layer");
    assert_eq!(outcomes(&page, "chat", "success"), 1.0);
    assert_eq!(outcomes(&page, "unmatched", "client_error"), 1.0);
    assert_eq!(sum(&page, "time_to_first_token_seconds_count", &[]), 1.0);
    assert_eq!(sum(&page, "inter_token_latency_seconds_count", &[]), 3.0);
    let all = [("slo", "all")];
    assert_eq!(sum(&page, "slo_requests_total", &all), 1.0);
}

#[test]
fn both_ends_of_a_call_have_its_status() {
    let (said, page) = run("style-grpc");
    assert!(said.contains("Serving"), "{said}");
    for prefix in ["dynamo_component", "dynamo_upstream"] {
        for code in ["OK", "NOT_FOUND"] {
            let calls = page.sum(&format!("{prefix}_grpc_status_total"), &[("code", code)]);
            assert_eq!(calls, Some(1.0), "{prefix} {code}");
        }
    }
}

#[test]
fn a_generator_is_as_fast_as_it_is_and_its_client_as_slow() {
    let (said, page) = run("style-stream");
    assert_eq!(said, "made\nwhere\nit\nis\nmade\n.\n");
    assert_eq!(outcomes(&page, "words", "success"), 1.0);
    assert_eq!(sum(&page, "output_tokens_total", &[]), 5.0);
    assert_eq!(sum(&page, "generation_inter_token_latency_seconds_count", &[]), 4.0);
    // Whatever the machine does meanwhile, the client sleeps four times between tokens.
    let delivered = sum(&page, "inter_token_latency_seconds_sum", &[]);
    assert!(delivered >= 0.08, "{delivered}");
}
