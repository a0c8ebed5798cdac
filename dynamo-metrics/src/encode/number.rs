//! Numbers as Go writes them, so that a bucket from here and one from a Go process aggregate.

/// Appends `value` as Go's shortest `%g` does: `0.005`, `100000`, `1e+06`, `NaN`, `+Inf`.
pub(super) fn push_f64(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    let value = value.abs();
    if value == 0.0 {
        return out.push('0');
    }
    let mut shortest = zmij::Buffer::new();
    let digits = Digits::read(shortest.format_finite(value));
    digits.push(out);
}

/// Appends `value` as OpenMetrics wants bounds: the same, with `.0` where it would read as a whole
/// number.
pub(super) fn push_canonical(out: &mut String, value: f64) {
    let start = out.len();
    push_f64(out, value);
    if out[start..].bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        out.push_str(".0");
    }
}

pub(super) fn push_u64(out: &mut String, value: u64) {
    out.push_str(itoa::Buffer::new().format(value));
}

pub(super) fn push_i64(out: &mut String, value: i64) {
    out.push_str(itoa::Buffer::new().format(value));
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

    fn push(&self, out: &mut String) {
        let digits = &self.significant[..self.len];
        let text =
            |bytes: &[u8], out: &mut String| out.extend(bytes.iter().map(|&b| char::from(b)));
        let exponent = self.point - 1;
        if !(-4..6).contains(&exponent) {
            // Go asks for an exponent here, with at least two digits.
            text(&digits[..1], out);
            if self.len > 1 {
                out.push('.');
                text(&digits[1..], out);
            }
            out.push_str(if exponent < 0 { "e-" } else { "e+" });
            if exponent.abs() < 10 {
                out.push('0');
            }
            return push_u64(out, u64::from(exponent.unsigned_abs()));
        }
        let whole = usize::try_from(self.point).unwrap_or(0);
        if let Some((before, after)) = digits.split_at_checked(whole) {
            text(if before.is_empty() { b"0" } else { before }, out);
            if !after.is_empty() {
                out.push('.');
                (self.point..0).for_each(|_| out.push('0'));
                text(after, out);
            }
        } else {
            text(digits, out);
            (self.len..whole).for_each(|_| out.push('0'));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn go(value: f64) -> String {
        let mut out = String::new();
        push_f64(&mut out, value);
        out
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
    fn canonical_bounds_are_never_whole() {
        for (value, text) in
            [(0.0, "0.0"), (1.0, "1.0"), (0.001, "0.001"), (1e6, "1e+06"), (1e5, "100000.0")]
        {
            let mut out = String::from("12");
            push_canonical(&mut out, value);
            assert_eq!(&out[2..], text);
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
