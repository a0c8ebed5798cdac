//! gRPC: messages as they pass in both directions, and the status that each call ends with.

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::{HeaderMap, StatusCode};

use super::endpoint::PREFIX;
use super::grpc_code::{CodeLabel, GrpcCode, GrpcCodes, PLACES, place_of};
use super::outcome::Outcome;
use super::stream::is_grpc;
use crate::label::LabelValue;
use crate::metric::Counter;
use crate::registry::{MetricSet, RegisterError, Scope};

/// Slices of a frame that are looked at; messages of a body that is cut finer are counted no further.
const MOST_SLICES: usize = 16;

/// A flag and a length stand before each message.
const PREFIX_BYTES: u8 = 5;

/// What is measured of one gRPC method, besides what is of every endpoint.
///
/// | metric (`dynamo_component_` ..) | what it says |
/// |---|---|
/// | `grpc_status_total{code}` | calls by the status that they were told; all codes are there at zero |
/// | `grpc_messages_total{direction}` | messages that passed whole, `sent` and `received` |
///
/// # Unit
/// Calls; messages.
/// # Source
/// The status is `grpc-status` in the trailers, or else in the head; a call that ends without has
/// none, only its outcome. What is no number of gRPC's is `_OTHER`. Messages are counted by their
/// length prefixes, whatever frames they come in and whether they are compressed.
/// # Cost
/// A step over each message's prefix; nothing of a message is looked at.
#[derive(Debug, Clone)]
pub struct GrpcMetrics {
    metrics: Arc<GrpcSet>,
    /// Statuses that are a success as well.
    successes: GrpcCodes,
}

/// Which end of a call is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Side {
    /// The one that answers: it receives the request's body.
    #[default]
    Server,
    /// The one that asks: it sends the request's body.
    Client,
}

/// Counts the messages of one body.
#[derive(Debug, Clone)]
pub struct GrpcMessages {
    counter: Counter,
    /// The length, as far as it has come.
    length: [u8; 4],
    /// Bytes of the prefix that have come.
    prefix: u8,
    /// Bytes of the message that have not.
    left: usize,
    /// A frame could not be looked at, so that nobody knows where messages begin.
    lost: bool,
}

/// The answer of one call.
#[derive(Debug)]
pub(super) struct GrpcCall {
    metrics: GrpcMetrics,
    messages: GrpcMessages,
    /// The answer is one of gRPC's.
    answered: bool,
    /// Where the status stands among the label values.
    status: Option<usize>,
}

/// What is measured of one gRPC method, besides what is of every endpoint.
#[derive(Debug, MetricSet)]
#[metric_set(name = "GrpcMetrics", prefix = PREFIX)]
pub(super) struct GrpcSet {
    /// gRPC calls, by the status that they were told.
    ///
    /// # Source
    /// `grpc-status` in the trailers, or else in the head; a call that ends without has none.
    #[metric(name = "grpc_status_total", each(code: CodeLabel))]
    codes: [Counter; PLACES],
    /// gRPC messages that passed whole.
    ///
    /// # Source
    /// Counted by their length prefixes, whatever frames they come in.
    #[metric(name = "grpc_messages_total", each(direction: Direction))]
    messages: [Counter; Direction::LABELS.len()],
}

#[derive(Debug, Clone, Copy, LabelValue)]
enum Direction {
    Sent,
    Received,
}

impl GrpcMetrics {
    /// Registers the set in `scope`, mostly an endpoint's.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Ok(Self { metrics: MetricSet::register(scope)?, successes: GrpcCodes::default() })
    }

    /// Calls that end with one of `codes` have the outcome `success` (default: those with
    /// [`GrpcCode::Ok`], which always do). `grpc_status_total` shows the status that they had.
    #[must_use]
    pub fn successes(mut self, codes: impl IntoIterator<Item = GrpcCode>) -> Self {
        self.successes = GrpcCodes::new(codes);
        self
    }

    /// Counts the messages of a request with these headers; `None` if it is none of gRPC's.
    #[must_use]
    pub fn request_messages(&self, headers: &HeaderMap, side: Side) -> Option<GrpcMessages> {
        is_grpc(headers).then(|| match side {
            Side::Server => self.messages(Direction::Received),
            Side::Client => self.messages(Direction::Sent),
        })
    }

    fn messages(&self, direction: Direction) -> GrpcMessages {
        GrpcMessages::new(&self.metrics.messages[direction as usize])
    }
}

impl GrpcMessages {
    fn new(counter: &Counter) -> Self {
        Self { counter: counter.clone(), length: [0; 4], prefix: 0, left: 0, lost: false }
    }

    /// A frame of the body passes.
    pub fn read(&mut self, data: &impl Buf) {
        if self.lost {
            return;
        }
        let mut slices = [std::io::IoSlice::new(&[]); MOST_SLICES];
        let filled = data.chunks_vectored(&mut slices);
        let slices = slices.get(..filled).unwrap_or_default();
        if slices.iter().map(|slice| slice.len()).sum::<usize>() < data.remaining() {
            tracing::debug!(
                "a frame cannot be looked at whole; its messages are counted no further"
            );
            self.lost = true;
            return;
        }
        let whole = slices.iter().map(|slice| self.step(slice)).sum();
        if whole > 0 {
            self.counter.inc_by(whole);
        }
    }

    /// Goes over bytes, and tells how many messages they end.
    fn step(&mut self, mut bytes: &[u8]) -> u64 {
        let mut whole = 0;
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.prefix < PREFIX_BYTES {
                // The flag is not looked at, the other four are.
                if let Some(place) =
                    usize::from(self.prefix).checked_sub(1).and_then(|i| self.length.get_mut(i))
                {
                    *place = byte;
                }
                self.prefix += 1;
                bytes = rest;
                if self.prefix < PREFIX_BYTES {
                    continue;
                }
                self.left = usize::try_from(u32::from_be_bytes(self.length)).unwrap_or(usize::MAX);
            }
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            if self.left == 0 {
                self.prefix = 0;
                whole += 1;
            }
        }
        whole
    }
}

impl GrpcCall {
    pub(super) fn start(metrics: &GrpcMetrics, side: Side) -> Self {
        let messages = metrics.messages(match side {
            Side::Server => Direction::Sent,
            Side::Client => Direction::Received,
        });
        Self { metrics: metrics.clone(), messages, answered: false, status: None }
    }

    /// Its head has come, and is one of gRPC's.
    pub(super) fn head(&mut self, headers: &HeaderMap) {
        self.answered = true;
        self.status(headers);
    }

    /// What knows the status may know it better than what came before.
    pub(super) fn status(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.status = Some(place_of(status.as_bytes()));
        }
    }

    /// How a call ends that is told this `grpc-status`.
    pub(super) fn outcome_of(&self, status: &[u8]) -> Outcome {
        if self.metrics.successes.has(place_of(status)) {
            return Outcome::Success;
        }
        Outcome::of_grpc(status)
    }

    pub(super) fn data(&mut self, data: &impl Buf) {
        if self.answered {
            self.messages.read(data);
        }
    }

    /// What its status would be over plain HTTP, if it was told one that is no success.
    pub(super) fn as_http(&self) -> Option<StatusCode> {
        let code = GrpcCode::of_number(u32::try_from(self.status?).ok()?)?;
        Some(match code {
            GrpcCode::NotFound => StatusCode::NOT_FOUND,
            GrpcCode::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            GrpcCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            GrpcCode::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            GrpcCode::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            _ => return None,
        })
    }

    pub(super) fn end(self) {
        if let Some(code) = self.status.and_then(|status| self.metrics.metrics.codes.get(status)) {
            code.inc();
        }
    }
}

/// How long the client waits, by its `grpc-timeout`: at most eight digits and a unit.
pub(super) fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get("grpc-timeout")?.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::registry::Registry;

    fn message(flag: u8, length: usize) -> Vec<u8> {
        let mut message = vec![flag];
        message.extend(u32::try_from(length).unwrap().to_be_bytes());
        message.resize(5 + length, 0xAB);
        message
    }

    /// Messages that these frames end.
    fn count<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> u64 {
        let metrics = GrpcMetrics::register(&Registry::new().endpoint("e")).unwrap();
        let mut messages = metrics.messages(Direction::Sent);
        for frame in frames {
            messages.read(&Bytes::copy_from_slice(frame));
        }
        metrics.metrics.messages[Direction::Sent as usize].get()
    }

    #[test]
    fn messages_are_counted_whatever_frames_they_come_in() {
        let mut body = Vec::new();
        for length in [0, 1, 300, 0, 70_000, 5] {
            body.extend(message(u8::from(length == 300), length));
        }
        for size in [1, 2, 3, 4, 5, 6, 7, 64, 1_000, body.len()] {
            assert_eq!(count(body.chunks(size)), 6, "in frames of {size}");
        }
        assert_eq!(count([&message(0, 20).repeat(1_000)[..]]), 1_000);
    }

    #[test]
    fn a_message_that_is_cut_is_not_counted() {
        let body = message(0, 10);
        assert_eq!(count([&body[..14]]), 0);
        assert_eq!(count([&body[..3]]), 0);
        assert_eq!(count([&[0, 0xFF, 0xFF, 0xFF, 0xFF, 1][..]]), 0);
    }

    #[test]
    fn a_frame_of_two_pieces_is_one() {
        let metrics = GrpcMetrics::register(&Registry::new().endpoint("e")).unwrap();
        let mut messages = metrics.messages(Direction::Sent);
        let body = message(0, 10);
        messages.read(&Bytes::copy_from_slice(&body[..7]).chain(&body[7..]));
        assert_eq!(metrics.metrics.messages[Direction::Sent as usize].get(), 1);
    }

    #[test]
    fn a_time_that_a_client_waits_has_a_unit_and_few_digits() {
        let read = |value: &str| {
            timeout_of(
                &[(http::HeaderName::from_static("grpc-timeout"), value.parse().unwrap())]
                    .into_iter()
                    .collect(),
            )
        };
        for (value, nanos) in [
            ("2H", 7_200_000_000_000),
            ("3M", 180_000_000_000),
            ("4S", 4_000_000_000),
            ("100m", 100_000_000),
            ("99999999u", 99_999_999_000),
            ("0n", 0),
        ] {
            assert_eq!(read(value), Some(Duration::from_nanos(nanos)), "{value}");
        }
        for value in ["", "S", "1", "1s", "-1S", "1.5S", "100000000S", "1 S", "é"] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
