//! What is measured of an endpoint's streams, and of the tokens of all its answers.

use std::time::Duration;

use super::lazy::Lazy;
use super::meter::Stamp;
use super::options::{EndpointOptions, FirstToken, InterToken, TokenEnd, UnaryTokens};
use super::outcome::Outcome;
use super::reading::{Account, First};
use super::slo::Measured;
use super::stream::{FinishReason, TokenSource, Uninspected};
use super::tokens::{self, Beat, observe_each};
use crate::clock::Instant;
use crate::label::{LabelSet, LabelValue};
use crate::metric::{Buckets, Counter, Histogram, NativeBuckets};
use crate::registry::{Family, MetricBuilder, RegisterError, Scope};
use crate::unit::Unit;

/// From a tenth of a token in a second to thousands.
const SPEED_BOUNDS: [f64; 16] = [
    0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 500.0, 1_000.0,
    5_000.0,
];

/// From a millisecond to ten minutes.
const STALL_BOUNDS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];

/// From a tenth of a second to an hour: how long clients wait before they leave.
const CANCELLED_BOUNDS: [f64; 12] =
    [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3_600.0];

/// The metrics of streams and tokens; each appears when there is something to say.
#[derive(Debug)]
pub(super) struct StreamMetrics {
    first_token: FirstToken,
    inter_token: InterToken,
    token_end: TokenEnd,
    unary: UnaryTokens,
    time_to_first_byte: Lazy<Histogram>,
    time_to_first_token: Lazy<Histogram>,
    time_to_first_answer_token: Lazy<Histogram>,
    inter_token_latency: Lazy<Histogram>,
    inter_token_wait: Lazy<Histogram>,
    time_per_output_token: Lazy<Histogram>,
    output_tokens_per_second: Lazy<Histogram>,
    stall: Lazy<Histogram>,
    output_tokens: Lazy<Counter>,
    estimated_output_tokens: Lazy<Counter>,
    input_tokens: Lazy<Counter>,
    cached_tokens: Lazy<Counter>,
    reasoning_tokens: Lazy<Counter>,
    without_token: Lazy<Counter>,
    finished: Family<ByReason, Counter>,
    uninspected: Family<ByUninspected, Counter>,
    cancelled_after: Family<ByPhase, Histogram>,
    generation_first_token: Lazy<Histogram>,
    generation_inter_token: Lazy<Histogram>,
}

#[derive(LabelSet)]
struct ByReason {
    finish_reason: FinishReason,
}

#[derive(LabelSet)]
struct ByUninspected {
    reason: Uninspected,
}

#[derive(LabelSet)]
struct ByPhase {
    phase: Phase,
}

/// How far an answer had come.
#[derive(Debug, Clone, Copy, LabelValue)]
enum Phase {
    Head,
    Body,
}

impl StreamMetrics {
    pub(super) fn register(
        scope: &Scope,
        labels: &[(&str, &str)],
        options: &EndpointOptions,
    ) -> Result<Self, RegisterError> {
        let counter = |name, help| scope.counter(name, help).labels(labels);
        let tokens = |name, help| Lazy::register(counter(name, help).unit(Unit::Tokens));
        let seconds = |name, help| scope.histogram(name, help).unit(Unit::Seconds).labels(labels);
        let firsts = options.first_token_buckets.clone().map_or_else(tokens::ttft_buckets, Ok)?;
        let gaps = options.inter_token_buckets.clone().map_or_else(tokens::itl_buckets, Ok)?;
        let first = |name, help| timed(seconds(name, help), &firsts, NativeBuckets::default());
        let gap = |name, help| timed(seconds(name, help), &gaps, tokens::ITL_NATIVE);
        Ok(Self {
            first_token: options.first_token,
            inter_token: options.inter_token,
            token_end: options.token_end,
            unary: options.unary,
            time_to_first_byte: first(
                "time_to_first_byte_seconds",
                "Time from the start of a request to the first byte of its stream.",
            )?,
            time_to_first_token: first(
                "time_to_first_token_seconds",
                "Time from the start of a request to its first token.",
            )?,
            time_to_first_answer_token: first(
                "time_to_first_answer_token_seconds",
                "Time from the start of a request to the first token after its reasoning.",
            )?,
            inter_token_latency: gap(
                "inter_token_latency_seconds",
                "Time between two tokens of one answer.",
            )?,
            inter_token_wait: gap(
                "inter_token_wait_seconds",
                "Part of the time between two tokens in which the second was asked for.",
            )?,
            time_per_output_token: gap(
                "time_per_output_token_seconds",
                "Mean time of a token after the first, by successful stream.",
            )?,
            output_tokens_per_second: Lazy::register(
                scope
                    .histogram(
                        "output_tokens_per_second",
                        "Tokens of a successful stream by its whole duration.",
                    )
                    .labels(labels)
                    .buckets(SPEED_BOUNDS),
            )?,
            stall: Lazy::register(
                seconds(
                    "stream_stall_seconds",
                    "Time in which a stream's client asked for nothing, by stream.",
                )
                .buckets(STALL_BOUNDS),
            )?,
            output_tokens: tokens(
                "output_tokens_total",
                "Tokens generated; a chunk is one where its tokens are not told.",
            )?,
            estimated_output_tokens: tokens(
                "estimated_output_tokens_total",
                "Those of the output tokens that are chunks whose tokens nobody told.",
            )?,
            input_tokens: tokens("input_tokens_total", "Tokens of prompts, as answers tell them.")?,
            cached_tokens: tokens(
                "cached_tokens_total",
                "Tokens of prompts that were found in a cache, as answers tell them.",
            )?,
            reasoning_tokens: tokens(
                "reasoning_tokens_total",
                "Output tokens that are reasoning, as answers tell them.",
            )?,
            without_token: Lazy::register(counter(
                "streams_without_token_total",
                "Streams that ended without a token.",
            ))?,
            finished: counter("finished_answers_total", "Answers, by why the model ended them.")
                .family()?,
            uninspected: counter(
                "uninspected_answers_total",
                "Answers of which something was passed on without a look at its tokens.",
            )
            .family()?,
            cancelled_after: seconds(
                "cancelled_after_seconds",
                "Time from the start of a request to when its client left.",
            )
            .buckets(CANCELLED_BOUNDS)
            .family()?,
            generation_first_token: first(
                "generation_time_to_first_token_seconds",
                "Time from the start of a request to its first token, where it is made.",
            )?,
            generation_inter_token: gap(
                "generation_inter_token_latency_seconds",
                "Time between two tokens of one answer, where they are made.",
            )?,
        })
    }

    /// What comes once in a stream came, this long after its start; `reasoned` if reasoning did.
    pub(super) fn first(&self, first: First, time: Duration, reasoned: bool) {
        match first {
            First::Token => {
                // These are there from the first token on, whether there is a second one or not.
                self.output_tokens.get();
                self.time_to_first_token.get();
                self.inter_token_latency.get();
                self.inter_token_wait.get();
            }
            First::Byte => self.time_to_first_byte.get().observe_duration(time),
            First::Answer if reasoned => {
                self.time_to_first_answer_token.get().observe_duration(time);
            }
            _ => {}
        }
        if first == First::of(self.first_token) {
            self.time_to_first_token.get().observe_duration(time);
        }
    }

    #[inline]
    pub(super) fn beat(&self, beat: Beat) {
        let Beat::Next { gap, wait, tokens } = beat else { return };
        match self.inter_token {
            InterToken::PerToken => observe_each(self.inter_token_latency.get(), gap, tokens),
            InterToken::PerChunk => self.inter_token_latency.get().observe_duration(gap),
            InterToken::PerRequestMean => {}
        }
        observe_each(self.inter_token_wait.get(), wait, tokens);
    }

    #[inline]
    pub(super) fn output_tokens(&self, tokens: u64) {
        self.output_tokens.get().inc_by(tokens);
    }

    /// A producer stamps its tokens.
    pub(super) fn stamp(&self, stamp: Stamp) {
        match stamp {
            Stamp::First(time) => self.generation_first_token.get().observe_duration(time),
            Stamp::Next { gap, tokens } => {
                observe_each(self.generation_inter_token.get(), gap, tokens);
            }
        }
    }

    /// An answer that was read ended at `now`; adds to `measured` what there is for objectives.
    pub(super) fn account(&self, account: &Account<'_>, now: Instant, measured: &mut Measured) {
        let (seen, pace) = (account.seen, account.pace);
        if let Some(finish) = seen.finish {
            self.finished.with_ref(&ByReason { finish_reason: finish }, Counter::inc);
        }
        if let Some(reason) = seen.uninspected {
            self.uninspected.with_ref(&ByUninspected { reason }, Counter::inc);
        }
        if let Some(usage) = seen.usage {
            let told = [
                (&self.input_tokens, Some(usage.input_tokens).filter(|&tokens| tokens > 0)),
                (&self.cached_tokens, usage.cached_tokens),
                (&self.reasoning_tokens, usage.reasoning_tokens),
            ];
            for (counter, tokens) in told {
                if let Some(tokens) = tokens {
                    counter.get().inc_by(tokens);
                }
            }
        }
        if account.source == TokenSource::Estimated && account.tokens > 0 {
            self.estimated_output_tokens.get().inc_by(account.tokens);
        }
        measured.output_tokens = account.tokens;
        let success = measured.outcome == Outcome::Success;
        if account.unary {
            if self.unary == UnaryTokens::AtEnd && success && account.tokens > 0 {
                self.time_to_first_token.get().observe_duration(measured.duration);
                measured.ttft = Some(measured.duration);
            }
            return;
        }
        self.stall.get().observe_duration(pace.stall());
        if seen.tokens == 0 && seen.events > 0 && seen.uninspected.is_none() {
            self.without_token.get().inc();
        }
        measured.ttft = account.ttft(self.first_token);
        measured.longest_gap = pace.longest();
        let end = (self.token_end == TokenEnd::EndOfBody).then_some(now);
        measured.per_token = pace.per_token(account.tokens, end).filter(|_| success);
        if let Some(seconds) = measured.per_token {
            self.time_per_output_token.get().observe(seconds);
            if self.inter_token == InterToken::PerRequestMean {
                self.inter_token_latency.get().observe(seconds);
            }
        }
        if success && account.tokens > 0 && !measured.duration.is_zero() {
            let speed = account.tokens as f64 / measured.duration.as_secs_f64();
            self.output_tokens_per_second.get().observe(speed);
        }
    }

    /// A client left, before the head of its answer or within its body.
    pub(super) fn cancelled(&self, after: Duration, head: bool) {
        let phase = if head { Phase::Body } else { Phase::Head };
        self.cancelled_after.with_ref(&ByPhase { phase }, |time| time.observe_duration(after));
    }
}

fn timed(
    builder: MetricBuilder<Histogram>,
    buckets: &Buckets,
    native: NativeBuckets,
) -> Result<Lazy<Histogram>, RegisterError> {
    Lazy::register(builder.buckets(buckets).native(native))
}
