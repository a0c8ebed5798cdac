//! Labels: names with values, typed or not, and their text.
//!
//! - [`LabelValue`]: a value of a label, out of a set that the program bounds. Derived for enums;
//!   `bool`, `Option`, [`http::Method`] and [`http::StatusCode`] are some too.
//! - [`Bounded`]: one of at most so many values that come when the program runs, out of a
//!   [`Vocabulary`].
//! - [`LabelSet`]: labels that belong together. Derived for structs.

mod bounded;
mod copy;
mod template;
mod text;
mod values;

pub use dynamo_metrics_macros::{LabelSet, LabelValue};

pub use bounded::{Bounded, Vocabulary};
pub(crate) use copy::Piece;
pub(crate) use template::Template;
pub(crate) use text::{Labels, presentable, shorten, write_pair};

/// A value that a label may take, out of a set that the program bounds.
///
/// [Derive](macro@LabelValue) it for fieldless enums; each variant becomes a value in `snake_case`,
/// or what `#[label(rename = "..")]` says. These are values already:
///
/// | type | values |
/// |---|---|
/// | `bool` | `true`, `false` |
/// | `Option<V>` | those of `V`, and `none` |
/// | [`http::Method`] | the nine methods of HTTP's standards, and `_OTHER` |
/// | [`http::StatusCode`] | `100` to `599`, and `_OTHER` |
/// | [`Bounded<N>`](Bounded) | `N` that come when the program runs, and `_other` |
///
/// Text that comes from outside has no place here: it goes through a [`Vocabulary`], or through a
/// [`DynamicFamily`](crate::registry::DynamicFamily), whose series are capped.
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
/// assert_eq!(http::Method::from_bytes(b"PURGE")?.as_label(), "_OTHER");
/// # Ok::<(), http::method::InvalidMethod>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a label value: nothing bounds how many values it has",
    note = "use an enum with `#[derive(LabelValue)]`, or, where only the running program knows the \
            values, a `Bounded<N>` out of a `Vocabulary<N>`; each value of a label is a series that \
            lives as long as the process"
)]
pub trait LabelValue {
    /// How many values there are, if that is known and they have an [`index`](Self::index)
    /// (default: not known). A family whose labels all have one finds a series in an array.
    const COUNT: Option<usize> = None;

    /// All values as they are exposed, in the order of their indices, if they are known (default:
    /// none is).
    const LABELS: &'static [&'static str] = &[];

    /// Whether an index tells the value (default: yes). Where it does not, as with values of two
    /// [`Vocabulary`]s, a family compares what it finds in its array.
    const EXACT: bool = true;

    /// The value as it is exposed.
    fn as_label(&self) -> &str;

    /// Which of the [`COUNT`](Self::COUNT) values this is, from 0; each has its own.
    fn index(&self) -> usize {
        0
    }
}

/// A set of labels with names that are known when the program is built.
///
/// [Derive](macro@LabelSet) it for structs whose fields are all [`LabelValue`]s; a field's name is
/// the label's.
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no set of labels",
    note = "use a struct with `#[derive(LabelSet)]`, whose fields are label values"
)]
pub trait LabelSet {
    /// The labels' names.
    const NAMES: &'static [&'static str];

    /// The same, with what is known of their values.
    const INFO: &'static [LabelInfo];

    /// How many sets there are, if that is known and they have an [`index`](Self::index) (default:
    /// not known).
    const COUNT: Option<usize> = None;

    /// Whether an index tells the set (default: yes).
    const EXACT: bool = true;

    /// Which of the [`COUNT`](Self::COUNT) sets this is, from 0; each has its own.
    fn index(&self) -> usize {
        0
    }

    /// Calls `visit` with the values, in the order of [`NAMES`](Self::NAMES).
    fn values<R>(&self, visit: impl FnOnce(&[&str]) -> R) -> R;
}

/// A label, as far as it is known before anything is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelInfo {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: LabelValues,
}

/// What is known of a label's values before anything is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelValues {
    /// One of these.
    Closed(&'static [&'static str]),
    /// At most so many.
    Bounded(usize),
    /// Whatever comes; a cap bounds the series of the family.
    Open,
}

impl LabelInfo {
    /// The label `name` with the values of `V`.
    #[must_use]
    pub const fn of<V: LabelValue + ?Sized>(name: &'static str) -> Self {
        Self::known(name, V::COUNT, V::LABELS)
    }

    /// The label `name` with so many values, and what they are, as far as it is known.
    #[doc(hidden)]
    #[must_use]
    pub const fn known(
        name: &'static str,
        count: Option<usize>,
        labels: &'static [&'static str],
    ) -> Self {
        let values = match count {
            _ if !labels.is_empty() => LabelValues::Closed(labels),
            Some(count) => LabelValues::Bounded(count),
            None => LabelValues::Open,
        };
        Self { name, values }
    }

    /// The values, if they are known.
    pub(crate) const fn closed(&self) -> &'static [&'static str] {
        match self.values {
            LabelValues::Closed(values) => values,
            LabelValues::Bounded(_) | LabelValues::Open => &[],
        }
    }

    /// The label `name` with whatever values come.
    #[must_use]
    pub const fn open(name: &'static str) -> Self {
        Self { name, values: LabelValues::Open }
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
