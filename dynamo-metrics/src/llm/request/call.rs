//! A request of a frontend, as its answer passes: its tokens, and what is counted at its end.

use std::time::Duration;

use super::RequestMetrics;
use super::told::{STREAM, UNTOLD};
use crate::clock::Nanoseconds;
use crate::llm::frontend::{Failure, Finished, UNKNOWN_MODEL};
use crate::llm::outcome::{End, Outcome};
use crate::llm::reading::{Account, Kind};
use crate::llm::stream::{FinishReason, ModelName, TokenSource};
use crate::llm::tokens::{Beat, observe_each};
use crate::sync::Ordering;

/// A request of a frontend, as the answer's state holds it.
#[derive(Debug)]
pub(in crate::llm) struct FrontendCall {
    told: RequestMetrics,
    /// Output tokens that passed.
    counted: u64,
    /// Those of them that are in a model's counter.
    credited: u64,
    /// The name that the answer gives its model was looked at.
    named: bool,
    /// Of the answer's own account.
    per_token: Option<f64>,
    finish: Option<FinishReason>,
}

impl FrontendCall {
    pub(in crate::llm) fn start(told: &RequestMetrics) -> Self {
        Self {
            told: told.clone(),
            counted: 0,
            credited: 0,
            named: false,
            per_token: None,
            finish: None,
        }
    }

    /// The answer is a stream.
    pub(in crate::llm) fn streams(&self) {
        let told = &*self.told.0;
        let of = &told.request_type;
        let _ = of.compare_exchange(UNTOLD, STREAM, Ordering::AcqRel, Ordering::Relaxed);
        told.start(false);
    }

    /// The answer names its model, which is the request's if its handler named none. A name that is
    /// not served says nothing.
    pub(in crate::llm) fn answers_as(&mut self, model: &ModelName) {
        if self.named || model.is_empty() {
            return;
        }
        self.named = true;
        let told = &*self.told.0;
        if told.model.get().is_none() && told.frontend.serves(model.as_str()) {
            self.told.model(model.as_str());
        }
    }

    pub(in crate::llm) fn first_token(&self, time: Duration) {
        let told = &*self.told.0;
        let Nanoseconds(nanoseconds) = time.into();
        told.first_token.store(nanoseconds.saturating_add(1), Ordering::Release);
        told.leave_queue();
        if let Some(model) = told.model.get() {
            model.first_token.each(|histogram| histogram.observe_duration(time));
        }
        if let Some(worker) = told.prefill.get().or_else(|| told.decode.get()) {
            worker.first_token(time);
            let input_tokens = told.input_tokens.load(Ordering::Relaxed);
            if input_tokens > 0 {
                worker.input_tokens(input_tokens);
            }
        }
    }

    #[inline]
    pub(in crate::llm) fn beat(&self, beat: Beat) {
        let (Beat::Next { gap, tokens, .. }, told) = (beat, &*self.told.0) else { return };
        if let Some(model) = told.model.get() {
            model.per_token.each(|histogram| observe_each(histogram, gap, tokens));
            model.per_chunk.each(|histogram| histogram.observe_span(gap));
        }
        if let Some(worker) = told.decode.get() {
            worker.inter_token(gap.as_seconds() / tokens.max(1) as f64);
        }
    }

    pub(in crate::llm) fn output_tokens(&mut self, tokens: u64) {
        self.counted += tokens;
        if let Some(model) = self.told.0.model.get() {
            // Those, too, that passed before it was named.
            let tokens = self.counted - self.credited;
            model.output_tokens.each(|counter| counter.inc_by(tokens));
            self.credited = self.counted;
        }
    }

    /// The answer's own account, of which so many tokens were not counted as they passed.
    pub(in crate::llm) fn account(&mut self, account: &Account<'_>, uncounted: u64) {
        self.answers_as(&account.seen.model);
        if uncounted > 0 {
            self.output_tokens(uncounted);
        }
        self.finish = account.seen.finish;
        let pace = &account.timing.pace;
        self.per_token =
            pace.per_token(account.tokens, None).filter(|_| account.kind == Kind::Stream);
        let told = &self.told.0;
        let usage = account.seen.usage;
        let input = usage.map_or(0, |usage| usage.input_tokens);
        let cached = usage.and_then(|usage| usage.cached_tokens).unwrap_or(0);
        let output = if account.source == TokenSource::Estimated { 0 } else { account.tokens };
        for (place, tokens) in [
            (&told.input_tokens, input),
            (&told.cached_tokens, cached),
            (&told.output_tokens, output),
        ] {
            // What the handler said itself it knows better.
            let _ = place.compare_exchange(0, tokens, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    pub(in crate::llm) fn end(&mut self, end: End, duration: Duration) {
        let told = &*self.told.0;
        // After this no model can be named any more, so what is read below is final.
        told.leave();
        if told.model.get().is_none() {
            self.told.model(UNKNOWN_MODEL);
        }
        let Some(model) = told.model.get() else {
            return;
        };
        told.start(true);
        let output_tokens = told.output_tokens.load(Ordering::Relaxed);
        // Those, too, of an answer in one piece, and those that nobody could name a model for.
        let untold = output_tokens.max(self.counted) - self.credited;
        model.output_tokens.each(|counter| counter.inc_by(untold));
        let first_token = told.first_token.load(Ordering::Acquire).checked_sub(1);
        let success = end.outcome == Outcome::Success;
        let failure = if success { None } else { told.failure.get().copied() };
        told.frontend.finished(
            model,
            &Finished {
                model: told.model_name(),
                endpoint: &told.endpoint,
                request_type: told.request_type(),
                end,
                error_type: error_type(end),
                failure: failure.or_else(|| Failure::of(end)),
                finish: self.finish,
                duration,
                first_token: first_token.map(Duration::from_nanos),
                per_token: self.per_token,
                input_tokens: told.input_tokens.load(Ordering::Relaxed),
                cached_tokens: told.cached_tokens.load(Ordering::Relaxed),
                output_tokens: if output_tokens > 0 { output_tokens } else { self.counted },
                told_output_tokens: output_tokens,
                media: std::array::from_fn(|i| {
                    told.media.get(i)?.load(Ordering::Relaxed).checked_sub(1)
                }),
            },
        );
    }
}

/// Dynamo's word for what went wrong; empty if nothing did.
fn error_type(end: End) -> &'static str {
    match (end.outcome, end.status.map(|status| status.as_u16())) {
        (Outcome::Success, _) => "",
        (Outcome::Cancelled, _) => "cancelled",
        (Outcome::Timeout, _) => "response_timeout",
        (Outcome::Rejected, Some(503)) => "unavailable",
        (Outcome::Rejected, _) => "overload",
        (Outcome::ClientError, Some(404)) => "not_found",
        (Outcome::ClientError, _) => "validation",
        (Outcome::ServerError, Some(501)) => "not_implemented",
        (Outcome::ServerError | Outcome::Incomplete | Outcome::Panic, _) => "internal",
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::encode;
    use crate::llm::frontend::{FrontendMetrics, WorkerType};
    use crate::llm::{Names, RequestType};
    use crate::registry::Registry;

    fn end(outcome: Outcome, status: u16) -> End {
        End { outcome, in_body: false, status: StatusCode::from_u16(status).ok() }
    }

    #[test]
    fn error_types_are_dynamos() {
        for (outcome, status, word) in [
            (Outcome::Success, 200, ""),
            (Outcome::ClientError, 404, "not_found"),
            (Outcome::ClientError, 400, "validation"),
            (Outcome::Rejected, 429, "overload"),
            (Outcome::Rejected, 529, "overload"),
            (Outcome::Rejected, 503, "unavailable"),
            (Outcome::Cancelled, 200, "cancelled"),
            (Outcome::Timeout, 504, "response_timeout"),
            (Outcome::ServerError, 500, "internal"),
            (Outcome::ServerError, 501, "not_implemented"),
            (Outcome::ServerError, 200, "internal"),
        ] {
            assert_eq!(error_type(end(outcome, status)), word);
        }
    }

    #[test]
    fn a_model_that_is_not_served_has_no_series() {
        let registry = Registry::new();
        let frontend = FrontendMetrics::register(&registry).unwrap();
        frontend.serve("demo");
        for i in 0..100 {
            let request = frontend.request(&"completions".into());
            let mut call = FrontendCall::start(&request);
            request.model(&format!("made-up-{i}"));
            request.model("demo");
            call.end(end(Outcome::ClientError, 404), Duration::ZERO);
        }
        let text = encode::text(&registry);
        assert!(!text.contains("made-up"));
        let line = "dynamo_frontend_requests_total{endpoint=\"completions\",\
                    error_type=\"not_found\",model=\"unknown_model\",request_type=\"unary\",\
                    status=\"error\"} 100\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("dynamo_frontend_inflight_requests{model=\"unknown_model\"} 0\n"));
    }

    #[test]
    fn a_model_named_too_late_leaves_nothing_in_flight() {
        let registry = Registry::new();
        let frontend = FrontendMetrics::register(&registry).unwrap();
        frontend.serve("demo");
        let request = frontend.request(&"completions".into());
        FrontendCall::start(&request).end(end(Outcome::Success, 200), Duration::ZERO);
        request.model("demo");
        let text = encode::text(&registry);
        for gauge in ["inflight", "active", "queued"] {
            for model in ["demo", "unknown_model"] {
                let line = format!("dynamo_frontend_{gauge}_requests{{model=\"{model}\"}} 0\n");
                assert!(text.contains(&line), "{line}");
            }
        }
    }

    #[test]
    fn a_request_is_queued_until_its_first_token_and_counts_as_started_once() {
        let registry = Registry::new();
        let frontend = FrontendMetrics::register(&registry).unwrap();
        frontend.serve("demo");
        let worker = frontend.worker(7, None, WorkerType::Decode);
        let request = frontend.request(&"chat_completions".into());
        let mut call = FrontendCall::start(&request);
        let has = |line: &str| encode::text(&registry).contains(line);
        let [queued, active] = ["queued", "active"].map(|gauge| {
            move |n: u8| format!("dynamo_frontend_{gauge}_requests{{model=\"demo\"}} {n}\n")
        });
        let started = "dynamo_frontend_requests_started_total{endpoint=\"chat_completions\",\
                       model=\"demo\",request_type=\"stream\"} 1\n";
        request.model("demo");
        request.worker(&worker);
        request.input_tokens(12);
        assert!(has(&queued(1)) && has(&active(1)) && !has("requests_started_total{"));
        call.streams();
        request.request_type(RequestType::Stream);
        assert!(has(started));
        call.first_token(Duration::from_millis(250));
        assert!(has(&queued(0)) && has(&active(1)));
        let (gap, wait) = (Duration::from_millis(30).into(), Nanoseconds::default());
        call.beat(Beat::Next { gap, wait, tokens: 3 });
        let of = "{dp_rank=\"none\",worker_id=\"7\",worker_type=\"decode\"}";
        for (name, value) in [
            ("time_to_first_token_seconds", "0.25"),
            ("input_sequence_tokens", "12"),
            ("inter_token_latency_seconds", "0.01"),
        ] {
            assert!(has(&format!("dynamo_frontend_worker_last_{name}{of} {value}\n")), "{name}");
        }
        call.end(end(Outcome::Success, 200), Duration::from_secs(1));
        assert!(has(&queued(0)) && has(&active(0)) && has(started));
    }

    #[test]
    fn a_request_of_a_model_that_is_withdrawn_brings_no_series_back() {
        let registry = Registry::new();
        let names = [Names::Dynamo, Names::GenAi, Names::Vllm];
        let frontend = FrontendMetrics::builder(&registry).names(names).register().unwrap();
        frontend.serve("demo");
        let request = frontend.request(&"completions".into());
        let mut call = FrontendCall::start(&request);
        request.model("demo");
        frontend.withdraw("demo");
        request.tokenizer_cache(1, 2);
        call.end(end(Outcome::Success, 200), Duration::ZERO);
        let text = encode::text(&registry);
        assert!(!text.contains("demo"), "{text}");
        let line = "dynamo_frontend_requests_total{endpoint=\"completions\",error_type=\"\",\
                    model=\"unknown_model\",request_type=\"unary\",status=\"success\"} 1\n";
        assert!(text.contains(line), "{text}");
        // Served again, it begins anew.
        frontend.serve("demo");
        let text = encode::text(&registry);
        assert!(text.contains("dynamo_frontend_active_requests{model=\"demo\"} 0\n"), "{text}");
    }
}
