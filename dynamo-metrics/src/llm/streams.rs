//! What is measured of an endpoint's streams, and of the tokens of all its answers.

use std::time::Duration;

use super::meter::Stamp;
use super::options::{EndpointOptions, FirstToken, InterToken, TokenEnd, UnaryTokens};
use super::outcome::Outcome;
use super::reading::{Account, Kind};
use super::slo::Measured;
use super::stream::{FinishReason, TokenSource, Uninspected};
use super::timing::First;
use super::tokens::{self, Beat, observe_each};
use crate::clock::Instant;
use crate::label::{LabelSet, LabelValue};
use crate::metric::{Counter, Histogram};
use crate::registry::{Family, Lazy, MetricSet};

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

/// What is measured of an endpoint's streams.
#[derive(Debug)]
pub(super) struct StreamMetrics {
    first_token: FirstToken,
    inter_token: InterToken,
    token_end: TokenEnd,
    unary: UnaryTokens,
    set: StreamSet,
}

/// Streams and tokens of an endpoint; each metric appears when there is something to say.
///
/// # Source
/// The response's body, as it passes.
#[derive(Debug, MetricSet)]
pub(super) struct StreamSet {
    /// Time from the start of a request to the first byte of its stream.
    ///
    /// # Source
    /// From the call of the service to the first frame that is not empty being handed on.
    #[metric(unit = seconds, buckets = tokens::ttft_buckets, native)]
    time_to_first_byte_seconds: Lazy<Histogram>,
    /// Time from the start of a request to its first token.
    ///
    /// # Source
    /// From the call of the service to the first frame with content being handed on, if the endpoint's
    /// options say nothing else.
    #[metric(unit = seconds, buckets = tokens::ttft_buckets, native)]
    time_to_first_token_seconds: Lazy<Histogram>,
    /// Time from the start of a request to the first token after its reasoning.
    ///
    /// # Source
    /// From the call of the service to the first frame with content that is no reasoning, of
    /// streams that reasoned before.
    #[metric(unit = seconds, buckets = tokens::ttft_buckets, native)]
    time_to_first_answer_token_seconds: Lazy<Histogram>,
    /// Time between two tokens of one answer.
    ///
    /// # Source
    /// From one frame with content being handed on to the next, spread over the tokens of that, if the
    /// endpoint's options say nothing else.
    #[metric(unit = seconds, buckets = tokens::itl_buckets, native = tokens::ITL_NATIVE)]
    inter_token_latency_seconds: Lazy<Histogram>,
    /// Part of the time between two tokens in which the second was asked for.
    ///
    /// # Source
    /// From the body being polled to it being ready, likewise.
    #[metric(unit = seconds, buckets = tokens::itl_buckets, native = tokens::ITL_NATIVE)]
    inter_token_wait_seconds: Lazy<Histogram>,
    /// Mean time of a token after the first, by successful stream.
    ///
    /// # Source
    /// From the first content to the last, by the tokens that came after the first chunk.
    #[metric(unit = seconds, buckets = tokens::itl_buckets, native = tokens::ITL_NATIVE)]
    time_per_output_token_seconds: Lazy<Histogram>,
    /// Tokens of a successful stream by its whole duration.
    #[metric(buckets = SPEED_BOUNDS)]
    output_tokens_per_second: Lazy<Histogram>,
    /// Time in which a stream's client asked for nothing, by stream.
    ///
    /// # Source
    /// From a frame being handed on to the body being polled again, all of it together.
    #[metric(unit = seconds, buckets = STALL_BOUNDS)]
    stream_stall_seconds: Lazy<Histogram>,
    /// Tokens generated; a chunk is one where its tokens are not told.
    #[metric(unit = tokens)]
    output_tokens_total: Lazy<Counter>,
    /// Those of the output tokens that are chunks whose tokens nobody told; counted at the end.
    #[metric(unit = tokens)]
    estimated_output_tokens_total: Lazy<Counter>,
    /// Tokens of prompts, as answers tell them.
    #[metric(unit = tokens)]
    input_tokens_total: Lazy<Counter>,
    /// Tokens of prompts that were found in a cache, as answers tell them.
    #[metric(unit = tokens)]
    cached_tokens_total: Lazy<Counter>,
    /// Output tokens that are reasoning, as answers tell them.
    #[metric(unit = tokens)]
    reasoning_tokens_total: Lazy<Counter>,
    /// Streams that ended without a token.
    streams_without_token_total: Lazy<Counter>,
    /// Answers, by why the model ended them.
    finished_answers_total: Family<ByReason, Counter>,
    /// Answers of which something was passed on without a look at its tokens.
    uninspected_answers_total: Family<ByUninspected, Counter>,
    /// Time from the start of a request to when its client left.
    ///
    /// # Source
    /// From the call of the service to the drop of its answer, before its head or within its body.
    #[metric(unit = seconds, buckets = CANCELLED_BOUNDS)]
    cancelled_after_seconds: Family<ByPhase, Histogram>,
    /// Time from the start of a request to its first token, where it is made.
    ///
    /// # Source
    /// From the call of the service to the first stamp of a `StreamMeter`.
    #[metric(unit = seconds, buckets = tokens::ttft_buckets, native)]
    generation_time_to_first_token_seconds: Lazy<Histogram>,
    /// Time between two tokens of one answer, where they are made.
    ///
    /// # Source
    /// Between two stamps of a `StreamMeter`, or in which a metered stream was asked for the second.
    #[metric(unit = seconds, buckets = tokens::itl_buckets, native = tokens::ITL_NATIVE)]
    generation_inter_token_latency_seconds: Lazy<Histogram>,
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
    pub(super) fn new(set: StreamSet, options: &EndpointOptions) -> Self {
        Self {
            first_token: options.first_token,
            inter_token: options.inter_token,
            token_end: options.token_end,
            unary: options.unary,
            set,
        }
    }

    /// What comes once in a stream came, this long after its start; `reasoned` if reasoning did.
    pub(super) fn first(&self, first: First, time: Duration, reasoned: bool) {
        match first {
            First::Token => {
                // These are there from the first token on, whether there is a second one or not.
                self.set.output_tokens_total.get();
                self.set.time_to_first_token_seconds.get();
                self.set.inter_token_latency_seconds.get();
                self.set.inter_token_wait_seconds.get();
            }
            First::Byte => self.set.time_to_first_byte_seconds.observe_duration(time),
            First::Answer if reasoned => {
                self.set.time_to_first_answer_token_seconds.observe_duration(time);
            }
            _ => {}
        }
        if first == First::of(self.first_token) {
            self.set.time_to_first_token_seconds.observe_duration(time);
        }
    }

    #[inline]
    pub(super) fn beat(&self, beat: Beat) {
        let Beat::Next { gap, wait, tokens } = beat else { return };
        match self.inter_token {
            InterToken::PerToken => {
                observe_each(&self.set.inter_token_latency_seconds, gap, tokens);
            }
            InterToken::PerChunk => self.set.inter_token_latency_seconds.observe_span(gap),
            InterToken::PerRequestMean => {}
        }
        observe_each(&self.set.inter_token_wait_seconds, wait, tokens);
    }

    #[inline]
    pub(super) fn output_tokens(&self, tokens: u64) {
        self.set.output_tokens_total.inc_by(tokens);
    }

    /// A producer stamps its tokens.
    pub(super) fn stamp(&self, stamp: Stamp) {
        match stamp {
            Stamp::First(time) => {
                self.set.generation_time_to_first_token_seconds.observe_duration(time);
            }
            Stamp::Next { gap, tokens } => {
                observe_each(&self.set.generation_inter_token_latency_seconds, gap, tokens);
            }
        }
    }

    /// An answer that was read ended at `now`; adds to `measured` what there is for objectives.
    pub(super) fn account(&self, account: &Account<'_>, now: Instant, measured: &mut Measured) {
        let (seen, pace) = (account.seen, &account.timing.pace);
        if let Some(finish) = seen.finish {
            self.set
                .finished_answers_total
                .with_ref(&ByReason { finish_reason: finish }, Counter::inc);
        }
        if let Some(reason) = seen.uninspected {
            self.set.uninspected_answers_total.with_ref(&ByUninspected { reason }, Counter::inc);
        }
        if let Some(usage) = seen.usage {
            let told = [
                (
                    &self.set.input_tokens_total,
                    Some(usage.input_tokens).filter(|&tokens| tokens > 0),
                ),
                (&self.set.cached_tokens_total, usage.cached_tokens),
                (&self.set.reasoning_tokens_total, usage.reasoning_tokens),
            ];
            for (counter, tokens) in told {
                if let Some(tokens) = tokens {
                    counter.inc_by(tokens);
                }
            }
        }
        if account.source == TokenSource::Estimated && account.tokens > 0 {
            self.set.estimated_output_tokens_total.inc_by(account.tokens);
        }
        measured.output_tokens = account.tokens;
        let success = measured.outcome == Outcome::Success;
        if account.kind == Kind::Unary
            && self.unary == UnaryTokens::AtEnd
            && success
            && account.tokens > 0
        {
            let time = account.timing.since_start(now);
            self.set.time_to_first_token_seconds.observe_duration(time);
            measured.ttft = Some(time);
        }
        if account.kind != Kind::Stream {
            return;
        }
        self.set.stream_stall_seconds.observe_span(pace.stall());
        if seen.tokens == 0 && seen.uninspected.is_none() {
            self.set.streams_without_token_total.inc();
        }
        measured.ttft = account.timing.first(self.first_token);
        measured.ttfo = account.timing.first(FirstToken::Answer);
        measured.longest_gap = match self.inter_token {
            InterToken::PerChunk => pace.longest_gap(),
            _ => pace.longest(),
        }
        .map(Duration::from);
        let end = (self.token_end == TokenEnd::EndOfBody).then_some(now);
        measured.per_token = pace.per_token(account.tokens, end).filter(|_| success);
        if let Some(seconds) = measured.per_token {
            self.set.time_per_output_token_seconds.observe(seconds);
            if self.inter_token == InterToken::PerRequestMean {
                self.set.inter_token_latency_seconds.observe(seconds);
            }
        }
        if success && account.tokens > 0 && !measured.duration.is_zero() {
            let speed = account.tokens as f64 / measured.duration.as_secs_f64();
            self.set.output_tokens_per_second.observe(speed);
        }
    }

    /// A client left, before the head of its answer or within its body.
    pub(super) fn cancelled(&self, after: Duration, head: bool) {
        let phase = if head { Phase::Body } else { Phase::Head };
        self.set
            .cancelled_after_seconds
            .with_ref(&ByPhase { phase }, |time| time.observe_duration(after));
    }
}
