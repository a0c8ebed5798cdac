//! The real `openai` client against the quickstart: whatever it does is counted once, and rightly.

use std::process::Command;

use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::program::Quickstart;
use dynamo_metrics_tests::tools::{python, workspace_program};
use serde_json::Value;

const CHAT: (&str, &str) = ("endpoint", "chat_completions");

/// Requests that the frontend counted under these labels.
fn requests(page: &Page, labels: &[(&str, &str)]) -> f64 {
    page.sum("dynamo_frontend_requests_total", labels).unwrap_or(0.0)
}

/// Requests that a component counted with this outcome.
fn outcomes(page: &Page, component: &str, outcome: &str) -> f64 {
    let labels = [("dynamo_component", component), ("outcome", outcome)];
    page.sum("dynamo_component_request_outcomes_total", &labels).unwrap()
}

fn list<'a>(report: &'a Value, names: &[&str]) -> Vec<&'a Value> {
    names.iter().flat_map(|name| report[*name].as_array().unwrap()).collect()
}

/// A quickstart that the client has talked to, and what the client saw.
fn talk() -> (Quickstart, Value) {
    let quickstart = Quickstart::start(&["--load", "0", "--ttft-ms", "120", "--itl-ms", "12"]);
    let mut client = python("openai_client.py");
    let server = format!("http://{}/v1", quickstart.server);
    let output = client.args([&server, "full"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (quickstart, serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn every_request_is_counted_once_with_the_right_outcome() {
    let (quickstart, report) = talk();
    assert_eq!(report["models"], serde_json::json!(["demo"]));
    let page = quickstart.page_at_rest();

    // The client closes the connection at `[DONE]`: all of these are successes.
    let streams: Vec<_> = [&report["warm_up"]]
        .into_iter()
        .chain(list(&report, &["sequential", "concurrent", "async"]))
        .collect();
    let leavers = list(&report, &["leavers", "async_leavers"]);
    let (stream, unary) = (("request_type", "stream"), ("request_type", "unary"));
    let (demo, unknown) = (("model", "demo"), ("model", "unknown_model"));
    let success = [("status", "success"), ("error_type", "")];
    let error = |kind| [("status", "error"), ("error_type", kind)];
    let of = |labels: &[(&str, &str)], end: [(&str, &str); 2]| {
        requests(&page, &[labels, &end[..]].concat())
    };
    assert_eq!(of(&[CHAT, stream, demo], success), streams.len() as f64);
    assert_eq!(of(&[CHAT, unary, demo], success), 2.0);
    assert_eq!(of(&[("endpoint", "completions"), stream, demo], success), 2.0);
    assert_eq!(of(&[CHAT, stream, demo], error("cancelled")), leavers.len() as f64);
    assert_eq!(of(&[CHAT, stream, unknown], error("not_found")), 1.0);
    assert_eq!(of(&[CHAT, unary, unknown], error("not_found")), 1.0);
    assert_eq!(of(&[CHAT, unary, demo], error("validation")), 1.0);
    assert_eq!(of(&[CHAT, stream, demo], error("validation")), 1.0);
    assert_eq!(of(&[CHAT, stream, demo], error("internal")), 2.0);
    let all = streams.len() + 2 + 2 + leavers.len() + 2 + 2 + 2;
    assert_eq!(requests(&page, &[]), all as f64);
    // No name that the client made up has become a label.
    assert!(!quickstart.text().contains("made-up"));

    // The layer's own account, and the engine's, of the same requests.
    assert_eq!(outcomes(&page, "frontend", "success"), (streams.len() + 2 + 2 + 1) as f64);
    assert_eq!(outcomes(&page, "frontend", "cancelled"), leavers.len() as f64);
    assert_eq!(outcomes(&page, "frontend", "client_error"), 4.0);
    assert_eq!(outcomes(&page, "frontend", "server_error"), 2.0);
    assert_eq!(outcomes(&page, "engine", "success"), (streams.len() + 2 + 2) as f64);
    assert_eq!(outcomes(&page, "engine", "cancelled"), leavers.len() as f64);
    assert_eq!(outcomes(&page, "engine", "server_error"), 2.0);
    for other in ["incomplete", "timeout", "rejected", "panic"] {
        assert_eq!(outcomes(&page, "frontend", other) + outcomes(&page, "engine", other), 0.0);
    }
    let started = page.sum("dynamo_component_requests_started_total", &[]);
    assert_eq!(started, page.sum("dynamo_component_requests_total", &[]));
    assert!(quickstart.terminate().0.success());
}

#[test]
fn token_times_agree_with_the_clients_own_clock() {
    let (quickstart, report) = talk();
    let page = quickstart.page_at_rest();

    let finished: Vec<_> = [&report["warm_up"]]
        .into_iter()
        .chain(list(&report, &["sequential", "concurrent", "completions", "async"]))
        .collect();
    let leavers = list(&report, &["leavers", "async_leavers"]);
    let seconds = |name: &str, part: &str| {
        page.sum(&format!("dynamo_frontend_{name}_seconds_{part}"), &[("model", "demo")]).unwrap()
    };

    // One stream more than these gave a first token: the one that failed after three.
    let failed = 1.0;
    let firsts = (finished.len() + leavers.len()) as f64;
    assert_eq!(seconds("time_to_first_token", "count"), firsts + failed);
    let ttft = |stream: &&Value| stream["ttft"].as_f64().unwrap();
    let by_client = finished.iter().chain(&leavers).map(ttft).sum::<f64>() / firsts;
    let by_server = seconds("time_to_first_token", "sum") / (firsts + failed);
    // The client's clock starts before the connection and stops behind its own parser.
    assert!(by_server > 0.085 && by_server < by_client + 0.02, "{by_server} {by_client}");
    assert!(by_client < by_server + 0.15, "{by_server} {by_client}");

    let gaps = |stream: &&Value| -> Vec<f64> {
        stream["gaps"].as_array().unwrap().iter().filter_map(Value::as_f64).collect()
    };
    let by_client: Vec<f64> = finished.iter().flat_map(gaps).collect();
    let count = seconds("inter_token_latency", "count");
    // Those who left may have been sent a few tokens more than they read.
    let left: usize = leavers.iter().map(|stream| gaps(stream).len()).sum();
    let least = (by_client.len() + left) as f64 + 2.0;
    assert!(count >= least && count <= least + 27.0 * leavers.len() as f64, "{count} {least}");
    let mean_by_client = by_client.iter().sum::<f64>() / by_client.len() as f64;
    let mean_by_server = seconds("inter_token_latency", "sum") / count;
    assert!((mean_by_client - mean_by_server).abs() < 0.006, "{mean_by_client} {mean_by_server}");

    // Whoever read to the end was told the number of tokens that the server counted.
    let tokens: u64 = finished.iter().map(|stream| stream["chunks"].as_u64().unwrap()).sum();
    let counted = page.sum("dynamo_frontend_output_tokens_total", &[("model", "demo")]).unwrap();
    let unary = 14.0;
    assert!(counted >= tokens as f64 + unary, "{counted} {tokens}");
    for stream in list(&report, &["sequential", "concurrent"]) {
        assert_eq!(stream["usage"], stream["chunks"]);
    }
}

#[test]
fn it_ends_cleanly_and_says_clearly_why_it_cannot_start() {
    let mut quickstart = Quickstart::start(&["--load", "1", "--duration", "1"]);
    assert!(quickstart.wait().success());

    let running = Quickstart::start(&["--load", "0"]);
    let taken = running.server.to_string();
    let refused = Command::new(workspace_program("quickstart"))
        .args(["--listen", &taken, "--metrics-listen", "127.0.0.1:0", "--load", "0"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&taken) && said.contains("in use"), "{said}");

    let (status, said) = running.terminate();
    assert!(status.success(), "{status}");
    assert!(said.contains("stopping"), "{said}");
}
