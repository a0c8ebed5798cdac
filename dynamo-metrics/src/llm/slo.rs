//! Service level objectives: which requests were good, and how many tokens those brought.

use std::time::Duration;

use super::endpoint::PREFIX;
use super::outcome::Outcome;
use crate::label::{LabelSet, LabelValue};
use crate::metric::{Counter, FloatGauge};
use crate::registry::{Family, MetricSet, RegisterError, Scope};

/// What a good request is: none of these times may be longer than said.
///
/// A time that a request does not have (that of a second token, say, in an answer of one) is asked
/// of nobody: the request is good if those that it has are.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::llm::{EndpointMetrics, EndpointOptions, Slo};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let slo = Slo::new()
///     .time_to_first_token(Duration::from_millis(500))
///     .time_per_output_token(Duration::from_millis(50));
/// let options = EndpointOptions::new().slo(slo);
/// let scope = registry.component("backend").endpoint("chat");
/// EndpointMetrics::builder(&scope).options(&options).register()?;
/// assert!(encode::text(&registry).contains("slo=\"ttft\""));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slo {
    ttft: Option<Duration>,
    ttfo: Option<Duration>,
    itl: Option<Duration>,
    tpot: Option<Duration>,
    e2e: Option<Duration>,
}

/// What was measured of a request that ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) outcome: Outcome,
    pub(super) ttft: Option<Duration>,
    pub(super) ttfo: Option<Duration>,
    pub(super) longest_gap: Option<Duration>,
    /// In seconds.
    pub(super) per_token: Option<f64>,
    pub(super) duration: Duration,
    pub(super) output_tokens: u64,
}

/// Requests by objective.
#[derive(Debug)]
pub(super) struct SloMetrics {
    slo: Slo,
    /// By objective, then whether it was not met or was.
    requests: [Option<[Counter; 2]>; OBJECTIVES.len()],
    good_tokens: Counter,
}

/// Objectives of an endpoint, where it has some.
///
/// # Source
/// The times of a request, compared at its end.
#[derive(Debug, MetricSet)]
#[metric_set(prefix = PREFIX)]
pub(super) struct SloSet {
    /// Requests, by objective and whether they met it.
    #[metric(name = "slo_requests_total")]
    requests: Family<ByObjective, Counter>,
    /// The longest time that meets an objective.
    ///
    /// # Source
    /// The endpoint's options.
    #[metric(name = "slo_threshold_seconds", unit = seconds)]
    threshold: Family<OfObjective, FloatGauge>,
    /// Tokens generated in requests that met all objectives.
    #[metric(name = "slo_good_output_tokens_total", unit = tokens)]
    good_tokens: Counter,
}

/// One of the times, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
enum Objective {
    Ttft,
    Ttfo,
    Itl,
    Tpot,
    E2e,
    All,
}

const OBJECTIVES: [Objective; 6] = [
    Objective::Ttft,
    Objective::Ttfo,
    Objective::Itl,
    Objective::Tpot,
    Objective::E2e,
    Objective::All,
];

#[derive(LabelSet)]
struct ByObjective {
    slo: Objective,
    met: bool,
}

#[derive(LabelSet)]
struct OfObjective {
    slo: Objective,
}

impl Slo {
    /// Asks nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { ttft: None, ttfo: None, itl: None, tpot: None, e2e: None }
    }

    /// The longest time to the first token (`ttft`; default: not asked for).
    #[must_use]
    pub const fn time_to_first_token(mut self, at_most: Duration) -> Self {
        self.ttft = Some(at_most);
        self
    }

    /// The longest time to the first token that is not reasoning (`ttfo`; default: not asked for).
    #[must_use]
    pub const fn time_to_first_answer_token(mut self, at_most: Duration) -> Self {
        self.ttfo = Some(at_most);
        self
    }

    /// The longest time between any two tokens (`itl`; default: not asked for): a gap by the tokens
    /// that come after it, or as a whole where gaps are counted [per chunk](super::InterToken).
    #[must_use]
    pub const fn inter_token_latency(mut self, at_most: Duration) -> Self {
        self.itl = Some(at_most);
        self
    }

    /// The longest mean time of a token after the first ones (`tpot`; default: not asked for).
    #[must_use]
    pub const fn time_per_output_token(mut self, at_most: Duration) -> Self {
        self.tpot = Some(at_most);
        self
    }

    /// The longest time from the start to the end of the answer (`e2e`; default: not asked for).
    #[must_use]
    pub const fn duration(mut self, at_most: Duration) -> Self {
        self.e2e = Some(at_most);
        self
    }

    /// Whether nothing is asked.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::new()
    }

    fn threshold(&self, objective: Objective) -> Option<Duration> {
        match objective {
            Objective::Ttft => self.ttft,
            Objective::Ttfo => self.ttfo,
            Objective::Itl => self.itl,
            Objective::Tpot => self.tpot,
            Objective::E2e => self.e2e,
            Objective::All => None,
        }
    }
}

impl Measured {
    /// A request of whose answer nothing was read.
    pub(super) fn unread(outcome: Outcome, duration: Duration) -> Self {
        Self {
            outcome,
            ttft: None,
            ttfo: None,
            longest_gap: None,
            per_token: None,
            duration,
            output_tokens: 0,
        }
    }

    fn seconds(&self, objective: Objective) -> Option<f64> {
        let seconds = |time: Duration| time.as_secs_f64();
        match objective {
            Objective::Ttft => self.ttft.map(seconds),
            Objective::Ttfo => self.ttfo.map(seconds),
            Objective::Itl => self.longest_gap.map(seconds),
            Objective::Tpot => self.per_token,
            Objective::E2e => Some(seconds(self.duration)),
            Objective::All => None,
        }
    }
}

impl SloMetrics {
    pub(super) fn register(
        scope: &Scope,
        labels: &[(&str, &str)],
        slo: Slo,
    ) -> Result<Self, RegisterError> {
        let set = SloSet::register_with(scope, labels)?;
        let of = |objective| {
            if let Some(threshold) = slo.threshold(objective) {
                let gauge = set.threshold.with(&OfObjective { slo: objective });
                gauge.set(threshold.as_secs_f64());
            } else if objective != Objective::All {
                return None;
            }
            let requests = &set.requests;
            Some([false, true].map(|met| requests.with(&ByObjective { slo: objective, met })))
        };
        let requests = OBJECTIVES.map(of);
        Ok(Self { slo, requests, good_tokens: set.good_tokens })
    }

    /// Counts a request that ended. One that its client left or asked wrongly is nobody's failure,
    /// and not counted; one that failed otherwise meets not all, and no single objective counts it.
    pub(super) fn count(&self, measured: &Measured) {
        let mut good = match measured.outcome {
            Outcome::Success => true,
            Outcome::Cancelled | Outcome::ClientError => return,
            _ => false,
        };
        let success = good;
        for (objective, requests) in OBJECTIVES.into_iter().zip(&self.requests) {
            let Some([not_met, met]) = requests else { continue };
            let is_met = match (self.slo.threshold(objective), measured.seconds(objective)) {
                // All of them, which come before.
                (None, _) => good,
                (Some(threshold), Some(seconds)) if success => {
                    let is_met = seconds <= threshold.as_secs_f64();
                    good &= is_met;
                    is_met
                }
                _ => continue,
            };
            if is_met { met.inc() } else { not_met.inc() }
        }
        if good {
            self.good_tokens.inc_by(measured.output_tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    const GOOD: Measured = Measured {
        outcome: Outcome::Success,
        ttft: Some(ms(100)),
        ttfo: Some(ms(100)),
        longest_gap: Some(ms(20)),
        per_token: Some(0.01),
        duration: ms(500),
        output_tokens: 10,
    };

    /// The counts of `(not met, met)` by objective after `measured`, and the good tokens.
    fn count(slo: Slo, measured: &[Measured]) -> (Vec<Option<(u64, u64)>>, u64) {
        let metrics = SloMetrics::register(&Registry::new().endpoint("e"), &[], slo).unwrap();
        for measured in measured {
            metrics.count(measured);
        }
        let counts = metrics
            .requests
            .iter()
            .map(|requests| requests.as_ref().map(|[not_met, met]| (not_met.get(), met.get())));
        (counts.collect(), metrics.good_tokens.get())
    }

    #[test]
    fn a_request_is_good_if_it_meets_all_that_is_asked() {
        let slo = Slo::new().time_to_first_token(ms(100)).time_per_output_token(ms(9));
        let (counts, tokens) = count(slo, &[GOOD]);
        assert_eq!(counts, [Some((0, 1)), None, None, Some((1, 0)), None, Some((1, 0))]);
        assert_eq!(tokens, 0);
        let slo = Slo::new().inter_token_latency(ms(20)).duration(ms(500));
        let (counts, tokens) = count(slo, &[GOOD, Measured { duration: ms(501), ..GOOD }]);
        assert_eq!(counts, [None, None, Some((0, 2)), None, Some((1, 1)), Some((1, 1))]);
        assert_eq!(tokens, 10);
    }

    #[test]
    fn what_was_not_measured_is_asked_of_nobody() {
        let slo = Slo::new().time_per_output_token(ms(1)).inter_token_latency(ms(1));
        let one_token = Measured { per_token: None, longest_gap: None, output_tokens: 1, ..GOOD };
        let (counts, tokens) = count(slo, &[one_token]);
        assert_eq!(counts, [None, None, Some((0, 0)), Some((0, 0)), None, Some((0, 1))]);
        assert_eq!(tokens, 1);
    }

    #[test]
    fn failures_are_not_good_and_what_the_client_did_is_not_counted() {
        let slo = Slo::new().time_to_first_token(ms(100));
        let ended = |outcome| Measured { outcome, ..GOOD };
        let all = Outcome::ALL.iter().map(|&outcome| ended(outcome)).collect::<Vec<_>>();
        let (counts, tokens) = count(slo, &all);
        assert_eq!((counts[0], counts[5]), (Some((0, 1)), Some((5, 1))));
        assert_eq!(tokens, 10);
    }
}
