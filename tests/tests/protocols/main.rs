//! Real clients of every protocol against the quickstart: whatever they do is counted once, and
//! rightly.

mod kserve;
mod report;

use dynamo_metrics_tests::program::{Quickstart, exchange, wait_for};
use dynamo_metrics_tests::tools::python_itself;
use report::Report;
use serde_json::{Value, json};

const PROTOCOLS: [&str; 5] = ["openai", "anthropic", "ollama", "tgi", "grpc"];

/// Starts a server of this protocol.
fn serve(protocol: &str, more: &[&str]) -> Quickstart {
    let pace = ["--ttft-ms", "20", "--itl-ms", "10"];
    Quickstart::start(&[&["--load", "0", "--protocol", protocol], &pace[..], more].concat())
}

/// The same, at a pace that gives a client seconds to leave.
fn serve_slowly(protocol: &str) -> Quickstart {
    Quickstart::start(&["--load", "0", "--protocol", protocol, "--ttft-ms", "20", "--itl-ms", "80"])
}

/// Has a client do all but leave, and checks each number.
fn talk(protocol: &str, script: &str, more: &[&str]) -> Report {
    let quickstart = serve(protocol, more);
    let report = Report::of(&quickstart, script, "whole");
    let page = quickstart.page_at_rest();
    report.check_ends(&page);
    report.check_tokens(&page);
    assert!(quickstart.terminate().0.success());
    report
}

/// Has a client leave every stream in the middle.
fn leave(protocol: &str, script: &str) {
    let quickstart = serve_slowly(protocol);
    let report = Report::of(&quickstart, script, "leave");
    let page = quickstart.page_at_rest();
    report.check_ends(&page);
    report.check_left(&page);
}

/// Events with text of the successful streams, each once.
fn contents(report: &Report) -> Vec<u64> {
    let good = report.requests.iter().filter(|r| r.kind == "stream" && r.error.is_empty());
    let mut contents: Vec<_> = good.map(|request| request.contents).collect();
    contents.sort_unstable();
    contents.dedup();
    contents
}

#[test]
fn anthropics_client_is_counted_exactly() {
    let report = talk("anthropic", "anthropic_client.py", &[]);
    assert_eq!(report.facts["models"], json!(["demo"]));
    assert_eq!(report.facts["model"], "demo");
    assert_eq!(contents(&report), [7, 8, 10]);
}

#[test]
fn anthropics_usage_tells_what_its_events_do_not() {
    let report = talk("anthropic", "anthropic_client.py", &["--tokens-per-chunk", "4"]);
    assert_eq!(contents(&report), [2, 3]);
}

#[test]
fn leaving_anthropics_stream_cancels_it() {
    leave("anthropic", "anthropic_client.py");
}

#[test]
fn ollamas_client_is_counted_exactly() {
    let report = talk("ollama", "ollama_client.py", &[]);
    assert_eq!(report.facts["models"], json!(["demo:latest"]));
    assert_eq!(report.facts["capabilities"], json!(["completion"]));
    assert_eq!(contents(&report), [10]);
}

#[test]
fn ollamas_last_record_tells_what_the_others_do_not() {
    let report = talk("ollama", "ollama_client.py", &["--tokens-per-chunk", "4"]);
    assert_eq!(contents(&report), [3]);
}

#[test]
fn the_tag_of_ollamas_model_goes_without_saying() {
    let report = talk("ollama", "ollama_client.py", &["--model", "demo:latest"]);
    assert_eq!(report.facts["models"], json!(["demo:latest"]));
}

#[test]
fn leaving_ollamas_stream_cancels_it() {
    leave("ollama", "ollama_client.py");
}

#[test]
fn hugging_faces_client_is_counted_exactly() {
    let report = talk("tgi", "tgi_client.py", &[]);
    assert_eq!(report.facts["model"], "demo");
    assert_eq!(report.facts["healthy"], true);
    assert_eq!(contents(&report), [8, 10]);
}

#[test]
fn tgi_streams_each_token_for_itself_however_many_come_at_once() {
    let report = talk("tgi", "tgi_client.py", &["--tokens-per-chunk", "4"]);
    assert_eq!(contents(&report), [8, 10]);
}

#[test]
fn leaving_tgis_stream_cancels_it() {
    leave("tgi", "tgi_client.py");
}

#[test]
fn openais_responses_are_counted_exactly() {
    let report = talk("openai", "responses_client.py", &[]);
    let (last, limited) = contents(&report).split_last().map(|(l, r)| (*l, r.to_vec())).unwrap();
    assert_eq!(limited, [10]);
    assert!((40..64).contains(&last), "{last}");
}

#[test]
fn leaving_a_response_of_openais_cancels_it() {
    leave("openai", "responses_client.py");
}

#[test]
fn tritons_client_is_counted_exactly() {
    let report = talk("grpc", "triton_client.py", &[]);
    assert_eq!(report.facts["inputs"], json!(["text_input", "streaming", "max_tokens"]));
    assert_eq!(contents(&report), [10]);
}

#[test]
fn leaving_tritons_stream_cancels_it() {
    leave("grpc", "triton_client.py");
}

#[test]
fn built_in_clients_speak_every_protocol_and_the_screen_shows_it() {
    for protocol in PROTOCOLS {
        let load = ["--load", "16", "--ttft-ms", "5", "--itl-ms", "1", "--fail-rate", "0.1"];
        let quickstart = Quickstart::start(&[&load[..], &["--protocol", protocol]].concat());
        let outcomes = |names: &[&str]| {
            let page = quickstart.page();
            let of = |outcome: &&str| {
                let labels = [("dynamo_component", "frontend"), ("outcome", *outcome)];
                page.sum("dynamo_component_request_outcomes_total", &labels)
            };
            names.iter().map(of).collect::<Option<Vec<_>>>().unwrap()
        };
        // They stream, leave in the middle, ask for what is not there, and meet failures.
        wait_for("each kind of end", || {
            let all = outcomes(&["success", "cancelled", "client_error", "server_error"]);
            all.iter().all(|&count| count > 0.0).then_some(())
        });
        assert_eq!(outcomes(&["incomplete", "timeout", "panic"]), [0.0; 3], "{protocol}");
        // The screen is drawn once a second, and not at the end.
        let drawn = quickstart.wait_to_say("outcomes  cancelled");
        assert!(!drawn.contains("– ms"), "{drawn}");
        assert!(quickstart.terminate().0.success());
    }
}

#[test]
fn the_program_of_the_greeting_streams_an_answer_over_grpc() {
    let quickstart = serve("grpc", &[]);
    let (_, program) = quickstart.greeting.split_once("python3 -c '\n").unwrap();
    let (program, _) = program.split_once("'\n").unwrap();
    let output = python_itself().args(["-c", program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("The stream carries a token at time, and each gap"), "{said}");
}

#[test]
fn what_cannot_be_read_is_refused_in_the_protocols_own_shape() {
    let message = |error: &Value, path: &str| {
        let message = error.pointer(path).and_then(Value::as_str);
        message.unwrap_or_else(|| panic!("no {path} in {error}")).to_owned()
    };
    for (protocol, path, place) in [
        ("openai", "/v1/chat/completions", "/error/message"),
        ("openai", "/v1/responses", "/error/message"),
        ("anthropic", "/v1/messages", "/error/message"),
        ("ollama", "/api/chat", "/error"),
        ("tgi", "/generate_stream", "/error"),
    ] {
        let quickstart = serve(protocol, &[]);
        let ask = |request: &str, body: &[u8]| {
            let header = "content-type: application/json";
            let (status, body) = exchange(quickstart.server, request, header, body).unwrap();
            (status, message(&serde_json::from_str(&body).unwrap(), place))
        };
        let deep = [b"{\"a\":".as_slice(), &b"[".repeat(100_000)].concat();
        for body in [&b""[..], b"[]", b"{", b"\xFF\xFE", b"{\"model\":\"\xFF\"}", &deep] {
            let (status, why) = ask(&format!("POST {path}"), body);
            assert_eq!(status, 400, "{protocol} {why}");
            assert!(why.contains("cannot read the request"), "{why}");
        }
        let (status, _) = ask(&format!("POST {path}"), &b" ".repeat((2 << 20) + 1));
        assert_eq!(status, 413);
        assert_eq!(ask("GET /no/such/route", b"").0, 404);
        assert_eq!(ask(&format!("GET {path}"), b"").0, 405);

        let page = quickstart.page_at_rest();
        let unknown = [("model", "unknown_model"), ("error_type", "validation")];
        assert_eq!(page.sum("dynamo_frontend_requests_total", &unknown), Some(8.0), "{protocol}");
        let refused = [("dynamo_component", "frontend"), ("outcome", "client_error")];
        assert_eq!(page.sum("dynamo_component_request_outcomes_total", &refused), Some(9.0));
    }
}
