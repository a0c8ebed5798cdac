//! gRPC's statuses: a closed set, whatever stands in a header.

use crate::label::LabelValue;

/// A status of gRPC's, as the label `code` of `grpc_status_total` has it.
///
/// They are numbered as gRPC numbers them, from [`Ok`](Self::Ok), which is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[label(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GrpcCode {
    /// It succeeded.
    Ok,
    /// Whoever asked has cancelled it.
    Cancelled,
    /// An error that says no more.
    Unknown,
    /// The client asked for something that makes no sense.
    InvalidArgument,
    /// Its deadline passed.
    DeadlineExceeded,
    /// What is asked for is not there.
    NotFound,
    /// What is to be made is there already.
    AlreadyExists,
    /// The client may not do this.
    PermissionDenied,
    /// A quota or a resource is used up.
    ResourceExhausted,
    /// The system is not in the state that this needs.
    FailedPrecondition,
    /// It was aborted, as by a conflict.
    Aborted,
    /// It goes past a valid range.
    OutOfRange,
    /// Nobody has written that method.
    Unimplemented,
    /// The server broke something of its own.
    Internal,
    /// The service cannot be reached now.
    Unavailable,
    /// Data is lost or broken.
    DataLoss,
    /// Nobody knows who the client is.
    Unauthenticated,
}

/// A value of the label `code`: where a status stands among them, or the place after all for what is
/// none.
#[derive(Debug, Clone, Copy)]
pub(super) struct CodeLabel(usize);

/// Some of the statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct GrpcCodes(u32);

const CODES: [GrpcCode; 17] = [
    GrpcCode::Ok,
    GrpcCode::Cancelled,
    GrpcCode::Unknown,
    GrpcCode::InvalidArgument,
    GrpcCode::DeadlineExceeded,
    GrpcCode::NotFound,
    GrpcCode::AlreadyExists,
    GrpcCode::PermissionDenied,
    GrpcCode::ResourceExhausted,
    GrpcCode::FailedPrecondition,
    GrpcCode::Aborted,
    GrpcCode::OutOfRange,
    GrpcCode::Unimplemented,
    GrpcCode::Internal,
    GrpcCode::Unavailable,
    GrpcCode::DataLoss,
    GrpcCode::Unauthenticated,
];

/// How many label values there are: each status, and one for all that is none.
pub(super) const PLACES: usize = CODES.len() + 1;

impl GrpcCode {
    /// Every status, in the order of their numbers.
    pub const ALL: &'static [Self] = &CODES;

    /// The status with this number; none if gRPC has none.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::llm::GrpcCode;
    ///
    /// assert_eq!(GrpcCode::of_number(5), Some(GrpcCode::NotFound));
    /// assert_eq!(GrpcCode::of_number(17), None);
    /// ```
    #[must_use]
    pub fn of_number(number: u32) -> Option<Self> {
        CODES.get(usize::try_from(number).ok()?).copied()
    }
}

impl GrpcCodes {
    pub(super) fn new(codes: impl IntoIterator<Item = GrpcCode>) -> Self {
        Self(codes.into_iter().fold(0, |set, code| set | 1 << code as u32))
    }

    /// Whether the status at `place` is one of them; what is none of gRPC's never is.
    pub(super) fn has(self, place: usize) -> bool {
        place < CODES.len() && self.0 >> place & 1 == 1
    }
}

/// Where the text of a `grpc-status` stands among the label values.
pub(super) fn place_of(status: &[u8]) -> usize {
    let other = CODES.len();
    let digits = |byte: &u8| byte.is_ascii_digit();
    match status {
        [digit] if digits(digit) => usize::from(digit - b'0'),
        [b'1', digit] if digits(digit) => (10 + usize::from(digit - b'0')).min(other),
        _ => other,
    }
}

impl LabelValue for CodeLabel {
    const COUNT: Option<usize> = Some(PLACES);
    const LABELS: &'static [&'static str] = &{
        let mut labels = ["_OTHER"; PLACES];
        let mut place = 0;
        while place < GrpcCode::LABELS.len() {
            labels[place] = GrpcCode::LABELS[place];
            place += 1;
        }
        labels
    };

    fn as_label(&self) -> &str {
        Self::LABELS.get(self.0).copied().unwrap_or_default()
    }

    fn index(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_of_a_closed_set() {
        for (status, code) in [
            (&b"0"[..], "OK"),
            (b"9", "FAILED_PRECONDITION"),
            (b"10", "ABORTED"),
            (b"16", "UNAUTHENTICATED"),
            (b"17", "_OTHER"),
            (b"19", "_OTHER"),
            (b"99", "_OTHER"),
            (b"-1", "_OTHER"),
            (b"abc", "_OTHER"),
            (b"", "_OTHER"),
            (b"00", "_OTHER"),
        ] {
            assert_eq!(CodeLabel(place_of(status)).as_label(), code);
        }
    }

    #[test]
    fn the_list_holds_each_status_once_and_by_its_number() {
        for (number, code) in (0..).zip(GrpcCode::ALL) {
            assert_eq!(*code as u32, number);
            assert_eq!(GrpcCode::of_number(number), Some(*code));
            let place = place_of(number.to_string().as_bytes());
            assert_eq!(CodeLabel(place).as_label(), code.as_label());
        }
    }

    #[test]
    fn a_set_holds_what_was_put_into_it_and_no_more() {
        let set = GrpcCodes::new([GrpcCode::Ok, GrpcCode::Unauthenticated]);
        let held = (0..64).filter(|place| set.has(*place));
        assert_eq!(held.collect::<Vec<_>>(), [0, 16]);
        assert!((0..64).all(|place| !GrpcCodes::default().has(place)));
    }
}
