//! Types of others that are label values.

use http::{Method, StatusCode};

use super::LabelValue;

/// Most values of a type whose `Option` can list its own: all statuses, and what is none.
const MOST_LISTED: usize = 512;

/// The methods of HTTP's standards, and one value for all that is none of them.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"];

/// The lowest status, and the first one that is too high.
const STATUSES: std::ops::Range<u16> = 100..600;

/// How many they are.
const STATUS_COUNT: usize = (STATUSES.end - STATUSES.start) as usize;

/// The digits of each status.
static DIGITS: [[u8; 3]; STATUS_COUNT] = {
    let mut all = [*b"100"; STATUS_COUNT];
    let mut i = 1;
    while i < STATUS_COUNT {
        let [mut hundreds, mut tens, mut units] = all[i - 1];
        units += 1;
        if units > b'9' {
            (tens, units) = (tens + 1, b'0');
        }
        if tens > b'9' {
            (hundreds, tens) = (hundreds + 1, b'0');
        }
        all[i] = [hundreds, tens, units];
        i += 1;
    }
    all
};

/// Each status as text, and one value for all that is none of them.
static STATUS_TEXTS: [&str; STATUS_COUNT + 1] = {
    let mut all = ["_OTHER"; STATUS_COUNT + 1];
    let mut i = 0;
    while i < STATUS_COUNT {
        if let Ok(text) = std::str::from_utf8(&DIGITS[i]) {
            all[i] = text;
        }
        i += 1;
    }
    all
};

/// The values of an `Option<V>`.
struct WithNone<V>(V);

impl<V: LabelValue> WithNone<V> {
    /// `none`, the values of `V`, and what is not used.
    const PADDED: [&'static str; MOST_LISTED] = {
        let mut all = ["none"; MOST_LISTED];
        let mut i = 0;
        while i < V::LABELS.len() && i + 1 < MOST_LISTED {
            all[i + 1] = V::LABELS[i];
            i += 1;
        }
        all
    };

    const LABELS: &'static [&'static str] = {
        let count = V::LABELS.len();
        // None at all where they are not known, or not all.
        let listed = if count == 0 || count >= MOST_LISTED { 0 } else { count + 1 };
        let padded: &'static [&'static str] = &Self::PADDED;
        padded.split_at(listed).0
    };
}

impl LabelValue for bool {
    const COUNT: Option<usize> = Some(2);
    const LABELS: &'static [&'static str] = &["false", "true"];

    fn index(&self) -> usize {
        usize::from(*self)
    }

    fn as_label(&self) -> &str {
        if *self { "true" } else { "false" }
    }
}

impl<V: LabelValue> LabelValue for Option<V> {
    const COUNT: Option<usize> = match V::COUNT {
        Some(count) => Some(count + 1),
        None => None,
    };
    const LABELS: &'static [&'static str] = WithNone::<V>::LABELS;
    const EXACT: bool = V::EXACT;

    fn index(&self) -> usize {
        self.as_ref().map_or(0, |value| value.index() + 1)
    }

    /// The value, or `none`.
    fn as_label(&self) -> &str {
        self.as_ref().map_or("none", V::as_label)
    }
}

impl<V: LabelValue + ?Sized> LabelValue for &V {
    const COUNT: Option<usize> = V::COUNT;
    const LABELS: &'static [&'static str] = V::LABELS;
    const EXACT: bool = V::EXACT;

    fn index(&self) -> usize {
        (**self).index()
    }

    fn as_label(&self) -> &str {
        (**self).as_label()
    }
}

impl LabelValue for Method {
    const COUNT: Option<usize> = Some(METHODS.len());
    const LABELS: &'static [&'static str] = &METHODS;

    fn index(&self) -> usize {
        match *self {
            Self::GET => 0,
            Self::HEAD => 1,
            Self::POST => 2,
            Self::PUT => 3,
            Self::DELETE => 4,
            Self::CONNECT => 5,
            Self::OPTIONS => 6,
            Self::TRACE => 7,
            Self::PATCH => 8,
            _ => METHODS.len() - 1,
        }
    }

    /// The method if it is one of HTTP's standards, or `_OTHER`.
    fn as_label(&self) -> &str {
        METHODS[self.index()]
    }
}

impl LabelValue for StatusCode {
    const COUNT: Option<usize> = Some(STATUS_COUNT + 1);
    const LABELS: &'static [&'static str] = &STATUS_TEXTS;

    fn index(&self) -> usize {
        let above = self.as_u16().checked_sub(STATUSES.start).map(usize::from);
        above.filter(|above| *above < STATUS_COUNT).unwrap_or(STATUS_COUNT)
    }

    /// The number if HTTP has a class for it, or `_OTHER`.
    fn as_label(&self) -> &str {
        STATUS_TEXTS[self.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value, by its index.
    fn read<V: LabelValue>(values: impl IntoIterator<Item = V>) -> Vec<(usize, String)> {
        values.into_iter().map(|value| (value.index(), value.as_label().to_owned())).collect()
    }

    fn listed<V: LabelValue>() -> Vec<(usize, String)> {
        assert_eq!(V::COUNT, Some(V::LABELS.len()));
        V::LABELS.iter().map(|&label| label.to_owned()).enumerate().collect()
    }

    #[test]
    fn booleans_and_options_are_listed_in_the_order_of_their_indices() {
        assert_eq!(read([false, true]), listed::<bool>());
        assert_eq!(read([None, Some(false), Some(true)]), listed::<Option<bool>>());
        let nested = [None, Some(None), Some(Some(false)), Some(Some(true))];
        assert_eq!(read(nested), listed::<Option<Option<bool>>>());
        assert_eq!(read([&true]), [(1, "true".to_owned())]);
    }

    #[test]
    fn methods_are_a_closed_set() {
        let methods = METHODS.map(|name| Method::from_bytes(name.as_bytes()).unwrap());
        assert_eq!(read(methods), listed::<Method>());
        for other in ["PURGE", "get", "QUERY", "X"] {
            assert_eq!(Method::from_bytes(other.as_bytes()).unwrap().as_label(), "_OTHER");
        }
    }

    #[test]
    fn statuses_are_a_closed_set() {
        let statuses = (100..=600).map(|code| StatusCode::from_u16(code).unwrap());
        assert_eq!(read(statuses), listed::<StatusCode>());
        assert_eq!(StatusCode::NOT_FOUND.as_label(), "404");
        assert_eq!(StatusCode::from_u16(599).unwrap().as_label(), "599");
        assert_eq!(StatusCode::from_u16(999).unwrap().as_label(), "_OTHER");
        let last = <Option<StatusCode>>::LABELS.last();
        assert_eq!((<Option<StatusCode>>::LABELS.len(), last), (502, Some(&"_OTHER")));
    }
}
