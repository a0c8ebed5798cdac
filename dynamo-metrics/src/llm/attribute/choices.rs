//! What the arguments of an attribute choose, as far as it is known when the program is built.

use std::time::Duration;

use crate::llm::call::{Cancelled, Terms};
use crate::llm::endpoint::EndpointMetrics;
use crate::llm::slo::Slo;
use crate::metric::Buckets;
use crate::registry::{RegisterError, Scope};

/// Most bounds of a histogram that an attribute may ask for.
const MOST_BOUNDS: usize = 64;

#[derive(Debug, Clone, Copy)]
pub struct Choices {
    pub(super) terms: Terms,
    /// What the endpoint does; empty if nobody says.
    pub(super) help: &'static str,
    duration: Option<&'static [f64]>,
    ttft: Option<&'static [f64]>,
    itl: Option<&'static [f64]>,
    exemplars: bool,
    slo: Slo,
}

impl Default for Choices {
    fn default() -> Self {
        Self::new()
    }
}

impl Choices {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            terms: Terms::new(),
            help: "",
            duration: None,
            ttft: None,
            itl: None,
            exemplars: false,
            slo: Slo::new(),
        }
    }

    pub const fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    pub const fn cancelled(mut self, cancelled: Cancelled) -> Self {
        self.terms.cancelled = cancelled;
        self
    }

    pub const fn in_flight(mut self, in_flight: bool) -> Self {
        self.terms.in_flight = in_flight;
        self
    }

    pub const fn duration_buckets(mut self, bounds: &'static [f64]) -> Self {
        self.duration = Some(bounds);
        self
    }

    pub const fn first_token_buckets(mut self, bounds: &'static [f64]) -> Self {
        self.ttft = Some(bounds);
        self
    }

    pub const fn inter_token_buckets(mut self, bounds: &'static [f64]) -> Self {
        self.itl = Some(bounds);
        self
    }

    pub const fn slo_ttft(mut self, at_most: Duration) -> Self {
        self.slo = self.slo.time_to_first_token(at_most);
        self
    }

    pub const fn slo_itl(mut self, at_most: Duration) -> Self {
        self.slo = self.slo.inter_token_latency(at_most);
        self
    }

    pub const fn slo_tpot(mut self, at_most: Duration) -> Self {
        self.slo = self.slo.time_per_output_token(at_most);
        self
    }

    pub const fn slo_e2e(mut self, at_most: Duration) -> Self {
        self.slo = self.slo.duration(at_most);
        self
    }

    pub const fn exemplars(mut self) -> Self {
        self.exemplars = true;
        self
    }

    /// Items are made whether or not somebody asks for them.
    pub const fn pushes(mut self) -> Self {
        self.terms.pulled = false;
        self
    }

    /// Somebody counts the tokens of items.
    pub const fn counts(mut self) -> Self {
        self.terms.counted = true;
        self
    }

    /// The endpoint at `place`, with what is chosen.
    pub(super) fn register(
        &self,
        place: &Scope,
        labels: &[(&str, &str)],
    ) -> Result<EndpointMetrics, RegisterError> {
        // What a layer chose for the endpoint holds here too, as far as nothing else is said.
        let mut options = EndpointMetrics::options_at(place);
        if !self.slo.is_empty() {
            options.slo = self.slo;
        }
        options.exemplars |= self.exemplars;
        for (said, place) in [
            (self.duration, &mut options.duration_buckets),
            (self.ttft, &mut options.first_token_buckets),
            (self.itl, &mut options.inter_token_buckets),
        ] {
            if let Some(bounds) = said {
                *place = Some(Buckets::new(bounds.iter().copied())?);
            }
        }
        EndpointMetrics::builder(place).labels(labels).options(&options).register()
    }
}

/// Bounds of a histogram of times.
///
/// # Panics
/// When the program is built, if they are none.
#[must_use]
#[track_caller]
pub const fn time_bounds(bounds: &'static [f64]) -> &'static [f64] {
    assert!(!bounds.is_empty(), "a histogram needs at least one bucket");
    assert!(bounds.len() <= MOST_BOUNDS, "a histogram has at most 64 buckets");
    let mut i = 0;
    while i < bounds.len() {
        assert!(!bounds[i].is_nan(), "a bucket's bound is not a number");
        assert!(
            bounds[i].is_finite(),
            "a bucket's bound is infinite; the last bucket is there by itself"
        );
        assert!(bounds[i] > 0.0, "a time is longer than nothing: bounds are above zero");
        assert!(i == 0 || bounds[i] > bounds[i - 1], "the bounds of buckets must increase");
        i += 1;
    }
    bounds
}
