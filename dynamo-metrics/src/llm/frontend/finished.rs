//! A request that ended, and what was measured of it: what every choice of names is made of.

use std::time::Duration;

use super::failure::Failure;
use crate::llm::outcome::{End, Outcome};
use crate::llm::request::RequestType;
use crate::llm::stream::FinishReason;

/// What may be measured of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::llm) enum Measure {
    /// Seconds, of any request.
    Duration,
    /// Seconds to the first token, of one that succeeded.
    FirstToken,
    /// Seconds of a token after the first, on average, of one that succeeded.
    PerToken,
    /// Seconds of a request for embeddings that succeeded.
    Embedding,
    InputTokens,
    CachedTokens,
    OutputTokens,
    /// Those that somebody told, and none that were guessed.
    ToldInputTokens,
    ToldOutputTokens,
    Images,
    Videos,
    Audio,
    ImageTokens,
}

/// A request that ended.
#[derive(Debug, Clone, Copy)]
pub(in crate::llm) struct Finished<'a> {
    pub(in crate::llm) model: &'a str,
    pub(in crate::llm) endpoint: &'a str,
    pub(in crate::llm) request_type: RequestType,
    pub(in crate::llm) end: End,
    /// Dynamo's word for what went wrong; empty if nothing did.
    pub(in crate::llm) error_type: &'static str,
    pub(in crate::llm) failure: Option<Failure>,
    pub(in crate::llm) finish: Option<FinishReason>,
    pub(in crate::llm) duration: Duration,
    pub(in crate::llm) first_token: Option<Duration>,
    pub(in crate::llm) per_token: Option<f64>,
    pub(in crate::llm) input_tokens: u64,
    pub(in crate::llm) cached_tokens: u64,
    pub(in crate::llm) output_tokens: u64,
    /// Output tokens that were told, and not only seen.
    pub(in crate::llm) told_output_tokens: u64,
    /// Images, videos, pieces of audio, tokens of images, as far as they were told.
    pub(in crate::llm) media: [Option<u64>; 4],
}

impl Finished<'_> {
    /// What was measured, if there is something to say of it.
    pub(in crate::llm) fn get(&self, measure: Measure) -> Option<f64> {
        let success = self.end.outcome == Outcome::Success;
        let some = |tokens: u64| (tokens > 0).then_some(tokens as f64);
        let of = |media: usize| self.media.get(media).copied().flatten().map(|n| n as f64);
        match measure {
            Measure::Duration => Some(self.duration.as_secs_f64()),
            Measure::FirstToken if success => self.first_token.map(|time| time.as_secs_f64()),
            Measure::PerToken if success => self.per_token,
            Measure::Embedding if success && self.endpoint == "embeddings" => {
                Some(self.duration.as_secs_f64())
            }
            Measure::FirstToken | Measure::PerToken | Measure::Embedding => None,
            Measure::InputTokens | Measure::ToldInputTokens => some(self.input_tokens),
            Measure::CachedTokens => some(self.cached_tokens),
            Measure::OutputTokens => some(self.output_tokens),
            Measure::ToldOutputTokens => some(self.told_output_tokens),
            Measure::Images => of(0),
            Measure::Videos => of(1),
            Measure::Audio => of(2),
            Measure::ImageTokens => of(3),
        }
    }
}
