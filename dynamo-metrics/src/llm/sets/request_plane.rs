//! The way of a request from a frontend to a worker and of the first answer back.

use std::sync::Arc;

use super::registered_in;
use crate::clock::{self, Instant};
use crate::metric::{Histogram, InFlight, UpDownCounter};
use crate::registry::MetricSet;

/// In seconds.
const SEND: [f64; 9] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];
const ROUNDTRIP: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The request plane, seen from the frontend: `dynamo_request_plane_queue_seconds`,
/// `_send_seconds`, `_roundtrip_ttft_seconds` and `_inflight_requests`.
///
/// # Unit
/// Seconds.
/// # Source
/// The client of the plane: [`enter`](Self::enter) where a request comes to it, and then as the
/// methods of what that returns say.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, llm::RequestPlaneMetrics, registry::Registry};
///
/// let registry = Registry::new();
/// let plane = RequestPlaneMetrics::register(&registry)?;
/// let mut call = plane.enter();
/// call.sending(); // the request is encoded, and goes out
/// call.sent();
/// call.answered(); // for each answer, the first one counts
/// let text = encode::text(&registry);
/// assert!(text.contains("dynamo_request_plane_inflight_requests 1\n"));
/// assert!(text.contains("dynamo_request_plane_roundtrip_ttft_seconds_count 1\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone, MetricSet)]
pub struct RequestPlaneMetrics(Arc<PlaneSet>);

/// The request plane, seen from the frontend.
///
/// # Source
/// The client of the plane.
#[derive(Debug, MetricSet)]
#[metric_set(name = "RequestPlaneMetrics", prefix = "dynamo_request_plane")]
struct PlaneSet {
    /// Time from a request coming to the plane to its being sent.
    #[metric(unit = seconds, buckets = SEND)]
    queue_seconds: Histogram,
    /// Time that sending it takes.
    #[metric(unit = seconds, buckets = SEND)]
    send_seconds: Histogram,
    /// Time from then to the first answer.
    #[metric(unit = seconds, buckets = ROUNDTRIP)]
    roundtrip_ttft_seconds: Histogram,
    /// Requests that are in the plane.
    inflight_requests: UpDownCounter,
}

registered_in!(RequestPlaneMetrics, "dynamo_request_plane");

/// A request in the plane, until this is dropped. What was not told is not observed.
#[derive(Debug)]
#[must_use = "the request is in the plane until this is dropped"]
pub struct PlaneCall {
    set: Arc<PlaneSet>,
    _in_flight: InFlight,
    /// When what comes next may begin.
    since: Instant,
    step: Step,
}

/// What was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Entered,
    Sending,
    Sent,
    Answered,
}

impl RequestPlaneMetrics {
    /// A request comes to the plane.
    pub fn enter(&self) -> PlaneCall {
        PlaneCall {
            set: Arc::clone(&self.0),
            _in_flight: self.0.inflight_requests.enter(),
            since: clock::now(),
            step: Step::Entered,
        }
    }
}

impl PlaneCall {
    /// It is being sent.
    pub fn sending(&mut self) {
        self.step(Step::Sending);
    }

    /// It was sent.
    pub fn sent(&mut self) {
        self.step(Step::Sent);
    }

    /// An answer came; the first one counts.
    pub fn answered(&mut self) {
        self.step(Step::Answered);
    }

    fn step(&mut self, step: Step) {
        if step <= self.step {
            return;
        }
        let now = clock::now();
        let histogram = match (self.step, step) {
            (Step::Entered, Step::Sending) => Some(&self.set.queue_seconds),
            (Step::Sending, Step::Sent) => Some(&self.set.send_seconds),
            (Step::Sent, Step::Answered) => Some(&self.set.roundtrip_ttft_seconds),
            // A step was left out.
            _ => None,
        };
        if let Some(histogram) = histogram {
            histogram.observe_duration(now.since(self.since));
        }
        (self.since, self.step) = (now, step);
    }
}
