//! What a page says of the requests of its endpoints.

use crate::page::Page;

/// The outcomes that a request may have: the closed set of the label.
pub const OUTCOMES: [&str; 8] = [
    "success",
    "client_error",
    "server_error",
    "cancelled",
    "incomplete",
    "timeout",
    "rejected",
    "panic",
];

/// Counts of requests, of one endpoint or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Requests that came in.
    pub started: f64,
    /// Requests that ended.
    pub ended: f64,
    /// Requests between the two.
    pub in_flight: f64,
    /// Bytes of request bodies.
    pub request_bytes: f64,
    /// Bytes of response bodies.
    pub response_bytes: f64,
    /// Requests by outcome, without those outcomes that no request had.
    pub outcomes: Vec<(&'static str, f64)>,
}

impl Counts {
    /// Reads the counts of all endpoints.
    #[must_use]
    pub fn of_all(text: &str) -> Self {
        Self::read(text, &[])
    }

    /// Reads the counts of one endpoint.
    #[must_use]
    pub fn of_endpoint(text: &str, endpoint: &str) -> Self {
        Self::read(text, &[("dynamo_endpoint", endpoint)])
    }

    /// Whether no request is open, and every one that came in has exactly one end.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.in_flight == 0.0 && self.started == self.ended && self.ended == self.sum_of_outcomes()
    }

    /// Requests that have an outcome.
    #[must_use]
    pub fn sum_of_outcomes(&self) -> f64 {
        self.outcomes.iter().map(|(_, count)| count).sum()
    }

    fn read(text: &str, labels: &[(&str, &str)]) -> Self {
        let page = Page::read(text);
        // A metric that is not there at all must not pass for one that is zero.
        let sum =
            |name: &str| page.sum(&format!("dynamo_component_{name}"), labels).unwrap_or(f64::NAN);
        let of_outcome = |outcome| {
            let labels = [labels, &[("outcome", outcome)]].concat();
            page.sum("dynamo_component_request_outcomes_total", &labels).unwrap_or_default()
        };
        let outcomes = OUTCOMES.into_iter().map(|outcome| (outcome, of_outcome(outcome)));
        Self {
            started: sum("requests_started_total"),
            ended: sum("requests_total"),
            in_flight: sum("inflight_requests"),
            request_bytes: sum("request_bytes_total"),
            response_bytes: sum("response_bytes_total"),
            outcomes: outcomes.filter(|(_, count)| *count != 0.0).collect(),
        }
    }
}
