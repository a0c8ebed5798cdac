//! The choices of an endpoint: where its token times begin, what its first token is, what is good.

use std::sync::Arc;

use http::response;

use super::slo::Slo;
use super::stream::{ChooseReader, StreamReader};
use crate::metric::Buckets;

/// The choices of an [`EndpointMetrics`](super::EndpointMetrics).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::llm::{EndpointMetrics, EndpointOptions, FirstToken, InterToken, Slo};
/// use dynamo_metrics::registry::Registry;
///
/// let options = EndpointOptions::new()
///     .first_token(FirstToken::Answer)
///     .inter_token(InterToken::PerChunk)
///     .slo(Slo::new().time_to_first_token(Duration::from_millis(500)));
/// let scope = Registry::new().component("backend").endpoint("chat");
/// let chat = EndpointMetrics::builder(&scope).options(&options).register()?;
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Clone, Default)]
pub struct EndpointOptions {
    pub(super) token_start: TokenStart,
    pub(super) first_token: FirstToken,
    pub(super) inter_token: InterToken,
    pub(super) token_end: TokenEnd,
    pub(super) unary: UnaryTokens,
    pub(super) slo: Slo,
    pub(super) reader: Option<ChooseReader>,
    pub(super) last_reader: Option<ChooseReader>,
    pub(super) duration_buckets: Option<Buckets>,
    pub(super) first_token_buckets: Option<Buckets>,
    pub(super) inter_token_buckets: Option<Buckets>,
    pub(super) exemplars: bool,
}

/// Where the times to the first byte, token and answer begin; those of a frontend begin at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TokenStart {
    /// Where the service is called.
    #[default]
    Call,
    /// Where the request arrived at an accept layer, if there is one: waiting for a place counts.
    Arrival,
    /// Where the request's body has come to its end: a slow upload does not count.
    BodyRead,
}

/// What the first token of a stream is, for `time_to_first_token_seconds`.
///
/// It is looked for in bodies that are read as streams: events, records, and what somebody chose a
/// reader for. A frontend's times have Dynamo's rules, whatever is chosen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum FirstToken {
    /// The first byte of the body.
    AnyByte,
    /// The first event, record or message that is whole, whatever it says; a comment is none.
    AnyEvent,
    /// The first content: text, a refusal, reasoning, a part of a tool call.
    #[default]
    Content,
    /// The first content that is not reasoning.
    Answer,
}

/// How `inter_token_latency_seconds` is counted; waits and the times of producers are by token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum InterToken {
    /// A gap is spread over the tokens of the chunk after it, and counts once for each, as Dynamo
    /// and SGLang have it.
    #[default]
    PerToken,
    /// A gap counts once, however many tokens come after it, as vLLM has it.
    PerChunk,
    /// A successful stream counts once, with its time per output token, as aiperf has it.
    PerRequestMean,
}

/// Where the time of output tokens ends, of which `time_per_output_token_seconds` is the mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TokenEnd {
    /// At the last content.
    #[default]
    LastToken,
    /// At the end of the body.
    EndOfBody,
}

/// What an answer in one piece says of its tokens' times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum UnaryTokens {
    /// Nothing.
    #[default]
    Untimed,
    /// If it succeeds and has tokens, its duration is the time to its first one, as Dynamo and
    /// SGLang have it.
    AtEnd,
}

impl EndpointOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the time to the first token begins (default: at the call).
    #[must_use]
    pub fn token_start(mut self, token_start: TokenStart) -> Self {
        self.token_start = token_start;
        self
    }

    /// What the first token is (default: the first content).
    #[must_use]
    pub fn first_token(mut self, first_token: FirstToken) -> Self {
        self.first_token = first_token;
        self
    }

    /// How the time between tokens is counted (default: for each token).
    #[must_use]
    pub fn inter_token(mut self, inter_token: InterToken) -> Self {
        self.inter_token = inter_token;
        self
    }

    /// Where the time of output tokens ends (default: at the last one).
    #[must_use]
    pub fn token_end(mut self, token_end: TokenEnd) -> Self {
        self.token_end = token_end;
        self
    }

    /// What an answer in one piece says of token times (default: nothing).
    #[must_use]
    pub fn unary(mut self, unary: UnaryTokens) -> Self {
        self.unary = unary;
        self
    }

    /// What a good request is (default: nothing is asked of one, and nothing counted).
    #[must_use]
    pub fn slo(mut self, slo: Slo) -> Self {
        self.slo = slo;
        self
    }

    /// Chooses how an answer is read for its tokens, by its head; `None` leaves the choice to what
    /// the layer was given, and then to the content type (default: always so).
    #[must_use]
    pub fn reader(
        mut self,
        choose: impl Fn(&response::Parts) -> Option<Box<dyn StreamReader>> + Send + Sync + 'static,
    ) -> Self {
        self.reader = Some(Arc::new(choose));
        self
    }

    /// The same, asked last: if neither the endpoint nor the layer made a choice, and before the
    /// content type does (default: nobody is).
    #[must_use]
    pub fn last_reader(
        mut self,
        choose: impl Fn(&response::Parts) -> Option<Box<dyn StreamReader>> + Send + Sync + 'static,
    ) -> Self {
        self.last_reader = Some(Arc::new(choose));
        self
    }

    /// Histograms keep exemplars: the latest sample of each bucket that came within a sampled trace
    /// ([`TraceContext`](crate::metric::TraceContext); default: they keep none).
    #[must_use]
    pub fn exemplars(mut self) -> Self {
        self.exemplars = true;
        self
    }

    /// Bounds of `request_duration_seconds` and `response_head_seconds` (default: those of Dynamo's
    /// work handler).
    #[must_use]
    pub fn duration_buckets(mut self, buckets: Buckets) -> Self {
        self.duration_buckets = Some(buckets);
        self
    }

    /// Bounds of the times to the first token, the first token of the answer and the first byte
    /// (default: Dynamo's for the time to first token).
    #[must_use]
    pub fn first_token_buckets(mut self, buckets: Buckets) -> Self {
        self.first_token_buckets = Some(buckets);
        self
    }

    /// Bounds of the times between tokens and of the time per output token (default: Dynamo's for
    /// inter-token latency).
    #[must_use]
    pub fn inter_token_buckets(mut self, buckets: Buckets) -> Self {
        self.inter_token_buckets = Some(buckets);
        self
    }
}

impl std::fmt::Debug for EndpointOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointOptions")
            .field("token_start", &self.token_start)
            .field("first_token", &self.first_token)
            .field("inter_token", &self.inter_token)
            .field("slo", &self.slo)
            .finish_non_exhaustive()
    }
}
