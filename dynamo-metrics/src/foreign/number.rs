//! Numbers as Go reads them, which is what wrote most of them.

/// A sample's value. Go's `ParseFloat` without hexadecimal digits and underscores, as scrapers have
/// it; out of range is no number.
pub(super) fn value(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let spelled =
        text.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E'));
    // Rust also reads a sign before `nan`, and what is too large as infinite.
    let odd = if number.is_nan() { text.len() != 3 } else { number.is_infinite() && !spelled };
    (!odd).then_some(number)
}

/// A number that is no NaN: a bound, a count.
pub(super) fn not_nan(text: &str) -> Option<f64> {
    value(text).filter(|number| !number.is_nan())
}

/// A time in seconds.
pub(super) fn seconds(text: &str) -> Option<f64> {
    value(text).filter(|number| number.is_finite())
}

/// Whether so many things can be there.
pub(super) fn is_count(number: f64) -> bool {
    number.is_finite() && number >= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, number) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("1e+06", 1e6),
            ("1.5E-3", 0.0015),
            (".5", 0.5),
            ("5.", 5.0),
            ("+7", 7.0),
            ("+Inf", f64::INFINITY),
            ("inf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
            ("1e-400", 0.0),
        ] {
            assert_eq!(value(text), Some(number), "{text}");
        }
        assert!(value("NaN").is_some_and(f64::is_nan) && value("nan").is_some_and(f64::is_nan));
        for none in
            ["", " 1", "1 ", "0x1p-2", "1_000", "1e400", "-1e999", "+NaN", "-nan", "1,5", "x", "e"]
        {
            assert_eq!(value(none), None, "{none}");
        }
    }

    #[test]
    fn counts_are_finite_and_not_negative() {
        assert!(is_count(0.0) && is_count(1e300) && is_count(0.5));
        assert!(!is_count(-1.0) && !is_count(f64::NAN) && !is_count(f64::INFINITY));
        assert_eq!((not_nan("NaN"), seconds("+Inf"), seconds("1.5")), (None, None, Some(1.5)));
    }
}
