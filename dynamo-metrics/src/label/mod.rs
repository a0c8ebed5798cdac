//! Labels: names with values, typed or not, and their text.

mod copy;
mod template;
mod text;

pub use dynamo_metrics_macros::{LabelSet, LabelValue};

pub(crate) use copy::Piece;
pub(crate) use template::Template;
pub(crate) use text::{Labels, presentable, shorten, write_pair};

/// A value that a label may take, out of a set that the program bounds.
///
/// Derive it for fieldless enums; each variant becomes a value in `snake_case`, or what
/// `#[label(rename = "..")]` says. Text that comes from outside has no place here: it goes through
/// a [`DynamicFamily`](crate::registry::DynamicFamily), whose series are capped.
///
/// # Examples
/// ```
/// use dynamo_metrics::label::LabelValue;
///
/// #[derive(Clone, PartialEq, Eq, Hash, LabelValue)]
/// enum Tier {
///     Free,
///     #[label(rename = "paid-up")]
///     PaidUp,
/// }
/// assert_eq!(Tier::Free.as_label(), "free");
/// assert_eq!(Tier::PaidUp.as_label(), "paid-up");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a label value: nothing bounds how many values it has",
    note = "use an enum with `#[derive(LabelValue)]`; each value of a label is a series that lives \
            as long as the process"
)]
pub trait LabelValue {
    /// How many values there are, if that is known and they have an [`index`](Self::index)
    /// (default: not known). A family whose labels all have one finds a series in an array.
    const COUNT: Option<usize> = None;

    /// All values as they are exposed, in the order of their indices, if they are known (default:
    /// none is).
    const LABELS: &'static [&'static str] = &[];

    /// The value as it is exposed.
    fn as_label(&self) -> &str;

    /// Which of the [`COUNT`](Self::COUNT) values this is, from 0; each has its own.
    fn index(&self) -> usize {
        0
    }
}

/// A set of labels with names that are known when the program is built.
///
/// Derive it for structs whose fields are all [`LabelValue`]s; a field's name is the label's.
///
/// # Examples
/// ```
/// use dynamo_metrics::label::{LabelSet, LabelValue};
///
/// #[derive(Clone, PartialEq, Eq, Hash, LabelValue)]
/// enum Method { Get, Post }
///
/// #[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
/// struct Call { method: Method, cached: bool }
///
/// assert_eq!(<Call as LabelSet>::NAMES, &["method", "cached"]);
/// let call = Call { method: Method::Post, cached: false };
/// assert_eq!(call.values(|values| values.join(" ")), "post false");
/// ```
pub trait LabelSet {
    /// The labels' names.
    const NAMES: &'static [&'static str];

    /// How many sets there are, if that is known and they have an [`index`](Self::index) (default:
    /// not known).
    const COUNT: Option<usize> = None;

    /// Which of the [`COUNT`](Self::COUNT) sets this is, from 0; each has its own.
    fn index(&self) -> usize {
        0
    }

    /// Calls `visit` with the values, in the order of [`NAMES`](Self::NAMES).
    fn values<R>(&self, visit: impl FnOnce(&[&str]) -> R) -> R;
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

    fn index(&self) -> usize {
        (**self).index()
    }

    fn as_label(&self) -> &str {
        (**self).as_label()
    }
}

/// Most sets that a family keeps an array for.
const MOST_COMBINATIONS: usize = 4096;

/// How many sets there are of labels with so many values each, if that is known and not too many.
#[doc(hidden)]
#[must_use]
pub const fn combinations(counts: &[Option<usize>]) -> Option<usize> {
    let (mut all, mut i) = (1_usize, 0);
    while i < counts.len() {
        let Some(count) = counts[i] else { return None };
        all = all.saturating_mul(count);
        i += 1;
    }
    if all <= MOST_COMBINATIONS { Some(all) } else { None }
}

/// Which of all sets one is, from the number of values and the index of each label.
#[doc(hidden)]
#[inline]
#[must_use]
pub fn combine(labels: &[(Option<usize>, usize)]) -> usize {
    labels.iter().fold(0, |at, (count, index)| {
        at.wrapping_mul(count.unwrap_or_default()).wrapping_add(*index)
    })
}
