//! Numbers as Go writes them, so that a bucket from here and one from a Go process aggregate.

/// Appends `value` as Go's shortest `%g` does: `0.005`, `100000`, `1e+06`, `NaN`, `+Inf`.
pub(super) fn push_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    if value == 0.0 {
        return out.push(b'0');
    }
    let mut shortest = zmij::Buffer::new();
    let digits = Digits::read(shortest.format_finite(value));
    digits.push(out);
}

/// Appends `value` as OpenMetrics wants bounds: the same, with `.0` where it would read as a whole
/// number.
pub(super) fn push_canonical(out: &mut Vec<u8>, value: f64) {
    let start = out.len();
    push_f64(out, value);
    if out[start..].iter().all(|b| b.is_ascii_digit() || *b == b'-') {
        out.extend_from_slice(b".0");
    }
}

pub(super) fn push_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub(super) fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends milliseconds as seconds, with three digits after the point.
pub(super) fn push_seconds(out: &mut Vec<u8>, milliseconds: u64) {
    push_u64(out, milliseconds / 1000);
    out.push(b'.');
    let fraction = milliseconds % 1000;
    for below in [100, 10] {
        if fraction < below {
            out.push(b'0');
        }
    }
    push_u64(out, fraction);
}

/// A positive number as significant digits and the place of its decimal point.
struct Digits {
    /// No zeros at either end.
    significant: [u8; 24],
    len: usize,
    /// The number is 0.digits times ten to this power.
    point: i32,
}

impl Digits {
    /// Reads `ddd.ddd`, `d.ddde-dd` and their like, as a shortest-digits printer writes them.
    fn read(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let mut read = Self { significant: [b'0'; 24], len: 0, point: exponent };
        let mut after_point = false;
        let mut zeros = 0;
        for byte in mantissa.bytes() {
            match byte {
                b'.' => after_point = true,
                b'0' if read.len == 0 => read.point -= i32::from(after_point),
                digit => {
                    read.point += i32::from(!after_point);
                    if digit == b'0' {
                        zeros += 1;
                        continue;
                    }
                    read.len += std::mem::take(&mut zeros);
                    if let Some(place) = read.significant.get_mut(read.len) {
                        *place = digit;
                        read.len += 1;
                    }
                }
            }
        }
        read
    }

    fn push(&self, out: &mut Vec<u8>) {
        let digits = &self.significant[..self.len];
        let exponent = self.point - 1;
        if !(-4..6).contains(&exponent) {
            // Go asks for an exponent here, with at least two digits.
            out.extend_from_slice(&digits[..1]);
            if self.len > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                out.push(b'0');
            }
            return push_u64(out, u64::from(exponent.unsigned_abs()));
        }
        let whole = usize::try_from(self.point).unwrap_or(0);
        if let Some((before, after)) = digits.split_at_checked(whole) {
            out.extend_from_slice(if before.is_empty() { b"0" } else { before });
            if !after.is_empty() {
                out.push(b'.');
                (self.point..0).for_each(|_| out.push(b'0'));
                out.extend_from_slice(after);
            }
        } else {
            out.extend_from_slice(digits);
            (self.len..whole).for_each(|_| out.push(b'0'));
        }
    }
}

/// Whether a count, which is not negative, is a whole number that a float tells from its neighbours.
pub(super) fn is_whole(count: f64) -> bool {
    count.fract() == 0.0 && count <= 9_007_199_254_740_992.0
}

/// A count as a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is not whole is cut off, and what is out of range becomes the end of it"
)]
pub(super) fn to_whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn go(value: f64) -> String {
        let mut out = Vec::new();
        push_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_read_as_go_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (1e-5, "1e-05"),
            (100_000.0, "100000"),
            (130_000.0, "130000"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1_000_000.5, "1.0000005e+06"),
            (-2.5, "-2.5"),
            (10.0, "10"),
            (10.5, "10.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(go(value), text);
        }
    }

    #[test]
    fn seconds_have_three_digits_after_the_point() {
        for (milliseconds, text) in [(0, "0.000"), (7, "0.007"), (1_070, "1.070"), (999, "0.999")] {
            let mut out = Vec::new();
            push_seconds(&mut out, milliseconds);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn canonical_bounds_are_never_whole() {
        for (value, text) in
            [(0.0, "0.0"), (1.0, "1.0"), (0.001, "0.001"), (1e6, "1e+06"), (1e5, "100000.0")]
        {
            let mut out = b"12".to_vec();
            push_canonical(&mut out, value);
            assert_eq!(&out[2..], text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in prop::num::f64::ANY) {
            let text = go(value);
            let back: f64 = text.parse().unwrap();
            prop_assert!(back.to_bits() == value.to_bits() || (back.is_nan() && value.is_nan()));
        }
    }
}
