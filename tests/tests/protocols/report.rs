//! What a client saw of its requests, held against the server's page: nothing more and nothing less.

use std::collections::BTreeMap;

use dynamo_metrics_tests::counts::OUTCOMES;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::program::Quickstart;
use serde_json::Value;

/// The engine's shortest time to a first token, in seconds: three quarters of what it is told.
const SOONEST: f64 = 0.015;

/// All requests of one client.
pub(crate) struct Report {
    pub(crate) requests: Vec<Request>,
    /// What else it was told.
    pub(crate) facts: Value,
}

/// One request, over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) endpoint: String,
    pub(crate) model: String,
    /// `stream` or `unary`.
    pub(crate) kind: String,
    /// Tokens of the prompt.
    pub(crate) input: u64,
    /// Events with text.
    pub(crate) contents: u64,
    /// Tokens that were generated.
    pub(crate) tokens: u64,
    /// The server's word for how it ended; empty if well.
    pub(crate) error: String,
    /// The same for its generation, where that differs.
    engine: Option<String>,
    /// An answer in one piece told its tokens.
    told: bool,
}

impl Report {
    /// Has the Python client `script` talk to a server.
    pub(crate) fn of(quickstart: &Quickstart, script: &str, mode: &str) -> Self {
        let facts = quickstart.ask_with(script, mode);
        let requests = facts["requests"].as_array().unwrap().iter().map(Request::read).collect();
        Self { requests, facts }
    }

    /// Each request is counted once, by layer, frontend and engine, with the right end.
    pub(crate) fn check_ends(&self, page: &Page) {
        for endpoint in self.by(|request| &*request.endpoint).keys() {
            for outcome in OUTCOMES {
                let at = |request: &&&Request| request.endpoint == *endpoint;
                let has = |request: &&&Request| outcome_of(&request.error) == outcome;
                let count = self.requests.iter().filter(|r| at(&r) && has(&r)).count();
                let labels = [("dynamo_endpoint", *endpoint), ("outcome", outcome)];
                let counted = page.sum("dynamo_component_request_outcomes_total", &labels);
                assert_eq!(counted, Some(count as f64), "{endpoint} {outcome}");
            }
        }
        let generated = self.requests.iter().filter_map(Request::engine);
        let generated = tally(generated.map(outcome_of));
        for outcome in OUTCOMES {
            let labels = [("dynamo_component", "engine"), ("outcome", outcome)];
            let counted = page.sum("dynamo_component_request_outcomes_total", &labels);
            let count = generated.get(outcome).copied().unwrap_or_default();
            assert_eq!(counted, Some(count as f64), "the engine's {outcome}");
        }
        let started = page.sum("dynamo_component_requests_started_total", &[]);
        assert_eq!(started, page.sum("dynamo_component_requests_total", &[]));
        // No name that a client made up has become a label.
        let made_up = |sample: &dynamo_metrics_tests::page::Sample| {
            sample.labels.values().any(|value| value.contains("made-up"))
        };
        assert!(!page.samples().iter().any(made_up));
        self.check_frontend(page);
    }

    /// Dynamo's own account, where there is one.
    fn check_frontend(&self, page: &Page) {
        let name = "dynamo_frontend_requests_total";
        let Some(all) = page.sum(name, &[]) else { return };
        let requests = self.by(|r| (&*r.endpoint, &*r.model, &*r.kind, &*r.error));
        for ((endpoint, model, kind, error), count) in requests {
            let labels = [
                ("endpoint", endpoint),
                ("model", model),
                ("request_type", kind),
                ("error_type", error),
                ("status", if error.is_empty() { "success" } else { "error" }),
            ];
            assert_eq!(page.sum(name, &labels), Some(count as f64), "{labels:?}");
        }
        assert_eq!(all, self.requests.len() as f64);
        let duration = page.sum("dynamo_frontend_request_duration_seconds_count", &[]);
        assert_eq!(duration, Some(all));
    }

    /// Tokens and their times are counted exactly, if nobody left in the middle.
    pub(crate) fn check_tokens(&self, page: &Page) {
        for endpoint in self.by(|request| &*request.endpoint).keys() {
            let here = || self.requests.iter().filter(|request| request.endpoint == *endpoint);
            let labels = [("dynamo_endpoint", *endpoint), ("dynamo_component", "frontend")];
            check_times(page, "dynamo_component", &labels, here());
            let tokens: u64 = here().map(Request::read_tokens).sum();
            let counted = page.sum("dynamo_component_output_tokens_total", &labels);
            assert_eq!(counted.unwrap_or_default(), tokens as f64, "{endpoint}");
        }
        if page.sum("dynamo_frontend_requests_total", &[]).is_none() {
            return;
        }
        let labels = [("model", "demo")];
        check_times(page, "dynamo_frontend", &labels, self.requests.iter());
        let sum = |name: &str| page.sum(&format!("dynamo_frontend_{name}"), &labels).unwrap();
        let tokens: u64 = self.requests.iter().map(|request| request.tokens).sum();
        assert_eq!(sum("output_tokens_total"), tokens as f64);
        assert_eq!(sum("output_sequence_tokens_sum"), tokens as f64);
        let answers = self.requests.iter().filter(|request| request.tokens > 0).count();
        assert_eq!(sum("output_sequence_tokens_count"), answers as f64);
        let input: u64 = self.requests.iter().map(|request| request.input).sum();
        assert_eq!(sum("input_sequence_tokens_sum"), input as f64);
    }

    /// Whoever left was sent a little more than it read, and each stream has its first token.
    pub(crate) fn check_left(&self, page: &Page) {
        assert!(self.requests.iter().all(|request| request.error == "cancelled"));
        let labels = [("dynamo_component", "frontend")];
        let sum = |name: &str| page.sum(&format!("dynamo_component_{name}"), &labels).unwrap();
        assert_eq!(sum("time_to_first_token_seconds_count"), self.requests.len() as f64);
        assert_eq!(sum("cancellation_total"), self.requests.len() as f64);
        let read: u64 = self.requests.iter().map(|request| request.contents).sum();
        // No answer is shorter than forty tokens, so each was cut.
        let most = 39 * self.requests.len() as u64;
        let sent = sum("output_tokens_total");
        assert!((read as f64..=most as f64).contains(&sent), "{read} {sent} {most}");
    }

    /// Requests that have `key` in common, counted.
    fn by<'a, K: Ord>(&'a self, key: impl Fn(&'a Request) -> K) -> BTreeMap<K, usize> {
        tally(self.requests.iter().map(key))
    }
}

impl Request {
    fn read(request: &Value) -> Self {
        let text = |name: &str| request[name].as_str().unwrap().to_owned();
        let number = |name: &str| request[name].as_u64().unwrap();
        Self {
            endpoint: text("endpoint"),
            model: text("model"),
            kind: text("type"),
            input: number("input"),
            contents: number("contents"),
            tokens: number("tokens"),
            error: text("error"),
            engine: request["engine"].as_str().map(str::to_owned),
            told: request["told"].as_bool().unwrap_or(true),
        }
    }

    /// How its generation ended, if there was one.
    fn engine(&self) -> Option<&str> {
        let error = self.engine.as_deref().unwrap_or(&self.error);
        matches!(error, "" | "cancelled" | "internal").then_some(error)
    }

    /// Tokens as far as the body told of them.
    fn read_tokens(&self) -> u64 {
        match (&*self.kind, self.error.is_empty()) {
            ("unary", true) if self.told => self.tokens,
            ("stream", true) => self.tokens,
            _ => self.contents,
        }
    }
}

/// Each stream with text has one first token, and each event with text after that has a gap.
fn check_times<'a>(
    page: &Page,
    prefix: &str,
    labels: &[(&str, &str)],
    requests: impl Iterator<Item = &'a Request>,
) {
    let count = |name| page.sum(&format!("{prefix}_{name}_seconds_count"), labels);
    let with_text: Vec<_> = requests.filter(|request| request.contents > 0).collect();
    let gaps: u64 = with_text.iter().map(|request| request.contents - 1).sum();
    let first = with_text.len() as f64;
    assert_eq!(count("time_to_first_token").unwrap_or_default(), first, "{labels:?}");
    assert_eq!(count("inter_token_latency").unwrap_or_default(), gaps as f64, "{labels:?}");
    // What a stream begins with comes at once, and is no token.
    let sum = page.sum(&format!("{prefix}_time_to_first_token_seconds_sum"), labels);
    assert!(sum.unwrap_or_default() >= first * SOONEST, "{labels:?} {sum:?}");
}

fn tally<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    keys.fold(BTreeMap::new(), |mut tally, key| {
        *tally.entry(key).or_default() += 1;
        tally
    })
}

/// The layer's word for the frontend's.
fn outcome_of(error: &str) -> &'static str {
    match error {
        "" => "success",
        "cancelled" => "cancelled",
        "not_found" | "validation" => "client_error",
        "internal" => "server_error",
        other => panic!("no word of the frontend's: {other}"),
    }
}
